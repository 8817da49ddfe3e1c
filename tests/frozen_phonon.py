"""Harmonic frequencies of a crystal of 8 atoms from the engine itself: no force field, no fit, no phonopy.

``python -m tests.frozen_phonon --crystal lif8 --json`` prints ``{method: {"GAMMA": TO, "X": [distinct frequencies]}}``
in cm⁻¹, and its progress on stderr. Symmetry-adapted displacements are frozen in with two amplitudes Q, beside the
crystal at rest. Their energies E₀ + ½·ω²·Q² + c·Q⁴ give ω² at Q = 0. The engine has the settings of the protocol
``fast``, but a finer mesh for the density of LDA.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from ase import Atoms
from ase.build import bulk
from ase.units import Hartree
from numpy.typing import NDArray
from scipy import constants

from aiida_mlcc.cli.demo import LATTICE_CONSTANT
from aiida_mlcc.runtime.pyscf.correlated_energies import correlated_energies
from aiida_mlcc.runtime.pyscf.density_extrapolation import DensityExtrapolation
from aiida_mlcc.runtime.pyscf.engine import density_functional
from aiida_mlcc.runtime.pyscf.settings import PyscfCorrelation, PyscfForces, PyscfSettings
from aiida_mlcc.science.crystal.cells import shortest_distance
from aiida_mlcc.science.labels.methods import compose_energy
from aiida_mlcc.workflows.labelling.cc_energies import CCEnergiesWorkChain
from aiida_mlcc.workflows.sampling.dft_md import DFTMDWorkChain

CRYSTALS = {
    'lif8': ('LiF', 'rocksalt', LATTICE_CONSTANT),
    'diamond8': ('C', 'diamond', 3.561),
    'si8': ('Si', 'diamond', 5.43),
    'mgo8': ('MgO', 'rocksalt', 4.21),
    'naf8': ('NaF', 'rocksalt', 4.62),
}
"""Name → formula, structure, lattice constant in Å."""

WAVEFUNCTION = ('HF', 'MP2', 'CCSD', 'CCSD(T)')
LARGEST = 0.045
"""Displacement of the atom that moves most, as a share of the shortest distance."""

FACTORS = (1.0, 0.6)
"""Of both amplitudes, beside the crystal at rest."""

KE_CUTOFF = 1200.0
"""Hartree. Exchange and correlation have twice as fine a mesh; with one mesh for all it takes 2500 and three times as
long for energies of LiF that do not move with where the atoms lie."""

CONVERGED = 1e-9
"""Hartree."""

_SAME = 1e-6


@dataclass(frozen=True)
class Block:
    """Displacements that symmetry couples to each other and to nothing else: the frequencies of one representation.

    :param point: ``GAMMA`` or ``X``.
    :param patterns: in Å per √amu·Å, orthonormal when weighted by the masses, shape (n, n_atoms, 3). Each is a wave of
        one wave vector along which E(u) = E(−u).
    """

    point: str
    patterns: NDArray[np.float64]

    def sums(self) -> list[tuple[int, int, NDArray[np.float64]]]:
        """Return (i, j, pattern): each pattern itself where i = j, and the normalised sum of each two."""
        n = len(self.patterns)
        both = [(i, j, (self.patterns[i] + self.patterns[j]) / np.sqrt(2)) for i in range(n) for j in range(i)]
        return [*((i, i, pattern) for i, pattern in enumerate(self.patterns)), *both]

    def frequencies(self, curvatures: NDArray[np.float64]) -> list[float]:
        """Return the frequencies (cm⁻¹) of the matrix ω² (eV/Å²/amu), shape (n, n)."""
        return [frequency_cm1(value) for value in np.linalg.eigvalsh(0.5 * (curvatures + curvatures.T))]


def frequency_cm1(curvature: float) -> float:
    """Return the frequency of ω² in eV/Å²/amu, negative where it is imaginary."""
    omega = np.sqrt(abs(curvature) * constants.e / constants.angstrom**2 / constants.atomic_mass)
    return float(np.sign(curvature) * omega / (2 * np.pi * constants.c * 100))


def at_rest(amplitudes: Sequence[float], energies: NDArray[np.float64]) -> Any:
    """Return ω² at Q = 0 of energies E₀ + ½·ω²·Q² + c·Q⁴ at three amplitudes Q.

    :param energies: shape (3, n).
    """
    squares = np.square(amplitudes)
    return np.linalg.solve(np.column_stack([np.ones(3), 0.5 * squares, squares**2]), energies)[1]


def amplitudes_of(pattern: NDArray[np.float64], atoms: Atoms, factors: Sequence[float]) -> list[float]:
    """Return amplitudes Q (√amu·Å) of a pattern."""
    largest = LARGEST * shortest_distance(atoms) / float(np.linalg.norm(pattern, axis=1).max())
    return [factor * largest for factor in factors]


def operations(atoms: Atoms) -> list[tuple[NDArray[np.float64], NDArray[np.int64], bool]]:
    """Return of each operation of a cell its Cartesian rotation, the image of each atom, and whether it only shifts."""
    import spglib

    cell, fractions = atoms.cell.array, atoms.get_scaled_positions()
    dataset = spglib.get_symmetry((cell, fractions, atoms.numbers), symprec=1e-5)
    found = []
    for rotation, translation in zip(dataset['rotations'], dataset['translations'], strict=True):
        apart = (fractions @ rotation.T + translation)[:, None] - fractions
        images = np.abs(apart - np.rint(apart)).max(axis=2).argmin(axis=1)
        found.append((cell.T @ rotation @ np.linalg.inv(cell.T), images, bool((rotation == np.eye(3)).all())))
    return found


def transformed(displacements: NDArray[np.float64], operation: tuple) -> NDArray[np.float64]:
    """Return displacements (…, n_atoms, 3) as an operation has them."""
    rotation, images, _ = operation
    moved = np.empty_like(displacements)
    moved[..., images, :] = displacements @ rotation.T
    return moved


def random_hessian(atoms: Atoms, symmetry: Sequence[tuple], seed: int) -> NDArray[np.float64]:
    """Return a mass-weighted Hessian with the symmetry of the cell and nothing else but chance, without shifts."""
    n = 3 * len(atoms)
    basis = np.eye(n).reshape(n, -1, 3)
    random = np.random.default_rng(seed).normal(size=(n, n))
    total = np.zeros((n, n))
    for operation in symmetry:
        matrix = transformed(basis, operation).reshape(n, n)
        total += matrix @ (random + random.T) @ matrix.T
    roots = np.sqrt(atoms.get_masses() / atoms.get_masses().sum())
    shifts = np.kron(roots[:, None], np.eye(3))
    complement = np.eye(n) - shifts @ shifts.T
    return complement @ (total / len(symmetry)) @ complement


def waves(atoms: Atoms, symmetry: Sequence[tuple], point: str) -> NDArray[np.float64]:
    """Return all displacements of one wave vector, those of each sublattice along each axis, shape (3·n_atoms, n).

    :param point: ``X`` is the one along z. At Γ the shifts of all atoms are among them.
    """
    # Both sublattices begin in the lower half of the cube, and end in the upper one, where a wave along z is reversed.
    upper = atoms.get_scaled_positions()[:, 2] + _SAME > 0.5
    wave = np.where(upper, -1.0, 1.0) if point == 'X' else np.ones(len(atoms))
    columns: dict[tuple[int, ...], NDArray[np.float64]] = {}
    for atom in range(len(atoms)):
        sublattice = sorted({int(images[atom]) for _, images, shifts_only in symmetry if shifts_only})
        column = np.zeros(len(atoms))
        column[sublattice] = wave[sublattice]
        columns[tuple(sublattice)] = np.kron(column[:, None], np.eye(3)) / np.sqrt(len(sublattice))
    return np.concatenate(list(columns.values()), axis=1)


def coupled(vector: NDArray[np.float64], matrices: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Return an orthonormal basis of what matrices make of a vector, the vector first, shape (n, m)."""
    found = [vector / np.linalg.norm(vector)]
    for member in found:
        for matrix in matrices:
            rest = matrix @ member
            for known in found:
                rest = rest - known * (known @ rest)
            if np.linalg.norm(rest) > _SAME:
                found.append(rest / np.linalg.norm(rest))
    return np.array(found).T


