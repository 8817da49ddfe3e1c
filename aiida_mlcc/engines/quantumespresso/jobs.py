"""What the WorkChains that run Quantum ESPRESSO have in common: the namespace, and the inputs of a job."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Any, Final, NotRequired, TypedDict, cast

from aiida import orm
from aiida.engine.processes.workchains.workchain import WorkChainSpec

from aiida_mlcc.engines.engine import Metadata
from aiida_mlcc.engines.quantumespresso.potentials import potentials
from aiida_mlcc.engines.quantumespresso.settings import Namelists, QuantumEspressoForces, pw_parameters
from aiida_mlcc.jobs.inputs import JobOptions, merge

PLACE: Final = 'quantumespresso'
"""The namespace that says where Quantum ESPRESSO runs."""

_STOP = 'STOP'
"""How pw.x and ph.x end in their errors, whatever happened."""

_PW, _PH = 'quantumespresso.pw', 'quantumespresso.ph'


def refuse_pw(code: orm.AbstractCode, _: Any = None) -> str | None:
    """Refuse a code that is not pw.x."""
    return _refuse(code, _PW, 'pw.x', '`quantumespresso_code` of a protocol, `--quantumespresso-code` of a command')


def refuse_ph(code: orm.AbstractCode, _: Any = None) -> str | None:
    """Refuse a code that is not ph.x."""
    return _refuse(code, _PH, 'ph.x', '`quantumespresso.ph_code`')


def is_pw(code: orm.AbstractCode) -> bool:
    """Tell whether `code` is pw.x: by the plugin it is set up for, else by the name of its program."""
    return refuse_pw(code) is None


def _refuse(code: orm.AbstractCode, plugin: str, program: str, where: str) -> str | None:
    name = PurePosixPath(str(code.get_executable())).name
    if plugin == (code.default_calc_job_plugin or (plugin if name == program else None)):
        return None
    return (
        f'the code `{code.full_label}` is not {program}: give one ({where}) that is set up with '
        f'`default_calc_job_plugin: {plugin}`'
    )


def quantumespresso_ports(spec: WorkChainSpec, required: bool = True) -> None:
    """Declare the namespace `quantumespresso`, which says where pw.x runs."""
    spec.input_namespace(PLACE, required=required, populate_defaults=False, help='Where Quantum ESPRESSO runs.')
    spec.input(f'{PLACE}.code', valid_type=orm.AbstractCode, validator=refuse_pw, help='pw.x.')
    for name, text in {
        'options': 'Scheduler options of each job, as in ``metadata.options``.',
        'parallelization': 'Flags of pw.x that spread its work, such as ``npool``.',
    }.items():
        spec.input(f'{PLACE}.{name}', valid_type=orm.Dict, required=False, serializer=orm.to_aiida_type, help=text)


class ProgramPlace(TypedDict, total=False):
    """What the namespace of a program of Quantum ESPRESSO holds."""

    code: orm.AbstractCode
    options: orm.Dict
    parallelization: orm.Dict


class PwInputs(TypedDict):
    """The inputs of a PwCalculation."""

    code: orm.AbstractCode
    structure: orm.StructureData
    parameters: orm.Dict
    kpoints: orm.KpointsData
    pseudos: dict[str, orm.Data]
    metadata: Metadata
    parallelization: NotRequired[orm.Dict]


def job_options(place: ProgramPlace) -> JobOptions:
    """Return the scheduler options of a job; one process starts without MPI."""
    options = place['options'].get_dict() if 'options' in place else {}
    resources = options.setdefault('resources', {'num_machines': 1, 'num_mpiprocs_per_machine': 1})
    n_processes = resources.get('tot_num_mpiprocs') or (
        resources.get('num_machines', 1) * resources.get('num_mpiprocs_per_machine', 2)
    )
    return cast(JobOptions, {'withmpi': n_processes > 1, **options})


def pw_job(
    place: ProgramPlace,
    settings: QuantumEspressoForces,
    structure: orm.StructureData,
    label: str,
    further: Namelists | None = None,
) -> PwInputs:
    """Return the inputs of one PwCalculation.

    :param further: keywords over those of the settings, namelist by namelist.
    """
    kpoints = orm.KpointsData()
    kpoints.set_kpoints_mesh(settings.kpoints, offset=[0.5 * shift for shift in settings.kpoints_shift])
    inputs: PwInputs = {
        'code': place['code'],
        'structure': structure,
        'parameters': orm.Dict(merge(pw_parameters(settings), further or {})),
        'kpoints': kpoints,
        'pseudos': potentials([site.kind_name for site in structure.sites], settings.pseudo_family),
        'metadata': {'call_link_label': label, 'label': label, 'options': job_options(place)},
    }
    if 'parallelization' in place:
        inputs['parallelization'] = place['parallelization']
    return inputs


def why(node: orm.CalcJobNode) -> str:
    """Return how a job ended, in a sentence, with the last line of its errors: a program that is not there says so."""
    reason = node.exit_message or f'{node.process_label}<{node.pk}> ended as {node.process_state.value}.'
    lines = [line.strip() for line in (node.get_scheduler_stderr() or '').splitlines()]
    lines = [line for line in lines if line and not line.startswith(_STOP)]
    return f'{reason.rstrip(".")}; its last line of errors is: {lines[-1]}' if lines else reason
