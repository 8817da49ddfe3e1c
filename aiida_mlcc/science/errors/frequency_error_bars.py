"""The error bar of each frequency at the special points, and its parts; along a path: :mod:`.band_error_bars`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypedDict

import numpy as np
from ase import Atoms
from numpy.typing import ArrayLike, NDArray

from aiida_mlcc.science.crystal.cells import commensurate as multiples_of
from aiida_mlcc.science.crystal.cells import from_phonopy, map_onto_crystal, same_points, supercell
from aiida_mlcc.science.fit.delta_samples import DeltaSamples
from aiida_mlcc.science.fit.fit_errors import FitErrors, ModeShift, ReferenceMode
from aiida_mlcc.science.fit.force_constants_basis import symmetry_operations
from aiida_mlcc.science.phonons.branches import Branches, branches_of, point_matrices
from aiida_mlcc.science.phonons.modes import star

_WHOLE = 1e-4
_LARGEST_RATIO = 2.0
COUNTED = ('seeds', 'bootstrap', 'kinds', 'long_range', 'base')
"""What adds up to the error. ``seeds``: members of the base; ``bootstrap``: other snapshots of the same dynamics would
have given another Δ; ``kinds``: other kinds of Δ fitted to the same labels; ``long_range``: other cutoffs and dampings
would have given the dipoles of a polar crystal another weight; ``base``: how wrong the base is known to be, see
:func:`base_errors`."""

CONTRIBUTIONS = (*COUNTED, 'label_noise', 'long_range_statistical')
"""The last two are parts of ``bootstrap``: what the noise of the labels makes, whatever the snapshots, and what the
scatter of the dipoles' weight makes."""


def commensurate(
    qpoints: Mapping[str, ArrayLike], primitive: Atoms, training_cell: Atoms, symprec: float = 1e-5
) -> dict[str, bool]:
    """Return which wave vectors the training cell holds, itself or in the star of each.

    Where it does not, nothing that was learnt says what the frequency is: the model extrapolates.

    :param qpoints: label → wave vector in units of the reciprocal vectors of `primitive`.
    """
    multiples = multiples_of(primitive, training_cell)[0]
    rotations = symmetry_operations(primitive, symprec)[0]
    points = np.array([np.asarray(qpoint, dtype=float) for qpoint in qpoints.values()]).reshape(-1, 3)
    # A rotation takes a wave vector to R⁻ᵀ·q; where q fits the cell, so does −q.
    phases = np.einsum('rji,qj->qri', np.linalg.inv(rotations), points) @ multiples.T
    held = (np.abs(phases - np.rint(phases)).max(axis=2) < _WHOLE).any(axis=1)
    return dict(zip(qpoints, held.tolist(), strict=True))


def delta_spread(
    phonon: Any,
    samples: DeltaSamples,
    qpoints: Mapping[str, ArrayLike],
    directions: Mapping[str, ArrayLike] | None = None,
    branches: Branches | None = None,
) -> dict[str, NDArray[np.float64]]:
    """Return the standard deviation of the frequencies over other Δ that the labels allow, by cause.

    :param phonon: a phonopy instance with the force constants of base plus Δ; it is left as it was.
    :param qpoints: label → wave vector in units of the reciprocal vectors of the primitive cell.
    :param directions: label → from where it is approached, which matters at Γ with Born charges.
    :param branches: to which the modes are assigned; by default those of `phonon` itself.
    :returns: ``bootstrap`` and ``label_noise``, cm⁻¹, of shape (n_points, n_modes); of a polar crystal also
        ``long_range``, what other ways to fit the weight of the dipoles would change, and ``long_range_statistical``,
        the part of ``bootstrap`` that its scatter makes.
    """
    approached = directions or {}
    known = branches or branches_of([point_matrices(phonon, qpoints, approached)])
    return spread_on_branches(phonon, samples, [lambda: point_matrices(phonon, qpoints, approached)], [known])


def spread_on_branches(
    phonon: Any,
    samples: DeltaSamples,
    evaluations: Sequence[Callable[[], NDArray[np.complex128]]],
    branches: Sequence[Branches],
) -> dict[str, NDArray[np.float64]]:
    """Return what :func:`delta_spread` does, at all wave vectors of several evaluations.

    :param evaluations: each returns the dynamical matrices of `phonon`, as it is then, at some wave vectors.
    :param branches: those of each evaluation.
    """
    matrices = _Matrices.of(phonon, samples, lambda: np.concatenate([evaluate() for evaluate in evaluations]))
    ends = np.cumsum([len(known.sets) for known in branches])[:-1]

    def frequencies(parameters: NDArray[np.float64], shift: float = 0.0) -> NDArray[np.float64]:
        parts = np.split(matrices.with_delta(parameters, shift), ends)
        return np.concatenate([known.frequencies_cm1(part) for known, part in zip(branches, parts, strict=True)])

    spread = {
        name: np.std([frequencies(parameters) for parameters in drawn], axis=0, ddof=1)
        for name, drawn in (('bootstrap', samples.bootstrap), ('label_noise', samples.label_noise))
    }
    if samples.dipole is None or samples.weight_systematic is None:
        return spread
    fitted, weights = samples.parameters, samples.weights(samples.bootstrap)
    for name, sd in (
        ('long_range', float(samples.weight_systematic)),
        ('long_range_statistical', float(np.std(weights, ddof=1))),
    ):
        spread[name] = np.abs(frequencies(fitted, sd) - frequencies(fitted, -sd)) / 2
    return spread


