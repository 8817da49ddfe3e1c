"""A network is what its plain data say, on any machine, and nothing in them can run code."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from aiida_mlcc.runtime.mace.graphs import join, neighbour_graph, within
from aiida_mlcc.runtime.mace.model import Architecture, build, model_of, shifted, term_of
from aiida_mlcc.science.force_field import ForceField, ForceFieldError, Term
from tests.runtime.mace.alloy import NETWORK, cell, energy_of, random_term, rattled

ARCHITECTURE = Architecture(**NETWORK, atomic_numbers=(29, 79), avg_num_neighbors=12.0, scale=0.7, shift=-0.3)
COUPLED = replace(ARCHITECTURE, correlation=3, max_ell=3)


def test_a_network_from_a_file_gives_the_same_bits(tmp_path: Path) -> None:
    network = build(COUPLED, 'float64', seed=3)
    term = term_of(COUPLED, dict(network.named_parameters()))
    ForceField((term,)).save(tmp_path)
    again = model_of(ForceField.load(tmp_path).terms[0])
    for atoms in rattled(3):
        assert energy_of(again, atoms) == energy_of(network, atoms)


def test_a_network_trained_in_float32_is_stored_with_exact_coefficients() -> None:
    parameters = dict(build(ARCHITECTURE, 'float32', seed=3).named_parameters())
    again = model_of(term_of(ARCHITECTURE, parameters))
    exact = build(ARCHITECTURE, 'float64').state_dict()
    trained = dict(again.named_parameters())
    for name, tensor in again.state_dict().items():
        if name in trained:
            assert torch.equal(tensor, parameters[name].double()), name
        else:
            assert torch.equal(tensor, exact[name]), name


def test_coupling_coefficients_are_stored_by_their_few_entries_that_are_not_zero() -> None:
    network = build(COUPLED)
    stored = sum(array.nbytes for array in term_of(COUPLED, dict(network.named_parameters())).arrays.values())
    dense = sum(tensor.numel() * tensor.element_size() for tensor in network.state_dict().values())
    assert stored < 0.5 * dense


def test_the_seed_alone_fixes_the_weights() -> None:
    atoms = rattled(1)[0]
    torch.manual_seed(0)
    first = energy_of(build(ARCHITECTURE, seed=1), atoms)
    torch.manual_seed(99)
    assert energy_of(build(ARCHITECTURE, seed=1), atoms) == first
    assert energy_of(build(ARCHITECTURE, seed=2), atoms) != first


def test_building_leaves_the_global_state_of_torch_alone() -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    build(ARCHITECTURE, 'float32')
    assert torch.get_default_dtype() == torch.float32
    build(ARCHITECTURE, 'float64')
    assert torch.get_default_dtype() == torch.float32
    assert torch.equal(torch.rand(3), expected)


def test_torch_refuses_to_unpickle_again_once_mace_is_imported() -> None:
    build(ARCHITECTURE)
    assert 'TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD' not in os.environ


def test_the_energy_of_a_supercell_is_that_of_its_cells() -> None:
    network = build(ARCHITECTURE)
    atoms = rattled(1)[0]
    assert energy_of(network, atoms * (2, 1, 2)) == pytest.approx(4 * energy_of(network, atoms), rel=1e-12)


def test_wrapping_an_atom_does_not_change_the_energy() -> None:
    network = build(ARCHITECTURE)
    atoms = rattled(1)[0]
    moved = atoms.copy()
    moved.positions[1] += atoms.cell[0] - 2 * atoms.cell[2]
    assert energy_of(network, moved) == pytest.approx(energy_of(network, atoms), abs=1e-12)


def test_neighbours_are_all_images_within_the_cutoff() -> None:
    atoms = cell()
    graph = neighbour_graph(atoms.numbers, atoms.cell.array, atoms.positions, 3.72 * 1.01)
    # The face-centred cubic lattice: 12 nearest neighbours, and 6 at the lattice constant, images of the atom itself.
    assert np.bincount(graph.edge_index[0].numpy()).tolist() == [18] * 4
    assert within(graph, 3.0).n_edges == 4 * 12


def test_structures_joined_in_one_graph_keep_their_energies() -> None:
    network = build(ARCHITECTURE)
    frames = rattled(3)
    graphs = [neighbour_graph(a.numbers, a.cell.array, a.positions, 3.6) for a in frames]
    together = network(join(graphs).mace_input(network.atomic_numbers), compute_force=False)['interaction_energy']
    assert together.tolist() == pytest.approx([energy_of(network, atoms) for atoms in frames], abs=1e-12)


def test_a_shift_raises_the_energy_of_every_atom() -> None:
    term = random_term()
    atoms = rattled(1)[0]
    higher = energy_of(model_of(shifted(term, ARCHITECTURE.shift + 0.25)), atoms)
    assert higher == pytest.approx(energy_of(model_of(term), atoms) + 4 * 0.25)


def tampered(term: Term, name: str, array: np.ndarray | None) -> Term:
    arrays = {key: value for key, value in term.arrays.items() if key != name}
    return replace(term, arrays=arrays if array is None else {**arrays, name: array})


@pytest.mark.parametrize(
    ('name', 'array'),
    [
        ('readouts.0.linear.weight', None),
        ('readouts.0.linear.weight', np.zeros(3)),
        ('readouts.0.linear.weight', np.full(4, np.nan)),
        ('something.else', np.zeros(3)),
        ('something.else:index', np.zeros(3, dtype=int)),
    ],
    ids=['missing', 'other shape', 'not finite', 'unknown', 'unknown sparse'],
)
def test_weights_that_do_not_fit_the_architecture_are_refused(name: str, array: np.ndarray | None) -> None:
    with pytest.raises(ForceFieldError, match=name.split(':')[0]):
        model_of(tampered(random_term(), name, array))


def test_an_entry_outside_a_sparse_array_is_refused() -> None:
    term = term_of(COUPLED, dict(build(COUPLED).named_parameters()))
    name = next(name for name in term.arrays if name.endswith(':index'))
    with pytest.raises(ForceFieldError, match='do not fit'):
        model_of(tampered(term, name, term.arrays[name] + 10**9))


def test_an_unknown_network_setting_is_named() -> None:
    with pytest.raises(ForceFieldError, match='unknown network setting `num_chanels`'):
        Architecture.from_settings({**ARCHITECTURE.settings(), 'num_chanels': 4})


def test_a_missing_network_setting_is_named() -> None:
    settings = ARCHITECTURE.settings()
    del settings['correlation']
    with pytest.raises(ForceFieldError, match='the network setting `correlation` is missing'):
        Architecture.from_settings(settings)
