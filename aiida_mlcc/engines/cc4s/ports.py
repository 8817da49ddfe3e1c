"""The ports of the jobs that Cc4s and its integrals need."""

from __future__ import annotations

from aiida import orm
from aiida.engine.processes.workchains.workchain import WorkChainSpec

from aiida_mlcc.calculations.cc4s import Cc4sCalculation
from aiida_mlcc.calculations.cc4s_dry_run import refuse_speed
from aiida_mlcc.calculations.integrals import IntegralsCalculation
from aiida_mlcc.engines.cc4s.base import Cc4sBaseWorkChain
from aiida_mlcc.engines.runtime_jobs import OPTIONAL
from aiida_mlcc.engines.vasp.finished import finished_steps_port
from aiida_mlcc.engines.vasp.jobs import chain_ports, vasp_ports


def cc4s_ports(spec: WorkChainSpec, required: bool = True) -> None:
    """Declare the namespace `cc4s`, where Cc4s runs."""
    filled = ('parameters', 'tensors', 'tensors_path', 'parent_folder', 'check_source')
    spec.expose_inputs(
        Cc4sBaseWorkChain,
        namespace='cc4s',
        exclude=(Cc4sBaseWorkChain.JOB, 'metadata'),
        namespace_options=dict(OPTIONAL),
    )
    spec.expose_inputs(Cc4sCalculation, namespace='cc4s', exclude=filled, namespace_options=dict(OPTIONAL))
    spec.input(
        'cc4s.gflops_per_core',
        valid_type=orm.Float,
        required=False,
        serializer=orm.to_aiida_type,
        validator=refuse_speed,
        help='Billions of operations that Cc4s makes a core and second, for the forecast of the cost; 10 by default.',
    )
    spec.inputs['cc4s'].required = required


def chain_of_vasp_ports(spec: WorkChainSpec, required: bool = True) -> None:
    """Declare `vasp`, where VASP makes integrals for Cc4s, and `finished_steps`."""
    if 'vasp' not in spec.inputs:
        vasp_ports(spec, required=required)
    chain_ports(spec)
    finished_steps_port(spec)


def integrals_port(spec: WorkChainSpec) -> None:
    """Declare the namespace `integrals`, the job in which PySCF makes integrals for Cc4s."""
    spec.expose_inputs(
        IntegralsCalculation,
        namespace='integrals',
        exclude=('snapshots', 'engine', 'label_hf', 'runtime_source', 'parent_folder'),
        namespace_options=dict(OPTIONAL),
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