@dataclass(frozen=True)
class _Matrices:
    """The dynamical matrices of base plus Δ, which are linear in the parameters of Δ.

    :param base: without Δ and without the non-analytical correction, THz², shape (n_points, n_modes, n_modes).
    :param blocks: of the force constants B_k, shape (n_second, n_points, n_modes, n_modes).
    :param dipole: of the dipoles on the supercell, of the shape of `base`; and those of the force constants that come
        closest to them on the training cell, `imitated`.
    :param correction: what the correction adds for the charges of the fit; it is proportional to w.
    """

    samples: DeltaSamples
    base: NDArray[np.complex128]
    blocks: NDArray[np.complex128]
    dipole: NDArray[np.complex128]
    imitated: NDArray[np.complex128]
    correction: NDArray[np.complex128]

    @classmethod
    def of(
        cls,
        phonon: Any,
        samples: DeltaSamples,
        evaluate: Callable[[], NDArray[np.complex128]],
    ) -> _Matrices:
        """Take the phonons of the Δ that was fitted apart; `phonon` is left as it was."""
        before, charges = phonon.force_constants, phonon.nac_params
        corrected = evaluate()
        full, cell = np.asarray(before), from_phonopy(phonon.supercell)
        folded = samples.folded(cell)
        rows = slice(None) if full.shape[0] == full.shape[1] else phonon.primitive.p2s_map

        def without(force_constants: NDArray[np.float64]) -> NDArray[np.complex128]:
            phonon.force_constants = force_constants
            return evaluate()

        try:
            phonon.nac_params = None
            whole = without(full)
            blocks = np.array([without(block) for block in folded[:, rows]]).reshape(-1, *whole.shape)
            dipole = imitated = np.zeros_like(whole)
            if samples.dipole is not None:
                dipole = without(samples.dipole.bind(cell).force_constants()[rows])
                imitated = np.asarray(np.tensordot(_imitated(samples), blocks, axes=1))
        finally:
            phonon.nac_params = charges
            phonon.force_constants = before
        second, free = np.split(samples.parameters[:-1], [len(blocks)])
        base = (whole - np.tensordot(second, blocks, axes=1) - free.sum() * dipole) / (1.0 + samples.parameters[-1])
        return cls(samples, base, blocks, dipole, imitated, corrected - whole)

    def with_delta(self, parameters: NDArray[np.float64], shift: float) -> NDArray[np.complex128]:
        """Return the matrices with another Δ that the labels allow.

        :param shift: of the weight of the dipoles; force constants within the cutoff make up for it in the training
            cell, where the labels were seen.
        """
        second, free = np.split(parameters[:-1], [len(self.blocks)])
        found = (1.0 + parameters[-1]) * self.base + np.tensordot(second, self.blocks, axes=1)
        found = found + free.sum() * self.dipole + shift * (self.dipole - self.imitated)
        weight, fitted = (float(self.samples.weights(one)) for one in (parameters, self.samples.parameters))
        scaled = self.samples.dipole is not None and weight + shift > 0 and fitted > 0
        return np.asarray(found + self.correction * ((weight + shift) / fitted if scaled else 1.0))


def _imitated(samples: DeltaSamples) -> NDArray[np.float64]:
    """Return the force constants that come closest to the dipoles on the training cell, shape (n_second,)."""
    assert samples.dipole is not None
    assert samples.multiples is not None
    cell = supercell(samples.primitive, samples.multiples.T)
    first = np.unique(map_onto_crystal(samples.primitive, cell).sites, return_index=True)[1]
    rows = samples.folded(cell)[:, first].reshape(len(samples.blocks), -1)
    target = samples.dipole.bind(cell).force_constants()[first].ravel()
    return np.asarray(np.linalg.lstsq(rows.T, target, rcond=None)[0])


