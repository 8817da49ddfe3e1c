"""What Cc4s writes, as plain data: ``cc4s.out.yaml`` of old and new layout, and what it prints."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any, TypedDict, cast

import yaml

_NUMBER = r'[-+]?(?:\d[\d.]*(?:[eE][-+]?\d+)?|nan|inf)'
_STEP = re.compile(r'^step: (\d+), (\w+)', re.MULTILINE)
_ITERATION = re.compile(
    rf'^\s*(\d+)\s+({_NUMBER})\s+({_NUMBER})\s+({_NUMBER})\s+({_NUMBER})\s+({_NUMBER})\s*$', re.MULTILINE
)
_PROGRESS = re.compile(r'^(\d+)\s+(\d+)\s+\S+\s*$', re.MULTILINE)
"""Per cent of (T), the seconds since the line before, and the speed."""
_REALTIME = re.compile(rf'^realtime ({_NUMBER}) s', re.MULTILINE)
_ERROR = re.compile(r'^\S+\(\d+\): ERROR: (.*)$', re.MULTILINE)
_SIGNAL = re.compile(
    r'exited on signal (\d+)|Signal: [^(\n]*\((\d+)\)|EXIT STRING: [^(\n]*\(signal (\d+)\)|KILLED BY SIGNAL: (\d+)'
)
"""As Open MPI, its backtrace, MPICH and Intel MPI say it."""
_NAMED_SIGNAL = re.compile(
    r'^(?:srun: error: \S+: tasks? [-\d,]+: |\S+: line \d+: +\d+ )'
    r'(Floating point exception|Segmentation fault|Aborted|Bus error|Killed)',
    re.MULTILINE,
)
"""As Slurm and the shell say it, which give no number."""
_SIGNALS = {'Aborted': 6, 'Bus error': 7, 'Floating point exception': 8, 'Killed': 9, 'Segmentation fault': 11}
_LIMITS = {
    'energy_change': re.compile(rf'^Unless reaching energy convergence dE: ({_NUMBER})', re.MULTILINE),
    'residual': re.compile(rf'^and amplitudes convergence dR: ({_NUMBER})', re.MULTILINE),
}
_NOT_CONVERGED = 'energy or amplitudes convergence not reached'
CONTINUED_TRIPLES = 'Checkpoint file found'
"""A warning, which Cc4s writes to standard error."""
_CONTINUED_AMPLITUDES = 'Using given initial amplitudes'
_FIRST_PERCENT = 10
"""(T) that begins at its beginning reports after 1 %, or, where it has few steps, after 10 % at the latest."""

_HEAD = {
    'version': (re.compile(r'^version: (\S+?),', re.MULTILINE), str),
    'ranks': (re.compile(r'^total (?:ranks|processes): (\d+)', re.MULTILINE), int),
    'threads': (re.compile(r'^number of omp threads: (\d+)', re.MULTILINE), int),
    'n_occupied': (re.compile(r'^number of holes\s+No: (\d+)', re.MULTILINE), int),
    'n_virtual': (re.compile(r'^number of particles Nv: (\d+)', re.MULTILINE), int),
    'n_fields': (re.compile(r'^number of field variables NF: (\d+)', re.MULTILINE), int),
}
_ESTIMATES = {
    'memory_gb': (re.compile(rf'^Memory estimate \(.*\): {_NUMBER} / ({_NUMBER}) GB', re.MULTILINE), 1.0),
    'memory_gb_per_rank': (re.compile(rf'^Memory estimate \(.*\): ({_NUMBER}) / ', re.MULTILINE), 1.0),
    'operations': (re.compile(rf'^Operations estimate \(.*\): {_NUMBER} / ({_NUMBER}) GFLOP', re.MULTILINE), 1e9),
    'seconds': (re.compile(rf'^Time estimate .*: ({_NUMBER}) s', re.MULTILINE), 1.0),
}
_PRINTED = {
    'final': re.compile(rf'^\w+ correlation energy:\s+({_NUMBER})', re.MULTILINE),
    'second_order': re.compile(rf'^2nd-order correlation energy:\s+({_NUMBER})', re.MULTILINE),
    'plain': re.compile(rf'^correlation energy: ({_NUMBER})', re.MULTILINE),
    'triples': re.compile(rf'^\(T\) correlation energy:\s+({_NUMBER})', re.MULTILINE),
    'complete_triples': re.compile(rf'^\(cT\) correlation energy:\s+({_NUMBER})', re.MULTILINE),
    'star': re.compile(rf'^\(T\*\)-Bsie energy correction:\s+({_NUMBER})', re.MULTILINE),
    'basis_set': re.compile(rf'^Ccsd-Bsie energy correction:\s+({_NUMBER})', re.MULTILINE),
    'finite_size': re.compile(rf'^Finite-size energy correction:\s+({_NUMBER})', re.MULTILINE),
}

_ENERGIES = {
    'CoupledCluster': ('correlation',),
    'SecondOrderPerturbationTheory': ('correlation',),
    'BasisSetCorrection': ('correction', 'secondOrderCorrection'),
    'FiniteSizeCorrection': ('correction',),
    'PerturbativeTriples': ('correlation',),
    'PerturbativeTriplesReference': ('correlation',),
}
"""Step → what it must give, apart from the unit."""


class StepInput(TypedDict, total=False):
    """What an algorithm was given, as far as it is asked for here; tensors by their names."""

    method: str
    amplitudes: str
    mp2PairEnergies: str
    levelShift: float
    cT: int


class StepOutput(TypedDict, total=False):
    """What an algorithm gave; the energies are in their ``unit``, which is in Hartree."""

    energy: dict[str, float]
    amplitudes: str
    convergenceReached: bool


OutputStep = TypedDict(
    'OutputStep',
    {'name': str, 'in': StepInput, 'out': StepOutput, 'seconds': float | None, 'operations': float | None},
)
"""A step of ``cc4s.out.yaml``."""


class Cc4sOutput(TypedDict, total=False):
    """The content of ``cc4s.out.yaml``, empty where there is none."""

    version: str | None
    ranks: int | None
    seconds: float | None
    operations: float | None
    steps: list[OutputStep]


class Iteration(TypedDict):
    """An iteration of the amplitude equations."""

    energy: float
    energy_change: float
    residual: float
    seconds: float


class PrintedStep(TypedDict, total=False):
    """What one step printed; energies in the unit of the orbital energies."""

    name: str
    seconds: float
    final: float
    second_order: float
    plain: float
    triples: float
    complete_triples: float
    star: float
    basis_set: float
    finite_size: float
    method: str
    max_iterations: int
    iterations: list[Iteration]
    continued: bool
    converged: bool
    percent: int
    progress_seconds: float


class Printed(TypedDict, total=False):
    """What Cc4s printed, as far as it came."""

    version: str
    ranks: int
    threads: int
    n_occupied: int
    n_virtual: int
    n_fields: int
    is_cc4s: bool
    estimates: dict[str, float]
    steps: list[PrintedStep]
    errors: list[str]
    signal: int


def parse_output(text: str) -> Cc4sOutput:
    """Return the content of ``cc4s.out.yaml``; empty where the file is none or was cut off before its steps.

    :returns: ``version``, ``ranks``, ``seconds`` and ``operations`` of the run as far as they are there, and ``steps``
        in the order of their numbers, each with ``name``, ``in``, ``out``, ``seconds`` and ``operations``, up to the
        first that is not whole.
    """
    try:
        content = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError):
        return {}
    if not isinstance(content, Mapping) or not isinstance(content.get('steps'), Mapping):
        return {}
    environment = _mapping(content.get('executionEnvironment')) or content
    ranks = _number(environment.get('totalProcesses'))
    if ranks is None:
        hosts = _mapping(environment.get('hosts')).values()
        ranks = sum(len(_mapping(_mapping(host).get('ranks'))) for host in hosts)
    total = _mapping(content.get('statistics'))
    steps: list[OutputStep] = []
    # What a step gives depends on those before it, so one that is missing ends the list.
    while (step := _step(content['steps'].get(len(steps)))) is not None:
        steps.append(step)
    return {
        'version': environment.get('version'),
        'ranks': int(ranks) or None,
        'seconds': _number(total.get('realtime')),
        'operations': _number(total.get('floatingPointOperations')),
        'steps': steps,
    }


def _step(step: Any) -> OutputStep | None:
    """Return one step, or None where it lacks anything: its time is the last thing that Cc4s writes of it."""
    step = _mapping(step)
    statistics = _mapping(step.get('statistics')) or step
    given, gave = _mapping(step.get('in')), dict(_mapping(step.get('out')))
    found: OutputStep = {
        'name': step.get('name'),
        'in': cast(StepInput, given),
        'out': cast(StepOutput, gave),
        'seconds': _number(statistics.get('realtime')),
        'operations': _number(statistics.get('floatingPointOperations')),
    }
    if not all(name in step for name in ('name', 'in', 'out')) or found['seconds'] is None:
        return None
    if (needed := _ENERGIES.get(str(found['name']))) is None:
        return found
    values = {key: _number(value) for key, value in _mapping(gave.get('energy')).items()}
    if any(values.get(key) is None for key in (*needed, 'unit')):
        return None
    found['out']['energy'] = {key: value for key, value in values.items() if value is not None}
    if found['name'] == 'CoupledCluster':
        if (reached := _number(gave.get('convergenceReached'))) is None:
            return None
        found['out']['convergenceReached'] = bool(reached)
    return found


def _mapping(value: Any) -> Mapping[Any, Any]:
    return value if isinstance(value, Mapping) else {}


def _number(value: Any) -> float | None:
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        return None


def parse_stdout(text: str) -> Printed:
    """Return what Cc4s printed; everything that it did not come to print is left out.

    :returns: the head (``version``, ``ranks``, ``threads``, numbers of states), ``estimates`` of its dry run, ``steps``
        with what each printed, ``errors``, and the number of the ``signal`` that ended it.
    """
    head = {
        name: kind(match[1]) for name, (pattern, kind) in _HEAD.items() if (match := pattern.search(text)) is not None
    }
    found = cast(Printed, head)
    found['is_cc4s'] = 'Coupled Cluster for Solids' in text
    found['estimates'] = {
        name: float(match[1]) * factor
        for name, (pattern, factor) in _ESTIMATES.items()
        if (match := pattern.search(text)) is not None
    }
    starts = list(_STEP.finditer(text))
    ends = [*(start.start() for start in starts[1:]), len(text)][: len(starts)]
    found['steps'] = [_printed_step(s[2], text[s.end() : end]) for s, end in zip(starts, ends, strict=True)]
    found['errors'] = _ERROR.findall(text)
    if (signal := _SIGNAL.search(text)) is not None:
        found['signal'] = int(next(filter(None, signal.groups())))
    elif (named := _NAMED_SIGNAL.search(text)) is not None:
        found['signal'] = _SIGNALS[named[1]]
    return found


def _printed_step(name: str, text: str) -> PrintedStep:
    """Return what one step printed."""
    numbers = {key: float(match[1]) for key, pattern in _PRINTED.items() if (match := pattern.search(text)) is not None}
    step = cast(PrintedStep, {'name': name, **numbers})
    if (realtime := _REALTIME.search(text)) is not None:
        step['seconds'] = float(realtime[1])
    if name == 'CoupledCluster':
        if (method := re.search(r'^Using method (\w+)', text, re.MULTILINE)) is not None:
            step['method'] = method[1]
        if (most := re.search(r'^Maximum number of iterations: (\d+)', text, re.MULTILINE)) is not None:
            step['max_iterations'] = int(most[1])
        step['iterations'] = [
            {'energy': float(m[2]), 'energy_change': float(m[3]), 'residual': float(m[4]), 'seconds': float(m[5])}
            for m in _ITERATION.finditer(text)
        ]
        step['continued'] = _CONTINUED_AMPLITUDES in text
        limits = {key: float(match[1]) for key, p in _LIMITS.items() if (match := p.search(text)) is not None}
        step['converged'] = 'final' in step and _NOT_CONVERGED not in text and not _reached_its_limit(step, limits)
    if name == 'PerturbativeTriples':
        progress = [(int(match[1]), int(match[2])) for match in _PROGRESS.finditer(text)]
        step['percent'] = max((percent for percent, _ in progress), default=0)
        step['progress_seconds'] = float(sum(seconds for _, seconds in progress))
        step['continued'] = CONTINUED_TRIPLES in text or bool(progress and progress[0][0] > _FIRST_PERCENT)
    return step


def _reached_its_limit(step: PrintedStep, limits: Mapping[str, float]) -> bool:
    """Tell whether amplitude equations ended because of the number of iterations, short of the thresholds."""
    iterations = step['iterations']
    if len(iterations) < step.get('max_iterations', len(iterations) + 1) or len(limits) < len(_LIMITS):
        return False
    if not iterations:
        return True
    last = {'energy_change': iterations[-1]['energy_change'], 'residual': iterations[-1]['residual']}
    return any(not abs(last[key]) < limit for key, limit in limits.items())


def has_level_shift(output: Cc4sOutput) -> bool:
    """Tell whether ``cc4s.out.yaml`` shows amplitude equations with a level shift."""
    solved = [step['in'] for step in output.get('steps', ()) if step['name'] == 'CoupledCluster']
    return any(_number(given.get('levelShift')) for given in solved)


def energies_in_output(output: Cc4sOutput, shifted: bool = False) -> dict[str, float]:
    """Return the energies in ``cc4s.out.yaml``, each converted by the unit of its own step; Hartree.

    What was built on amplitudes that did not converge is left out. With a level shift, by which Cc4s
    divides from the first iteration on, the second-order energy is that of its own step alone.
    """
    energies: dict[str, float] = {}
    converged: dict[Any, bool] = {}
    scaled_pairs: set[Any] = set()
    for step in output.get('steps', ()):
        if step['name'] not in _ENERGIES:
            continue
        given, values = step['in'], step['out']['energy']
        energy = {key: value * values['unit'] for key, value in values.items() if key != 'unit'}
        on_converged = converged.get(given.get('amplitudes'), False)
        if step['name'] == 'CoupledCluster':
            is_converged = step['out']['convergenceReached']
            converged[step['out'].get('amplitudes')] = is_converged
            if 'secondOrder' in energy and not shifted:
                energies['mp2'] = energy['secondOrder']
            if is_converged:
                energies[coupled_cluster_name(str(given.get('method', 'Ccsd')))] = energy['correlation']
        elif step['name'] == 'SecondOrderPerturbationTheory':
            energies['mp2'] = energy['correlation']
        elif step['name'] == 'BasisSetCorrection':
            scaled_pairs.add(given.get('mp2PairEnergies'))
            energies['mp2_basis_set'] = energy['secondOrderCorrection']
            if on_converged:
                energies['ccsd_basis_set'] = energy['correction']
        elif step['name'] == 'FiniteSizeCorrection' and on_converged:
            energies['ccsd_finite_size'] = energy['correction']
        elif step['name'] in ('PerturbativeTriples', 'PerturbativeTriplesReference') and on_converged:
            name = 'complete_triples' if _number(given.get('cT')) else 'triples'
            energies[name] = energy['correlation']
            if name == 'triples' and 'starCorrection' in energy:
                after = given.get('mp2PairEnergies') in scaled_pairs
                energies.update(star_energies(energies['triples'], energy['starCorrection'], after))
    return _finite(energies)


def energies_in_stdout(stdout: Printed, shifted: bool = False) -> dict[str, float]:
    """Return the energies that Cc4s printed, in the unit of the orbital energies, to about nine digits.

    The first iteration of the amplitude equations is the second-order energy, unless they have a level shift or go on
    from amplitudes that were given.
    """
    energies: dict[str, float] = {}
    converged = after_basis_set = False
    for step in stdout.get('steps', ()):
        if step['name'] == 'CoupledCluster':
            converged = step['converged']
            if step['iterations'] and not shifted and not step['continued']:
                energies['mp2'] = step.get('second_order', step['iterations'][0]['energy'])
            if converged:
                energies[coupled_cluster_name(step.get('method', 'Ccsd'))] = step['final']
        elif step['name'] == 'SecondOrderPerturbationTheory' and 'plain' in step:
            energies['mp2'] = step['plain']
        elif not converged:
            continue
        elif step['name'] == 'BasisSetCorrection' and 'basis_set' in step:
            after_basis_set = True
            energies['ccsd_basis_set'] = step['basis_set']
        elif step['name'] == 'FiniteSizeCorrection' and 'finite_size' in step:
            energies['ccsd_finite_size'] = step['finite_size']
        else:
            if 'triples' in step:
                energies['triples'] = step['triples']
            if 'complete_triples' in step:
                energies['complete_triples'] = step['complete_triples']
            if 'triples' in step and 'star' in step:
                energies.update(star_energies(step['triples'], step['star'], after_basis_set))
    return _finite(energies)


def coupled_cluster_name(method: str) -> str:
    """Return the contribution that a method of Cc4s computes; its two implementations of CCSD are one."""
    return method.removesuffix('Reference').lower()


def star_energies(triples: float, printed: float, after_basis_set: bool) -> dict[str, float]:
    """Return the (T*) energy, which is (T) scaled by MP2(complete basis)/MP2, and its difference from (T).

    What Cc4s calls ``starCorrection`` is the scaled energy itself, unless BasisSetCorrection ran before on the same
    pair energies: that step leaves their *differences* from MP2 behind, and the scaled energy is then the difference.
    """
    correction = printed if after_basis_set else printed - triples
    return {'triples_basis_set': correction, 'triples_star': triples + correction}


def _finite(energies: Mapping[str, float]) -> dict[str, float]:
    return {name: value for name, value in energies.items() if math.isfinite(value)}


def unit_of(output: Cc4sOutput) -> float | None:
    """Return the unit of the orbital energies in Hartree, as far as a step tells it."""
    for step in output.get('steps', ()):
        if step['name'] in _ENERGIES and step['name'] != 'FiniteSizeCorrection':
            return step['out']['energy']['unit']
    return None
