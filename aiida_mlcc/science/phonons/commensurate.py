"""Normal modes of a supercell at the wave vectors that it holds: what its dynamics would show if it were harmonic."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import constants

from aiida_mlcc.science.crystal.cells import SiteMap, commensurate_qpoints
from aiida_mlcc.science.dynamics.vdos import FS_TO_CM, verlet_frequencies
from aiida_mlcc.science.units import frequencies_of_squares

_CM1_PER_ROOT = (
    np.sqrt(constants.e / constants.angstrom**2 / constants.atomic_mass) * constants.femto / (2 * np.pi * FS_TO_CM)
)
"""cm⁻¹ per √(eV/Å²/amu)."""


@dataclass(frozen=True)
class NormalModes:
    """All modes of a supercell but the three rigid shifts.

    :param frequencies_cm1: imaginary ones negative, ascending, shape (n_modes,).
    :param weights: share of each element and Cartesian direction in each mode, one in all for a mode, shape
        (n_elements, 3, n_modes).
    """

    frequencies_cm1: NDArray[np.float64]
    elements: tuple[str, ...]
    weights: NDArray[np.float64]

    @property
    def n_imaginary(self) -> int:
        """How many modes have no frequency."""
        return int(np.count_nonzero(self.frequencies_cm1 < 0))

    @property
    def highest_cm1(self) -> float:
        """The highest frequency, cm⁻¹."""
        return float(self.frequencies_cm1[-1])

    def share_above(self, limit_cm1: float) -> float:
        """Return which share of all modes lies above a frequency."""
        return float(np.mean(self.frequencies_cm1 > limit_cm1))

    def real_shares(self) -> dict[str, float]:
        """Return which share of the motion of each element is in modes that oscillate: all in a stable crystal."""
        whole, real = (part.sum(axis=(1, 2)) for part in (self.weights, self.weights[:, :, self.frequencies_cm1 >= 0]))
        return dict(zip(self.elements, (real / whole).tolist(), strict=True))

    def correlation(self, lags_fs: ArrayLike, step_fs: float) -> dict[str, NDArray[np.float64]]:
        """Return the velocity autocorrelation with equal energy in all modes, by velocity Verlet with this step.

        Imaginary modes, which do not oscillate, are left out.

        :returns: element → shape (3, n_lags).
        """
        lags = np.asarray(lags_fs, dtype=float)
        real = self.frequencies_cm1 >= 0
        # Degenerate modes count as one: a crystal has far fewer frequencies than modes.
        rounded, starts = np.unique(np.round(self.frequencies_cm1[real], 6), return_index=True)
        found = np.add.reduceat(self.weights[:, :, real], starts, axis=-1)
        phases = 2 * np.pi * FS_TO_CM * verlet_frequencies(rounded, step_fs)
        values = np.zeros((*self.weights.shape[:2], len(lags)))
        for part in np.array_split(np.arange(len(rounded)), max(1, len(rounded) * len(lags) // 4_000_000)):
            values += found[:, :, part] @ np.cos(phases[part, None] * lags)
        return dict(zip(self.elements, values, strict=True))


def normal_modes(
    rows: Mapping[int, NDArray[np.float64]], site_map: SiteMap, symbols: Sequence[str], masses: Mapping[str, float]
) -> NormalModes:
    """Return the modes of a supercell from what one atom of each site does to all others.

    :param rows: atom → Φ between it and all atoms, eV/Å², shape (3, n_atoms, 3); one atom of each site.
    :param site_map: of the supercell.
    :param symbols: of its atoms.
    """
    of_site = {int(site_map.sites[atom]): atom for atom in rows}
    n_sites = len(of_site)
    site_symbols = [symbols[of_site[site]] for site in range(n_sites)]
    site_masses = np.array([masses[symbol] for symbol in site_symbols])
    elements = tuple(dict.fromkeys(symbols))
    members = np.array([[symbol == element for symbol in site_symbols] for element in elements], dtype=float)
    frequencies, weights = [], []
    for qpoint in commensurate_qpoints(site_map.multiples):
        dynamical = np.zeros((n_sites, 3, n_sites, 3), dtype=complex)
        for site, atom in of_site.items():
            between = site_map.lattice_vectors - site_map.lattice_vectors[atom]
            phases = np.exp(2j * np.pi * between @ qpoint)
            blocks = np.zeros((n_sites, 3, 3), dtype=complex)
            np.add.at(blocks, site_map.sites, phases[:, None, None] * rows[atom].transpose(1, 0, 2))
            scale = 1 / np.sqrt(site_masses[site] * site_masses)
            dynamical[site] = (blocks * scale[:, None, None]).transpose(1, 0, 2)
        matrix = dynamical.reshape(3 * n_sites, 3 * n_sites)
        squares, vectors = np.linalg.eigh(0.5 * (matrix + matrix.conj().T))
        of_mode = np.abs(vectors.reshape(n_sites, 3, -1)) ** 2
        if not qpoint.any():
            moving = np.sort(np.argsort(np.abs(squares))[3:])
            squares, of_mode = squares[moving], of_mode[:, :, moving]
        frequencies.append(frequencies_of_squares(squares, _CM1_PER_ROOT))
        weights.append(np.einsum('es,sam->eam', members, of_mode))
    found = np.concatenate(frequencies)
    order = np.argsort(found, kind='stable')
    return NormalModes(found[order], elements, np.concatenate(weights, axis=-1)[:, :, order])
