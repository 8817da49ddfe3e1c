"""Whose forces are in a file with energies: judged by the energies, in sentences."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aiida_mlcc.science.dataset.energies_and_forces import (
    AGREE,
    CONTRADICT,
    FEWEST,
    TOO_FEW,
    UNCLEAR,
    Comparison,
    Frames,
    Reference,
    compare,
    forces_follow,
    is_clear_factor,
    known_factor,
    same_forces,
    split_by_closeness,
)
from aiida_mlcc.science.dataset.energy_file import DatasetError
from aiida_mlcc.science.dataset.label_units import force_factors
from aiida_mlcc.science.labels.snapshots import Snapshots

_SOME_FORCE = 1e-3
_ABOUT = 0.15
_CLOSELY = 0.03
_USUAL = (0.8, 1.25)


@dataclass(frozen=True)
class OwnForces:
    """The forces in a file that are those of its method.

    :param forces: eV/Å, shape (n_frames, n_atoms, 3), NaN where a frame has none that are the method's.
    :param whose: ``own``, ``base``, ``own and base``, ``zero``, ``refused`` (the energies contradict them) or ``none``.
    :param remarks: what else is to be known.
    """

    forces: NDArray[np.float64]
    whose: str
    remarks: tuple[str, ...] = ()


def check_base(snapshots: Snapshots, method: str, file: str) -> list[str]:
    """Compare the energies and forces of the base, and return what is to be known of it.

    :raises DatasetError: where they contradict each other, with the factor between them and the units that explain it.
    """
    label = snapshots.labels[method]
    assert label.forces is not None
    found = compare(_frames(snapshots), label.energies, label.forces)
    if wrong := _contradiction(found, snapshots.symbols, method):
        raise DatasetError(f'{file}: {wrong}')
    return [] if (remark := _remark(found, method)) is None else [remark]


def own_forces(snapshots: Snapshots, base_method: str, method: str, forces: NDArray[np.float64]) -> OwnForces:
    """Tell which of the forces in the file of `method` are the method's own.

    Forces that are the base's to the decimals written are the base's; otherwise the energies decide. Frames in which
    symmetry keeps the atoms at rest have the same forces by any method: the other frames decide.

    :param snapshots: the frames of the file that label the base, with the energies of `method` and of all other
        methods known so far.
    :param forces: eV/Å, shape (n_frames, n_atoms, 3), NaN where a frame has none.
    """
    base = snapshots.labels[base_method].forces
    assert base is not None
    present = np.asarray(np.isfinite(forces).all(axis=(1, 2)))
    moving = present & (np.abs(base).max(axis=(1, 2)) > _SOME_FORCE)
    # Where no frame moves, none can tell.
    judging = moving if moving.any() else present
    own = forces.copy()
    if not present.any():
        return OwnForces(own, 'none')
    if not forces[judging].any():
        return OwnForces(np.full_like(forces, np.nan), 'zero')
    equal = present & same_forces(np.where(present[:, None, None], forces, np.inf), base)
    if equal[judging].all():
        return OwnForces(np.full_like(forces, np.nan), 'base')
    copied = equal & judging
    own[copied] = np.nan
    frames, energies = _frames(snapshots), snapshots.labels[method].energies
    rest = np.flatnonzero(moving & ~equal)
    found = compare(frames.select(rest), energies[rest], own[rest])
    if wrong := _contradiction(found, snapshots.symbols, method):
        return OwnForces(np.full_like(forces, np.nan), 'refused', (wrong,))
    remarks = [] if (remark := _remark(found, method)) is None else [remark]
    close = split_by_closeness(own[rest] - base[rest], base[rest])
    groups = [rest[close], rest[~close]] if close.sum() >= FEWEST else [rest]
    verdicts = []
    for group in groups:
        verdict, of = _follow(snapshots, frames, base_method, method, group, own)
        verdicts.append(verdict)
        if verdict == CONTRADICT:
            own[group] = np.nan
            remarks.append(_foreign(method, of, group, whole=len(group) == len(rest)))
    if not np.isfinite(own[judging]).any():
        return OwnForces(np.full_like(forces, np.nan), 'refused', tuple(remarks))
    if found.verdict == AGREE and verdicts[-1] in (TOO_FEW, UNCLEAR):
        remarks.append(
            f'the energies do not tell whether the forces are those of {method} or of {base_method}: stored as those '
            f'of {method}'
        )
    return OwnForces(own, 'own and base' if copied.any() or CONTRADICT in verdicts else 'own', tuple(remarks))


def _follow(
    snapshots: Snapshots,
    frames: Frames,
    base_method: str,
    method: str,
    group: NDArray[np.int64],
    forces: NDArray[np.float64],
) -> tuple[str, str]:
    """Return the verdict on forces, and the method whose they are where they are not those of `method`."""
    chosen = frames.select(group)
    labels = snapshots.labels
    base_forces = labels[base_method].forces
    assert base_forces is not None
    base = Reference(labels[base_method].energies[group], base_forces[group])
    energies = labels[method].energies[group]
    verdict = forces_follow(chosen, energies, forces[group], base)
    if verdict == CONTRADICT:
        return CONTRADICT, base_method
    for name in (name for name in snapshots.methods if name not in (base_method, method)):
        known = labels[name].energies[group]
        both = np.flatnonzero(np.isfinite(known))
        reference = Reference(known[both], None)
        of_base = Reference(base.energies[both], base_forces[group][both])
        if forces_follow(chosen.select(both), energies[both], forces[group][both], of_base, reference) == CONTRADICT:
            return CONTRADICT, name
    return verdict, method


def _foreign(method: str, of: str, group: NDArray[np.int64], whole: bool) -> str:
    which = 'the forces' if whole else f'the forces of {len(group)} frames'
    return (
        f'{which} do the work that the energies of {of} ask for, and not those of {method}: they are not those of '
        f'{method}, and are not stored'
    )


def _contradiction(found: Comparison, symbols: Sequence[str], method: str) -> str | None:
    """Return how energies and forces contradict each other, None where they do not."""
    if found.slope is None or found.verdict in (TOO_FEW, UNCLEAR):
        return None
    factors = force_factors(symbols)
    if found.verdict == CONTRADICT and found.correlation is not None and found.correlation < 0.5:
        return (
            f'the energies of {method} do not follow the work of the forces beside them (correlation '
            f'{np.sqrt(found.correlation):.2f}): the forces are of other structures, or of another calculation'
        )
    if found.verdict == CONTRADICT:
        name = known_factor(found.slope, factors, _ABOUT)
    else:
        name = known_factor(found.slope, factors, _CLOSELY) if is_clear_factor(found) else None
        if name is None:
            return None
    said = (
        f'the energies of {method} change by {found.slope:.4g} eV for each eV of work against the forces beside them, '
        'instead of 1 eV'
    )
    if name is None:
        return f'{said}: energies or forces are in other units, or of another calculation'
    energy, force = name.split(',')
    what = 'the forces are gradients, of the opposite sign' if name == 'eV,-eV/Å' else f'as {energy} and {force} would'
    return f'{said}, {what}. If so, convert them with --units "{method}={name}"'


def _remark(found: Comparison, method: str) -> str | None:
    if found.slope is None:
        return None
    if found.verdict == TOO_FEW:
        return f'too few frames with energies and forces of {method} to compare the two: {FEWEST} are needed'
    correlation = 0.0 if found.correlation is None else np.sqrt(found.correlation)
    if found.verdict == UNCLEAR or not _USUAL[0] < found.slope < _USUAL[1]:
        return (
            f'the energies of {method} change by {found.slope:.2f} eV for each eV of work against the forces beside '
            f'them (correlation {correlation:.2f}); 1 is expected of a crystal that is nearly harmonic'
        )
    return None


def _frames(snapshots: Snapshots) -> Frames:
    return Frames.of(snapshots.symbols, snapshots.cells[0], snapshots.positions)
