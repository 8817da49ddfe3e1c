"""A base of force constants: second to fourth order in one fit to forces, beside the dipoles of a polar crystal."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from aiida_mlcc.science.crystal.cells import same_points
from aiida_mlcc.science.crystal.symmetry import SYMPREC
from aiida_mlcc.science.fit.base_correction import VibratingFrames
from aiida_mlcc.science.fit.delta import DeltaFit, FitError, FitInput, with_probe
from aiida_mlcc.science.fit.dipole import dipole_energies_and_forces
from aiida_mlcc.science.fit.fit_errors import FitErrors, ModeShift, ReferenceMode
from aiida_mlcc.science.fit.force_constants_basis import (
    decaying_basis,
    force_constants_basis,
    resolved_bases,
    symmetry_operations,
)
from aiida_mlcc.science.fit.force_regression import ForceRegression
from aiida_mlcc.science.fit.mapped_frames import MappedFrames, distinct_cells, evaluated, mapped_frames
from aiida_mlcc.science.fit.potential_basis import PotentialBasis
from aiida_mlcc.science.fit.reference import ReferenceFit, fit_reference
from aiida_mlcc.science.fit.ridge import blocked_folds
from aiida_mlcc.science.fit.third_order_basis import second_shell, third_order_basis
from aiida_mlcc.science.force_field import ForceField, Term, TrainedOn
from aiida_mlcc.science.force_field.dipole import DipoleModel
from aiida_mlcc.science.force_field.force_constants import add_up
from aiida_mlcc.science.force_field.fourth_order import bonds_within
from aiida_mlcc.science.labels.snapshots import Snapshots, SnapshotsError
from aiida_mlcc.science.phonons.modes import hotter_half, inverse_force_weights, star
from aiida_mlcc.science.settings import Settings, positive_numbers, setting

WORTH_A_NETWORK = 0.1
"""Of the root mean square force, left over on frames held out: more than that a network may learn."""

_WORTH_A_SHELL = 0.8
_TINY = 1e-12
_FOLDS = 5
_FRAMES_OF_A_BLOCK = 32
_STRETCHES = 40
_WORTH_SAYING_CM1 = 1.0
_DEVIATIONS = 2.0
_MEV = 1000.0
_SEED_OF_DRAWS = 5


@dataclass(frozen=True)
class BaseForceConstants(Settings):
    """How the force constants of a base are fitted to forces."""

    TITLE = 'force constants of a base'

    cutoff: float | None = setting(
        'Of the second order; null for the longest whose force constants the training cell tells apart, or a longer '
        'one if it predicts frames left out better by a fifth.',
        default=None,
        above=0,
        unit='Å',
        required=False,
    )
    ridge: list[float] = setting(
        'Penalties to choose from for each order, relative to the variance of the features.',
        default=[1e-7, 1e-4, 1e-2, 1e-1],
        check=positive_numbers,
    )
    resample: bool = setting(
        'Whether each seed draws the stretches of frames that it is fitted to, with replacement; the frames that it '
        'does not draw are held out.',
        default=True,
    )


def fitter(given: FitInput) -> Callable[[str], DeltaFit]:
    """Return what fits the base to the forces of a method, see :func:`fit_base`."""
    if given.primitive is None:
        raise FitError('force constants need the primitive cell of the crystal')
    assert isinstance(given.settings, BaseForceConstants)
    settings, primitive = given.settings, given.primitive

    def fit(method: str) -> DeltaFit:
        frames = with_forces(given.snapshots, method)
        everything = np.ones(frames.n_frames, dtype=np.int64)
        counts = drawn_frames(frames.n_frames, given.seed) if settings.resample else everything
        drawn = np.flatnonzero(counts)
        origin = _origin(frames, method, given.seed, given.reference)
        fitted = fit_base(
            frames.select(drawn), primitive, method, given.dipole, settings, counts[drawn], origin, given.reference
        )
        symbols = sorted(set(frames.symbols))
        constants = dict.fromkeys(symbols, fitted.height / frames.n_atoms)
        field = ForceField(fitted.terms, constants, method=method)
        asked = None if fitted.reference is None else _asked_by_energies(fitted, given.snapshots, primitive, method)
        judged = _judged(field, frames, primitive, method, counts, fitted.reference, asked)
        errors: FitErrors = {**fitted.errors, **judged}
        return DeltaFit(with_probe(field, frames), errors)

    return fit


@dataclass(frozen=True)
class ForceConstantsFit:
    """Force constants of a base.

    :param terms: force constants, then the dipoles if there are any.
    :param height: eV per cell, what is left of the energies in the mean.
    :param reference: the fit to reference displacements, if there are any.
    :param errors: ``n_parameters``, ``undetermined`` (parameters that the frames do not show, by order), ``rank``,
        ``cutoff_angstrom``, ``ridge`` (one for each order), ``forces_rmse_mev_angstrom`` (of the fit), and
        ``reference``, the errors of the reference displacements, if there are any.
    """

    terms: tuple[Term, ...]
    height: float
    errors: FitErrors
    reference: ReferenceFit | None = None


def fit_base(
    snapshots: Snapshots,
    primitive: Atoms,
    method: str,
    dipole: DipoleModel | None = None,
    settings: BaseForceConstants | None = None,
    counts: NDArray[np.int64] | None = None,
    trained_on: TrainedOn | None = None,
    reference: Snapshots | None = None,
) -> ForceConstantsFit:
    """Fit force constants to the forces of `method` that the dipoles leave, cold frames counting most.

    The third order reaches next-nearest neighbours, and the fourth goes along the same bonds. Ridges are chosen by
    predicting stretches of frames left out; they expect force constants to fall off with the distance.

    :param snapshots: of supercells of `primitive`, some or all with forces of `method`.
    :param primitive: the primitive cell of the crystal, in the orientation of the snapshots.
    :param method: a DFT method of the snapshots.
    :param dipole: see :func:`~aiida_mlcc.science.fit.dipole.dipole_beside`.
    :param settings: by default their defaults.
    :param counts: how often each frame with forces counts, shape (n_frames,); once each by default.
    :param trained_on: where the force constants come from, plain JSON, kept in their term.
    :param reference: displacements that the second order is fitted to in the end, see
        :func:`~aiida_mlcc.science.fit.reference.fit_reference`.
    :raises SnapshotsError: where fewer than two frames have forces.
    :raises aiida_mlcc.science.crystal.cells.CrystalError: where a frame is not a supercell of `primitive`.
    """
    chosen_settings = BaseForceConstants.of(BaseForceConstants.defaults()) if settings is None else settings
    frames = with_forces(snapshots, method)
    label = frames.labels[method]
    assert label.forces is not None
    groups, n_frames = mapped_frames(frames, primitive), frames.n_frames
    far, forces = np.zeros(n_frames), np.zeros_like(label.forces)
    if dipole is not None:
        far, forces = dipole_energies_and_forces(dipole, frames)
    candidates = _candidates(primitive, groups, chosen_settings.cutoff)
    counted = np.ones(n_frames, dtype=np.int64) if counts is None else counts
    _accumulate(candidates, groups, label.forces - forces, inverse_force_weights(label.forces), counted)
    best: tuple[float, Candidate, tuple[float, ...]] | None = None
    for candidate in candidates:
        ridges, left_out = candidate.regression.choose_ridges(chosen_settings.ridge)
        if best is None or left_out < _WORTH_A_SHELL * best[0]:
            best = left_out, candidate, ridges
    assert best is not None
    _, candidate, ridges = best
    basis, regression = candidate.basis, candidate.regression
    parameters = regression.solve(ridges)
    left = label.energies - far - candidate.energies @ parameters
    terms = (basis.term(parameters, trained_on), *(() if dipole is None else (dipole.term(),)))
    errors: FitErrors = {
        'n_parameters': basis.n_parameters,
        'undetermined': _unseen(basis, regression),
        'rank': regression.rank,
        'cutoff_angstrom': float(basis.second.cutoff),
        'ridge': list(ridges),
    }
    correction: ReferenceFit | None = None
    rmse = regression.root_mean_square(parameters)
    if reference is not None:
        cell = frames.atoms(int(groups[0].indices[0]))
        correction = fit_reference(reference, primitive, method, terms, frames_cell=cell)
        errors['reference'] = correction.errors
        energies, pulls = evaluated((terms[0], correction.term), frames, primitive)
        left = label.energies - far - energies
        rmse = float(np.sqrt(np.mean((label.forces - forces - pulls) ** 2)))
        terms = (*add_up([terms[0], correction.term]), *terms[1:])
    errors['forces_rmse_mev_angstrom'] = _MEV * rmse
    return ForceConstantsFit(terms, float(np.nanmean(left)), errors, correction)


@dataclass
class Candidate:
    """A basis that may be fitted.

    :param energies: of its parameters in each frame, shape (n_frames, n_parameters).
    """

    basis: PotentialBasis
    regression: ForceRegression
    energies: NDArray[np.float64]


def _candidates(primitive: Atoms, groups: Sequence[MappedFrames], cutoff: float | None) -> list[Candidate]:
    """Return the bases that may be fitted, the shortest first.

    The first is the longest that the cell resolves in full. In a small cell that may be nearest neighbours alone: the
    last describes every mode of the cell.
    """
    reach = second_shell(primitive)
    third, fourth = third_order_basis(primitive, reach), bonds_within(primitive, reach)
    if cutoff is None:
        seconds = [basis for basis, _ in resolved_bases(primitive, *distinct_cells(groups))]
    else:
        seconds = [force_constants_basis(primitive, cutoff)]
    n_frames = sum(len(group.indices) for group in groups)
    bases = [PotentialBasis(decaying_basis(second), third, fourth) for second in seconds]
    return [Candidate(b, ForceRegression(b.groups), np.zeros((n_frames, b.n_parameters))) for b in bases]


def _accumulate(
    candidates: Sequence[Candidate],
    groups: Sequence[MappedFrames],
    forces: NDArray[np.float64],
    weights: NDArray[np.float64],
    counts: NDArray[np.int64],
) -> None:
    """Give the frames to the regressions, a few at a time; what all bases share is computed once."""
    n_frames = len(forces)
    folds = blocked_folds(n_frames, min(_FOLDS, n_frames))
    for group in groups:
        bound = [candidate.basis.bind(group.site_map) for candidate in candidates]
        for start in range(0, len(group.indices), _FRAMES_OF_A_BLOCK):
            block = slice(start, start + _FRAMES_OF_A_BLOCK)
            here, moved = group.indices[block], group.displacements[block]
            flat = moved.reshape(len(here), -1)
            higher = bound[0].higher(moved)
            for candidate, on_cell in zip(candidates, bound, strict=True):
                features = np.concatenate([on_cell.second.force_features(moved), *higher], axis=2)
                # Euler: an energy of degree n is −Σ F·u/n.
                work = np.squeeze(flat[:, None] @ features, axis=1)
                candidate.energies[here] = -work / candidate.basis.degrees
                targets = forces[here].reshape(len(here), -1)
                candidate.regression.add(features, targets, weights[here], folds[here], counts[here])


def drawn_frames(n_frames: int, seed: int) -> NDArray[np.int64]:
    """Return how often each frame is drawn, stretches of a trajectory with replacement, shape (n_frames,).

    Some frames are never drawn; where chance draws all of them, or none of a few, it draws again.
    """
    generator = np.random.default_rng([seed, _SEED_OF_DRAWS])
    stretch = max(1, n_frames // _STRETCHES)
    for _ in range(100):
        starts = generator.integers(0, n_frames, -(-n_frames // stretch))
        frames = ((starts[:, None] + np.arange(stretch)) % n_frames).ravel()[:n_frames]
        counts = np.bincount(frames, minlength=n_frames)
        if n_frames > 2 and 2 <= int((counts > 0).sum()) < n_frames:
            return counts
    return np.ones(n_frames, dtype=np.int64)


def with_forces(snapshots: Snapshots, method: str) -> Snapshots:
    """Return the frames with forces of a method.

    :raises SnapshotsError: where they are fewer than two.
    """
    label = snapshots.labels.get(method)
    usable = (
        np.flatnonzero(np.isfinite(label.forces).all(axis=(1, 2)))
        if label is not None and label.forces is not None
        else np.zeros(0, dtype=np.int64)
    )
    if len(usable) < 2:
        raise SnapshotsError(f'{len(usable)} of {snapshots.n_frames} frames carry {method} forces: a base needs two')
    return snapshots.select(usable)


def _judged(
    field: ForceField,
    frames: Snapshots,
    primitive: Atoms,
    method: str,
    counts: NDArray[np.int64],
    reference: ReferenceFit | None = None,
    asked: NDArray[np.float64] | None = None,
) -> FitErrors:
    """Return the errors of a base on the frames that it was fitted to and on those held out, and what it leaves to the
    modes.

    :param asked: by energies, of the parameters of `reference`.
    """
    label = frames.labels[method]
    assert label.forces is not None
    energies, forces = evaluated(field.terms, frames, primitive)
    energies += field.constant_of(frames.symbols)
    drawn = counts > 0
    on_frames: dict[str, float] = {}
    held_out = np.flatnonzero(~drawn)
    hot = np.isin(np.arange(frames.n_frames), hotter_half(label.forces, held_out))
    for name, chosen in (('train', drawn), ('valid', ~drawn), ('valid_hot', hot)):
        if chosen.any():
            wrong = (energies - label.energies)[chosen]
            on_frames[f'{name}_energy_rmse_mev_atom'] = float(_MEV * np.sqrt(np.nanmean(wrong**2)) / frames.n_atoms)
            on_frames[f'{name}_forces_rmse_mev_angstrom'] = _milli_rms((forces - label.forces)[chosen])
    found: FitErrors = {
        'n_train': int(drawn.sum()),
        'n_valid': int((~drawn).sum()),
        'spread_mev_atom': float(_MEV * np.nanstd(label.energies) / frames.n_atoms),
        **cast(FitErrors, on_frames),
    }
    share = found.get('valid_forces_rmse_mev_angstrom', 0.0) / max(_milli_rms(label.forces), _TINY)
    if share > WORTH_A_NETWORK:
        found['remark'] = (
            f'force constants leave {100 * share:.0f} % of the forces on frames held out: a network on what they leave '
            'may help (`base.kind`: force-constants+mace)'
        )
    found['projected_residuals'], found['residuals_at_rest'] = [], True
    # The modes of each cell by its own frames, those of most frames first: one frame alone tells none.
    for group in sorted(mapped_frames(frames, primitive), key=lambda group: -len(group.indices)):
        if len(group.indices) > 1:
            vibrations = VibratingFrames.of(frames.select(group.indices), primitive, method)
            left = vibrations.residuals((label.forces - forces)[group.indices])
            found['projected_residuals'] += _elsewhere(left, found['projected_residuals'], primitive)
            found['residuals_at_rest'] &= vibrations.reach_rest
            if reference is not None and 'reference' not in found:
                modes = reference.mode_errors(vibrations.modes, vibrations.site_map, asked)
                remarks = [reference.errors.get('remark'), _disagreement(modes, method)]
                found['reference'] = {**reference.errors, 'modes': modes}
                if told := '; '.join(remark for remark in remarks if remark):
                    found['reference']['remark'] = told
    return found


def _asked_by_energies(
    fitted: ForceConstantsFit, snapshots: Snapshots, primitive: Atoms, method: str
) -> NDArray[np.float64] | None:
    """Return :meth:`ReferenceFit.asked_by_energies` of the frames that another method labels."""
    assert fitted.reference is not None
    others = [snapshots.labelled_by(method, other) for other in snapshots.methods if other != method]
    chosen = snapshots.select(np.unique(np.concatenate([np.zeros(0, dtype=np.int64), *others])))
    if not chosen.n_frames:
        return None
    left = chosen.labels[method].energies - evaluated(fitted.terms, chosen, primitive)[0]
    return fitted.reference.asked_by_energies(mapped_frames(chosen, primitive), left)


def _disagreement(modes: Sequence[ReferenceMode], method: str) -> str | None:
    """Return how far energies of frozen phonons are from the forces, in a sentence; None where they agree."""
    worst = max(modes, key=lambda mode: abs(mode.get('energy_shift_cm1', 0.0)), default=None)
    shift = 0.0 if worst is None else worst.get('energy_shift_cm1', 0.0)
    if worst is None or abs(shift) <= max(_WORTH_SAYING_CM1, _DEVIATIONS * worst['standard_error_cm1']):
        return None
    where = ' '.join(f'{component:.3g}' for component in worst['qpoint'])
    return (
        f'by the {method} energies of frozen phonons the mode at ({where}) is {abs(shift):.1f} cm⁻¹ '
        f'{"higher" if shift > 0 else "lower"} than by the forces: this is part of the error bars'
    )


def _elsewhere(entries: list[ModeShift], known: list[ModeShift], primitive: Atoms) -> list[ModeShift]:
    """Return the entries of wave vectors that symmetry makes different from all that are known."""
    rotations = symmetry_operations(primitive, SYMPREC)[0]
    qpoints = {tuple(entry['qpoint']) for entry in known}
    images = [star(np.array(qpoint), rotations) for qpoint in qpoints]
    return [entry for entry in entries if not any(same_points(each, entry['qpoint']).any() for each in images)]


def _unseen(basis: PotentialBasis, regression: ForceRegression) -> dict[str, int]:
    """Return how many parameters of each order the frames do not show, where there are any."""
    orders = ('second', 'gradients', 'third', 'fourth', 'dipoles')
    return {name: missing for name, missing in zip(orders, regression.unseen(basis.sizes), strict=True) if missing}


def _origin(frames: Snapshots, method: str, seed: int, reference: Snapshots | None) -> TrainedOn:
    found: TrainedOn = {} if reference is None else {'reference': reference.content_hash()}
    return {
        **found,
        'method': method,
        'minus': None,
        'labels': ['forces'],
        'sources': {method: dict(frames.labels[method].source)},
        'snapshots': frames.content_hash(),
        'seed': seed,
    }


def _milli_rms(values: NDArray[np.float64]) -> float:
    return float(_MEV * np.sqrt(np.mean(values**2)))
