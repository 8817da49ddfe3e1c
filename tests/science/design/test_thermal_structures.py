"""Structures drawn from the harmonic distribution of a crystal."""

from dataclasses import replace

import numpy as np
import pytest
from ase import units

from aiida_mlcc.science.crystal.cells import map_onto_crystal, supercell
from aiida_mlcc.science.design.thermal_structures import (
    ThermalStructures,
    draw_structures,
    next_structures,
    thermal_energy,
)
from aiida_mlcc.science.fit.harmonic_model import HarmonicModel
from aiida_mlcc.science.force_field.evaluate import energies_and_forces
from aiida_mlcc.science.force_field.force_constants import ForceConstantsModel
from aiida_mlcc.science.labels.displacements import Displacements, displaced_cells
from aiida_mlcc.science.labels.snapshots import Label
from tests.crystals import hessian_of, rocksalt, rocksalt_cube, spring_term

MANY = 3000


def model_of(term, cell):
    return HarmonicModel(ForceConstantsModel(term), map_onto_crystal(rocksalt(), cell))


@pytest.fixture(scope='module')
def springs_of_lif():
    return spring_term(rocksalt(), 3.0)


def displacements_at(temperature, term, statistics='classical', n=MANY):
    cell = rocksalt_cube()
    drawn = draw_structures(model_of(term, cell), cell, np.full(n, temperature), statistics, 3)
    assert drawn.remarks == []
    return cell, (drawn.snapshots.positions - cell.positions).reshape(n, -1)


def test_the_mean_energy_is_that_of_equipartition(springs_of_lif):
    """Half of kT for each of the 3N − 3 modes that move, whatever their frequencies."""
    temperature = 40.0
    cell, moved = displacements_at(temperature, springs_of_lif)
    energies = 0.5 * np.einsum('fi,ij,fj->f', moved, hessian_of(springs_of_lif, cell), moved)
    expected = 0.5 * (3 * len(cell) - 3) * units.kB * temperature
    assert energies.mean() == pytest.approx(expected, rel=4 * np.sqrt(2 / 21 / MANY))


def test_the_covariance_is_the_inverse_of_the_hessian(springs_of_lif):
    """⟨u u⟩ = kT·Φ⁻¹ of a classical crystal, without the rigid shifts."""
    temperature = 40.0
    cell, moved = displacements_at(temperature, springs_of_lif)
    # At fixed centre of mass.
    masses = np.repeat(cell.get_masses(), 3)
    moved = moved - np.tile((moved * masses).reshape(len(moved), -1, 3).sum(axis=1) / cell.get_masses().sum(), 8)
    found = moved.T @ moved / len(moved)
    roots = np.sqrt(masses)
    expected = (
        units.kB
        * temperature
        * np.linalg.pinv(hessian_of(springs_of_lif, cell) / np.outer(roots, roots), rcond=1e-8, hermitian=True)
        / np.outer(roots, roots)
    )
    assert np.abs(found - expected).max() < 0.1 * np.abs(expected).max()


def test_quantum_statistics_end_in_the_zero_point_and_in_the_classical_limit():
    """ħω/2 at low temperature; kT at high: 300 cm⁻¹ are 37.195 meV."""
    cold, hot = thermal_energy(300.0, np.array([1.0, 30000.0]), 'quantum')
    assert cold == pytest.approx(0.5 * 37.195e-3, rel=1e-4)
    assert hot == pytest.approx(units.kB * 30000.0, rel=1e-4)


def test_an_imaginary_mode_is_left_out_and_named():
    term = spring_term(rocksalt(), 2.2, along=-8.0, across=-1.0)
    cell = rocksalt_cube()
    drawn = draw_structures(model_of(term, cell), cell, np.array([300.0]), 'classical', 3)
    assert {entry['frequency_cm1'] < 0 for entry in drawn.left_out} == {True}
    assert 'imaginary, so the structures do not move along them' in drawn.remarks[0]
    assert np.allclose(drawn.snapshots.positions[0], cell.positions)


def test_a_soft_mode_is_held_back_and_named():
    """At 1e4 K every spring of this crystal would let atoms go half way to their neighbours."""
    cell, term = rocksalt_cube(), spring_term(rocksalt(), 3.0)
    drawn = draw_structures(model_of(term, cell), cell, np.full(50, 1e4), 'classical', 3)
    assert len(drawn.held_back) == 5
    assert 'held back to a tenth of the shortest distance' in drawn.remarks[0]
    assert np.linalg.norm(drawn.snapshots.positions - cell.positions, axis=2).max() < 2.0


def test_a_draw_does_not_depend_on_the_basis_that_rounding_gives_degenerate_modes(springs_of_lif):
    cell, generator = rocksalt_cube(), np.random.default_rng(1)
    model = model_of(springs_of_lif, cell)

    class AnotherBasis:
        force_constants, site_map = model.force_constants, model.site_map

        def modes(self):
            for mode in reversed(model.modes()):
                rotation = np.linalg.qr(generator.normal(size=(len(mode.vectors),) * 2))[0]
                yield replace(mode, vectors=np.einsum('de,eia->dia', rotation, mode.vectors))

    drawn = [draw_structures(one, cell, np.full(3, 300.0), 'classical', 3) for one in (model, AnotherBasis())]
    assert np.allclose(drawn[0].snapshots.positions, drawn[1].snapshots.positions, rtol=0, atol=1e-10)


def test_temperatures_are_the_sweep_in_an_order_that_is_drawn():
    settings = ThermalStructures(n_structures=11, temperature_start_K=100.0, temperature_end_K=600.0)
    found = settings.temperatures(7)
    assert sorted(found) == pytest.approx(np.arange(100.0, 601.0, 50.0))
    assert not np.array_equal(found, settings.temperatures(8))
    assert np.ptp(found[: settings.n_first]) > 100.0


def test_a_larger_cell_has_the_same_modes():
    cell = supercell(rocksalt_cube(), [1, 1, 2])
    drawn = draw_structures(model_of(spring_term(rocksalt(), 3.0), cell), cell, np.array([50.0]), 'classical', 1)
    assert drawn.snapshots.n_atoms == 16


@pytest.mark.parametrize('n_labelled', [1, 2])
def test_one_labelled_structure_is_too_few_to_better_the_force_constants(springs_of_lif, n_labelled):
    cell = rocksalt_cube()
    settings = ThermalStructures.of({**ThermalStructures.defaults(), 'n_structures': 6, 'n_first': 2})
    rest = displaced_cells(cell, 1, Displacements())
    reference = rest.with_label('LDA', Label(*energies_and_forces((springs_of_lif,), rest)))
    first = next_structures(reference, rocksalt(), cell, settings, 1).snapshots
    energies, forces = energies_and_forces((springs_of_lif,), first)
    energies[n_labelled:], forces[n_labelled:] = np.nan, np.nan
    drawn = next_structures(reference, rocksalt(), cell, settings, 1, first.with_label('LDA', Label(energies, forces)))
    assert drawn.snapshots.n_frames == 4
