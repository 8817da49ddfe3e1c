"""The dipole–dipole energy beside the fits: its strength is recovered from energies, and told as certain as it is."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk

from aiida_mlcc.science.crystal.cells import map_onto_crystal, supercell
from aiida_mlcc.science.fit.base_model import BaseForceConstants, fit_base
from aiida_mlcc.science.fit.dipole import (
    ETA_TIMES_CUTOFF,
    coupling_strength,
    dipole_beside,
    dipole_energies_and_forces,
)
from aiida_mlcc.science.fit.force_constants import fit_delta
from aiida_mlcc.science.fit.force_constants_basis import resolved_bases
from aiida_mlcc.science.fit.long_range import LongRange
from aiida_mlcc.science.force_field import ForceField, Term, add_delta
from aiida_mlcc.science.force_field.dipole import DipoleModel, dipole_term, polarity_of
from aiida_mlcc.science.force_field.force_constants import ForceConstantsModel
from aiida_mlcc.science.labels.snapshots import Label, Snapshots
from tests.crystals import heated, spring_term

PRIMITIVE = bulk('LiH', 'rocksalt', a=4.017)
CUBE = [[-1, 1, 1], [1, -1, 1], [1, 1, -1]]
CHARGES, DIELECTRIC = np.array([np.eye(3), -np.eye(3)]), 4.4 * np.eye(3)
SCALE, FREE = 0.06, 0.25


@cache
def training_cell() -> Atoms:
    return supercell(PRIMITIVE, CUBE)


@cache
def dipole() -> DipoleModel:
    found = dipole_beside(PRIMITIVE, CHARGES, DIELECTRIC, training_cell())
    assert found is not None
    return found


def energies_and_forces(term: Term, frames: Snapshots) -> tuple[np.ndarray, np.ndarray]:
    bound = ForceConstantsModel(term).bind(frames.atoms(0))
    found = [bound.energy_forces(positions) for positions in frames.positions]
    return np.array([energy for energy, _ in found]), np.array([forces for _, forces in found])


def snapshots(
    n_frames: int, free: float, noise: float = 0.0, few: int | None = None, other_springs: float = 1.0
) -> Snapshots:
    """Springs and dipoles as LDA; HF is LDA rescaled, with dipoles stronger by `free` and other springs.

    :param noise: of the energies of HF, eV per cell.
    :param few: how many frames MP2 labels, which is HF and a tenth of it more.
    """
    cell = training_cell()
    frames = Snapshots.from_atoms([cell.copy() for _ in range(n_frames)])
    moved = Snapshots(frames.symbols, frames.cells, frames.positions + heated(cell, n_frames), frames.labels)
    short, other = (
        energies_and_forces(spring_term(PRIMITIVE, 2.5, along, across), moved)
        for along, across in ((8.0, 1.0), (-other_springs, 2 * other_springs))
    )
    far = dipole_energies_and_forces(dipole(), moved)
    # What is not harmonic of the base tells its scale from springs and dipoles.
    unlike = np.random.default_rng(2).normal(size=n_frames)
    lda = Label(short[0] + far[0] + unlike, short[1] + far[1])
    hf = lda.energies * (1 + SCALE) + free * far[0] + other[0]
    hf += np.random.default_rng(3).normal(scale=noise, size=n_frames)
    found = moved.with_label('LDA', lda).with_label('HF', Label(hf))
    if few is not None:
        mp2 = np.where(np.arange(n_frames) % (n_frames // few) == 0, hf + 0.1 * (hf - lda.energies), np.nan)
        found = found.with_label('CCSD', Label(mp2))
    return found


def test_damping_follows_the_cutoff_that_the_cell_resolves() -> None:
    cutoff = resolved_bases(PRIMITIVE, map_onto_crystal(PRIMITIVE, training_cell()))[0][0].cutoff
    assert dipole().eta * cutoff == pytest.approx(ETA_TIMES_CUTOFF)


def test_charges_that_are_no_larger_than_those_of_a_covalent_crystal_make_no_term() -> None:
    assert dipole_beside(PRIMITIVE, 0.04 * CHARGES, DIELECTRIC, training_cell()) is None


def test_only_a_cubic_crystal_of_two_atoms_has_one_strength() -> None:
    assert coupling_strength(dipole()) == pytest.approx(1 / 4.4)
    primitive = bulk('ZnO', 'wurtzite', a=3.25, c=5.2, u=0.382)
    signs = np.where(primitive.symbols == 'Zn', 2.0, -2.0)
    wurtzite = DipoleModel(dipole_term(primitive, signs[:, None, None] * np.eye(3), 4 * np.eye(3), 1.0))
    assert coupling_strength(wurtzite) is None


def test_the_strength_of_the_dipoles_is_recovered_from_energies_and_merges_with_the_base() -> None:
    fit = fit_delta(snapshots(60, FREE, noise=0.001), PRIMITIVE, 'LDA', 'HF', dipole=dipole(), anharmonic=False)
    told = fit.errors['long_range']
    assert told['evidence'] > 3
    assert told['weight'] == pytest.approx(1 + SCALE + FREE, abs=3 * told['statistical'])
    assert told['statistical'] < 0.05
    assert told['systematic'] >= 0.2 * abs(told['weight'] - 1)
    assert told['c_total'] == pytest.approx(told['weight'] / 4.4)
    base = ForceField((spring_term(PRIMITIVE, 2.5), dipole().term()), {'Li': 0.0, 'H': 0.0}, method='LDA')
    total = add_delta(base, fit.force_field)
    assert [term.kind for term in total.terms].count('dipole') == 1
    found = polarity_of(total, PRIMITIVE)
    assert found is not None
    assert found.weight == pytest.approx(told['weight'])
    assert found.weight_sd == pytest.approx(np.hypot(told['statistical'], told['systematic']))


def test_without_a_difference_of_long_range_there_is_no_feature_for_it() -> None:
    labelled = snapshots(40, 0.0, noise=0.002, other_springs=0.0)
    fit = fit_delta(labelled, PRIMITIVE, 'LDA', 'HF', dipole=dipole(), anharmonic=False)
    told = fit.errors['long_range']
    assert told['free'] is None
    assert told['evidence'] < 3
    assert told['weight'] == pytest.approx(1 + fit.force_field.base_scale)
    assert [term.kind for term in fit.force_field.terms] == ['force-constants']


def test_what_a_covariate_knows_of_the_dipoles_counts() -> None:
    labelled = snapshots(60, FREE, few=15)
    fit = fit_delta(labelled, PRIMITIVE, 'LDA', 'CCSD', dipole=dipole(), anharmonic=False)
    assert fit.errors['covariates']['HF'] == pytest.approx(1.1, abs=1e-3)
    assert fit.errors['long_range']['weight'] == pytest.approx(1 + 1.1 * (SCALE + FREE), abs=0.01)


def test_a_base_beside_dipoles_is_right_between_the_wave_vectors_of_its_cell() -> None:
    frames = snapshots(12, 0.0)
    truth = (ForceConstantsModel(spring_term(PRIMITIVE, 2.5)), dipole())
    short = BaseForceConstants.of({**BaseForceConstants.defaults(), 'cutoff': 3.0})
    beside, alone = (fit_base(frames, PRIMITIVE, 'LDA', term, short) for term in (dipole(), None))
    assert beside.errors['forces_rmse_mev_angstrom'] < 0.05 * alone.errors['forces_rmse_mev_angstrom']
    assert [term.kind for term in beside.terms] == ['force-constants', 'dipole']
    large = supercell(PRIMITIVE, 5)
    found, expected = (
        model.bind(large).force_constants() for model in (ForceConstantsModel(beside.terms[0]), truth[0])
    )
    assert np.allclose(found, expected, atol=0.02)


@pytest.mark.parametrize(
    ('weight', 'statistical', 'expected'), [(1.2, 0.1, True), (0.3, 0.2, False), (-0.1, 0.01, False)]
)
def test_a_weight_that_may_be_zero_is_not_determined(weight, statistical, expected) -> None:
    assert LongRange(weight, statistical, 0.0, None, 0.0).determined is expected
