"""The steps from VASP to Cc4s: what each leaves, what each says of its end, and how many orbitals there are."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from aiida import orm
from aiida_vasp.calcs.vasp import VaspCalculation

from aiida_mlcc.engines.vasp.incar import CHAIN, MESH, SELF_CONSISTENT
from aiida_mlcc.engines.vasp.jobs import GAMMA, retrieved_run, why
from aiida_mlcc.engines.vasp.settings import VaspIntegrals
from aiida_mlcc.parsers.parse_raw.vasp_failure import MEMORY, TIME, why_stopped
from aiida_mlcc.science.dataset.vasp_files.outcar import Outcar, parse_outcar

PAIR_ENERGIES = ('Mp2PairEnergies.yaml', 'Mp2PairEnergies.elements')
TENSOR_ENDINGS = ('.yaml', '.elements')

HANDS_OVER: Mapping[str, tuple[str, ...]] = {
    **{step: ('WAVECAR',) for step in (*CHAIN[:-1], 'mesh_dft')},
    'pair_energies': ('WAVECAR', *PAIR_ENERGIES),
    'mesh_hartree_fock': (),
    'dump': (),
}
"""Step → files that have to be there after it; after the last one those that Cc4s will read."""

PURPOSE: Mapping[str, str] = {
    'dft': 'converging the density functional at Γ',
    'hartree_fock': 'converging Hartree–Fock at Γ',
    'virtuals': 'diagonalising the Fock matrix in all plane waves',
    'pair_energies': 'evaluating the pair energies of second order',
    'natural_orbitals': 'finding natural orbitals of second order',
    'recanonicalise': 'diagonalising the Fock matrix in the natural orbitals',
    'dump': 'writing the tensors',
    'mesh_dft': 'converging the density functional on the k-mesh',
    'mesh_hartree_fock': 'converging Hartree–Fock on the k-mesh',
}
"""What each step is for."""

NOT_CONVERGED, BROKEN_OFF, HOPELESS = 'not converged', 'broken off', 'hopeless'
"""Besides those of :mod:`~aiida_mlcc.parsers.parse_raw.vasp_failure`: the electrons did not converge; the job ended
early and nothing says why; nothing that could be changed would help."""

_CODES = VaspCalculation.exit_codes
_KIND_OF_STATUS = {
    _CODES.ERROR_SCHEDULER_OUT_OF_WALLTIME.status: TIME,
    _CODES.ERROR_SCHEDULER_OUT_OF_MEMORY.status: MEMORY,
    **{
        _CODES[name].status: BROKEN_OFF
        for name in (
            'ERROR_SCHEDULER_NODE_FAILURE',
            'ERROR_NO_RETRIEVED_FOLDER',
            'ERROR_VASP_DID_NOT_EXECUTE',
            'ERROR_DID_NOT_FINISH',
            'ERROR_CRITICAL_MISSING_OBJECT',
        )
    },
}
_OUTPUT, _OUTCAR = 'vasp_output', 'OUTCAR'


@dataclass(frozen=True)
class Failure:
    """Why a job did not do its step.

    :param kind: one of :data:`~aiida_mlcc.parsers.parse_raw.vasp_failure.TIME`, ``MEMORY``, ``SYMMETRY``,
        :data:`NOT_CONVERGED`, :data:`BROKEN_OFF` and :data:`HOPELESS`.
    :param reason: a sentence.
    """

    kind: str
    reason: str


@dataclass(frozen=True)
class Orbitals:
    """Numbers of orbitals: occupied, as many as the basis has plane waves, and those that are kept."""

    n_occupied: int
    n_all: int
    n_kept: int


def failure_of(job: orm.CalcJobNode, step: str) -> Failure | None:
    """Return why `job` did not do its step, by what was retrieved; None where it did."""
    name = f'{job.process_label}<{job.pk}>'
    outcar = outcar_of(job)
    ended = outcar is not None and outcar['finished']
    if not job.is_finished_ok or not ended:
        reason = why(job) if not job.is_finished_ok else f'{name} was stopped before its end'
        kind = _KIND_OF_STATUS.get(job.exit_status) if job.is_failed else None
        if kind in (None, BROKEN_OFF):
            said = why_stopped(_printed_by(job))
            kind = said or kind or (HOPELESS if ended or job.is_killed or job.is_excepted else BROKEN_OFF)
        return Failure(kind, reason)
    if step not in SELF_CONSISTENT:
        return None
    run = retrieved_run(job)
    if run is None or not run.steps:
        return Failure(BROKEN_OFF, f'{name} left no energy')
    if not run.converged(len(run.steps) - 1):
        return Failure(NOT_CONVERGED, f'the electrons did not converge in {run.nelm} steps')
    return None


def missing_file(there: Collection[str], step: str, tensors: Sequence[str]) -> str | None:
    """Return the first file that a step should have left and did not, or None.

    :param there: names in the folder of its job.
    :param tensors: names of the tensors that the last step is asked for.
    """
    needed = list(HANDS_OVER[step])
    if step == CHAIN[-1]:
        needed += [f'{name}{ending}' for name in tensors for ending in TENSOR_ENDINGS]
    return next((name for name in needed if name not in there), None)


def outcar_of(job: orm.CalcJobNode) -> Outcar | None:
    """Return what OUTCAR of a job says, None where there is none."""
    content = _retrieved(job, _OUTCAR)
    return None if content is None else parse_outcar(content)


def orbitals_of(outcar: Outcar | None, settings: VaspIntegrals) -> Orbitals | None:
    """Return the numbers of orbitals by OUTCAR of Hartree–Fock at Γ; None where it does not say them.

    Real orbitals at Γ are twice as many as the plane waves in the file, less one.
    """
    if outcar is None:
        return None
    electrons, plane_waves = outcar['n_electrons'], outcar['n_plane_waves']
    if electrons is None or plane_waves is None:
        return None
    n_occupied = round(electrons) // 2
    n_all = 2 * plane_waves - 1 if settings.gamma_only else plane_waves
    return Orbitals(n_occupied, n_all, (settings.natural_orbitals_per_occupied + 1) * n_occupied)


def own_mesh(settings: VaspIntegrals) -> bool:
    """Tell whether the Hartree–Fock energy needs a calculation of its own."""
    return settings.hf_kpoints != GAMMA or settings.hf_encut != settings.encut


def tracks(settings: VaspIntegrals) -> tuple[tuple[str, ...], ...]:
    """Return the steps in their order: those at Γ, and those on the k-mesh, which run beside them."""
    return (CHAIN, MESH) if own_mesh(settings) else (CHAIN,)


def step_before(step: str) -> str | None:
    """Return the step from whose orbitals `step` starts, None for the first ones."""
    steps = MESH if step in MESH else CHAIN
    return steps[steps.index(step) - 1] if step != steps[0] else None


def _printed_by(job: orm.CalcJobNode) -> str:
    stderr = job.get_option('scheduler_stderr') or ''
    return '\n'.join(content for name in (_OUTPUT, stderr) if name and (content := _retrieved(job, name)))


def _retrieved(job: orm.CalcJobNode, name: str) -> str | None:
    if 'retrieved' not in job.outputs or name not in job.outputs.retrieved.list_object_names():
        return None
    return job.outputs.retrieved.get_object_content(name, 'rb').decode('utf-8', errors='replace')
