"""What the WorkChains that run VASP have in common: the namespace `vasp`, and the inputs of a job."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NotRequired, TypedDict, cast

from aiida import orm
from aiida.engine.processes.workchains.workchain import WorkChainSpec

from aiida_mlcc.engines.engine import Metadata, Place
from aiida_mlcc.engines.vasp.incar import STEPS, Tags
from aiida_mlcc.engines.vasp.settings import Potentials, potentials, refuse_code
from aiida_mlcc.jobs.inputs import JobOptions, refuse_count
from aiida_mlcc.science.dataset.vasp_files.vasprun import VaspRun, parse_vasprun

PLACE: Final = 'vasp'
"""The namespace that says where VASP runs."""

VASPRUN = 'vasprun.xml'
GAMMA = [1, 1, 1]


def vasp_ports(spec: WorkChainSpec, required: bool = True) -> None:
    """Declare the namespace `vasp`, which says where VASP runs."""
    spec.input_namespace('vasp', required=required, populate_defaults=False, help='Where VASP runs.')
    spec.input('vasp.code', valid_type=orm.AbstractCode, validator=refuse_code, help='VASP.')
    spec.input(
        'vasp.code_kpoints',
        valid_type=orm.AbstractCode,
        required=False,
        validator=refuse_code,
        help='VASP for k-meshes, where `vasp.code` is the program for Γ alone.',
    )
    spec.input(
        'vasp.options',
        valid_type=orm.Dict,
        required=False,
        serializer=orm.to_aiida_type,
        help='Scheduler options of each job, as in ``metadata.options``.',
    )


_OF_CHAIN = ('step_options', 'max_wallclock_seconds', 'max_machines')


def chain_ports(spec: WorkChainSpec) -> None:
    """Declare what `vasp` holds besides for the steps towards Cc4s."""
    spec.input(
        'vasp.step_options',
        valid_type=orm.Dict,
        required=False,
        serializer=orm.to_aiida_type,
        validator=_refuse_step_options,
        help=f'Step → scheduler options of its job, laid over `options`. The steps: {", ".join(STEPS)}.',
    )
    limits = {
        'max_wallclock_seconds': 'How far the wall time of a step that ran out of it may be raised; by default not.',
        'max_machines': 'How many machines a step that ran out of memory may be given; by default those it has.',
    }
    for name, text in limits.items():
        spec.input(
            f'vasp.{name}',
            valid_type=orm.Int,
            required=False,
            serializer=orm.to_aiida_type,
            validator=refuse_count,
            help=text,
        )


def without_chain(vasp: Place) -> Place:
    """Return of the inputs in `vasp` those of any job of VASP."""
    return cast(Place, {name: value for name, value in vasp.items() if name not in _OF_CHAIN})


def _refuse_step_options(node: orm.Dict, _: Any) -> str | None:
    for step, options in node.get_dict().items():
        if step not in STEPS:
            return f'there is no step `{step}`: choose from {", ".join(STEPS)}'
        if not isinstance(options, Mapping):
            return f'the options of the step `{step}` are {options!r}: give a mapping, as in ``metadata.options``'
    return None


def segment_port(spec: WorkChainSpec) -> None:
    """Declare `vasp.segment_steps`."""
    spec.input(
        'vasp.segment_steps',
        valid_type=orm.Int,
        required=False,
        serializer=orm.to_aiida_type,
        validator=refuse_count,
        help='Steps of the dynamics in one job; all that are left where it is not given.',
    )


class VaspInputs(TypedDict):
    """The inputs of a calculation of aiida-vasp."""

    code: orm.AbstractCode
    structure: orm.StructureData
    parameters: orm.Dict
    kpoints: orm.KpointsData
    potential: Mapping[str, orm.Data]
    settings: orm.Dict
    metadata: Metadata
    restart_folder: NotRequired[orm.RemoteData]
    poscar: NotRequired[orm.SinglefileData]


def vasp_job(
    vasp: Place,
    given: Potentials,
    structure: orm.StructureData,
    tags: Tags,
    mesh: list[int],
    label: str,
    *,
    check_errors: bool = True,
    copied: tuple[str, ...] = (),
    append_text: str = '',
) -> VaspInputs:
    """Return the inputs of one calculation of aiida-vasp.

    Its parser has only to say how the job ended: energies and forces are read from the retrieved files.

    :param mesh: divisions of the Γ-centred mesh.
    :param copied: files taken from the restart folder besides WAVECAR and CHGCAR.
    :param append_text: what the job's script does after VASP, besides what the options of `vasp` say.
    """
    kpoints = orm.KpointsData()
    kpoints.set_kpoints_mesh(mesh)
    settings = {
        'poscar_precision': 14,
        'skip_parameters_validation': True,
        'ADDITIONAL_REMOTE_COPY_LIST': list(copied),
        'parser_settings': {
            'check_completeness': False,
            'check_errors': check_errors,
            'check_ionic_convergence': False,
            **({} if check_errors else {'required_quantity': []}),
        },
    }
    options: JobOptions = vasp['options'].get_dict() if 'options' in vasp else {}
    if append_text:
        options['append_text'] = '\n'.join([*filter(None, [options.get('append_text')]), append_text])
    return {
        'code': vasp['code'] if mesh == GAMMA else vasp.get('code_kpoints', vasp['code']),
        'structure': structure,
        'parameters': orm.Dict(tags),
        'kpoints': kpoints,
        'potential': potentials([site.kind_name for site in structure.sites], given),
        'settings': orm.Dict(settings),
        'metadata': {'call_link_label': label, 'label': label, 'options': options},
    }


def retrieved_run(node: orm.CalcJobNode) -> VaspRun | None:
    """Return what a job's vasprun.xml holds, or None where there is none that can be read."""
    if 'retrieved' not in node.outputs or VASPRUN not in node.outputs.retrieved.list_object_names():
        return None
    try:
        return parse_vasprun(node.outputs.retrieved.get_object_content(VASPRUN, 'rb'))
    except ValueError:
        return None


def why(node: orm.ProcessNode) -> str:
    """Return how a job ended, in a sentence."""
    return node.exit_message or f'{node.process_label}<{node.pk}> ended as {node.process_state.value}.'
