"""The energy surfaces that a fit is made of, near the sites of a crystal, and their features.

Force constants that symmetry allows, harmonic and anharmonic, and the dipole–dipole energy of a polar crystal.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aiida_mlcc.science.crystal.cells import SiteMap
from aiida_mlcc.science.fit.force_constants_basis import BoundForceConstantsBasis, ForceConstantsBasis
from aiida_mlcc.science.fit.mapped_frames import MappedFrames
from aiida_mlcc.science.fit.third_order_basis import BoundThirdOrderBasis, ThirdOrderBasis
from aiida_mlcc.science.force_field import Term, TrainedOn
from aiida_mlcc.science.force_field.dipole import BoundDipole, DipoleModel
from aiida_mlcc.science.force_field.force_constants import force_constants_term
from aiida_mlcc.science.force_field.fourth_order import TERMS_OF_A_BOND, Bonds, BoundFourthOrder


@dataclass(frozen=True)
class PotentialBasis:
    """Symmetry-adapted force constants: second order, gradients, and third order and fourth along bonds, if any.

    :param dipole: the dipole–dipole energy as one more function, the last: its parameter scales the squares of the
        Born charges.
    """

    second: ForceConstantsBasis
    third: ThirdOrderBasis | None = None
    fourth: Bonds | None = None
    dipole: DipoleModel | None = None

    @property
    def n_second(self) -> int:
        """How many parameters of second order there are."""
        return self.second.n_second

    @property
    def sizes(self) -> tuple[int, int, int, int, int]:
        """How many parameters there are of second order, gradients, third and fourth order, and of the dipoles."""
        return (
            self.second.n_second,
            self.second.n_first,
            0 if self.third is None else self.third.n_third,
            0 if self.fourth is None else TERMS_OF_A_BOND * self.fourth.n_kinds,
            int(self.dipole is not None),
        )

    @property
    def n_parameters(self) -> int:
        """How many parameters there are, of all orders."""
        return sum(self.sizes)

    @property
    def groups(self) -> NDArray[np.int64]:
        """The ridge that holds each parameter back, numbered from 1 without gaps, shape (n_parameters,)."""
        kinds = np.repeat(np.arange(len(self.sizes)), self.sizes)
        return np.searchsorted(np.unique(kinds), kinds).astype(np.int64) + 1

    def features(self, frames: Sequence[MappedFrames], n_frames: int) -> NDArray[np.float64]:
        """Return the energies of all parameters, shape (n_frames, n_parameters)."""
        found = np.zeros((n_frames, self.n_parameters))
        for group in frames:
            parts = [self.second.features(group.site_map, group.displacements)]
            if self.third is not None:
                parts.append(self.third.features(group.site_map, group.displacements))
            if self.fourth is not None:
                bound = BoundFourthOrder(self.fourth, self.second.primitive, group.site_map)
                parts.append(np.array([bound.features(moved) for moved in group.displacements]))
            if self.dipole is not None:
                pulls = self._on(self.dipole, group.site_map).forces(group.displacements)
                parts.append(-0.5 * np.einsum('fia,fia->f', pulls, group.displacements)[:, None])
            found[group.indices] = np.concatenate(parts, axis=1)
        return found

    def force_features(self, frames: Sequence[MappedFrames], n_frames: int) -> NDArray[np.float64]:
        """Return the forces of all parameters, shape (n_frames, 3·n_atoms, n_parameters)."""
        found = np.zeros((n_frames, frames[0].displacements[0].size, self.n_parameters))
        for group in frames:
            found[group.indices] = self.bind(group.site_map).force_features(group.displacements)
        return found

    def bind(self, site_map: SiteMap) -> BoundPotential:
        """Prepare for one supercell and any number of frames."""
        return BoundPotential(
            self.second.bind(site_map),
            None if self.third is None else self.third.bind(site_map),
            None if self.fourth is None else BoundFourthOrder(self.fourth, self.second.primitive, site_map),
            None if self.dipole is None else self._on(self.dipole, site_map),
        )

    @property
    def degrees(self) -> NDArray[np.int64]:
        """The power of the displacements in the energy of each parameter, shape (n_parameters,)."""
        return np.repeat([2, 1, 3, 4, 2], self.sizes)

    def _on(self, dipole: DipoleModel, site_map: SiteMap) -> BoundDipole:
        return dipole.on(site_map, site_map.multiples @ dipole.primitive.cell.array)

    def widened(self, parameters: NDArray[np.float64], whole: PotentialBasis) -> NDArray[np.float64]:
        """Return parameters of this basis (…, n_parameters) in one that may have orders more, which are zero."""
        parts = np.split(parameters, np.cumsum(self.sizes)[:-1], axis=-1)
        zeros = [np.zeros((*parameters.shape[:-1], size)) for size in whole.sizes]
        kept = [part if size else zero for part, size, zero in zip(parts, self.sizes, zeros, strict=True)]
        return np.concatenate(kept, axis=-1)

    def term(self, parameters: NDArray[np.float64], trained_on: TrainedOn | None = None) -> Term:
        """Return the force constants with these parameters as a term of a force field."""
        basis, third, fourth = self.second, self.third, self.fourth
        second, first, cubic, quartic, _ = np.split(parameters, np.cumsum(self.sizes)[:-1])
        return force_constants_term(
            basis.primitive,
            basis.pairs,
            basis.lattice_vectors,
            np.einsum('k,kpab->pab', second, basis.blocks),
            basis.cutoff,
            np.einsum('k,kia->ia', first, basis.gradients) if basis.n_first else None,
            trained_on,
            None if third is None else (third.triplets, np.einsum('k,ktabc->tabc', cubic, third.blocks)),
            None if fourth is None else (fourth, quartic.reshape(-1, TERMS_OF_A_BOND)),
        )


@dataclass(frozen=True)
class BoundPotential:
    """A basis on one supercell."""

    second: BoundForceConstantsBasis
    third: BoundThirdOrderBasis | None = None
    fourth: BoundFourthOrder | None = None
    dipole: BoundDipole | None = None

    def force_features(self, displacements: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the forces of all parameters, shape (n_frames, 3·n_atoms, n_parameters).

        :param displacements: Å, shape (n_frames, n_atoms, 3).
        """
        parts = [self.second.force_features(displacements), *self.higher(displacements)]
        return np.concatenate(parts, axis=2)

    def higher(self, displacements: NDArray[np.float64]) -> list[NDArray[np.float64]]:
        """Return the forces beyond the second order and the gradients, an array for each kind that there is."""
        shape = (len(displacements), displacements[0].size, -1)
        parts = []
        if self.third is not None:
            parts.append(self.third.force_features(displacements))
        if self.fourth is not None:
            parts.append(self.fourth.force_features(displacements).reshape(shape))
        if self.dipole is not None:
            parts.append(self.dipole.forces(displacements).reshape(shape))
        return parts


def in_common(bases: Sequence[PotentialBasis]) -> PotentialBasis:
    """Return the basis of the first with every order that any of them has."""
    third = next((basis.third for basis in bases if basis.third is not None), None)
    fourth = next((basis.fourth for basis in bases if basis.fourth is not None), None)
    dipole = next((basis.dipole for basis in bases if basis.dipole is not None), None)
    return PotentialBasis(bases[0].second, third, fourth, dipole)
