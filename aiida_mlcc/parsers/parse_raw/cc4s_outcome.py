"""How a Cc4s job ended, what it cost, and which of its energies may be kept."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypedDict, TypeVar, cast

from ase.units import Hartree

from aiida_mlcc.parsers.parse_raw.cc4s import (
    CONTINUED_TRIPLES,
    Cc4sOutput,
    OutputStep,
    Printed,
    PrintedStep,
    energies_in_output,
    energies_in_stdout,
    has_level_shift,
    parse_output,
    parse_stdout,
    unit_of,
)
from aiida_mlcc.parsers.parse_raw.scheduler import SAYS_MEMORY, SAYS_TIME

_CHECKPOINT = re.compile(r'^Iteration: *(\d+)', re.MULTILINE)
_KILLED_BY = (2, 9, 15, 24)
"""Signals that come from outside: interrupt, kill, terminate, CPU time."""
_UNKNOWN = ('Unknown method', 'unknown algorithm', 'Unknown mixer')
_TRIPLES = ('PerturbativeTriples', 'PerturbativeTriplesReference')


class TensorProblem(TypedDict):
    """What is wrong with a tensor: ``missing``, ``malformed``, ``size`` or ``inconsistent``, and a sentence."""

    kind: str
    message: str


class CheckReport(TypedDict, total=False):
    """What the check of the tensors found, ``check.json``."""

    passed: bool
    problems: list[TensorProblem]
    energy_unit: float
    n_occupied: int
    n_virtual: int
    n_fields: int


class StepCost(TypedDict):
    """What a step took, None where it is not known."""

    name: str
    seconds: float | None
    operations: float | None


class Cc4sSummary(TypedDict, total=False):
    """What a person and the campaign ask of a run; what is not known is absent.

    Energies in eV, times in seconds, memory in units of 1024³ bytes.
    """

    cc4s_version: str | None
    mpi_ranks: int | None
    threads: int | None
    n_occupied: int | None
    n_virtual: int | None
    n_fields: int | None
    energy_unit_hartree: float | None
    tensors_checked: bool | None
    finished: bool
    last_step: str | None
    converged: bool | None
    estimates: dict[str, float]
    memory_gb: float | None
    iterations: int
    max_iterations: int | None
    residuals: list[float | None]
    energy_changes: list[float | None]
    seconds: float | None
    operations: float | None
    core_hours: float | None
    steps: list[StepCost]
    amplitudes_written: bool
    triples_percent: int
    triples_continued: bool
    triples_iterations: int


AnyStep = TypeVar('AnyStep', OutputStep, PrintedStep)


@dataclass
class RecordedRun:
    """What a job left behind, read once.

    :param asked: the algorithms of its ``cc4s.in`` in order.
    :param check: what the check before the run found; None where it left nothing.
    :param output_text, stdout_text: ``cc4s.out.yaml`` and what Cc4s printed; empty where there is none.
    :param other_text: standard error, and what the scheduler wrote.
    :param has_level_shift: whether its ``cc4s.in`` asks for one.
    :param checkpoint_text: the checkpoint of (T), which Cc4s removes at the end of (T).
    :param is_solved: whether it began with amplitudes that had converged, of which Cc4s says that they did not.
    """

    asked: Sequence[str]
    check: CheckReport | None
    output_text: str
    stdout_text: str
    other_text: str = ''
    has_level_shift: bool = False
    is_solved: bool = False
    checkpoint_text: str = ''
    output: Cc4sOutput = field(init=False)
    stdout: Printed = field(init=False)

    def __post_init__(self) -> None:
        self.output = parse_output(self.output_text)
        self.stdout = parse_stdout(self.stdout_text)
        if self.is_solved:
            for written in _coupled_cluster(self.output.get('steps', ())):
                written['out']['convergenceReached'] = True
            for printed in _coupled_cluster(self.stdout['steps']):
                printed['converged'] = 'final' in printed

    @property
    def unit(self) -> float | None:
        """The unit of the orbital energies in Hartree."""
        unit = unit_of(self.output)
        return (self.check or {}).get('energy_unit') if unit is None else unit

    @property
    def is_complete(self) -> bool:
        """Whether every step that was asked for came to its end."""
        return self.steps_done >= len(self.asked)

    @property
    def steps_done(self) -> int:
        """How many steps came to their end."""
        return max(len(self.output.get('steps', ())), sum('seconds' in step for step in self.stdout['steps']))

    @property
    def last_step(self) -> str | None:
        """The step that ran last, finished or not."""
        for steps in (self.stdout['steps'], self.output.get('steps')):
            if steps:
                return steps[-1]['name']
        return None

    @property
    def amplitudes(self) -> PrintedStep | None:
        """What the last CoupledCluster step printed."""
        solved = _coupled_cluster(self.stdout['steps'])
        return solved[-1] if solved else None

    @property
    def is_converged(self) -> bool | None:
        """Whether the last amplitude equations converged; None where they were not asked for or did not end."""
        ended = _coupled_cluster(self.output.get('steps', ()))
        if ended and len(ended) >= len(_coupled_cluster(self.stdout['steps'])):
            return ended[-1]['out']['convergenceReached']
        if self.amplitudes is None or 'final' not in self.amplitudes:
            return None
        return self.amplitudes['converged']

    def energies(self) -> dict[str, float]:
        """Return the named contributions in eV: those of ``cc4s.out.yaml``, and what else was printed."""
        shifted = self.has_level_shift or has_level_shift(self.output)
        written = {name: value * Hartree for name, value in energies_in_output(self.output, shifted).items()}
        if self.unit is None:
            return written
        factor = self.unit * Hartree
        printed = {name: value * factor for name, value in energies_in_stdout(self.stdout, shifted).items()}
        return {**printed, **written}


def _coupled_cluster(steps: Sequence[AnyStep]) -> list[AnyStep]:
    return [step for step in steps if step['name'] == 'CoupledCluster']


def judge(run: RecordedRun, scheduler: str | None = None) -> tuple[str, str] | None:
    """Return the exit code's name and its sentence, or None where the run is what was asked for.

    :param scheduler: ``time``, ``memory`` or ``node`` where the scheduler itself says what ended the job.
    """
    for question in (_bad_tensors, _nothing, _garbage, _success, _no_convergence, _own_error):
        verdict = question(run)
        if verdict is not None:
            return verdict if verdict[0] else None
    return _ended_early(run, scheduler)


def _bad_tensors(run: RecordedRun) -> tuple[str, str] | None:
    if run.check is None or run.check.get('passed'):
        return None
    problems = run.check.get('problems') or [{'kind': 'malformed', 'message': 'The check of the tensors failed.'}]
    more = f' ({len(problems) - 1} more: see check.json)' if len(problems) > 1 else ''
    missing = [problem for problem in problems if problem['kind'] == 'missing']
    name = 'ERROR_MISSING_TENSOR' if missing else 'ERROR_INCONSISTENT_TENSORS'
    return name, (missing or problems)[0]['message'] + more


def _nothing(run: RecordedRun) -> tuple[str, str] | None:
    if run.output or run.stdout['is_cc4s']:
        return None
    if SAYS_TIME.search(run.other_text) or SAYS_MEMORY.search(run.other_text):
        return None
    said = _last_line(run.stdout_text + '\n' + run.other_text)
    if run.check is None:
        asks = 'is there a `python3` on the compute node?'
        return 'ERROR_NOT_CHECKED', f'The tensors could not be checked, so Cc4s was not started: {asks} {said}'.rstrip()
    return 'ERROR_NO_OUTPUT', f'What ran wrote nothing that Cc4s writes: is the code Cc4s? {said}'.rstrip()


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return f'The last line was: {lines[-1][:200]}' if lines else ''


def _garbage(run: RecordedRun) -> tuple[str, str] | None:
    """Integrals that are zero where virtual states are: CCSD converges and (T) vanishes exactly."""
    energies, states = run.energies(), (run.stdout.get('n_occupied', 2), run.stdout.get('n_virtual', 2))
    if energies.get('triples') == 0.0 and energies.get('ccsd') and min(states) > 1:
        told = 'The (T) energy is exactly zero, as it is with integrals from a truncated CoulombVertex.elements.'
        return 'ERROR_INCONSISTENT_TENSORS', told
    return None


def _success(run: RecordedRun) -> tuple[str, str] | None:
    return ('', '') if run.is_complete and run.is_converged is not False else None


def _own_error(run: RecordedRun) -> tuple[str, str] | None:
    errors = [error for error in run.stdout['errors'] if error != 'Caused by: Request from here']
    if not errors:
        return None
    cause = errors[-1].removeprefix('Caused by: ')
    if any('Failed to open file' in error for error in errors):
        return 'ERROR_MISSING_TENSOR', f'Cc4s: {cause}.'
    if any(text in error for error in errors for text in _UNKNOWN):
        return 'ERROR_UNKNOWN_METHOD', f'This Cc4s has no such method: {errors[0]}.'
    if run.last_step in _TRIPLES and run.is_converged:
        return 'ERROR_TRIPLES_FAILED', f'(T) failed after CCSD had converged ({cause}); CCSD and MP2 are kept.'
    return 'ERROR_CC4S_FAILED', f'Cc4s stopped with an error: {cause}.'


def _no_convergence(run: RecordedRun) -> tuple[str, str] | None:
    if run.is_converged is not False:
        return None
    solver: PrintedStep = run.amplitudes or {}
    iterations = solver.get('iterations')
    within = f' within {solver["max_iterations"]} iterations' if 'max_iterations' in solver else ''
    residual = f' (residual {iterations[-1]["residual"]:.1e})' if iterations else ''
    return 'ERROR_NOT_CONVERGED', f'CCSD did not converge{within}{residual}; of its energies only MP2 is kept.'


def _ended_early(run: RecordedRun, scheduler: str | None) -> tuple[str, str]:
    text = f'{run.other_text}\n{run.stdout_text}'
    where = f'in step {run.last_step}' if run.last_step else 'before its first step'
    kept = _names_of(run.energies())
    if scheduler == 'memory' or SAYS_MEMORY.search(text):
        return 'ERROR_OUT_OF_MEMORY', f'Out of memory {where}; {kept}.'
    if scheduler == 'time' or SAYS_TIME.search(text):
        return 'ERROR_OUT_OF_WALLTIME', f'Out of time {where}; {kept}.'
    signal = run.stdout.get('signal') or parse_stdout(run.other_text).get('signal')
    if scheduler is None and signal is not None and signal not in _KILLED_BY:
        if run.last_step in _TRIPLES and run.is_converged:
            return 'ERROR_TRIPLES_FAILED', f'(T) crashed with signal {signal} after CCSD had converged; {kept}.'
        return 'ERROR_CC4S_FAILED', f'Cc4s crashed with signal {signal} {where}; {kept}.'
    return 'ERROR_INTERRUPTED', f'Cc4s ended {where} without saying why (killed, a broken node, a full disk?); {kept}.'


def _names_of(energies: Mapping[str, float]) -> str:
    return f'{", ".join(energies)} kept' if energies else 'no energy was finished'


def summarise(run: RecordedRun) -> Cc4sSummary:
    """Return what a person and the campaign ask of a run, as far as it is known.

    Energies in eV, times in seconds, memory in units of 1024³ bytes (from Cc4s' own dry run, per rank and in total).
    """
    output, stdout = run.output, run.stdout
    check: CheckReport = run.check or {}
    summary: Cc4sSummary = {
        'cc4s_version': output.get('version') or stdout.get('version'),
        'mpi_ranks': output.get('ranks') or stdout.get('ranks'),
        'threads': stdout.get('threads'),
        'n_occupied': stdout.get('n_occupied', check.get('n_occupied')),
        'n_virtual': stdout.get('n_virtual', check.get('n_virtual')),
        'n_fields': stdout.get('n_fields', check.get('n_fields')),
        'energy_unit_hartree': run.unit,
        'tensors_checked': None if run.check is None else run.check.get('passed'),
        'finished': run.is_complete,
        'last_step': run.last_step,
        'converged': run.is_converged,
        'estimates': stdout['estimates'],
        'memory_gb': stdout['estimates'].get('memory_gb'),
        **_convergence(run),
        **_cost(run),
    }
    for step in stdout['steps']:
        if step['name'] == 'Write':
            summary['amplitudes_written'] = 'seconds' in step
        if step['name'] == 'PerturbativeTriples':
            summary['triples_percent'] = step['percent']
            summary['triples_continued'] = step['continued'] or CONTINUED_TRIPLES in run.other_text
            # What was printed may still have been in a buffer when the job was killed; the checkpoint is a file.
            if (done := _CHECKPOINT.search(run.checkpoint_text)) is not None:
                summary['triples_iterations'] = int(done[1])
    return cast(Cc4sSummary, {name: value for name, value in summary.items() if value is not None})


def _convergence(run: RecordedRun) -> Cc4sSummary:
    """Return how the amplitude equations went."""
    if run.amplitudes is None:
        return {}
    iterations = run.amplitudes['iterations']
    summary: Cc4sSummary = {
        'iterations': len(iterations),
        'max_iterations': run.amplitudes.get('max_iterations'),
        'residuals': [_finite(step['residual']) for step in iterations],
    }
    if run.unit is not None:
        summary['energy_changes'] = [_finite(step['energy_change'] * run.unit * Hartree) for step in iterations]
    return summary


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _cost(run: RecordedRun) -> Cc4sSummary:
    """Return time, operations and core hours; at least those of an unfinished run, by what it printed.

    These are its steps and iterations that ended, and what (T) reported of its progress.
    """
    written = run.output.get('steps', [])
    further = run.stdout['steps'][len(written) :]
    steps: list[StepCost] = [
        *(StepCost(name=s['name'], seconds=s['seconds'], operations=s['operations']) for s in written),
        *(StepCost(name=s['name'], seconds=s.get('seconds'), operations=None) for s in further),
    ]
    seconds, operations = run.output.get('seconds'), run.output.get('operations')
    if seconds is None:
        seconds = sum(step['seconds'] or 0.0 for step in steps)
    if operations is None:
        operations = sum(step['operations'] or 0.0 for step in steps)
    for step in further:
        if 'seconds' not in step:
            seconds += sum(iteration['seconds'] for iteration in step.get('iterations', ()))
            seconds += step.get('progress_seconds', 0.0)
    ranks = run.output.get('ranks') or run.stdout.get('ranks')
    cores = ranks * run.stdout.get('threads', 1) if ranks else None
    core_hours = None if cores is None else cores * seconds / 3600
    return {'seconds': seconds, 'operations': operations, 'core_hours': core_hours, 'steps': steps}