def base_errors(
    members: Sequence[FitErrors],
    frequencies: Mapping[str, ArrayLike],
    qpoints: Mapping[str, ArrayLike],
    primitive: Atoms,
    symprec: float = 1e-5,
) -> dict[str, NDArray[np.float64] | None]:
    """Return how wrong each frequency is for what is known of the base, cm⁻¹; None where nothing is.

    With reference displacements it is what the scatter of their forces makes, and what the energies of frozen phonons
    say of the forces. Without, it is the shift that the forces
    ask for that the base leaves, beyond the standard error of that shift. A force constant that is wrong shifts ω², so
    a mode of another method is off by as much times the ratio of the two frequencies, at most by as much twice.

    :param members: the errors of the members of the base: ``reference`` → ``modes``, or ``projected_residuals``.
    :param frequencies: label → those of the method in question, cm⁻¹, ascending, shape (n_modes,).
    :param qpoints: label → wave vector in units of the reciprocal vectors of `primitive`.
    """
    rotations = symmetry_operations(primitive, symprec)[0]
    found: dict[str, NDArray[np.float64] | None] = {}
    for label, qpoint in qpoints.items():
        images = star(np.asarray(qpoint, dtype=float), rotations)
        values = np.asarray(frequencies[label], dtype=float)
        each = [_base_error(member, images, values) for member in members]
        known = [error for error in each if error is not None]
        found[label] = np.mean(known, axis=0) if known else None
    return found


def _base_error(
    member: FitErrors, images: NDArray[np.float64], frequencies: NDArray[np.float64]
) -> NDArray[np.float64] | None:
    """Return the errors of the modes at a wave vector by one member, shape of `frequencies`, if it knows them all."""
    entries: list[tuple[ReferenceMode | ModeShift, float]] = [
        (mode, float(np.hypot(mode['standard_error_cm1'], mode.get('energy_shift_cm1', 0.0))))
        for mode in member.get('reference', {}).get('modes', ())
    ]
    entries = entries or [
        (shift, float(np.sqrt(max(shift['shift_cm1'] ** 2 - shift['standard_error_cm1'] ** 2, 0.0))))
        for shift in member.get('projected_residuals', ())
    ]
    rows: list[tuple[float, float]] = []
    for entry, error in entries:
        if 'degeneracy' in entry and same_points(images, entry['qpoint'], _WHOLE).any():
            rows += [(entry['frequency_cm1'], error)] * entry['degeneracy']
    # The entries leave out the three rigid shifts at Γ, and modes along which no frame moves.
    n_shifts = 3 if same_points(images, np.zeros(3), _WHOLE).any() else 0
    if not rows or len(rows) + n_shifts != len(frequencies):
        return None
    of_base, errors = np.array(sorted([(0.0, 0.0)] * n_shifts + rows)).T
    ratio = np.abs(of_base) / np.maximum(np.abs(frequencies), 1.0)
    return np.asarray(errors * np.minimum(ratio, _LARGEST_RATIO))


class Budget(TypedDict):
    """The standard deviation of each frequency (cm⁻¹), and cause → its part of it, None where it was not estimated."""

    sd: NDArray[np.float64]
    contributions: dict[str, NDArray[np.float64] | None]


def budget(
    members: ArrayLike,
    alternatives: Mapping[str, ArrayLike] | None = None,
    delta: Mapping[str, NDArray[np.float64]] | None = None,
    base: NDArray[np.float64] | None = None,
) -> Budget:
    """Return the standard deviation of each frequency, and its :data:`CONTRIBUTIONS`.

    The total is the root of the sum of squares of those :data:`COUNTED`; the others are parts of the bootstrap and not
    added again. What was not estimated is None and does not count.

    :param members: cm⁻¹, shape (n_members, n_points, n_modes).
    :param alternatives: kind of Δ → frequencies of its members, of the same shape but for the number of members.
    :param delta: what :func:`delta_spread` returned.
    :param base: cm⁻¹, shape (n_points, n_modes), from :func:`base_errors`; NaN where nothing is known.
    """
    values = np.asarray(members, dtype=float)
    means = [
        values.mean(axis=0),
        *(np.asarray(other, dtype=float).mean(axis=0) for other in (alternatives or {}).values()),
    ]
    of_delta = delta or {}
    estimated: dict[str, NDArray[np.float64] | None] = {
        'seeds': _deviation(values),
        'kinds': _deviation(means),
        'base': base,
        **{name: np.asarray(spread) for name, spread in of_delta.items()},
    }
    contributions = {name: estimated.get(name) for name in CONTRIBUTIONS}
    squares = [contributions[name] for name in COUNTED]
    total = np.sqrt(sum((np.nan_to_num(part) ** 2 for part in squares if part is not None), np.zeros(values.shape[1:])))
    return {'sd': total, 'contributions': contributions}


def _deviation(values: Sequence[NDArray[np.float64]] | NDArray[np.float64]) -> NDArray[np.float64] | None:
    return np.std(values, axis=0, ddof=1) if len(values) > 1 else None
