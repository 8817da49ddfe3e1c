"""Other Δ that the same labels allow: what the spread of a frequency over them is made from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from aiida_mlcc.science.crystal import map_onto_crystal
from aiida_mlcc.science.fit.force_constants_basis import ForceConstantsBasis
from aiida_mlcc.science.force_field.force_constants import fold

_WHOLE = ('numbers', 'pairs', 'lattice_vectors')
_ARRAYS = (*_WHOLE, 'cell', 'positions', 'blocks', 'parameters', 'bootstrap', 'label_noise')


@dataclass(frozen=True)
class DeltaSamples:
    """Harmonic force constants ΔΦ = Σ_k θ_k B_k and the scale s of the base, as fitted and as drawn.

    :param numbers: atomic numbers, (n_sites,); `cell` and `positions` (Å) of the primitive cell.
    :param pairs: sites, (n_pairs, 2); `lattice_vectors` (n_pairs, 3); `blocks` B_k, (n_second, n_pairs, 3, 3).
    :param parameters: θ, then s, as fitted, shape (n_second + 1,).
    :param bootstrap: the same for other draws of the snapshots, shape (n_samples, n_second + 1).
    :param label_noise: the same for other draws of the noise of the labels, of the same shape.
    """

    numbers: NDArray[np.int64]
    cell: NDArray[np.float64]
    positions: NDArray[np.float64]
    pairs: NDArray[np.int64]
    lattice_vectors: NDArray[np.int64]
    blocks: NDArray[np.float64]
    parameters: NDArray[np.float64]
    bootstrap: NDArray[np.float64]
    label_noise: NDArray[np.float64]

    @classmethod
    def of(
        cls,
        basis: ForceConstantsBasis,
        parameters: NDArray[np.float64],
        sampled: NDArray[np.float64],
        noise_sampled: NDArray[np.float64],
    ) -> DeltaSamples:
        """Keep what counts for harmonic frequencies: the second order and the scale of the base.

        :param parameters: all of a fit, those of the second order first and the scale last, shape (n_parameters + 1,).
        :param sampled: all of other fits, shape (n_samples, n_parameters + 1); `noise_sampled` alike.
        """
        kept = [*range(basis.n_second), -1]
        primitive = basis.primitive
        return cls(
            np.asarray(primitive.numbers, dtype=np.int64),
            np.array(primitive.cell.array, dtype=float),
            np.array(primitive.positions, dtype=float),
            basis.pairs,
            basis.lattice_vectors,
            basis.blocks,
            parameters[kept],
            sampled[:, kept],
            noise_sampled[:, kept],
        )

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[np.float64]]) -> DeltaSamples:
        """Rebuild what :meth:`to_arrays` gave."""
        return cls(**{name: np.asarray(arrays[name], dtype=np.int64 if name in _WHOLE else float) for name in _ARRAYS})

    def to_arrays(self) -> dict[str, NDArray[np.float64]]:
        """Return all arrays by fixed names."""
        return {name: getattr(self, name) for name in _ARRAYS}

    @property
    def primitive(self) -> Atoms:
        return Atoms(self.numbers, cell=self.cell, positions=self.positions, pbc=True)

    def folded(self, atoms: Atoms) -> NDArray[np.float64]:
        """Return B_k on a supercell at rest, shape (n_second, n_atoms, n_atoms, 3, 3), in phonopy's layout."""
        site_map = map_onto_crystal(self.primitive, atoms)
        n_atoms = len(atoms)
        found = np.zeros((len(self.blocks), n_atoms, n_atoms, 3, 3))
        for number, block in enumerate(self.blocks):
            hessian = fold(self.pairs, self.lattice_vectors, block, site_map).toarray()
            found[number] = hessian.reshape(n_atoms, 3, n_atoms, 3).transpose(0, 2, 1, 3)
        return found