def blocks_of(atoms: Atoms) -> list[Block]:
    """Return what symmetry leaves open of the modes of a cell of 8 atoms at Γ and X.

    Whatever has the symmetry of the cell couples what a random Hessian with that symmetry couples.
    """
    symmetry, roots = operations(atoms), np.sqrt(atoms.get_masses())[:, None]
    hessians = [random_hessian(atoms, symmetry, seed) for seed in (1, 2)]
    found = []
    for point in ('GAMMA', 'X'):
        space = waves(atoms, symmetry, point)
        inside = [space.T @ hessian @ space for hessian in hessians]
        left = np.eye(space.shape[1])
        if point == 'GAMMA':  # Without the shifts of all atoms, which have no curvature.
            values, vectors = np.linalg.eigh(inside[0] @ inside[0])
            left = vectors[:, values > _SAME]
        while left.shape[1]:
            values, vectors = np.linalg.eigh(left.T @ inside[0] @ left)
            equal = left @ vectors[:, np.abs(values - values[0]) < _SAME]
            # Of equal ones that which moves a sublattice most along an axis.
            moved = int(np.argmax(np.linalg.norm(equal, axis=1) > 0.9 * np.linalg.norm(equal, axis=1).max()))
            rows = space @ coupled(equal @ equal[moved], inside)
            patterns = rows.T.reshape(-1, len(atoms), 3)
            if not any(np.abs(transformed(patterns, one) + patterns).max() < 1e-5 for one in symmetry):
                raise ValueError(f'modes at {point} have terms of third order')
            found.append(Block(point, patterns / roots))
            taken = np.concatenate([coupled(vector, inside) for vector in equal.T], axis=1)
            kept = left - taken @ (taken.T @ left)
            vectors, values, _ = np.linalg.svd(kept, full_matrices=False)
            left = vectors[:, values > 0.5]
    return found


