"""What every kind of term promises: the contract of the table of kinds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from numpy.typing import NDArray

from aiida_mlcc.science.force_field import ForceField, ForceFieldError, Term, add_delta
from aiida_mlcc.science.force_field.kinds import KINDS, BoundModel, kind_of, models_of, refuse_incomplete
from tests.science.force_field.term_examples import TermExample, example_of


@pytest.fixture(params=list(KINDS))
def example(request: pytest.FixtureRequest) -> TermExample:
    return example_of(request.param)


def rattled(example: TermExample, repeat: Sequence[int] = (2, 1, 1)) -> Atoms:
    """Return a supercell with atoms out of their places."""
    atoms = example.cell * tuple(repeat)
    atoms.positions += np.random.default_rng(1).normal(scale=0.06, size=atoms.positions.shape)
    return atoms


def energy_forces(bound: Sequence[BoundModel], positions: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
    parts = [model.energy_forces(positions) for model in bound]
    return sum(energy for energy, _ in parts), np.sum([forces for _, forces in parts], axis=0)


def evaluate(terms: Sequence[Term], atoms: Atoms) -> tuple[float, NDArray[np.float64]]:
    return energy_forces([model.bind(atoms) for model in models_of(terms)], atoms.positions)


def test_forces_are_the_gradient_of_the_energy(example: TermExample) -> None:
    atoms = rattled(example)
    bound = [model.bind(atoms) for model in models_of(example.terms)]
    forces = energy_forces(bound, atoms.positions)[1]
    assert np.abs(forces).max() > 1e-3
    for atom, axis in ((0, 0), (1, 2), (len(atoms) - 1, 1)):
        step = np.zeros_like(forces)
        step[atom, axis] = 1e-4
        plus, minus = (energy_forces(bound, atoms.positions + sign * step)[0] for sign in (1, -1))
        assert forces[atom, axis] == pytest.approx((minus - plus) / 2e-4, abs=1e-6)


def test_energy_knows_neither_a_shift_of_the_crystal_nor_the_cell_an_atom_is_put_into(example: TermExample) -> None:
    atoms = rattled(example)
    energy, forces = evaluate(example.terms, atoms)
    moved = atoms.copy()
    moved.positions += [0.31, -0.22, 0.13]
    moved.positions[1] += moved.cell[0] - moved.cell[2]
    moved_energy, moved_forces = evaluate(example.terms, moved)
    assert moved_energy == pytest.approx(energy, abs=1e-8)
    assert np.allclose(moved_forces, forces, rtol=0, atol=1e-7)


def test_the_weight_of_a_term_multiplies_its_energy_and_forces(example: TermExample) -> None:
    atoms = rattled(example)
    *needed, term = example.terms
    parts = [evaluate([*needed, replace(term, weight=weight)], atoms) for weight in (0.0, 1.0, -0.5)]
    (none, no_forces), (whole, forces), (half, half_forces) = parts
    assert half - none == pytest.approx(-0.5 * (whole - none), abs=1e-9)
    assert np.allclose(half_forces - no_forces, -0.5 * (forces - no_forces), rtol=0, atol=1e-9)


def test_a_saved_term_gives_the_same_bits(example: TermExample, tmp_path: Path) -> None:
    field = ForceField(example.terms, dict.fromkeys(example.cell.symbols, 0.5), method='HF')
    field.save(tmp_path)
    found = ForceField.load(tmp_path)
    assert found.method == 'HF'
    assert found.content_hash() == field.content_hash()
    atoms = rattled(example)
    for before, after in zip(evaluate(field.terms, atoms), evaluate(found.terms, atoms), strict=True):
        assert np.array_equal(before, after)


def test_equal_terms_merge_and_keep_the_energy(example: TermExample) -> None:
    constants = dict.fromkeys(example.cell.symbols, 0.0)
    base = ForceField(example.terms, constants, method='LDA')
    delta = ForceField((replace(example.terms[-1], weight=0.25),), constants, base_scale=0.1, method='HF')
    total = add_delta(base, delta)
    assert len(total.terms) == len(base.terms)
    assert total.method == 'HF'
    atoms = rattled(example)
    apart = evaluate([*(replace(term, weight=1.1) for term in base.terms), *delta.terms], atoms)
    merged = evaluate(total.terms, atoms)
    assert merged[0] == pytest.approx(apart[0], abs=1e-9)
    assert np.allclose(merged[1], apart[1], rtol=0, atol=1e-9)


def test_a_supercell_has_the_energy_of_its_cells(example: TermExample) -> None:
    cell = rattled(example, (1, 1, 1))
    energy, forces = evaluate(example.terms, cell)
    larger, larger_forces = evaluate(example.terms, cell * (1, 2, 3))
    assert larger == pytest.approx(6 * energy, abs=1e-8)
    assert np.allclose(larger_forces, np.tile(forces, (6, 1)), rtol=0, atol=1e-8)


def test_another_crystal_is_refused(example: TermExample) -> None:
    with pytest.raises(ValueError, match=r'crystal|elements'):
        evaluate(example.terms, example.other)


def test_a_strained_cell_is_refused_where_the_kind_is_of_one_crystal(example: TermExample) -> None:
    atoms = rattled(example)
    strained = atoms.copy()
    strained.set_cell(1.02 * atoms.cell.array, scale_atoms=True)
    if kind_of(example.terms[-1].kind).one_crystal:
        with pytest.raises(ValueError, match='strain'):
            evaluate(example.terms, strained)
    else:
        assert evaluate(example.terms, strained)[0] != pytest.approx(evaluate(example.terms, atoms)[0], abs=1e-6)


def test_a_term_without_the_one_that_it_needs_is_refused(example: TermExample) -> None:
    *needed, term = example.terms
    assert bool(needed) == bool(kind_of(term.kind).needs)
    if needed:
        with pytest.raises(ForceFieldError, match='the very base that it was fitted on'):
            models_of([term])
    refuse_incomplete(example.terms)
