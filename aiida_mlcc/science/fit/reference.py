"""Harmonic force constants from reference displacements, on top of what frames of thermal motion have shown.

A frame of a small cell shows the modes of that cell and no others. One displaced atom in a larger cell shows force
constants of the range of that cell, one by one, and without the anharmonicity of hot frames. What is left of it shows
where an atom comes displaced along one line in several lengths t: forces over t are then extrapolated to t = 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from ase import Atoms
from numpy.typing import NDArray
from scipy import constants

from aiida_mlcc.science.crystal.cells import (
    CrystalError,
    SiteMap,
    commensurate_qpoints,
    map_onto_crystal,
    shortest_distance,
)
from aiida_mlcc.science.fit.displacement_amplitudes import NEXT_POWER, extrapolations, patterns
from aiida_mlcc.science.fit.fit_errors import ReferenceErrors, ReferenceMode
from aiida_mlcc.science.fit.force_constants_basis import ForceConstantsBasis, decaying_basis, resolved_bases
from aiida_mlcc.science.fit.harmonic_model import HarmonicModel, mode_sensitivities
from aiida_mlcc.science.fit.mapped_frames import MappedFrames, frame_displacements
from aiida_mlcc.science.fit.potential_basis import PotentialBasis
from aiida_mlcc.science.fit.ridge import Prepared, Problem, choose_by_evidence, prepare, uncertainty
from aiida_mlcc.science.force_field import Term, TrainedOn
from aiida_mlcc.science.force_field.evaluate import energies_and_forces
from aiida_mlcc.science.force_field.force_constants import ForceConstantsModel
from aiida_mlcc.science.labels.displacements import LARGEST_SHARE
from aiida_mlcc.science.labels.snapshots import Snapshots, SnapshotsError
from aiida_mlcc.science.phonons.modes import Mode

RIDGES = (1e-12, 1e-10, 1e-8, 1e-6, 1e-4, 1e-2)
_REST_SHARE = 0.5
_MEV = 1000.0
_GOOD_PHASE = 0.35
_TIME_GRID_FS = 0.05
_DIGITS = 4
_SMALLEST_SHARE = 1e-3


@dataclass(frozen=True)
class ReferenceFit:
    """Force constants of second order in the cell of the displacements.

    :param errors: ``n_displacements``, ``n_atoms`` (of the cell), ``cutoff_angstrom``, ``n_parameters``, ``rank``,
        ``ridge``, ``forces_rmse_mev_angstrom`` (what is left of the forces) and, where the cell lacks wave vectors of
        the frames' cell, ``remark``.
    :param basis: of its parameters, and their `covariance` by what symmetry shows of the scatter of the forces, and by
        what the extrapolation to no displacement does not know.
    """

    term: Term
    errors: ReferenceErrors
    basis: ForceConstantsBasis
    covariance: NDArray[np.float64]

    def mode_errors(
        self, modes: Sequence[Mode], site_map: SiteMap, asked: NDArray[np.float64] | None = None
    ) -> list[ReferenceMode]:
        """Return of each mode of the training cell what is known of the error of its frequency.

        :param asked: of :meth:`asked_by_energies`.
        """
        slopes = mode_sensitivities(modes, self.basis, site_map)
        errors = np.sqrt(np.maximum(np.einsum('mk,kl,ml->m', slopes, self.covariance, slopes), 0.0))
        found: list[ReferenceMode] = [
            {
                'qpoint': list(mode.qpoint),
                'frequency_cm1': mode.frequency_cm1,
                'degeneracy': mode.degeneracy,
                'standard_error_cm1': float(error),
            }
            for mode, error in zip(modes, errors, strict=True)
        ]
        if asked is not None:
            for entry, shift in zip(found, slopes @ asked, strict=True):
                entry['energy_shift_cm1'] = float(shift)
        return found

    def asked_by_energies(
        self, frames: Sequence[MappedFrames], left: NDArray[np.float64]
    ) -> NDArray[np.float64] | None:
        """Return what energies of frozen phonons ask to be added to the parameters, shape (n_second,); None without.

        Forces and energies of one program differ where its mesh or its convergence is too coarse for one of them. Only
        patterns that come with several amplitudes are used.

        :param left: the energies that the force field leaves, eV per cell, shape (n_frames,); NaN where there is none.
        """
        features, curvatures = [], []
        for pattern in extrapolations(frames, left):
            largest = pattern.group.displacements[pattern.members[np.abs(pattern.amplitudes).argmax()]][None]
            pulls = self.basis.force_features(pattern.group.site_map, largest)[0, :, : self.basis.n_second]
            features.append(-largest.ravel() @ pulls / 2)
            curvatures.append(pattern.harmonic)
        if not features:
            return None
        return np.asarray(np.linalg.lstsq(np.array(features), np.array(curvatures), rcond=_SMALLEST_SHARE)[0])


@dataclass(frozen=True)
class ReferenceForces:
    """What displacements change of the forces of one supercell.

    :param frames: at rest or displaced.
    :param displaced: displacements from the crystal at rest, Å, shape (n_displacements, n_atoms, 3).
    :param forces: what they change of the forces, eV/Å, of the same shape.
    """

    frames: Snapshots
    site_map: SiteMap
    displaced: NDArray[np.float64]
    forces: NDArray[np.float64]

    @classmethod
    def of(cls, reference: Snapshots, primitive: Atoms, method: str) -> ReferenceForces:
        """Take the forces of the undisplaced cell from the others, if it is there.

        :raises SnapshotsError: where nothing displaced has forces of `method`.
        :raises CrystalError: for frames of another crystal, strained, of several cells, or displaced too far.
        """
        label = reference.labels.get(method)
        if label is None or label.forces is None:
            there = ', '.join(reference.methods) or 'none'
            raise SnapshotsError(f'the reference displacements have no {method} forces; their labels: {there}')
        frames = reference.select(np.flatnonzero(np.isfinite(label.forces).all(axis=(1, 2))))
        if not frames.n_frames:
            raise SnapshotsError(f'no reference displacement has {method} forces')
        forces = frames.labels[method].forces
        assert forces is not None
        site_map, displaced = frame_displacements(frames, primitive)
        lengths = np.linalg.norm(displaced, axis=2).max(axis=1)
        rest = int(lengths.argmin())
        others = np.flatnonzero(np.arange(len(lengths)) != rest)
        if len(others) and lengths[rest] < _REST_SHARE * float(np.median(lengths[others])):
            displaced, forces, lengths = (
                displaced[others] - displaced[rest],
                forces[others] - forces[rest],
                lengths[others],
            )
            frames = frames.select([rest, *others])
        elif lengths[rest] == 0:
            raise SnapshotsError('the reference displacements hold the crystal at rest and nothing displaced')
        if (farthest := float(lengths.max())) > (limit := LARGEST_SHARE * shortest_distance(primitive)):
            raise CrystalError(
                f'a reference displacement moves an atom by {farthest:.2f} Å, more than {limit:.2g} Å, a tenth of the '
                'shortest distance between atoms: what it shows is not harmonic'
            )
        return cls(frames, site_map, displaced, forces)

    def left_by(self, terms: Sequence[Term]) -> NDArray[np.float64]:
        """Return what `terms` leave of the forces, eV/Å, shape (n_displacements, n_atoms, 3)."""
        if not terms:
            return self.forces
        found = energies_and_forces(terms, self.frames)[1]
        has_rest = len(found) > len(self.forces)
        return self.forces - (found[1:] - found[0] if has_rest else found)


def method_of_reference(reference: Snapshots) -> str:
    """Return the method whose forces reference displacements have.

    :raises SnapshotsError: where it is not one.
    """
    methods = [method for method, label in reference.labels.items() if label.forces is not None]
    if len(methods) != 1:
        raise SnapshotsError(
            f'reference displacements have the forces of one method, these of {", ".join(methods) or "none"}'
        )
    return methods[0]


def fit_reference(
    reference: Snapshots,
    primitive: Atoms,
    method: str,
    terms: Sequence[Term] = (),
    trained_on: TrainedOn | None = None,
    frames_cell: Atoms | None = None,
) -> ReferenceFit:
    """Fit force constants of second order to what `terms` leave of the forces of reference displacements.

    They reach as far as the cell of the displacements tells anything apart, and where it does not they fall off with
    the distance. The ridge is chosen by the evidence.

    :param reference: one supercell, displaced, and at rest if its forces are to be subtracted.
    :param terms: what is known already, of any range.
    :param frames_cell: the cell that `terms` were fitted in, whose wave vectors the displacements should hold.
    :raises SnapshotsError: where nothing displaced has forces of `method`.
    :raises CrystalError: for frames of another crystal, strained, of several cells, or displaced too far.
    """
    seen = ReferenceForces.of(reference, primitive, method)
    displaced, left, unknown = extrapolated(seen.displaced, seen.left_by(terms))
    basis = decaying_basis(resolved_bases(primitive, seen.site_map)[-1][0])
    potential = PotentialBasis(basis)
    count, n_components = len(left), left[0].size
    mapped = MappedFrames(np.arange(count), seen.site_map, displaced)
    features = potential.force_features([mapped], count).reshape(count * n_components, -1)
    second = features[:, : potential.n_second]

    def prepared(forces: NDArray[np.float64]) -> Prepared:
        groups = np.ones(potential.n_second, dtype=np.int64)
        frame_of_row = np.repeat(np.arange(count), n_components)
        return prepare(Problem(second, forces.ravel(), groups, frame_of_row, np.zeros(len(second), dtype=bool)))

    problem = prepared(left)
    ridge = choose_by_evidence(problem, RIDGES)[0]
    parameters = np.zeros(potential.n_parameters)
    parameters[: potential.n_second] = problem.solve(ridge)[0]
    residuals = left.ravel() - features @ parameters
    errors: ReferenceErrors = {
        'n_displacements': len(seen.displaced),
        'n_atoms': seen.frames.n_atoms,
        'cutoff_angstrom': float(basis.cutoff),
        'n_parameters': potential.n_second,
        'rank': problem.rank,
        'ridge': list(ridge),
        'forces_rmse_mev_angstrom': float(_MEV * np.sqrt(np.mean(residuals**2))),
    }
    if frames_cell is not None and (lost := _wave_vectors_lost(primitive, frames_cell, seen.site_map)):
        errors['remark'] = (
            f'the cell of the reference displacements lacks {lost} wave vectors of the training cell: there the base '
            'is that of the frames; take a multiple of the training cell (`reference.supercell_matrix`)'
        )
    covariance = uncertainty(problem, ridge).covariance
    if unknown.any():
        wrong = prepared(unknown).solve(ridge)[0]
        covariance = covariance + np.outer(wrong, wrong)
    return ReferenceFit(potential.term(parameters, trained_on), errors, basis, covariance)


def extrapolated(
    displaced: NDArray[np.float64], forces: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return displacements whose forces are harmonic where several lengths of one pattern tell what is not.

    Patterns with two lengths t or more become one displacement each, the longest: F(t)/t = a + c·t², both ways in the
    mean, has a alone of the force constants. Other displacements stay as they are.

    :param displaced: Å, shape (n, n_atoms, 3), and their `forces`, eV/Å, of the same shape.
    :returns: displacements and forces, each of shape (m, n_atoms, 3), and what a fifth order beyond c would make of
        the forces, which two lengths cannot tell from c: its coefficient is expected to be a third of c.
    """
    flat, rows = displaced.reshape(len(displaced), -1), forces.reshape(len(forces), -1)
    kept = np.ones(len(flat), dtype=bool)
    found: list[tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]] = []
    for members, amplitudes in patterns(flat):
        lengths, of_length = np.unique(np.round(np.abs(amplitudes), _DIGITS), return_inverse=True)
        if len(lengths) < 2:
            continue
        slopes = rows[members] / amplitudes[:, None]
        means = np.array([slopes[of_length == number].mean(axis=0) for number in range(len(lengths))])
        powers = np.linalg.pinv(np.column_stack([np.ones(len(lengths)), lengths**2]))
        harmonic, cubic = powers @ means
        longest = int(np.abs(amplitudes).argmax())
        way = np.sign(amplitudes[longest])
        found.append((flat[members[longest]], way * harmonic, NEXT_POWER * (powers @ lengths**4)[0] * way * cubic))
        kept[members] = False
    alone = [(flat[index], rows[index], np.zeros_like(rows[index])) for index in np.flatnonzero(kept)]
    positions, pulls, unknown = (
        np.array(part).reshape(-1, *displaced.shape[1:]) for part in zip(*found, *alone, strict=True)
    )
    return positions, pulls, unknown


