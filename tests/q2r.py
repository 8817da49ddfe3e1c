"""Force constants of Quantum ESPRESSO's ``q2r.x``, with the dipole–dipole part that it has taken out put back."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.units import Bohr, Rydberg
from numpy.typing import ArrayLike, NDArray

from aiida_mlcc.science.crystal.cells import map_onto_crystal
from aiida_mlcc.science.force_field.dipole import DipoleModel, dipole_term
from aiida_mlcc.science.force_field.force_constants import fold
from aiida_mlcc.science.phonons.born_quantum_espresso import charges_from_quantum_espresso
from aiida_mlcc.science.phonons.modes import CM1_PER_ROOT_CURVATURE

_NEAREST = 1e-5


class Q2R:
    """The crystal of a ``q2r.x`` file: frequencies at any wave vector, as ``matdyn.x`` with ``asr='simple'``."""

    def __init__(self, path: Path | str) -> None:
        text = Path(path).read_text()
        head = charges_from_quantum_espresso(text)
        self.primitive = Atoms(head['numbers'], cell=head['cell'], positions=head['positions'], pbc=True)
        self.charges = head['born_charges'] - head['born_charges'].mean(axis=0)
        self.dielectric = head['dielectric']
        first, rest = text.split('\n', 1)
        self.alat = float(first.split()[3]) * Bohr
        n_atoms = len(self.primitive)
        lines = rest.splitlines()
        start = next(n for n, line in enumerate(lines) if line.strip() == 'T') + 4 + 4 * n_atoms
        grid = tuple(int(word) for word in lines[start].split())
        numbers = np.array(' '.join(lines[start + 1 :]).replace('D', 'E').split(), dtype=float)
        blocks = numbers.reshape(9 * n_atoms**2, -1)
        values = blocks[:, 4:].reshape(len(blocks), *reversed(grid), 4)[..., 3].transpose(0, 3, 2, 1)
        # The file counts the Cartesian axes of both atoms, then the atoms, the last one fastest.
        constants = values.reshape(3, 3, n_atoms, n_atoms, *grid) * Rydberg / Bohr**2
        self._pairs, self._vectors, self._blocks = self._nearest(constants, grid)
        # Its Gaussian has the width 2π/a; η leaves ε out.
        eta = 2 * np.pi / self.alat / np.linalg.det(self.dielectric) ** (1 / 6)
        self._dipole = DipoleModel(dipole_term(self.primitive, self.charges, self.dielectric, eta))

    def frequencies_cm1(self, qpoint: ArrayLike, direction: ArrayLike | None = None) -> NDArray[np.float64]:
        """Return the frequencies at a Cartesian wave vector, ascending, shape (3·n_atoms,).

        :param qpoint: 1/Å, with the factor 2π.
        :param direction: Cartesian direction from which Γ is reached.
        """
        reduced = self.primitive.cell.array @ np.asarray(qpoint, dtype=float) / (2 * np.pi)
        n_atoms = len(self.primitive)
        short = np.zeros((n_atoms, n_atoms, 3, 3), dtype=complex)
        phases = np.exp(2j * np.pi * self._vectors @ reduced)
        np.add.at(short, (self._pairs[:, 0], self._pairs[:, 1]), self._blocks * phases[:, None, None])
        roots = np.sqrt(self.primitive.get_masses())
        matrix = short.transpose(0, 2, 1, 3) / roots[:, None, None, None] / roots[:, None]
        whole = matrix.reshape(3 * n_atoms, -1) + self._dipole.dynamical_matrix(reduced, direction)
        squares = np.linalg.eigvalsh(whole)
        return np.asarray(np.sign(squares) * np.sqrt(np.abs(squares)) * CM1_PER_ROOT_CURVATURE)

    def hessian(self, cell: Atoms) -> NDArray[np.float64]:
        """Return ∂²E/∂u∂u on a supercell, eV/Å², shape (3·n_atoms, 3·n_atoms)."""
        site_map, size = map_onto_crystal(self.primitive, cell), 3 * len(cell)
        short = fold(self._pairs, self._vectors, self._blocks, site_map).toarray()
        far = self._dipole.on(site_map, cell.cell.array).force_constants().transpose(0, 2, 1, 3).reshape(size, size)
        return np.asarray(short + far)

    def _nearest(
        self, constants: NDArray[np.float64], grid: tuple[int, ...]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
        """Put each pair at the distance of its nearest images, which share it, and make the forces of a shift zero."""
        images = np.array(list(product(range(-2, 3), repeat=3))) * grid
        positions, cell, n_atoms = self.primitive.positions, self.primitive.cell.array, len(self.primitive)
        pairs, vectors, blocks = [], [], []
        for i, j in product(range(n_atoms), repeat=2):
            for index in product(*map(range, grid)):
                cells = images - index
                distances = np.linalg.norm(cells @ cell + positions[j] - positions[i], axis=1)
                nearest = cells[distances < distances.min() + _NEAREST]
                pairs += [(i, j)] * len(nearest)
                vectors += list(nearest)
                blocks += [constants[:, :, i, j, *index] / len(nearest)] * len(nearest)
        found = np.array(pairs), np.array(vectors), np.array(blocks)
        for site in range(n_atoms):
            (own,) = np.flatnonzero((found[0] == site).all(axis=1) & ~found[1].any(axis=1))
            found[2][own] -= found[2][found[0][:, 0] == site].sum(axis=0)
        return found
