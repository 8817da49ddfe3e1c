"""Other Δ that the same labels allow: what the spread of a frequency over them is made from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from aiida_mlcc.science.crystal.cells import SiteMap, map_onto_crystal
from aiida_mlcc.science.fit.potential_basis import PotentialBasis
from aiida_mlcc.science.force_field.dipole import DipoleModel, dipole_term
from aiida_mlcc.science.force_field.force_constants import fold

_WHOLE = ('numbers', 'pairs', 'lattice_vectors', 'multiples')
_ARRAYS = (
    'numbers',
    'pairs',
    'lattice_vectors',
    'cell',
    'positions',
    'blocks',
    'parameters',
    'bootstrap',
    'label_noise',
)
_OF_POLAR = ('born_charges', 'dielectric', 'eta', 'weight_systematic', 'multiples')


@dataclass(frozen=True)
class DeltaSamples:
    """Harmonic force constants ΔΦ = Σ_k θ_k B_k, dipoles δ, and the scale s of the base, as fitted and as drawn.

    Of a polar crystal the base holds the dipole–dipole energy of its Born charges once; with Δ its weight is
    w = 1 + s + δ.

    :param numbers: atomic numbers, (n_sites,); `cell` and `positions` (Å) of the primitive cell.
    :param pairs: sites, (n_pairs, 2); `lattice_vectors` (n_pairs, 3); `blocks` B_k, (n_second, n_pairs, 3, 3).
    :param parameters: θ, δ where the labels speak for it, then s, as fitted, shape (n_second + 1,) or (n_second + 2,).
    :param bootstrap: the same for other draws of the snapshots, (n_samples, …).
    :param label_noise: the same for other draws of the noise of the labels, of the same shape.
    :param born_charges: of the base, e, (n_sites, 3, 3), `dielectric` (3, 3) and the damping `eta` (1/Å, of shape ());
        of a polar crystal only, as what follows.
    :param weight_systematic: standard deviation of w over other ways to fit it, of shape ().
    :param multiples: the training cell in units of the primitive vectors, (3, 3).
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
    born_charges: NDArray[np.float64] | None = None
    dielectric: NDArray[np.float64] | None = None
    eta: NDArray[np.float64] | None = None
    weight_systematic: NDArray[np.float64] | None = None
    multiples: NDArray[np.int64] | None = None

    @classmethod
    def of(
        cls,
        basis: PotentialBasis,
        parameters: NDArray[np.float64],
        sampled: NDArray[np.float64],
        noise_sampled: NDArray[np.float64],
    ) -> DeltaSamples:
        """Keep what counts for harmonic frequencies: the second order, the dipoles and the scale of the base.

        :param parameters: all of a fit in that order, and the scale last, shape (n_parameters + 1,).
        :param sampled: all of other fits, shape (n_samples, n_parameters + 1); `noise_sampled` alike.
        """
        second, primitive = basis.second, basis.second.primitive
        kept = [*range(second.n_second), *([-2] if basis.dipole is not None else []), -1]
        return cls(
            np.asarray(primitive.numbers, dtype=np.int64),
            np.array(primitive.cell.array, dtype=float),
            np.array(primitive.positions, dtype=float),
            second.pairs,
            second.lattice_vectors,
            second.blocks,
            parameters[kept],
            sampled[:, kept],
            noise_sampled[:, kept],
        )

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[np.float64]]) -> DeltaSamples:
        """Rebuild what :meth:`to_arrays` gave."""
        present = [*_ARRAYS, *(name for name in _OF_POLAR if name in arrays)]
        return cls(**{name: np.asarray(arrays[name], dtype=np.int64 if name in _WHOLE else float) for name in present})

    def to_arrays(self) -> dict[str, NDArray[np.float64]]:
        """Return all arrays by fixed names."""
        found = {name: getattr(self, name) for name in (*_ARRAYS, *_OF_POLAR)}
        return {name: array for name, array in found.items() if array is not None}

    def beside(self, dipole: DipoleModel, site_map: SiteMap, weight_systematic: float) -> DeltaSamples:
        """Return the same of a base that holds the dipole–dipole energy of its Born charges.

        :param site_map: of the training cell.
        """
        return replace(
            self,
            born_charges=dipole.charges,
            dielectric=dipole.dielectric,
            eta=np.array(dipole.eta),
            weight_systematic=np.array(weight_systematic),
            multiples=np.asarray(site_map.multiples),
        )

    @cached_property
    def dipole(self) -> DipoleModel | None:
        """The dipole–dipole energy of the base, of a polar crystal."""
        if self.born_charges is None or self.dielectric is None or self.eta is None:
            return None
        return DipoleModel(dipole_term(self.primitive, self.born_charges, self.dielectric, float(self.eta)))

    def weights(self, parameters: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return w = 1 + s + δ of parameters, shape (…, n), of shape (…)."""
        return np.asarray(1.0 + parameters[..., len(self.blocks) :].sum(axis=-1))

    @property
    def primitive(self) -> Atoms:
        """The primitive cell that the force constants are of."""
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
