"""Frozen phonons: exact for a crystal that is known in closed form, and the demo's crystal by its engine."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from ase import Atoms

from aiida_mlcc.science.force_field.force_constants import ForceConstantsModel
from aiida_mlcc.science.force_field.fourth_order import bonds_within
from tests import frozen_phonon
from tests.crystals import hessian_of, spring_term
from tests.frozen_phonon import FrozenPhonons, blocks_of, frequency_cm1

QUARTIC = 20.0
"""eV/Å⁴ along each bond: at the larger amplitude it stiffens the optical mode by a tenth and more."""


def quartic_crystal(name: str) -> tuple[FrozenPhonons, Callable[[Atoms], np.ndarray], list[float]]:
    """Return frozen phonons of springs that are quartic too, their energies, and all 24 frequencies."""
    phonons = FrozenPhonons.of(name)
    cell = phonons.atoms
    primitive = frozen_phonon.bulk(*frozen_phonon.CRYSTALS[name])
    cutoff = 1.2 * cell.get_all_distances(mic=True)[0, 1:].min()
    springs = spring_term(primitive, 2 * cutoff)
    bonds = bonds_within(primitive, cutoff)
    coefficients = np.tile([QUARTIC, 0.0, 0.0], (bonds.n_kinds, 1))
    quartic = {
        'bonds': bonds.pairs,
        'bond_vectors': bonds.lattice_vectors,
        'bond_kinds': bonds.kinds,
        'fourth_order': coefficients,
    }
    bound = ForceConstantsModel(replace(springs, arrays={**springs.arrays, **quartic})).bind(cell)
    roots = np.repeat(np.sqrt(cell.get_masses()), 3)
    curvatures = np.linalg.eigvalsh(hessian_of(springs, cell) / np.outer(roots, roots))
    frequencies = [frequency_cm1(value) for value in curvatures]
    return phonons, lambda atoms: np.array(bound.energy_forces(atoms.positions)[:1]), frequencies


@pytest.mark.parametrize(('name', 'n_distinct'), [('lif8', 4), ('diamond8', 3)])
def test_the_harmonic_frequencies_of_a_quartic_crystal(name, n_distinct) -> None:
    phonons, energies, all_frequencies = quartic_crystal(name)
    moving = np.array(all_frequencies[3:])
    expected = moving[np.diff(moving, prepend=-1.0) > 0.1].tolist()
    (found,) = phonons.frequencies(energies)
    assert len(found['X']) == n_distinct
    assert sorted([found['GAMMA'], *found['X']]) == pytest.approx(expected, abs=0.05)


def test_symmetry_leaves_two_and_two_modes_of_rock_salt_coupled_at_x_and_none_of_diamond() -> None:
    blocks = {name: blocks_of(FrozenPhonons.of(name).atoms) for name in ('lif8', 'diamond8')}
    sizes = {name: [(block.point, len(block.patterns)) for block in found] for name, found in blocks.items()}
    assert sizes['lif8'] == [('GAMMA', 1), ('X', 2), ('X', 2)]
    assert sizes['diamond8'] == [('GAMMA', 1), ('X', 1), ('X', 1), ('X', 1)]


@pytest.mark.nightly
def test_lithium_fluoride_by_its_engine(monkeypatch, capsys) -> None:
    """LDA against phonopy with the forces of the same mesh, displaced by 0.02 and 0.04 Å and extrapolated to zero."""
    methods = ('LDA', 'HF', 'CCSD(T)')
    monkeypatch.setattr('sys.argv', ['frozen_phonon', '--crystal', 'lif8', '--json', '--methods', *methods])
    frozen_phonon.main()
    found = json.loads(capsys.readouterr().out)
    assert found['LDA']['GAMMA'] == pytest.approx(409.6, abs=1)
    assert found['LDA']['X'] == pytest.approx([100.7, 337.9, 429.9, 744.0], abs=2)
    assert found['HF']['GAMMA'] > found['CCSD(T)']['GAMMA'] > 200
