"""``aiida-mlcc cells``: what it lists, writes and refuses."""

import numpy as np
import pytest
from ase.build import bulk
from ase.io import read

from tests.cli.conftest import last_line
from tests.crystals import rocksalt_cube


@pytest.fixture
def cells(command, tmp_path):
    """Return a function that lists supercells of the conventional cube of LiF."""
    rocksalt_cube().write(tmp_path / 'LiF.cif')
    return lambda *words: command('cells', tmp_path / 'LiF.cif', *words)


def test_cells_are_listed_with_what_they_hold_and_the_setting_that_makes_them(cells):
    lines = cells('--qpoints', 'Γ,X,L', '--max-atoms', 16).output.splitlines()
    first = next(place for place, line in enumerate(lines) if line.split()[:3] == ['1', '8', '4'])
    assert lines[first].endswith('Γ 1, L 4, X 4')
    assert 'write it with -o' in lines[first + 1]
    assert 'supercell_matrix: [[0,1,1],[1,0,1],[1,1,0]]' in lines[first + 3]


def test_a_cell_is_written_for_launch(cells, tmp_path):
    path = tmp_path / 'cell.extxyz'
    assert f'wrote cell 1 to {path}' in cells('--qpoints', 'X,L', '--max-atoms', 8, '-o', path).output
    written = read(path)
    assert len(written) == 8
    held = np.linalg.solve(bulk('LiF', 'rocksalt', a=4.03).cell.array.T, written.cell.array.T).T
    assert abs(np.linalg.det(held)) == pytest.approx(4)


@pytest.mark.parametrize(
    ('words', 'sentence'),
    [
        (
            ('--qpoints', 'X,L', '--max-atoms', '4'),
            'no supercell of at most 4 atoms holds X, L: the smallest has 8 atoms',
        ),
        (('--qpoints', 'M'), "no wave vector 'M'"),
        (('--qpoints', ' , '), 'No wave vectors'),
        (('--qpoints', 'L', '--max-atoms', '4', '-o', 'cell.cif', '--number', '7'), 'There is no cell 7'),
        (('-o', 'cell.foo'), 'ASE has no format for a file called cell.foo'),
        (('-o', 'nowhere/cell.cif'), 'There is no folder nowhere'),
        (('-o', __file__), 'already exists'),
    ],
)
def test_what_cannot_be_listed_is_a_sentence(cells, words, sentence):
    result = cells(*words)
    assert result.exit_code != 0
    assert sentence in last_line(result)
