"""The benchmark of the long range in small: frames of a crystal whose LO branch is known, that of DFPT."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from aiida_mlcc.science.crystal.cells import supercell
from aiida_mlcc.science.fit.dipole import dipole_beside, dipole_energies_and_forces
from aiida_mlcc.science.labels.snapshots import Label, Snapshots
from tests.benchmarks.long_range import measured
from tests.crystals import heated
from tests.q2r import Q2R

REFERENCE = Path(__file__).parents[1] / 'data' / 'quantum_espresso' / 'lih_lda.fc'
QPOINT = [0.1, 0.0, 0.1]
STRONGER = 1.3

pytestmark = pytest.mark.nightly


def harmonic_frames(reference: Q2R, n_frames: int) -> Snapshots:
    """Frames of 16 atoms with the energies and forces of the force constants of the file, and dipoles 1.3 times as
    strong for HF."""
    cell = supercell(reference.primitive, 2)
    hessian = reference.hessian(cell)
    moved = heated(cell, n_frames)
    forces = -(moved.reshape(n_frames, -1) @ hessian).reshape(moved.shape)
    energies = -0.5 * np.sum(forces * moved, axis=(1, 2))
    images = [cell.copy() for _ in range(n_frames)]
    for atoms, displaced in zip(images, moved, strict=True):
        atoms.positions += displaced
    frames = Snapshots.from_atoms(images).with_label('LDA', Label(energies, forces))
    dipole = dipole_beside(reference.primitive, reference.charges, reference.dielectric, cell)
    assert dipole is not None
    far = dipole_energies_and_forces(dipole, frames)[0]
    return frames.with_label('HF', Label(energies + (STRONGER - 1) * far))


@pytest.fixture(scope='module')
def reference() -> Q2R:
    return Q2R(REFERENCE)


@pytest.fixture(scope='module')
def found(reference) -> dict[str, Any]:
    return measured(harmonic_frames(reference, 24), reference.primitive, reference, ['HF'], [QPOINT], points=6)


def test_the_lo_branch_is_that_of_dfpt_along_both_paths(found) -> None:
    # The file's own force constants reach farther than the training cell resolves.
    assert found['lda']['lo_sd_gamma_x'] < 10
    assert found['lda']['lo_sd_gamma_l'] < 10


def test_the_dipoles_leave_less_of_the_forces_at_as_many_parameters(found) -> None:
    errors = found['lda']['forces_rmse_mev_angstrom']
    assert errors['with_dipoles'] < 0.9 * errors['without']


def test_frequencies_are_told_at_the_wave_vectors_asked_for(found, reference) -> None:
    (entry,) = found['lda']['at']
    assert entry['qpoint'] == QPOINT
    cartesian = 2 * np.pi * np.linalg.inv(reference.primitive.cell.array).T
    assert entry['frequencies_cm1'] == pytest.approx(reference.frequencies_cm1(np.array(QPOINT) @ cartesian), abs=15)


def test_energies_alone_give_the_strength_of_the_file(found) -> None:
    told = found['lda']['c_from_energies']
    assert told['value'] == pytest.approx(told['reference'], abs=0.03)


def test_a_method_with_stronger_dipoles_is_told_to_have_them(found) -> None:
    entry = found['methods']['HF']
    assert entry['c_total'] == pytest.approx(STRONGER * found['lda']['c_from_energies']['reference'], rel=0.02)
    assert entry['gamma_lo_cm1'] > entry['gamma_to_cm1'] + 300
    assert len(entry['lo_path']['gamma_x']) == 6
