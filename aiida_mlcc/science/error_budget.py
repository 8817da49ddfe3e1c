"""How far each frequency can be trusted, and what its error is made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from ase import Atoms
from numpy.typing import ArrayLike, NDArray

from aiida_mlcc.science.branches import Branches, branches_of, point_matrices
from aiida_mlcc.science.crystal import commensurate as multiples_of
from aiida_mlcc.science.crystal import from_phonopy
from aiida_mlcc.science.fit.delta_samples import DeltaSamples
from aiida_mlcc.science.fit.force_constants_basis import symmetry_operations
from aiida_mlcc.science.modes import star

_WHOLE = 1e-4
CONTRIBUTIONS = ('seeds', 'bootstrap', 'kinds', 'label_noise')
"""``seeds``: members of the base; ``bootstrap``: other snapshots of the same dynamics would have given another Δ;
``kinds``: other kinds of Δ fitted to the same labels; ``label_noise``: the part of ``bootstrap`` that the noise of the
labels makes, whatever the snapshots."""


def commensurate(
    qpoints: Mapping[str, ArrayLike], primitive: Atoms, training_cell: Atoms, symprec: float = 1e-5
) -> dict[str, bool]:
    """Return which wave vectors the training cell holds, itself or in the star of each.

    Where it does not, nothing that was learnt says what the frequency is: the model extrapolates.

    :param qpoints: label → wave vector in units of the reciprocal vectors of `primitive`.
    """
    multiples = multiples_of(primitive, training_cell)[0]
    rotations = symmetry_operations(primitive, symprec)[0]
    found = {}
    for label, qpoint in qpoints.items():
        phases = star(np.asarray(qpoint, dtype=float), rotations) @ multiples.T
        found[label] = bool((np.abs(phases - np.rint(phases)).max(axis=1) < _WHOLE).any())
    return found


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
    :returns: ``bootstrap`` and ``label_noise``, cm⁻¹, of shape (n_points, n_modes).
    """
    before = phonon.force_constants
    full = np.asarray(before)
    folded = samples.folded(from_phonopy(phonon.supercell))
    if full.shape[0] != full.shape[1]:
        folded = folded[:, phonon.primitive.p2s_map]
    fitted = np.tensordot(samples.parameters[:-1], folded, axes=1)
    base = (full - fitted) / (1.0 + samples.parameters[-1])
    approached = directions or {}
    known = branches or branches_of([point_matrices(phonon, qpoints, approached)])
    spread = {}
    for name, drawn in (('bootstrap', samples.bootstrap), ('label_noise', samples.label_noise)):
        found = []
        for parameters in drawn:
            delta = np.tensordot(parameters[:-1], folded, axes=1)
            phonon.force_constants = (1.0 + parameters[-1]) * base + delta
            found.append(known.frequencies_cm1(point_matrices(phonon, qpoints, approached)))
        spread[name] = np.std(found, axis=0, ddof=1)
    phonon.force_constants = before
    return spread


def budget(
    members: ArrayLike,
    alternatives: Mapping[str, ArrayLike] | None = None,
    delta: Mapping[str, NDArray[np.float64]] | None = None,
) -> dict[str, Any]:
    """Return the standard deviation of each frequency, and its :data:`CONTRIBUTIONS`.

    The total is the root of the sum of squares of seeds, bootstrap and kinds. The noise of the labels is a part of the
    bootstrap and not added again. What was not estimated is None and does not count.

    :param members: cm⁻¹, shape (n_members, n_points, n_modes).
    :param alternatives: kind of Δ → frequencies of its members, of the same shape but for the number of members.
    :param delta: what :func:`delta_spread` returned.
    """
    values = np.asarray(members, dtype=float)
    means = [
        values.mean(axis=0),
        *(np.asarray(other, dtype=float).mean(axis=0) for other in (alternatives or {}).values()),
    ]
    contributions: dict[str, NDArray[np.float64] | None] = {
        'seeds': _deviation(values),
        'bootstrap': None if delta is None else np.asarray(delta['bootstrap']),
        'kinds': _deviation(means),
        'label_noise': None if delta is None else np.asarray(delta['label_noise']),
    }
    squares = [contributions[name] for name in CONTRIBUTIONS[:3]]
    total = np.sqrt(sum((part**2 for part in squares if part is not None), np.zeros(values.shape[1:])))
    return {'sd': total, 'contributions': contributions}


def _deviation(values: Sequence[NDArray[np.float64]] | NDArray[np.float64]) -> NDArray[np.float64] | None:
    return np.std(values, axis=0, ddof=1) if len(values) > 1 else None
