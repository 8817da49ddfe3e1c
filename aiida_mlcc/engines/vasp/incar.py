"""What is asked of VASP, as INCAR tags: molecular dynamics, single points, and the steps towards Cc4s."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import numpy as np

from aiida_mlcc.runtime.md.settings import MD

if TYPE_CHECKING:
    from aiida_mlcc.engines.vasp.settings import VaspForces, VaspIntegrals, VaspSettings

Tag = str | bool | int | float | Sequence[float] | None
"""The value of a tag of INCAR."""

Tags = dict[str, Tag]
Further = dict[str, Tag | Tags]
"""Tags besides the settings, and under the name of a step those of it alone."""

_FUNCTIONALS = {'LDA': 'CA', 'PBE': 'PE'}
_HARTREE_FOCK: Tags = {'LHFCALC': True, 'AEXX': 1.0, 'ALDAC': 0.0, 'AGGAC': 0.0}
_LARGEST_SEED = 900_000_000

CHAIN = (
    'dft',
    'hartree_fock',
    'virtuals',
    'pair_energies',
    'natural_orbitals',
    'recanonicalise',
    'dump',
)
"""The steps of the Cc4s user manual (VASP interface to Cc4s), each from the orbitals of the one before."""

MESH = ('mesh_dft', 'mesh_hartree_fock')
"""The Hartree–Fock energy on its own k-mesh."""

STEPS = (*CHAIN, *MESH)
SELF_CONSISTENT = ('dft', 'hartree_fock', *MESH)

_ALL_ORBITALS = ('virtuals', 'pair_energies', 'natural_orbitals')
_STEP_TAGS: dict[str, Tags] = {
    'dft': {'LWAVE': True},
    'hartree_fock': {**_HARTREE_FOCK, 'ALGO': 'All', 'LWAVE': True},
    'virtuals': {**_HARTREE_FOCK, 'ALGO': 'Exact', 'NELM': 1, 'LWAVE': True},
    'pair_energies': {**_HARTREE_FOCK, 'ALGO': 'MP2', 'LSFACTOR': True},
    'natural_orbitals': {**_HARTREE_FOCK, 'ALGO': 'MP2NO', 'LAPPROX': True},
    'recanonicalise': {**_HARTREE_FOCK, 'ALGO': 'Sub', 'NELM': 1, 'LWAVE': True},
    'dump': {**_HARTREE_FOCK, 'ALGO': 'CC4S'},
    'mesh_dft': {'LWAVE': True},
    'mesh_hartree_fock': {**_HARTREE_FOCK, 'ALGO': 'All', 'LWAVE': False},
}
_LAPLACE: Tags = {'ALGO': 'ACFDTRK', 'LMP2LT': True}
_MOST_OCCUPIED, _MOST_ORBITALS_PER_OCCUPIED = 50, 20
"""Up to these sizes the Cc4s user manual takes ALGO=MP2 for the pair energies; beyond, the Laplace transform."""
_WITHOUT_BAND_GROUPS = ('pair_energies', 'natural_orbitals')
_BAND_GROUP_TAGS = ('NCORE', 'NPAR')
PARALLEL_TAGS = ('NCORE', 'NPAR', 'KPAR', 'NSIM', 'LPLANE', 'LSCALAPACK', 'MAXMEM')
"""Tags that spread the work and change no energy."""
_KPOINT_TAGS = ('KPAR',)
"""At Γ there is no second k-point to spread."""

RESERVED_TAGS = frozenset(
    {
        *('PREC', 'ENCUT', 'EDIFF', 'NELM', 'ISMEAR', 'SIGMA', 'ALGO', 'IALGO', 'GGA', 'METAGGA', 'ISYM', 'ISTART'),
        *('IBRION', 'NSW', 'ISIF', 'MDALGO', 'POTIM', 'TEBEG', 'TEEND', 'SMASS', 'NBLOCK', 'RANDOM_SEED'),
        *('LANGEVIN_GAMMA', 'LANGEVIN_GAMMA_L', 'NBANDS', 'NBANDSHIGH', 'ENCUTGW', 'ENCUTGWSOFT', 'LWAVE', 'LCHARG'),
        *('LSFACTOR', 'LAPPROX', 'KSPACING', 'KGAMMA', 'SYSTEM', *_HARTREE_FOCK),
    }
)
"""Tags that follow from the settings."""


@dataclass(frozen=True)
class Segment:
    """A part of the dynamics: steps from `first` on, with the thermostat at its begin and end."""

    first: int
    n_steps: int
    begin_K: float
    end_K: float


def single_point(settings: VaspForces) -> Tags:
    """Return the INCAR of energy and forces of one structure."""
    return {**_electrons(settings), 'IBRION': -1, 'NSW': 0, 'ISYM': 0}


def langevin(settings: VaspForces, dynamics: MD, segment: Segment, species: Sequence[str], seed: int) -> Tags:
    """Return the INCAR of one segment of Langevin dynamics at constant volume.

    :param species: one entry for each potential in POTCAR; all have the same friction.
    """
    return {
        **_electrons(settings),
        'IBRION': 0,
        'MDALGO': 3,
        'ISIF': 2,
        'ISYM': 0,
        'NBLOCK': 1,
        'NSW': segment.n_steps,
        'POTIM': dynamics.time_step_fs,
        'TEBEG': segment.begin_K,
        'TEEND': segment.end_K,
        'LANGEVIN_GAMMA': [dynamics.friction_per_ps] * len(species),
        'RANDOM_SEED': random_seed(seed, segment.first),
    }


def next_segment(dynamics: MD, done: int, most: int | None = None) -> Segment:
    """Return what comes after `done` steps, equilibration counted: it goes on at the sweep's temperature there.

    :param most: the longest segment, in steps; None for all that is left of the phase.
    """
    equilibration = dynamics.equilibration_steps
    first_K, last_K = dynamics.temperature_start_K, dynamics.temperature_end_K
    left = (equilibration if done < equilibration else dynamics.total_steps) - done
    count = left if most is None else min(left, most)

    def kelvin(step: int) -> float:
        swept = max(step - equilibration, 0) / dynamics.n_steps
        return float(first_K + swept * (last_K - first_K))

    return Segment(done, count, kelvin(done), kelvin(done + count))


def random_seed(seed: int, first_step: int) -> list[int]:
    """Return RANDOM_SEED of the segment that begins with `first_step`: no two segments get the same random forces."""
    drawn = np.random.SeedSequence([seed, first_step]).generate_state(1)[0]
    return [int(drawn) % _LARGEST_SEED, 0, 0]


def chain_step(
    settings: VaspIntegrals,
    step: str,
    n_all_orbitals: int | None = None,
    n_orbitals: int | None = None,
    n_occupied: int | None = None,
) -> Tags:
    """Return the INCAR of one of :data:`STEPS`.

    The steps at Γ have no symmetry (ISYM=-1), as the Cc4s user manual asks; the mesh has that of time reversal alone
    (ISYM=0), since a snapshot has no other, which halves its k-points.

    :param n_all_orbitals: as many as the basis has plane waves.
    :param n_orbitals: occupied and natural virtual ones.
    """
    tags: Tags = {
        **_precision(settings),
        'ENCUT': settings.hf_encut if step in MESH else settings.encut,
        'ISYM': 0 if step in MESH else -1,
        'LWAVE': True,
        'LCHARG': False,
        **_common(settings.incar, step),
        **_STEP_TAGS[step],
        **_further(cast(Further, settings.incar.get(step, {}))),
    }
    if step not in (CHAIN[0], MESH[0]):
        tags['ISTART'] = 1
    if step in _ALL_ORBITALS:
        tags['NBANDS'] = n_all_orbitals
    if step == 'pair_energies' and n_occupied and n_all_orbitals and _is_large(n_occupied, n_all_orbitals):
        tags |= _LAPLACE
    if step in ('recanonicalise', 'dump'):
        tags |= {'NBANDS': n_orbitals, 'NBANDSHIGH': n_orbitals}
    if step == 'dump':
        tags |= {'ENCUTGW': settings.encutgw, 'ENCUTGWSOFT': settings.encutgw}
    if step in _WITHOUT_BAND_GROUPS:
        tags = {tag: value for tag, value in tags.items() if tag not in _BAND_GROUP_TAGS}
    return tags


_OF_NO_ENERGY = ('NELM', 'ISTART', 'ISYM', 'SYMPREC', 'TIME', 'LWAVE', 'LCHARG', *PARALLEL_TAGS)
"""Tags in which a step that is done and one that is asked for may differ."""


def other_tag(step: str, theirs: Tags, ours: Tags) -> tuple[str, Tag, Tag] | None:
    """Return the first tag on which the energies depend and that differs: its name and both values, or None.

    How a self-consistent step converged does not count, nor how the work was spread.
    """
    uncounted = {*_OF_NO_ENERGY, *(('ALGO',) if step in SELF_CONSISTENT else ())}
    names = [name for name in {**ours, **theirs} if name not in uncounted]
    return next(
        ((name, theirs.get(name), ours.get(name)) for name in names if theirs.get(name) != ours.get(name)), None
    )


def _is_large(n_occupied: int, n_all_orbitals: int) -> bool:
    return n_occupied >= _MOST_OCCUPIED or n_all_orbitals >= _MOST_ORBITALS_PER_OCCUPIED * n_occupied


def _common(incar: Further, step: str) -> Tags:
    """Return the tags of `incar` that are for all steps, as far as they are for this one."""
    tags = _further({tag: value for tag, value in incar.items() if tag not in STEPS})
    return tags if step in MESH else {tag: value for tag, value in tags.items() if tag not in _KPOINT_TAGS}


def _electrons(settings: VaspForces) -> Tags:
    exchange = _HARTREE_FOCK if settings.method == 'HF' else {'GGA': _FUNCTIONALS[settings.method]}
    return {
        **_precision(settings),
        'ALGO': settings.algo,
        'LWAVE': False,
        'LCHARG': False,
        **exchange,
        **_further(settings.incar),
    }


def _precision(settings: VaspSettings) -> Tags:
    return {
        'PREC': settings.prec,
        'ENCUT': settings.encut,
        'EDIFF': settings.ediff,
        'NELM': settings.nelm,
        'ISMEAR': settings.ismear,
        'SIGMA': settings.sigma,
    }


def _further(incar: Further) -> Tags:
    return {tag.upper(): cast(Tag, value) for tag, value in incar.items()}
