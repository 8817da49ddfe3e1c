"""Networks and their readouts together: one pass a network, right forces, and no readout without its network."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from ase import Atoms

from aiida_mlcc.runtime.force_field_calculator import ForceFieldCalculator
from aiida_mlcc.runtime.mace.graphs import neighbour_graph
from aiida_mlcc.runtime.mace.model import Architecture, build, model_of, term_of
from aiida_mlcc.runtime.mace.node_features import invariant_columns
from aiida_mlcc.science.force_field import ForceField, ForceFieldError, Term, add_delta
from aiida_mlcc.science.force_field.readout import readout_term
from tests.runtime.mace.alloy import NETWORK, forces_by_differences, random_force_field, random_term, rattled

N_FEATURES = 8


def readout(trunk: Term, seed: int = 0, weight: float = 1.0) -> Term:
    weights = np.random.default_rng(seed).normal(size=(2, N_FEATURES))
    return replace(readout_term(trunk, ['Cu', 'Au'], weights, {'method': 'HF'}), weight=weight)


def calculated(force_field: ForceField, atoms: Atoms | None = None) -> tuple[float, np.ndarray]:
    atoms = rattled(1)[0] if atoms is None else atoms
    atoms.calc = ForceFieldCalculator(force_field)
    return atoms.get_potential_energy(), atoms.get_forces()


def energy_by_hand(trunk: Term, weights: dict[str, np.ndarray], atoms: Atoms) -> float:
    """Σ_i w_{Z_i}·h_i from the features of a network with scalars alone."""
    network = model_of(trunk)
    graph = neighbour_graph(atoms.numbers, atoms.cell.array, atoms.positions, trunk.settings['r_max'])
    features = network(graph.mace_input(network.atomic_numbers), compute_force=False)['node_feats'].detach().numpy()
    return sum(weights[symbol] @ row for symbol, row in zip(atoms.get_chemical_symbols(), features, strict=True))


def test_a_readout_is_the_sum_of_weighted_features() -> None:
    trunk, atoms = random_term(), rattled(1)[0]
    term = readout(trunk, weight=0.7)
    base = calculated(random_force_field(trunk))[0]
    weights = dict(zip(['Cu', 'Au'], term.arrays['weights'], strict=True))
    expected = base + 0.7 * energy_by_hand(trunk, weights, atoms)
    assert calculated(random_force_field(trunk, term))[0] == pytest.approx(expected, abs=1e-10)


@pytest.mark.parametrize('max_L', [pytest.param(0, marks=pytest.mark.nightly), 1])
def test_forces_of_a_network_with_readouts_are_the_slope_of_the_energy(max_L: int) -> None:
    architecture = Architecture(**{**NETWORK, 'max_L': max_L}, atomic_numbers=(29, 79), avg_num_neighbors=12.0)
    trunk = term_of(architecture, dict(build(architecture, 'float64', 3).named_parameters()), weight=0.9)
    terms = (trunk, readout(trunk, 0, 0.8), readout(trunk, 1, -0.3), random_term(seed=1, r_max=3.0))
    atoms = rattled(1)[0]
    forces = calculated(random_force_field(*terms), atoms)[1]
    assert np.allclose(forces, forces_by_differences(atoms), rtol=0, atol=5e-7)


def test_several_readouts_of_one_network_add_up() -> None:
    trunk = random_term()
    parts = [readout(trunk, seed) for seed in (0, 1)]
    alone = calculated(random_force_field(trunk))
    each = [calculated(random_force_field(trunk, part)) for part in parts]
    together = calculated(random_force_field(trunk, *parts))
    for quantity in (0, 1):
        expected = each[0][quantity] + each[1][quantity] - alone[quantity]
        assert np.allclose(together[quantity], expected, rtol=0, atol=1e-10)


def test_base_and_readout_take_one_pass_through_the_network(monkeypatch: pytest.MonkeyPatch) -> None:
    trunk = random_term()
    atoms = rattled(1)[0]
    atoms.calc = ForceFieldCalculator(random_force_field(trunk, readout(trunk, 0), readout(trunk, 1)))
    passes = []
    (networks,) = atoms.calc._models
    (inner,) = networks._trunks
    inner.network.register_forward_hook(lambda *_: passes.append(1))
    backward = torch.autograd.grad
    slopes: list[int] = []
    monkeypatch.setattr(torch.autograd, 'grad', lambda *a, **k: slopes.append(1) or backward(*a, **k))
    atoms.get_forces()
    assert (len(passes), len(slopes)) == (1, 1)


def test_the_same_network_twice_counts_twice() -> None:
    trunk = random_term()
    once = calculated(random_force_field(replace(trunk, weight=1.5)))[0]
    assert calculated(random_force_field(trunk, replace(trunk, weight=0.5)))[0] == pytest.approx(once, abs=1e-10)


def test_features_of_vectors_are_left_out() -> None:
    architecture = Architecture(**{**NETWORK, 'max_L': 1}, atomic_numbers=(29, 79), avg_num_neighbors=12.0)
    network = build(architecture)
    columns = invariant_columns(network)
    assert columns.tolist() == [0, 1, 2, 3, 16, 17, 18, 19]
    rotation = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))[0]
    features = []
    for turn in (np.eye(3), rotation * np.sign(np.linalg.det(rotation))):
        atoms = rattled(1)[0]
        graph = neighbour_graph(atoms.numbers, atoms.cell.array @ turn, atoms.positions @ turn, 3.6)
        features.append(network(graph.mace_input(network.atomic_numbers), compute_force=False)['node_feats'])
    assert torch.allclose(features[0][:, columns], features[1][:, columns], atol=1e-9)
    assert not torch.allclose(features[0], features[1], atol=1e-3)


def test_a_readout_delta_added_to_its_base_rescales_the_network_and_not_itself() -> None:
    trunk, atoms = random_term(), rattled(1)[0]
    base = random_force_field(trunk)
    delta = ForceField((readout(trunk),), {'Cu': 0.5, 'Au': 0.5}, base_scale=0.25)
    whole = calculated(add_delta(base, delta))[0]
    plain = calculated(ForceField((trunk, readout(trunk)), {'Cu': 0.0, 'Au': 0.0}))[0]
    network = calculated(base)[0] - base.constant_of(atoms.get_chemical_symbols())
    read = plain - network
    constants = 1.25 * base.constant_of(atoms.get_chemical_symbols()) + 4 * 0.5
    assert whole == pytest.approx(1.25 * network + read + constants, abs=1e-10)


def test_a_readout_without_its_network_is_refused() -> None:
    with pytest.raises(ForceFieldError, match='the very base that it was fitted on'):
        ForceFieldCalculator(random_force_field(random_term(seed=1), readout(random_term(seed=0))))


@pytest.mark.parametrize(
    ('symbols', 'weights', 'sentence'),
    [
        (['Cu', 'Au'], np.zeros((2, 3)), 'shape'),
        (['Cu', 'Ag'], np.zeros((2, N_FEATURES)), 'for Ag'),
        (['Cu', 'Au'], np.full((2, N_FEATURES), np.nan), 'NaN'),
    ],
)
def test_a_readout_that_does_not_fit_its_network_is_refused(
    symbols: list[str], weights: np.ndarray, sentence: str
) -> None:
    trunk = random_term()
    with pytest.raises(ForceFieldError, match=sentence):
        ForceFieldCalculator(random_force_field(trunk, readout_term(trunk, symbols, weights)))
