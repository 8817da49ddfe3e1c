"""Columns of force constants: as few as symmetry allows, and what they say is what all of them say."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk

from aiida_mlcc.science.crystal.cells import CrystalError, supercell
from aiida_mlcc.science.fit.hessian_columns import HessianColumns
from aiida_mlcc.science.fit.reference import ReferenceForces, fit_reference
from aiida_mlcc.science.force_field import Term
from aiida_mlcc.science.force_field.force_constants import ForceConstantsModel
from aiida_mlcc.science.labels.displacements import Displacements, displaced_cells
from aiida_mlcc.science.labels.snapshots import Label, Snapshots, SnapshotsError
from tests.crystals import rocksalt, spring_label, spring_term

CUTOFF = 3.0


def force_constants(primitive: Atoms, cell: Atoms, along: float = 8.0) -> np.ndarray:
    return ForceConstantsModel(spring_term(primitive, CUTOFF, along)).bind(cell).force_constants()


def wurtzite() -> Atoms:
    return bulk('ZnO', 'wurtzite', a=3.25, c=5.2)


@pytest.mark.parametrize(
    ('primitive', 'matrix', 'n_columns'),
    [
        (bulk('C', 'diamond', a=3.56), [2, 2, 2], 1),
        (rocksalt(), [2, 2, 2], 2),
        # In a cell that is longer along one axis, that axis differs from the others.
        (bulk('C', 'diamond', a=3.56, cubic=True), [2, 2, 1], 2),
        (wurtzite(), [2, 2, 1], 4),
    ],
    ids=['diamond', 'rocksalt', 'diamond in a flat cell', 'wurtzite'],
)
def test_a_column_for_each_atom_and_direction_that_symmetry_makes_different(primitive, matrix, n_columns) -> None:
    cell = supercell(primitive, matrix)
    columns = HessianColumns.of_force_constants(force_constants(primitive, cell), cell)
    assert len(columns.directions) == n_columns
    assert columns.shares.sum() == pytest.approx(1)


@pytest.mark.parametrize('primitive', [rocksalt(), wurtzite()], ids=['rocksalt', 'wurtzite'])
def test_their_mean_square_is_that_of_all_columns(primitive: Atoms) -> None:
    """For the difference of two crystals of the same symmetry, as a network and its labels are."""
    cell = supercell(primitive, [2, 2, 1])
    difference = force_constants(primitive, cell, 8.0) - 1.3 * force_constants(primitive, cell, 5.0)
    columns = HessianColumns.of_force_constants(difference, cell)
    each = np.mean(columns.responses**2, axis=(1, 2))
    assert columns.shares @ each == pytest.approx(np.mean(difference**2), rel=1e-9)


def test_a_response_is_the_product_of_force_constants_and_direction() -> None:
    primitive = rocksalt()
    cell = supercell(primitive, [2, 2, 2])
    phi = force_constants(primitive, cell)
    columns = HessianColumns.of_force_constants(phi, cell)
    hessian = phi.transpose(0, 2, 1, 3).reshape(48, 48)
    for direction, response in zip(columns.directions, columns.responses, strict=True):
        assert np.linalg.norm(direction) == pytest.approx(1)
        assert np.allclose(response.ravel(), hessian @ direction.ravel())


def test_force_constants_that_break_the_sum_rule_are_refused() -> None:
    cell = supercell(rocksalt(), [2, 2, 2])
    phi = force_constants(rocksalt(), cell)
    phi[np.arange(16), np.arange(16)] += 0.1 * np.eye(3)
    with pytest.raises(CrystalError, match=r'violate the acoustic sum rule by 0\.1 eV/Å²'):
        HessianColumns.of_force_constants(phi, cell)


def test_force_constants_of_another_cell_are_refused() -> None:
    small, large = (supercell(rocksalt(), matrix) for matrix in ([2, 2, 1], [2, 2, 2]))
    with pytest.raises(CrystalError, match='belong to another cell'):
        HessianColumns.of_force_constants(force_constants(rocksalt(), small), large)


def test_force_constants_of_another_crystal_are_refused() -> None:
    zincblende = bulk('ZnS', 'zincblende', a=5.4)
    tetragonal = bulk('TlCl', 'cesiumchloride', a=3.8)
    tetragonal.set_cell(tetragonal.cell.array * [[1], [1], [1.2]], scale_atoms=True)
    cell = supercell(tetragonal, [2, 2, 2])
    phi = ForceConstantsModel(spring_term(tetragonal, 4.7)).bind(cell).force_constants()
    with pytest.raises(CrystalError, match='symmetry of its site: they belong to another crystal'):
        HessianColumns.of_force_constants(phi, supercell(zincblende, [2, 2, 2]))


@pytest.fixture
def reference() -> Snapshots:
    """Displacements of a crystal of springs in 16 atoms."""
    primitive = rocksalt()
    frames = displaced_cells(primitive, [2, 2, 2], Displacements(0.01))
    cell = frames.atoms(0)
    label = spring_label(spring_term(primitive, CUTOFF), cell, frames.positions - cell.positions)
    return frames.with_label('LDA', label)


def columns_of(reference: Snapshots, known: Sequence[Term] = ()) -> HessianColumns:
    term = fit_reference(reference, rocksalt(), 'LDA', known).term
    return HessianColumns.from_reference(ReferenceForces.of(reference, rocksalt(), 'LDA'), term)


def test_displacements_give_the_force_constants_of_their_crystal(reference: Snapshots) -> None:
    columns = columns_of(reference)
    phi = force_constants(rocksalt(), columns.atoms)
    assert np.allclose(columns.responses, np.einsum('ijab,cjb->cia', phi, columns.directions), atol=1e-5)


def test_what_is_known_already_is_not_learnt_again(reference: Snapshots) -> None:
    label = reference.labels['LDA']
    twice = reference.with_label('LDA', Label(2 * label.energies, 2 * label.forces))
    columns = columns_of(twice, [spring_term(rocksalt(), CUTOFF)])
    phi = force_constants(rocksalt(), columns.atoms)
    assert np.allclose(columns.responses, np.einsum('ijab,cjb->cia', phi, columns.directions), atol=1e-5)


def test_forces_with_a_sum_are_refused(reference: Snapshots) -> None:
    label = reference.labels['LDA']
    forces = label.forces.copy()
    forces[1:] += 0.02
    with pytest.raises(SnapshotsError, match=r'add up to .* eV/Å, .* they break the acoustic sum rule'):
        columns_of(reference.with_label('LDA', Label(label.energies, forces)))
