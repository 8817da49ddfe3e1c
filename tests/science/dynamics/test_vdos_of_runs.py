"""The spectrum of a harmonic crystal from dynamics is that of its normal modes, within the error that it states."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms, units
from numpy.typing import NDArray

from aiida_mlcc.runtime.md.integrators import verlet_step
from aiida_mlcc.science.crystal.cells import map_onto_crystal, supercell
from aiida_mlcc.science.dynamics.vdos_of_runs import MemberSpectrum, Run, member_spectrum, no_peaks, reach_of_modes
from aiida_mlcc.science.dynamics.vdos_peaks import compare_peaks
from aiida_mlcc.science.dynamics.vdos_sampling import sampling_of, single_sample_variance
from aiida_mlcc.science.dynamics.velocity_correlation import VelocityCorrelator
from aiida_mlcc.science.force_field.force_constants import BoundForceConstants, ForceConstantsModel
from aiida_mlcc.science.phonons.commensurate import NormalModes, normal_modes
from aiida_mlcc.science.phonons.finite_displacements import one_atom_of_each_site

STEP_FS = 1.0
N_STEPS = 4000
MAX_LAG = 500
KELVIN = 300.0


class Crystal:
    """A harmonic crystal whose modes each start with an energy from the canonical ensemble."""

    def __init__(self, primitive: Atoms, bound: BoundForceConstants, atoms: Atoms) -> None:
        self.primitive, self.bound, self.atoms = primitive, bound, atoms
        self.masses, self.symbols = atoms.get_masses(), atoms.get_chemical_symbols()
        blocks = bound.force_constants()
        self.root = np.repeat(np.sqrt(self.masses), 3)
        hessian = blocks.transpose(0, 2, 1, 3).reshape(len(self.root), -1) / np.outer(self.root, self.root)
        self.squares, self.vectors = (part[..., 3:] for part in np.linalg.eigh(hessian))
        site_map = map_onto_crystal(primitive, atoms)
        rows = {atom: blocks[atom].transpose(1, 0, 2) for atom in one_atom_of_each_site(site_map)}
        self.modes: NormalModes = normal_modes(
            rows, site_map, self.symbols, dict(zip(self.symbols, self.masses, strict=True))
        )

    def start(self, seed: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        random = np.random.default_rng(seed)
        scale = np.sqrt(units.kB * KELVIN)
        moved, moving = random.normal(size=(2, len(self.squares))) * scale
        displacements = (self.vectors @ (moved / np.sqrt(self.squares)) / self.root).reshape(-1, 3)
        return self.atoms.positions + displacements, (self.vectors @ moving / self.root).reshape(-1, 3)

    def run(self, seed: int) -> Run:
        positions, velocities = self.start(seed)
        forces = self.bound.energy_forces(positions)[1]
        correlator = VelocityCorrelator(self.symbols, self.masses, MAX_LAG)
        for _ in range(N_STEPS):
            positions, velocities, forces = verlet_step(
                positions,
                velocities,
                forces,
                lambda moved: self.bound.energy_forces(moved)[1],
                self.masses,
                STEP_FS * units.fs,
            )
            correlator.add(velocities)
        found, blocks = correlator.result()
        arrays = {f'vacf_{symbol}_xyz': series for symbol, series in found.items()}
        arrays |= {'time_fs': STEP_FS * np.arange(MAX_LAG + 1), 'blocks': blocks}
        arrays |= {
            'harmonic_frequencies_cm1': self.modes.frequencies_cm1,
            'harmonic_weights': self.modes.weights,
        }
        described = {
            'n_atoms': len(self.atoms),
            'elements': list(found),
            'harmonic_elements': list(self.modes.elements),
            'time_step_fs': STEP_FS,
            'integrator_step_fs': STEP_FS,
            'steps_of_a_block': correlator.steps_of_a_block,
        }
        return Run(arrays, described)

    def spectrum(self, runs: list[Run]) -> MemberSpectrum:
        counts = {'Li': 1, 'H': 1}
        return member_spectrum(runs, counts, dict(zip(self.symbols, self.masses, strict=True)), 'hann', 4000.0)


@pytest.fixture(scope='module')
def crystal() -> Crystal:
    from ase.build import bulk

    from tests.crystals import spring_term

    primitive = bulk('LiH', 'rocksalt', a=4.017)
    atoms = supercell(primitive, 3)
    term = spring_term(primitive, 3.0, along=20.0, across=6.0)
    return Crystal(primitive, ForceConstantsModel(term).bind(atoms), atoms)


@pytest.fixture(scope='module')
def runs(crystal: Crystal) -> list[Run]:
    return [crystal.run(seed) for seed in range(4)]


def test_the_spectrum_of_a_harmonic_crystal_is_its_dos_within_the_stated_error(crystal, runs):
    found = crystal.spectrum(runs)
    expected = found.harmonic.total
    where = expected > 0.02 * expected.max()
    deviations = (found.found.total - expected)[where] / found.sd[where]
    assert 0.5 < np.sqrt(np.mean(deviations**2)) < 1.5
    assert np.abs(deviations).max() < 4.5
    spacing = found.found.frequencies_cm1[1]
    assert np.trapezoid(found.found.total, dx=spacing) == pytest.approx(6 - 3 / 27, rel=0.005)
    assert np.trapezoid(expected, dx=spacing) == pytest.approx(6 - 3 / 27, rel=0.005)


def test_elements_and_directions_add_up_to_the_total(crystal, runs):
    found = crystal.spectrum(runs).found
    assert np.allclose(sum(found.elements.values()), found.total)
    assert np.allclose(sum(found.directions.values()), found.total)


def test_the_peaks_of_a_harmonic_crystal_have_not_moved_within_their_errors(crystal, runs):
    found = crystal.spectrum(runs)
    peaks = compare_peaks(
        found.found.frequencies_cm1, [found.peaks], found.found.resolution_cm1, 'hann', MAX_LAG * STEP_FS
    )
    assert len(peaks) >= 3
    for peak in peaks:
        assert abs(peak['shift_cm1']) < 3 * peak['error_cm1'] + 0.5
        assert 0 < peak['error_cm1'] < found.found.resolution_cm1


def test_modes_that_keep_their_energies_are_one_sample_however_long_they_run(crystal, runs):
    for sampling in crystal.spectrum(runs).sampling:
        assert sampling.n_blocks >= 6
        assert sampling.n_independent < 1.5
        assert not sampling.forgets


def test_blocks_that_know_nothing_of_each_other_are_all_independent():
    random = np.random.default_rng(0)
    expected = np.full(400, 2.0)
    variance = single_sample_variance(expected, 10, 'hann', 500.0)
    blocks = expected + np.sqrt(variance) * random.normal(size=(40, 400))
    sampling = sampling_of(blocks, variance, 0.5)
    assert sampling.forgets
    assert sampling.n_independent > 30
    assert sampling.correlation_time_ps == pytest.approx(0.25, abs=0.1)


def test_a_softer_crystal_has_its_peaks_moved_by_as_much(crystal, runs):
    (run,) = runs[:1]
    harder = {**run.arrays, 'harmonic_frequencies_cm1': 1.03 * run.arrays['harmonic_frequencies_cm1']}
    found = crystal.spectrum([Run(harder, run.description)])
    peaks = compare_peaks(
        found.found.frequencies_cm1, [found.peaks], found.found.resolution_cm1, 'hann', MAX_LAG * STEP_FS
    )
    highest = peaks[-1]
    assert highest['shift_cm1'] == pytest.approx(-0.03 / 1.03 * highest['harmonic_cm1'], abs=3 * highest['error_cm1'])


def test_the_harmonic_spectrum_lacks_imaginary_modes_and_gives_their_weight_to_no_other(crystal, runs):
    (run,) = runs[:1]
    frequencies = run.arrays['harmonic_frequencies_cm1']
    broken = {**run.arrays, 'harmonic_frequencies_cm1': np.where(np.arange(len(frequencies)) < 10, -50, frequencies)}
    found = crystal.spectrum([Run(broken, run.description)])
    spacing = found.found.frequencies_cm1[1]
    # Of the 162 modes of 27 primitive cells three rest and ten do not oscillate.
    assert np.trapezoid(found.harmonic.total, dx=spacing) == pytest.approx((162 - 3 - 10) / 27, rel=0.005)
    assert np.trapezoid(found.found.total, dx=spacing) == pytest.approx((162 - 3) / 27, rel=0.005)


def test_a_spectrum_that_ends_above_the_highest_mode_holds_all_modes(crystal, runs):
    end = reach_of_modes(runs, 'hann')
    assert 1 < end / crystal.modes.highest_cm1 < 1.2
    masses = dict(zip(crystal.symbols, crystal.masses, strict=True))
    found = member_spectrum(runs, {'Li': 1, 'H': 1}, masses, 'hann', end)
    assert found.found.frequencies_cm1[-1] == pytest.approx(end, abs=2 * found.found.frequencies_cm1[1])
    for curve in (found.found, found.harmonic):
        assert np.trapezoid(curve.total, curve.frequencies_cm1) == pytest.approx(6 - 3 / 27, rel=0.005)
    assert reach_of_modes([Run({}, {})], 'hann') is None


def test_modes_of_a_crystal_with_forces_are_no_reference_for_peaks():
    at_rest, strained = (Run({}, {'residual_force_eV_A': force}) for force in (0.001, 0.05))
    assert no_peaks([at_rest, Run({}, {})]) is None
    assert 'forces of up to 0.05 eV/Å' in no_peaks([at_rest, strained])
