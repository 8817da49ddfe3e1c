"""The force fields of one method, a member for each seed, from labelled snapshots to phonons with their errors.

This is for Python without AiiDA, and for force constants. The networks of the article, ML(DFT_E,F) with five seeds, are
trained by :mod:`aiida_mlcc.workflows.training.delta_train` with the protocol ``paper``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from ase import Atoms
from numpy.typing import ArrayLike, NDArray

from aiida_mlcc.science.errors.band_error_bars import path_budget
from aiida_mlcc.science.errors.frequency_error_bars import commensurate
from aiida_mlcc.science.fit.base_model import BaseForceConstants
from aiida_mlcc.science.fit.base_model import fitter as base_fitter
from aiida_mlcc.science.fit.delta import DeltaFit, FitError, FitInput
from aiida_mlcc.science.fit.dipole import dipole_beside
from aiida_mlcc.science.fit.force_constants import ForceConstants
from aiida_mlcc.science.fit.force_constants import fitter as delta_fitter
from aiida_mlcc.science.force_field import ForceField, add_delta
from aiida_mlcc.science.force_field.phonons import phonopy_of
from aiida_mlcc.science.labels.snapshots import Snapshots
from aiida_mlcc.science.phonons.branches import branches_of, path_matrices
from aiida_mlcc.science.phonons.dispersion import (
    BandPath,
    DensityOfStates,
    GivenPath,
    band_path,
    density_of_states,
    frequency_grid,
    special_points,
)

if TYPE_CHECKING:
    from phonopy import Phonopy

SEEDS = (5192, 5391, 5735)
"""Of the members, as the protocol ``balanced`` has them."""


@dataclass(frozen=True)
class SpecialPoint:
    """The modes at a special point of the Brillouin zone.

    :param qpoint: in units of the reciprocal vectors of the primitive cell.
    :param frequencies_cm1: mean of the members, cm⁻¹, shape (n_modes,), imaginary ones negative.
    :param sd_cm1: standard deviation of each, cm⁻¹, shape (n_modes,).
    :param commensurate: whether the training cell holds the wave vector. Where it does not, the frequencies are
        extrapolated, and no error says by how much they are wrong.
    """

    qpoint: tuple[float, float, float]
    frequencies_cm1: NDArray[np.float64]
    sd_cm1: NDArray[np.float64]
    commensurate: bool


@dataclass(frozen=True)
class Bands:
    """A phonon dispersion with its errors.

    :param method: of the energies, ``CCSD(T)`` for instance.
    :param path: where it lies.
    :param members_cm1: frequencies of each member, matched branch by branch, cm⁻¹, shape (n_members, n_points,
        n_modes), imaginary ones negative.
    :param sd_cm1: standard deviation of each frequency, cm⁻¹, shape (n_points, n_modes).
    :param contributions_cm1: what that is made of, each of its shape, see
        :data:`~aiida_mlcc.science.errors.frequency_error_bars.CONTRIBUTIONS`; what was not estimated is missing.
    :param held: label of a special point → whether the training cell holds it.
    """

    method: str
    path: BandPath
    members_cm1: NDArray[np.float64]
    sd_cm1: NDArray[np.float64]
    contributions_cm1: Mapping[str, NDArray[np.float64]]
    held: Mapping[str, bool]

    @property
    def frequencies_cm1(self) -> NDArray[np.float64]:
        """Mean of the members, cm⁻¹, shape (n_points, n_modes)."""
        return np.asarray(self.members_cm1.mean(axis=0))

    @property
    def special_points(self) -> dict[str, SpecialPoint]:
        """Label → modes, in the order in which the path meets the points; Γ with the LO branch of its first segment."""
        mean, first = self.frequencies_cm1, {label: index for index, label in reversed(self.path.labels)}
        return {
            label: SpecialPoint(qpoint, mean[first[label]], self.sd_cm1[first[label]], self.held[label])
            for label, qpoint in special_points(self.path).items()
        }


@dataclass(frozen=True)
class ForceFieldEnsemble:
    """Force fields of one method, one for each seed, with what their fits say about their errors.

    :param method: that they predict.
    :param primitive: the primitive cell of the crystal.
    :param training_cell: the cell of the labels.
    :param members: seed → force field: a base, or the sum of a base and Δ.
    :param bases: seed → the fit of the base, with its ``errors``.
    :param delta: the fit of Δ, with its ``errors`` and samples; None for the base itself.
    """

    method: str
    primitive: Atoms
    training_cell: Atoms
    members: Mapping[int, ForceField]
    bases: Mapping[int, DeltaFit] = field(repr=False)
    delta: DeltaFit | None = field(default=None, repr=False)

    def phonons(self, supercell_matrix: int | ArrayLike = 4, device: str = 'cpu') -> dict[str, Phonopy]:
        """Return name of each member → phonopy with its force constants.

        :param supercell_matrix: of the primitive cell, as phonopy reads it: one whole number, three, or 3×3.
        :param device: ``cpu`` or ``cuda``, where networks are evaluated.
        :raises aiida_mlcc.science.crystal.cells.CrystalError: as
            :func:`~aiida_mlcc.science.force_field.phonons.phonopy_of`.
        """
        return {
            f'seed_{seed}': phonopy_of(member, self.primitive, supercell_matrix, device)
            for seed, member in sorted(self.members.items())
        }

    def bands(
        self,
        supercell_matrix: int | ArrayLike = 4,
        points: int = 51,
        path: GivenPath | None = None,
        device: str = 'cpu',
    ) -> Bands:
        """Return the phonon dispersion with its errors.

        :param supercell_matrix: as for :meth:`phonons`.
        :param points: along the longest segment of the path, both ends included.
        :param path: ``points`` and ``path`` as :func:`~aiida_mlcc.science.phonons.dispersion.band_path` has them; by
            default the standard path of the crystal.
        :param device: as for :meth:`phonons`.
        :raises aiida_mlcc.science.crystal.cells.CrystalError: for a supercell or path that cannot be used.
        """
        phonons = self.phonons(supercell_matrix, device)
        along = band_path(self.primitive, points, given=path)
        matrices = [path_matrices(phonon, along) for phonon in phonons.values()]
        branches = branches_of(matrices)
        members = np.array([branches.frequencies_cm1(of_member) for of_member in matrices])
        found = path_budget(
            members,
            phonons,
            along.qpoints,
            along.segments,
            self.primitive,
            samples=None if self.delta is None else self.delta.samples,
            errors_of_base=[fit.errors for fit in self.bases.values()],
        )
        contributions = {name: values for name, values in found['contributions'].items() if values is not None}
        held = commensurate(special_points(along), self.primitive, self.training_cell)
        return Bands(self.method, along, members, found['sd'], contributions, held)

    def density_of_states(
        self,
        supercell_matrix: int | ArrayLike = 4,
        mesh: ArrayLike = (24, 24, 24),
        width_cm1: float = 5.0,
        spacing_cm1: float = 1.0,
        device: str = 'cpu',
    ) -> dict[str, DensityOfStates]:
        """Return name of each member → its harmonic density of states, all on one grid of frequencies.

        :param supercell_matrix: as for :meth:`phonons`.
        :param mesh: divisions of the Brillouin zone, three whole numbers.
        :param width_cm1: standard deviation of the Gaussian that each mode becomes, cm⁻¹.
        :param spacing_cm1: of the grid, cm⁻¹.
        :param device: as for :meth:`phonons`.
        """
        phonons = self.phonons(supercell_matrix, device)
        grid = frequency_grid(list(phonons.values()), mesh, spacing_cm1, width_cm1)
        return {name: density_of_states(phonon, mesh, grid, width_cm1) for name, phonon in phonons.items()}


def fit_ensemble(
    snapshots: Snapshots,
    primitive: Atoms,
    method: str,
    base_method: str | None = None,
    *,
    seeds: Sequence[int] = SEEDS,
    base: BaseForceConstants | None = None,
    delta: ForceConstants | None = None,
    born_charges: NDArray[np.float64] | None = None,
    dielectric: NDArray[np.float64] | None = None,
    reference: Snapshots | None = None,
) -> ForceFieldEnsemble:
    """Fit force fields of a method: a base of force constants for each seed, and one Δ that is added to each of them.

    The base is fitted to DFT forces (:func:`~aiida_mlcc.science.fit.base_model.fit_base`), each member to its own draw
    of the snapshots; Δ to the energies of `method` less those of the base
    (:func:`~aiida_mlcc.science.fit.force_constants.fit_delta`). The fits are those of the WorkChains with the kind
    ``force-constants``; networks need the runtime and are trained by jobs.

    :param snapshots: with forces of `base_method`, and energies of `method` on some or all frames.
    :param primitive: the primitive cell of the crystal, in the orientation of the snapshots.
    :param method: one of the methods of the snapshots; `base_method` for the base alone.
    :param base_method: the DFT method of the base; by default the first with forces.
    :param seeds: one for each member, different whole numbers.
    :param base: settings of the base, and `delta`, those of Δ; by default their defaults.
    :param born_charges: of a polar crystal, e, shape (n_sites, 3, 3) in the order of `primitive`; and `dielectric`, its
        high-frequency dielectric tensor, shape (3, 3). Without them LO is missing.
    :param reference: reference displacements with DFT forces, from which the base takes its second order, see
        :func:`~aiida_mlcc.science.labels.displacements.displaced_cells`.
    :raises FitError: where seeds, charges or labels allow no fit.
    :raises aiida_mlcc.science.labels.snapshots.SnapshotsError: where fewer than two frames have forces, or a method no
        label.
    :raises aiida_mlcc.science.crystal.cells.CrystalError: where a frame is not a supercell of `primitive`.
    """
    if not seeds or len(set(seeds)) != len(seeds):
        raise FitError(f'the seeds are {list(seeds)}: give one or more, all of them different')
    if (born_charges is None) != (dielectric is None):
        raise FitError('Born charges and the dielectric tensor belong together: give both or neither')
    starts_from = base_method or next(iter(snapshots.base_methods), None)
    if starts_from is None:
        raise FitError(f'no method with forces, only {", ".join(snapshots.methods) or "no labels"}: a base needs them')
    snapshots.labelled_by(method, starts_from)
    training_cell = snapshots.atoms(0)
    dipole = None
    if born_charges is not None and dielectric is not None:
        dipole = dipole_beside(primitive, born_charges, dielectric, training_cell)

    def given(settings: BaseForceConstants | ForceConstants, seed: int) -> FitInput:
        return FitInput(snapshots, starts_from, settings, seed, primitive=primitive, dipole=dipole, reference=reference)

    of_base = base or BaseForceConstants.of(BaseForceConstants.defaults())
    bases = {seed: base_fitter(given(of_base, seed))(starts_from) for seed in seeds}
    members = {seed: fit.force_field for seed, fit in bases.items()}
    if method == starts_from:
        return ForceFieldEnsemble(method, primitive, training_cell, members, bases)
    of_delta = delta or ForceConstants.of(ForceConstants.defaults())
    fitted = delta_fitter(given(of_delta, seeds[0]))(method)
    sums = {seed: add_delta(member, fitted.force_field) for seed, member in members.items()}
    return ForceFieldEnsemble(method, primitive, training_cell, sums, bases, fitted)
