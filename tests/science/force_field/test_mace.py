"""A network as a term of a force field."""

from __future__ import annotations

from ase.build import bulk

from aiida_mlcc.science.force_field.kinds import models_of
from tests.science.force_field.term_examples import TermExample


def example() -> TermExample:
    """Return a network that was never trained."""
    from tests.runtime.mace.alloy import cell, random_term

    return TermExample((random_term(),), cell(), bulk('AgAu', 'cesiumchloride', a=3.2))


def test_a_bound_network_keeps_the_lattice_it_was_bound_to() -> None:
    (model,) = models_of(example().terms)
    atoms = example().cell
    bound = model.bind(atoms)
    energy = bound.energy_forces(atoms.positions)[0]
    positions = atoms.positions.copy()
    atoms.set_cell(1.1 * atoms.cell.array)
    atoms.numbers[:] = 79
    assert bound.energy_forces(positions)[0] == energy
