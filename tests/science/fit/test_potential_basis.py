"""Features of all orders against the energy and forces of the force field that the parameters make."""

from __future__ import annotations

import numpy as np
import pytest

from aiida_mlcc.science.crystal.cells import supercell
from aiida_mlcc.science.fit.force_constants_basis import force_constants_basis
from aiida_mlcc.science.fit.mapped_frames import mapped_frames
from aiida_mlcc.science.fit.potential_basis import PotentialBasis, in_common
from aiida_mlcc.science.fit.third_order_basis import third_order_basis
from aiida_mlcc.science.force_field.force_constants import ForceConstantsModel
from aiida_mlcc.science.force_field.fourth_order import bonds_within
from aiida_mlcc.science.labels.snapshots import Snapshots

REACH = 2.5


@pytest.fixture
def orders(wurtzite):
    """Bases of wurtzite with ever more orders."""
    second, third = force_constants_basis(wurtzite, REACH), third_order_basis(wurtzite, REACH)
    return [PotentialBasis(second, *others) for others in ((), (third,), (third, bonds_within(wurtzite, REACH)))]


def frames(primitive, seed=0):
    """Two cells, two orders of the atoms."""
    images = []
    for matrix in ([2, 1, 1], [2, 1, 1], [1, 2, 1]):
        atoms = supercell(primitive, matrix)
        atoms.rattle(0.05, seed=seed + len(images))
        images.append(atoms)
    return Snapshots.from_atoms(images)


def test_features_are_the_energies_and_forces_of_the_term(wurtzite, orders):
    snapshots = frames(wurtzite)
    mapped = mapped_frames(snapshots, wurtzite)
    for basis in orders:
        parameters = np.random.default_rng(3).normal(size=basis.n_parameters)
        model = ForceConstantsModel(basis.term(parameters))
        energies = basis.features(mapped, 3) @ parameters
        forces = basis.force_features(mapped, 3) @ parameters
        for frame in range(3):
            atoms = snapshots.atoms(frame)
            energy, force = model.bind(atoms).energy_forces(atoms.positions)
            assert energies[frame] == pytest.approx(energy, abs=1e-10)
            np.testing.assert_allclose(forces[frame].reshape(-1, 3), force, atol=1e-10)


def test_each_order_has_a_ridge_of_its_own(orders, diamond):
    sizes = [basis.sizes for basis in orders]
    assert [np.unique(basis.groups).tolist() for basis in orders] == [[1, 2], [1, 2, 3], [1, 2, 3, 4]]
    assert all(basis.n_parameters == len(basis.groups) == sum(size) for basis, size in zip(orders, sizes, strict=True))
    # Sites of diamond have no freedom, so no group is numbered for gradients.
    second = force_constants_basis(diamond, 2.0)
    assert PotentialBasis(second, third_order_basis(diamond, 1.6)).groups.tolist() == [1] * 2 + [2] * 3


def test_parameters_mean_the_same_in_a_basis_of_more_orders(wurtzite, orders):
    mapped = mapped_frames(frames(wurtzite), wurtzite)
    whole = in_common(orders)
    assert whole.sizes == orders[-1].sizes
    for basis in orders:
        parameters = np.random.default_rng(1).normal(size=(2, basis.n_parameters))
        np.testing.assert_allclose(
            whole.features(mapped, 3) @ basis.widened(parameters, whole).T, basis.features(mapped, 3) @ parameters.T
        )
