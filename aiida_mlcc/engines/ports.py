"""Where energies are computed: the ports of the jobs, and which of them an engine needs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiida import orm
from aiida.engine.processes.workchains.workchain import WorkChainSpec

from aiida_mlcc.calculations.cc4s import Cc4sCalculation, refuse_code
from aiida_mlcc.calculations.correlate import CorrelateCalculation
from aiida_mlcc.calculations.integrals import IntegralsCalculation, refuse_open_shell
from aiida_mlcc.engines.cc4s.base import Cc4sBaseWorkChain
from aiida_mlcc.engines.correlation import PYSCF, PYSCF_CC4S, VASP_CC4S, integral_settings, name_of, uses_cc4s
from aiida_mlcc.engines.vasp.integrals import VaspIntegralsWorkChain, refuse_chain
from aiida_mlcc.jobs.inputs import Options, job_inputs, merge

JOBS = {PYSCF: ('correlate',), PYSCF_CC4S: ('integrals', 'cc4s'), VASP_CC4S: ('vasp', 'cc4s')}
"""Engine → the namespaces of the jobs that it runs."""

_OPTIONAL = {'required': False, 'populate_defaults': False}
_PROCESSES_PER_POINT = 4
_PROCESSES_ABOVE = 5
"""A point, the chain of its integrals and two jobs, at most; and what waits for all points together."""


def cc4s_ports(spec: WorkChainSpec, required: bool = True) -> None:
    """Declare the namespaces `cc4s` and `vasp`, where Cc4s and what makes its integrals run."""
    filled = ('parameters', 'tensors', 'tensors_path', 'parent_folder', 'check_source')
    spec.expose_inputs(
        Cc4sBaseWorkChain,
        namespace='cc4s',
        exclude=(Cc4sBaseWorkChain.JOB, 'metadata'),
        namespace_options=dict(_OPTIONAL),
    )
    spec.expose_inputs(Cc4sCalculation, namespace='cc4s', exclude=filled, namespace_options=dict(_OPTIONAL))
    spec.expose_inputs(VaspIntegralsWorkChain, include=('vasp',))
    # With the ports comes what checks all inputs of that WorkChain, which are not all here.
    spec.inputs.validator = None
    spec.inputs['vasp'].required = False
    spec.inputs['cc4s'].required = required


def integrals_port(spec: WorkChainSpec) -> None:
    """Declare the namespace `integrals`, the job in which PySCF makes integrals for Cc4s."""
    spec.expose_inputs(
        IntegralsCalculation,
        namespace='integrals',
        exclude=('snapshots', 'engine', 'label_hf', 'runtime_source', 'parent_folder'),
        namespace_options=dict(_OPTIONAL),
    )


def correlate_port(spec: WorkChainSpec) -> None:
    """Declare the namespace `correlate`, the job in which PySCF computes all energies."""
    spec.expose_inputs(
        CorrelateCalculation,
        namespace='correlate',
        exclude=('snapshots', 'methods', 'engine', 'runtime_source', 'parent_folder'),
        namespace_options=dict(_OPTIONAL),
    )


def clean_tensors_port(spec: WorkChainSpec) -> None:
    """Declare `clean_tensors`."""
    spec.input(
        'clean_tensors',
        valid_type=orm.Bool,
        serializer=orm.to_aiida_type,
        default=lambda: orm.Bool(True),
        help='Remove the tensors of Cc4s when the energies are in.',
    )


def engine_inputs(
    default: Mapping[str, Any], name: str | None, engines: Mapping[str, Mapping[str, Any]]
) -> dict[str, Any]:
    """Return the settings of another engine; those of PySCF are kept where it makes the integrals.

    :param default: the settings of PySCF.
    :param engines: name → what another engine needs besides.
    """
    if name is None or name not in engines:
        return dict(default)
    kept = default if name == PYSCF_CC4S else {}
    return {**kept, **engines[name], 'name': name}


def with_jobs(
    inputs: Mapping[str, Any], codes: Mapping[str, orm.AbstractCode | None], options: Options
) -> dict[str, Any]:
    """Return the inputs of a protocol with the jobs that the engine runs, and no other.

    :param codes: namespace of a job → its code.
    :param options: scheduler options of the jobs; those of Cc4s and VASP themselves go before them.
    """
    chosen = {name: value for name, value in inputs.items() if name not in codes}
    for name in codes:
        if name not in JOBS.get(inputs['engine']['name'], ()) and (name != 'vasp' or codes[name] is None):
            continue
        if name == 'vasp':
            chosen[name] = {
                'code': codes[name],
                **inputs[name],
                'options': merge(options or {}, inputs[name]['options']),
            }
        elif name == 'cc4s':
            given = {'metadata': {'options': dict(options or {})}}
            chosen[name] = {'code': codes[name], **merge(given, inputs[name])}
        else:
            chosen[name] = job_inputs(inputs[name], codes[name], options)
    return chosen


def refuse_jobs(inputs: Mapping[str, Any]) -> str | None:
    """Return why the jobs that the engine asks for cannot run on the snapshots, in a sentence, or None."""
    engine = inputs['engine'].get_dict()
    for name in JOBS[name_of(engine)]:
        if not inputs.get(name, {}).get('code'):
            return f'the engine is {name_of(engine)}, but `{name}.code` is missing'
    snapshots = inputs['snapshots']
    if name_of(engine) == VASP_CC4S:
        reason = refuse_chain(snapshots, integral_settings(engine), inputs['vasp'])
    else:
        reason = refuse_open_shell(snapshots.get_ase(0))
    if reason is not None:
        return reason
    if not uses_cc4s(engine):
        return None
    code = inputs['cc4s']['code']
    if (reason := refuse_code(code)) is not None:
        return reason
    maker = JOBS[name_of(engine)][0]
    before = inputs[maker]['code'].computer
    if before is not None and code.computer is not None and before.uuid != code.computer.uuid:
        return (
            f'`{maker}.code` runs on {before.label} and `cc4s.code` on {code.computer.label}: the integrals stay where '
            'they are made, so take codes of one computer'
        )
    return _refuse_deadlock(inputs)


def _refuse_deadlock(inputs: Mapping[str, Any]) -> str | None:
    """Refuse more points at a time than a daemon worker has places for: all would wait for a place for their jobs."""
    from aiida.manage.configuration import get_config_option

    slots = get_config_option('daemon.worker_process_slots')
    n_batches = inputs['max_concurrent'].value
    n_points = n_batches * inputs['batch_size'].value
    if (n_processes := n_points * _PROCESSES_PER_POINT + n_batches + _PROCESSES_ABOVE) <= slots:
        return None
    return (
        f'`batch_size` times `max_concurrent` is {n_points} points at a time, up to {n_processes} processes: a daemon '
        f'worker holds {slots}, and all of them would wait for a place for their jobs. Take fewer points, or set '
        '`verdi config set daemon.worker_process_slots` higher'
    )
