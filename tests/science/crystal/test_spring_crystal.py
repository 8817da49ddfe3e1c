"""A crystal of springs has the modes that symmetry gives the crystal, and no others."""

import pytest
from ase import Atoms
from ase.build import bulk

from aiida_mlcc.science.crystal.cells import expand_matrix, supercell
from aiida_mlcc.science.crystal.spring_crystal import count_frozen_phonons, spring_model
from aiida_mlcc.science.design.optimal_structures import design_frozen_phonons, frozen_phonons
from tests.workflows.data import snapshots_of_springs

DIAMOND = bulk('C', 'diamond', a=3.56)
DIAMOND_32 = supercell(bulk('C', 'diamond', a=3.56, cubic=True), expand_matrix([2, 2, 1]))


def test_diamond_has_the_seventeen_modes_that_group_theory_gives_its_cell_of_32_atoms():
    """Γ 1, X 3, Δ 4, W 3, Σ 6."""
    modes = spring_model(DIAMOND, DIAMOND_32).modes()
    assert len(modes) == 17
    assert min(mode.frequency_cm1 for mode in modes) > 0
    assert sum(len(mode.vectors) for mode in modes) == 3 * 32 - 3


@pytest.mark.parametrize(('settings', 'expected'), [({}, 20), ({'references': 1, 'second_amplitude': 0.5}, 35)])
def test_each_mode_is_one_structure_beside_the_references(settings, expected):
    assert count_frozen_phonons(DIAMOND, DIAMOND_32, settings) == expected


def test_mode_without_a_symmetric_partner_counts_twice():
    """In a chain of two kinds of atoms at uneven distances nothing turns the optical mode at Γ around."""
    chain = Atoms('LiH', [[0, 0, 0], [0, 0, 1.6]], cell=[4, 4, 3.9], pbc=True)
    even = Atoms('LiH', [[0, 0, 0], [0, 0, 1.95]], cell=[4, 4, 3.9], pbc=True)
    assert count_frozen_phonons(even, even, {'references': 1}) == 1 + 2
    assert count_frozen_phonons(chain, chain, {'references': 1}) == 1 + 1 + 2


@pytest.mark.parametrize(
    ('formula', 'structure', 'lattice_constant', 'n_modes', 'n_pairs'),
    [('LiF', 'rocksalt', 3.93, 5, 2), ('C', 'diamond', 3.56, 4, 0), ('BN', 'zincblende', 3.6, 5, 1)],
)
def test_modes_of_one_symmetry_are_frozen_in_together(formula, structure, lattice_constant, n_modes, n_pairs):
    """At X rocksalt has X4' (LA, LO) and X5' (TA, TO) twice each, zincblende X5 twice, diamond each of its three once.

    The optical mode at Γ is even in all three: along a cubic axis, S4 of zincblende takes it to its opposite.
    """
    primitive, cube = (bulk(formula, structure, a=lattice_constant, cubic=cubic) for cubic in (False, True))
    alone = count_frozen_phonons(primitive, cube, {'references': 1})
    assert alone == 1 + n_modes
    assert count_frozen_phonons(primitive, cube, {'references': 1, 'coupled': True}) == alone + n_pairs


def test_wurtzite_has_two_pairs_at_the_zone_centre():
    """Its optical modes there are A1 + E1 + 2 B1 + 2 E2; that its sites may move along the axis couples no others."""
    wurtzite = bulk('AlN', 'wurtzite', a=3.11, c=4.98, u=0.382)
    *alone, first, second = frozen_phonons(spring_model(wurtzite, wurtzite), coupled=True)
    e2_low, b1_low, _, _, e2_high, b1_high = sorted(alone, key=lambda mode: mode.curvature)
    for pair, low, high in ((first, e2_low, e2_high), (second, b1_low, b1_high)):
        assert pair.curvature == pytest.approx((low.curvature + high.curvature) / 2)


def test_count_is_that_of_the_design_from_forces():
    from tests.crystals import rocksalt, rocksalt_cube

    snapshots = snapshots_of_springs(n_frames=20, amplitude=0.02)
    for settings in ({}, {'coupled': True}):
        designed = design_frozen_phonons(snapshots, rocksalt(), settings)
        assert designed.n_frames == count_frozen_phonons(rocksalt(), rocksalt_cube(), settings)
