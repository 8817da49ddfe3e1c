"""Structures from files that hold several, or mean no good."""

import click
import pytest
from ase.build import bulk
from ase.io import write

from aiida_mlcc.cli.inputs import read_structure


def test_of_several_structures_the_last_is_taken_and_said_or_the_one_asked_for(tmp_path, aiida_profile, capsys):
    images = [bulk('LiH', 'rocksalt', a=a) for a in (4.0, 4.1, 4.2)]
    write(tmp_path / 'run.traj', images)
    path = str(tmp_path / 'run.traj')
    assert read_structure(path).cell[0][1] == pytest.approx(2.1)
    assert 'contains 3 structures: the last one is used' in capsys.readouterr().err
    assert read_structure(f'{path}@0').cell[0][1] == pytest.approx(2.0)
    with pytest.raises(click.UsageError, match='contains 3 structures: there is no structure 3'):
        read_structure(f'{path}@3')


@pytest.mark.parametrize(
    ('text', 'sentence'),
    [
        ('-3\n{}\nC 0 0 0\n', 'cannot have -3 atoms'),
        ('1\n{} Properties=species:S:1:pos:R:3:forces:R:3000000000\nC 0 0 0\n', 'names 3000000004 columns'),
        ('1\nLattice="1e300 0 0 0 3 0 0 0 3"\nC 0 0 0\n', r'a lattice vector of 1e\+300 Å'),
    ],
)
def test_a_structure_file_with_absurd_numbers_is_a_sentence(tmp_path, aiida_profile, text, sentence):
    (tmp_path / 'hostile.xyz').write_text(text.format('Lattice="3 0 0 0 3 0 0 0 3"'))
    with pytest.raises(click.UsageError, match=sentence):
        read_structure(str(tmp_path / 'hostile.xyz'))
