"""Figures: the axis follows the path, and the file is what its ending says."""

import numpy as np
import pytest
from aiida import orm

from aiida_mlcc.report.data.arrays import path_of
from aiida_mlcc.report.print.figures import NothingToPlot, figure_of, save


def test_distances_along_the_path_are_those_of_reciprocal_space(run):
    path = path_of(run.dispersion['HF'])
    # Γ to X of an fcc lattice is 2π/a.
    assert path.distances[4] == pytest.approx(2 * np.pi / 4.03)


def test_a_jump_between_segments_takes_no_room(run):
    path = path_of(run.dispersion['HF'])
    assert path.distances[5] == path.distances[4]
    assert [part.indices(6)[:2] for part in path.segments] == [(0, 5), (5, 6)]
    assert [label for _, label in path.ticks] == ['Γ', 'X|L']


@pytest.mark.parametrize(('ending', 'magic'), [('png', b'\x89PNG'), ('svg', b'<?xml'), ('pdf', b'%PDF')])
def test_the_ending_decides_the_format(run, tmp_path, ending, magic):
    target = tmp_path / f'figure.{ending}'
    save(figure_of(run.master), target)
    assert target.read_bytes().startswith(magic)


def test_the_figure_shows_dispersion_and_both_densities_in_their_units(run):
    axes = figure_of(run.master).axes
    assert len(axes) == 3
    assert 'cm$^{-1}$' in axes[0].get_ylabel()
    assert [axis.get_xlabel().split('\n')[0] for axis in axes[1:]] == ['harmonic DOS', 'VDOS from dynamics']


def test_a_run_without_curves_says_so(run):
    empty = orm.WorkChainNode()
    empty.set_process_label('MLCCPhononWorkChain')
    with pytest.raises(NothingToPlot, match='no curve'):
        figure_of(empty.store())
