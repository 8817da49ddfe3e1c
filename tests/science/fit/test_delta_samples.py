"""Draws of Δ on their way from a fit to a phonon calculation."""

from __future__ import annotations

import numpy as np
import pytest

from aiida_mlcc.science.crystal.cells import supercell
from aiida_mlcc.science.fit.delta_samples import DeltaSamples
from aiida_mlcc.science.fit.force_constants_basis import force_constants_basis
from aiida_mlcc.science.fit.potential_basis import PotentialBasis
from aiida_mlcc.science.force_field.force_constants import ForceConstantsModel
from aiida_mlcc.science.npz import read_npz, write_npz


@pytest.fixture
def fitted(wurtzite):
    """Parameters of all orders and the scale last, and draws of them."""
    basis = PotentialBasis(force_constants_basis(wurtzite, 2.5))
    random = np.random.default_rng(0)
    parameters = random.normal(size=basis.n_parameters + 1)
    return basis, parameters, random.normal(size=(5, len(parameters))), random.normal(size=(5, len(parameters)))


@pytest.fixture
def samples(fitted):
    basis, *drawn = fitted
    return DeltaSamples.of(basis, *drawn)


def test_the_second_order_and_the_scale_are_kept_and_gradients_are_not(samples, fitted):
    basis, parameters, drawn, noise = fitted
    assert basis.sizes[1] == 1
    n = basis.n_second
    for kept, given in ((samples.parameters, parameters), (samples.bootstrap, drawn), (samples.label_noise, noise)):
        assert np.array_equal(kept, np.concatenate([given[..., :n], given[..., -1:]], axis=-1))


def test_folded_blocks_add_up_to_the_force_constants_of_the_force_field(samples, fitted, wurtzite):
    basis, parameters = fitted[:2]
    cell = supercell(wurtzite, [[2, 1, 0], [0, 2, 0], [0, 0, 1]])
    expected = ForceConstantsModel(basis.term(parameters[:-1])).bind(cell).force_constants()
    found = np.tensordot(samples.parameters[:-1], samples.folded(cell), axes=1)
    np.testing.assert_allclose(found, expected, atol=1e-10)


def test_samples_survive_their_file(samples, tmp_path):
    write_npz(tmp_path / 'samples.npz', samples.to_arrays(), {})
    read = DeltaSamples.from_arrays(read_npz(tmp_path / 'samples.npz')[0])
    for name, array in samples.to_arrays().items():
        assert np.array_equal(getattr(read, name), array)
        assert getattr(read, name).dtype == array.dtype
    assert read.primitive == samples.primitive


def test_arrays_that_aiida_gives_as_floats_become_whole_numbers_where_they_count(samples):
    floats = {name: np.asarray(array, dtype=float) for name, array in samples.to_arrays().items()}
    read = DeltaSamples.from_arrays(floats)
    assert all(np.issubdtype(getattr(read, name).dtype, np.integer) for name in ('numbers', 'pairs', 'lattice_vectors'))
