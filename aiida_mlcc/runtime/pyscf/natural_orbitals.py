"""Natural orbitals of MP2: the virtual orbitals that matter for correlation, fewer than the basis has.

The virtual block of the unrelaxed MP2 density is diagonalised, the orbitals of largest occupation are kept, and the
virtual Fock matrix is diagonalised among them, so that they have orbital energies of their own (Grüneis, Booth,
Marsman, Spencer, Alavi, Kresse, J. Chem. Theory Comput. 7, 2780 (2011)). What the orbitals left out would add is
estimated by the difference of the second-order energies.

How many are kept for each occupied orbital is a setting, `natural_orbitals_per_occupied`: ten by default with VASP
(``engines/vasp/settings.py``), which makes its own (``engines/vasp/steps.py``), and all by default with PySCF
(:mod:`aiida_mlcc.runtime.pyscf.settings`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class SecondOrder:
    """MP2 of a set of virtual orbitals.

    :param energy: correlation energy, Hartree.
    :param density: virtual block of the spin-summed density, shape (n_virtual, n_virtual); its eigenvalues are the
        natural occupation numbers, which add up to the electrons that correlation lifts out of the occupied orbitals.
    """

    energy: float
    density: NDArray[np.float64]


def first_order_amplitudes(
    factors: NDArray[np.float64], occupied: NDArray[np.float64], virtual: NDArray[np.float64]
) -> Iterator[tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Yield (ia|jb) and the amplitudes made of it for each occupied orbital i, both of shape (a, j, b).

    :param factors: L_ia, shape (n_auxiliary, n_occupied, n_virtual).
    :param occupied: orbital energies, Hartree, and `virtual` likewise.
    """
    gaps = occupied[:, None] - virtual
    for i, gaps_of_i in enumerate(gaps):
        integrals = np.tensordot(factors[:, i], factors, axes=(0, 0))
        yield integrals, integrals / (gaps_of_i[:, None, None] + gaps)


def second_order(
    factors: NDArray[np.float64], occupied: NDArray[np.float64], virtual: NDArray[np.float64]
) -> SecondOrder:
    """Return MP2's energy and virtual density; the memory is n_occupied·n_virtual² numbers, a few times.

    :param factors: L_ia, shape (n_auxiliary, n_occupied, n_virtual).
    :param occupied: orbital energies, Hartree, and `virtual` likewise.
    """
    energy = 0.0
    density = np.zeros((len(virtual), len(virtual)))
    for integrals, amplitudes in first_order_amplitudes(factors, occupied, virtual):
        exchanged = 2 * amplitudes - amplitudes.transpose(2, 1, 0)
        energy += float(np.vdot(exchanged, integrals))
        density += 2 * np.tensordot(amplitudes, exchanged, axes=((1, 2), (1, 2)))
    return SecondOrder(energy, (density + density.T) / 2)


@dataclass(frozen=True)
class NaturalOrbitals:
    """The virtual orbitals that are kept.

    :param rotation: from the canonical virtual orbitals to these, shape (n_virtual, n_kept), orthonormal columns.
    :param energies: their orbital energies, Hartree, ascending.
    :param occupations: natural occupation numbers of all virtual orbitals, descending.
    """

    rotation: NDArray[np.float64]
    energies: NDArray[np.float64]
    occupations: NDArray[np.float64]


def natural_orbitals(density: NDArray[np.float64], virtual: NDArray[np.float64], n_kept: int) -> NaturalOrbitals:
    """Keep the `n_kept` natural orbitals of largest occupation, canonicalised.

    :param density: as in :class:`SecondOrder`.
    :param virtual: canonical orbital energies, Hartree: the virtual Fock matrix is diagonal in them.
    """
    occupations, vectors = np.linalg.eigh(density)
    largest = np.argsort(-occupations)[:n_kept]
    kept = vectors[:, largest]
    energies, among_kept = np.linalg.eigh(kept.T @ (virtual[:, None] * kept))
    return NaturalOrbitals(kept @ among_kept, energies, np.sort(occupations)[::-1])
