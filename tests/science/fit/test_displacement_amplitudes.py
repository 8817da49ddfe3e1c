"""Frozen phonons in two amplitudes give the Δ of infinitesimal displacements, whatever their higher orders are."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from aiida_mlcc.science.crystal.cells import map_onto_crystal
from aiida_mlcc.science.design.optimal_structures import design_frozen_phonons
from aiida_mlcc.science.fit.dipole import dipole_beside
from aiida_mlcc.science.fit.displacement_amplitudes import amplitude_columns, scatter_at_rest, sixth_powers
from aiida_mlcc.science.fit.force_constants import fit_delta
from aiida_mlcc.science.fit.harmonic_model import HarmonicModel, harmonic_model
from aiida_mlcc.science.fit.learning_curve import frequencies_of_samples
from aiida_mlcc.science.fit.mapped_frames import MappedFrames, mapped_frames
from aiida_mlcc.science.force_field import Term
from aiida_mlcc.science.force_field.force_constants import ForceConstantsModel
from aiida_mlcc.science.force_field.fourth_order import bonds_within
from aiida_mlcc.science.labels.snapshots import Label, Snapshots
from tests.crystals import heated, rocksalt, rocksalt_cube, snapshots_of, spring_label, spring_term
from tests.frozen_phonon import frequency_cm1

PRIMITIVE, CELL = rocksalt(), rocksalt_cube()
BASE = spring_term(PRIMITIVE, 3.0, along=8.0, across=1.0)
TRUTH = spring_term(PRIMITIVE, 3.0, along=9.0, across=1.2)
QUARTIC = 0.4
"""eV/Å⁴, along and across bonds to the third shell too, farther than those that a fit has of fourth order."""

POINTS = {'gamma': (0.0, 0.0, 0.0), 'x': (0.0, 0.5, 0.5)}


def quartic_term():
    """Return TRUTH with bonds of fourth order of which the longest are beyond those of a fit."""
    bonds = bonds_within(PRIMITIVE, 3.7)
    assert bonds.n_kinds > bonds_within(PRIMITIVE, 3.0).n_kinds
    arrays = {
        'bonds': bonds.pairs,
        'bond_vectors': bonds.lattice_vectors,
        'bond_kinds': bonds.kinds,
        'fourth_order': np.full((bonds.n_kinds, 3), QUARTIC),
    }
    return replace(TRUTH, arrays={**TRUTH.arrays, **arrays})


@pytest.fixture(scope='module')
def model() -> HarmonicModel:
    moved = heated(CELL, 6)
    return harmonic_model(snapshots_of(CELL, moved, {'LDA': spring_label(BASE, CELL, moved)}), PRIMITIVE, 'LDA')


@pytest.fixture(scope='module')
def dynamics() -> Snapshots:
    moved = heated(CELL, 6)
    return snapshots_of(CELL, moved, {'LDA': spring_label(BASE, CELL, moved)})


def frozen(dynamics: Snapshots, second: float | None, truth: Term | None = None, coupled: bool = False) -> Snapshots:
    """Return frozen phonons with energies of the base and of `truth`, by default the quartic crystal."""
    design = {'references': 2, 'second_amplitude': second, 'energy_mev_atom': 200.0, 'largest_displacement': 0.06}
    design['coupled'] = coupled
    found = design_frozen_phonons(dynamics, PRIMITIVE, design)
    for method, term in (('LDA', BASE), ('HF', truth or quartic_term())):
        bound = ForceConstantsModel(term).bind(CELL)
        energies = np.array([bound.energy_forces(positions)[0] for positions in found.positions])
        found = found.with_label(method, Label(energies, None, {'engine': 'springs'}))
    return found


def exact(point: str) -> list[float]:
    """Return the frequencies (cm⁻¹) of the harmonic part, ascending."""
    site_map = map_onto_crystal(PRIMITIVE, CELL)
    matrix = HarmonicModel(ForceConstantsModel(TRUTH), site_map).dynamical_matrix(np.array(POINTS[point]))
    return [frequency_cm1(value) for value in np.linalg.eigvalsh(matrix)]


def test_two_amplitudes_are_extrapolated_to_none(model, dynamics) -> None:
    fit = fit_delta(frozen(dynamics, 0.7), PRIMITIVE, 'LDA', 'HF', n_folds=4)
    found = frequencies_of_samples(model, fit.samples, POINTS)['frequencies_cm1']
    assert fit.errors['n_extrapolated'] > 0
    assert found['gamma'][3:] == pytest.approx(exact('gamma')[3:], abs=1.0)
    assert found['x'] == pytest.approx(exact('x'), abs=1.5)


def test_what_couples_two_modes_is_told_by_both_at_once(model, dynamics) -> None:
    """At X the crystal mixes TA with TO otherwise than the base does, which energies of each alone do not show."""
    off = []
    for coupled in (False, True):
        fit = fit_delta(frozen(dynamics, 0.7, TRUTH, coupled), PRIMITIVE, 'LDA', 'HF', n_folds=4)
        found = frequencies_of_samples(model, fit.samples, POINTS)['frequencies_cm1']
        off.append(np.abs(np.array(found['x']) - exact('x')).max())
    assert off[1] < 0.02
    assert off[0] > 10 * off[1]


def test_springs_beyond_nearest_neighbours_do_not_pass_for_dipoles(model, dynamics) -> None:
    """Neither crystal has dipoles: what nearest neighbours do not explain belongs to the next ones."""
    charges = np.array([1.0, -1.0])[:, None, None] * np.eye(3)
    dipole = dipole_beside(PRIMITIVE, charges, 2.0 * np.eye(3), CELL)
    fit = fit_delta(frozen(dynamics, 0.7, TRUTH), PRIMITIVE, 'LDA', 'HF', n_folds=4, dipole=dipole)
    assert fit.errors['long_range']['free'] is None
    found = frequencies_of_samples(model, fit.samples, POINTS)['frequencies_cm1']
    assert found['x'] == pytest.approx(exact('x'), abs=1.5)


def test_what_is_not_harmonic_does_not_hide_dipoles(dynamics) -> None:
    charges = np.array([1.0, -1.0])[:, None, None] * np.eye(3)
    dipole = dipole_beside(PRIMITIVE, charges, 2.0 * np.eye(3), CELL)
    assert dipole is not None
    snapshots = frozen(dynamics, 0.7)
    bound = dipole.bind(CELL)
    energies = np.array([bound.energy_forces(positions)[0] for positions in snapshots.positions])
    for method, weight in (('LDA', 1.0), ('HF', 1.3)):
        label = snapshots.labels[method]
        snapshots = snapshots.with_label(method, replace(label, energies=label.energies + weight * energies))
    fit = fit_delta(snapshots, PRIMITIVE, 'LDA', 'HF', n_folds=4, dipole=dipole)
    assert fit.errors['long_range']['weight'] == pytest.approx(1.3, abs=0.02)


def test_one_amplitude_takes_what_is_quartic_for_harmonic(model, dynamics) -> None:
    """The crystal of the test above needs the second amplitude."""
    fit = fit_delta(frozen(dynamics, None), PRIMITIVE, 'LDA', 'HF', n_folds=4)
    found = frequencies_of_samples(model, fit.samples, POINTS)['frequencies_cm1']
    assert fit.errors['n_extrapolated'] == 0
    assert found['gamma'][3] > exact('gamma')[3] + 4.0


def test_columns_are_powers_of_the_amplitude_of_each_pattern(dynamics) -> None:
    generator = np.random.default_rng(3)
    one, other, third = (moved - moved.mean(axis=0) for moved in generator.normal(size=(3, len(CELL), 3)))
    moved = np.array([0.0 * one, one, 0.7 * one, -one, 0.5 * other, other, third])
    group = MappedFrames(np.arange(len(moved)), mapped_frames(dynamics, PRIMITIVE)[0].site_map, moved)
    columns = amplitude_columns([group], len(moved))
    expected = [
        np.array([0, 1, 0.7**4, 1, 0, 0, 0]),
        np.array([0, 1, 0.7**6, 1, 0, 0, 0]) / 3,
        np.array([0, 1, 0.7**3, -1, 0, 0, 0]),
        np.array([0, 0, 0, 0, 0.5**4, 1, 0]),
        np.array([0, 0, 0, 0, 0.5**6, 1, 0]) / 3,
    ]
    for column in expected:
        assert any(np.allclose(sign * found, column) for found in columns.T for sign in (1, -1))
    assert columns.shape == (7, 5)


def test_the_sixth_power_of_a_pattern_is_a_third_of_the_typical_quartic_one(dynamics) -> None:
    generator = np.random.default_rng(3)
    one, other = (moved - moved.mean(axis=0) for moved in generator.normal(size=(2, len(CELL), 3)))
    moved = np.array([0.0 * one, one, 0.7 * one, 0.5 * other, other])
    group = MappedFrames(np.arange(len(moved)), mapped_frames(dynamics, PRIMITIVE)[0].site_map, moved)
    powers = np.array([0, 1, 0.7, 0.5, 1])
    energies = 5.0 + 40 * powers**2 + np.where(np.arange(5) < 3, 3.0, 4.0) * powers**4
    typical = np.sqrt((3.0**2 + 4.0**2) / 2) / 3
    assert sixth_powers([group], energies) == pytest.approx(typical * powers**6)
    at_no_rest = MappedFrames(np.arange(2), group.site_map, moved[1:3])
    assert not sixth_powers([at_no_rest], energies[1:3]).any()


def test_a_sixth_power_that_two_amplitudes_cannot_tell_is_in_the_error(model, dynamics) -> None:
    """Each pattern gets a t⁶ that is a third of its t⁴."""
    snapshots = frozen(dynamics, 0.7, coupled=True)
    label, base = snapshots.labels['HF'], snapshots.labels['LDA']
    unknown = sixth_powers(mapped_frames(snapshots, PRIMITIVE), label.energies - base.energies)
    assert unknown.max() > 1e-3
    fits = [
        fit_delta(snapshots.with_label('HF', replace(label, energies=label.energies + extra)), PRIMITIVE, 'LDA', 'HF')
        for extra in (0.0, unknown)
    ]
    alone, shifted = (frequencies_of_samples(model, fit.samples, POINTS) for fit in fits)
    off = np.abs(np.array(shifted['frequencies_cm1']['gamma'][3:]) - alone['frequencies_cm1']['gamma'][3:])
    stated = np.array(alone['sd_cm1']['gamma'][3:])
    assert off.min() > 0.5
    assert (off < 2 * stated).all()


def test_the_scatter_at_rest_is_that_of_the_frames_at_rest() -> None:
    moved = np.zeros((4, len(CELL), 3))
    moved[1, 0, 0], moved[1, 1, 0] = 0.1, -0.1
    group = MappedFrames(np.arange(4), map_onto_crystal(PRIMITIVE, CELL), moved)
    assert scatter_at_rest([group], np.array([1.0, 99.0, 2.0, 3.0])) == pytest.approx(1.0)
    assert scatter_at_rest([MappedFrames(np.array([1]), group.site_map, moved[1:2])], np.ones(4)) == 0.0


def test_frames_of_dynamics_have_no_columns(dynamics) -> None:
    assert amplitude_columns(mapped_frames(dynamics, PRIMITIVE), dynamics.n_frames).shape == (6, 0)