def reference_model(reference: Snapshots, primitive: Atoms, method: str, cell: Atoms) -> HarmonicModel:
    """Return the harmonic model of reference displacements in another cell, such as the training cell.

    :param cell: the supercell at rest whose modes are wanted.
    :raises SnapshotsError: and :class:`CrystalError` as :func:`fit_reference`.
    """
    term = fit_reference(reference, primitive, method).term
    return HarmonicModel(ForceConstantsModel(term), map_onto_crystal(primitive, cell))


def longest_time_step(highest_cm1: float) -> float:
    """Return the time step (fs) in which a mode turns by 0.35 rad, in steps of 0.05 fs.

    :raises CrystalError: where no mode has a frequency.
    """
    if highest_cm1 <= 0:
        raise CrystalError('every mode of the crystal is imaginary: no time step follows from that')
    step = _GOOD_PHASE / (2 * np.pi * constants.c * constants.femto / constants.centi * highest_cm1)
    return float(max(np.floor(step / _TIME_GRID_FS), 1) * _TIME_GRID_FS)


def _wave_vectors_lost(primitive: Atoms, frames_cell: Atoms, reference: SiteMap) -> int:
    """Return how many wave vectors of the frames' cell that of the displacements does not hold."""
    wanted = commensurate_qpoints(map_onto_crystal(primitive, frames_cell).multiples)
    # q is held where every vector of the supercell is a whole number of its waves.
    waves = wanted @ reference.multiples.T
    return int((np.abs(waves - np.rint(waves)).max(axis=1) > 1e-6).sum())
