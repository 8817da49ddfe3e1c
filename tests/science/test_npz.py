import json
import os
import pickle

import numpy as np
import pytest

from aiida_mlcc.science.npz import read_npz, write_json, write_npz

ARRAYS = {'b': np.arange(6.0).reshape(2, 3), 'a': np.array([1, 2]), 'empty': np.zeros((0, 3))}


class RunsCode:
    """What a hostile archive would hold: unpickling it makes a folder."""

    def __init__(self, folder):
        self.folder = folder

    def __reduce__(self):
        return os.mkdir, (self.folder,)


def test_arrays_and_description_come_back(tmp_path):
    write_npz(tmp_path / 'x.npz', ARRAYS, {'name': 'Δ', 'list': [1, None]})
    arrays, description = read_npz(tmp_path / 'x.npz')
    assert description == {'name': 'Δ', 'list': [1, None]}
    assert set(arrays) == set(ARRAYS)
    for name, array in ARRAYS.items():
        assert arrays[name].dtype == array.dtype
        assert np.array_equal(arrays[name], array)


def test_equal_content_gives_equal_bytes_whatever_the_order_of_names_and_of_memory(tmp_path):
    other = {name: np.asfortranarray(ARRAYS[name]) for name in reversed(ARRAYS)}
    write_npz(tmp_path / 'one.npz', ARRAYS, {'x': 1, 'y': 2})
    write_npz(tmp_path / 'two.npz', other, {'y': 2, 'x': 1})
    assert (tmp_path / 'one.npz').read_bytes() == (tmp_path / 'two.npz').read_bytes()


def test_the_bytes_do_not_depend_on_the_time_of_writing(tmp_path, monkeypatch):
    write_npz(tmp_path / 'one.npz', ARRAYS)
    monkeypatch.setattr('time.time', lambda: 2e9)
    write_npz(tmp_path / 'two.npz', ARRAYS)
    assert (tmp_path / 'one.npz').read_bytes() == (tmp_path / 'two.npz').read_bytes()


def test_a_pickle_is_not_written(tmp_path):
    with pytest.raises(ValueError, match='allow_pickle'):
        write_npz(tmp_path / 'x.npz', {'a': np.array([{'an': 'object'}], dtype=object)})
    assert not (tmp_path / 'x.npz').exists()


@pytest.mark.parametrize('as_array', [True, False])
def test_a_pickle_is_not_read_and_runs_nothing(tmp_path, as_array):
    hostile = RunsCode(str(tmp_path / 'made'))
    if as_array:
        np.savez(tmp_path / 'x.npz', a=np.array([hostile], dtype=object))
    else:
        (tmp_path / 'x.npz').write_bytes(pickle.dumps(hostile))
    with pytest.raises(ValueError, match='allow_pickle'):
        read_npz(tmp_path / 'x.npz')
    assert not (tmp_path / 'made').exists()


def test_a_failed_write_leaves_the_old_file_whole(tmp_path):
    write_npz(tmp_path / 'x.npz', ARRAYS)
    before = (tmp_path / 'x.npz').read_bytes()
    with pytest.raises(ValueError, match='allow_pickle'):
        write_npz(tmp_path / 'x.npz', {**ARRAYS, 'z': np.array([object()])})
    assert (tmp_path / 'x.npz').read_bytes() == before


def test_json_is_written_whole_and_in_one_order(tmp_path):
    write_json(tmp_path / 'one.json', {'b': [1, None], 'a': 'Δ'})
    write_json(tmp_path / 'two.json', {'a': 'Δ', 'b': [1, None]})
    assert (tmp_path / 'one.json').read_bytes() == (tmp_path / 'two.json').read_bytes()
    assert json.loads((tmp_path / 'one.json').read_text()) == {'a': 'Δ', 'b': [1, None]}
    with pytest.raises(TypeError):
        write_json(tmp_path / 'one.json', {'a': object()})
    assert json.loads((tmp_path / 'one.json').read_text())['a'] == 'Δ'