def settings(workchain: type, kind: type[PyscfSettings]) -> PyscfSettings:
    """Return the settings of the engine that the protocol ``fast`` has."""
    return kind.of(workchain.get_protocol_inputs('fast')['engine'])


@dataclass(frozen=True)
class FrozenPhonons:
    """The crystal at rest and its blocks, frozen in with two amplitudes."""

    atoms: Atoms
    blocks: list[Block]

    @classmethod
    def of(cls, name: str, lattice_constant: float | None = None) -> FrozenPhonons:
        """Return those of a crystal of :data:`CRYSTALS`."""
        formula, structure, a = CRYSTALS[name]
        atoms = bulk(formula, structure, a=lattice_constant or a, cubic=True)
        return cls(atoms, blocks_of(atoms))

    def displaced(self, displacements: NDArray[np.float64] | float) -> Atoms:
        """Return the crystal with displacements (Å)."""
        atoms = self.atoms.copy()
        atoms.positions += displacements
        return atoms

    def by_point(self, curvatures: Sequence[NDArray[np.float64]]) -> dict[str, Any]:
        """Return frequencies (cm⁻¹), the optical one at Γ and those of X, ascending, from ω² of each block."""
        found: dict[str, list[float]] = {'GAMMA': [], 'X': []}
        for block, values in zip(self.blocks, curvatures, strict=True):
            found[block.point] += block.frequencies(values)
        (optical,) = found['GAMMA']
        return {'GAMMA': optical, 'X': sorted(found['X'])}

    def frequencies(self, energies_of: Callable[[Atoms], NDArray[np.float64]]) -> list[dict[str, Any]]:
        """Return the frequencies (cm⁻¹) of each of the energies (eV per cell) that `energies_of` gives, (n,)."""
        resting = energies_of(self.displaced(0.0))
        matrices: list[NDArray[np.float64]] = []
        for block in self.blocks:
            rows: dict[tuple[int, int], NDArray[np.float64]] = {}
            for i, j, pattern in block.sums():
                amplitudes = amplitudes_of(pattern, self.atoms, FACTORS)
                energies = [energies_of(self.displaced(q * pattern)) for q in amplitudes]
                curvature = at_rest([*amplitudes, 0.0], np.array([*energies, resting]))
                # Of the sum of two patterns it is the mean of theirs and what couples them.
                rows[i, j] = curvature if i == j else curvature - 0.5 * (rows[i, i] + rows[j, j])
                rows[j, i] = rows[i, j]
            n = len(block.patterns)
            matrices.append(np.array([[rows[i, j] for j in range(n)] for i in range(n)]).transpose(2, 0, 1))
        return [self.by_point([matrix[number] for matrix in matrices]) for number in range(len(matrices[0]))]

    def lda(self) -> dict[str, Any]:
        """Return the frequencies of LDA."""
        engine, start = settings(DFTMDWorkChain, PyscfForces), DensityExtrapolation()
        engine = replace(engine, ke_cutoff=KE_CUTOFF, conv_tol=CONVERGED)

        def energies(atoms: Atoms) -> NDArray[np.float64]:
            told('LDA')
            return np.array([density_functional(atoms, engine, 'LDA', start).e_tot * Hartree])

        return self.frequencies(energies)[0]

    def wave_function(self, methods: Sequence[str] = WAVEFUNCTION) -> dict[str, dict[str, Any]]:
        """Return the frequencies of each method, from energies."""
        engine = settings(CCEnergiesWorkChain, PyscfCorrelation)

        def energies(atoms: Atoms) -> NDArray[np.float64]:
            told(', '.join(methods))
            found = correlated_energies(atoms, engine, methods).contributions
            return np.array([float(compose_energy(method, found)) for method in methods])

        return dict(zip(methods, self.frequencies(energies), strict=True))


def told(what: str) -> None:
    """Say on stderr what is calculated now, with the CPU seconds so far."""
    sys.stderr.write(f'{time.process_time():7.0f} s  {what}\n')


def main() -> None:
    """Calculate and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or '').splitlines()[0])
    parser.add_argument('--crystal', choices=tuple(CRYSTALS), default='lif8')
    parser.add_argument('--lattice-constant', type=float, help='Å; that of the table of crystals if not given')
    parser.add_argument('--methods', nargs='+', choices=('LDA', *WAVEFUNCTION), default=('LDA', *WAVEFUNCTION))
    parser.add_argument('--json', action='store_true', help='one JSON object instead of a table')
    options = parser.parse_args()
    phonons = FrozenPhonons.of(options.crystal, options.lattice_constant)
    found: dict[str, Any] = {'LDA': phonons.lda()} if 'LDA' in options.methods else {}
    if methods := [method for method in options.methods if method != 'LDA']:
        found |= phonons.wave_function(methods)
    if options.json:
        print(json.dumps(found))
        return
    for method, values in found.items():
        print(f'{method:<8} Γ {values["GAMMA"]:7.1f}   X {"  ".join(f"{value:7.1f}" for value in values["X"])}   cm⁻¹')


if __name__ == '__main__':
    main()
