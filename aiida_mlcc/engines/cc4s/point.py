"""Cc4sPointWorkChain: the energies of one snapshot with VASP and Cc4s, stored as soon as they are there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiida import orm
from aiida.engine import ExitCode, ToContext, WorkChain, if_
from aiida.engine.processes.workchains.workchain import WorkChainSpec

from aiida_mlcc.calculations.cc4s import Cc4sCalculation
from aiida_mlcc.calculations.cc4s_input import tensor_names
from aiida_mlcc.calculations.correlate import validate_methods
from aiida_mlcc.calculations.functions.label_point import label_point
from aiida_mlcc.calculations.runtime_source import science_hash
from aiida_mlcc.data.snapshots import SnapshotsData
from aiida_mlcc.engines.cc4s.base import Cc4sBaseWorkChain
from aiida_mlcc.engines.cc4s.ports import cc4s_ports, chain_of_vasp_ports, clean_tensors_port
from aiida_mlcc.engines.cc4s.settings import cc4s_parameters, integral_settings
from aiida_mlcc.engines.table import correlation_engine, refuse_correlation_engine
from aiida_mlcc.engines.vasp.finished import FINISHED_STEPS
from aiida_mlcc.engines.vasp.integrals import VaspIntegralsWorkChain
from aiida_mlcc.jobs.inputs import InputTree
from aiida_mlcc.science.json_values import Source


class Cc4sPointWorkChain(WorkChain):
    """Integrals by VASP, Cc4s, and a label of each method whose energy there is."""

    @classmethod
    def define(cls, spec: WorkChainSpec) -> None:
        super().define(spec)
        points_ports(spec)
        chain_of_vasp_ports(spec)
        spec.input('frame', valid_type=orm.Int, serializer=orm.to_aiida_type, help='Which of the snapshots.')
        spec.output('labelled', valid_type=SnapshotsData, required=False, help='The snapshot with its energies.')
        spec.outline(
            cls.make_integrals,
            cls.take_integrals,
            if_(cls.goes_beyond_hartree_fock)(
                cls.run_cc4s,
                cls.take_energies,
            ),
            cls.label,
            if_(cls.may_clean)(
                cls.remove_tensors,
            ),
            cls.judge,
        )
        spec.exit_code(310, 'ERROR_NO_INTEGRALS', message='{reason}')
        spec.exit_code(410, 'ERROR_ENERGIES_MISSING', message='{reason}')

    def make_integrals(self) -> ToContext:
        """Run the steps of VASP, from the density functional to the Coulomb vertex."""
        self.ctx.parameters = cc4s_parameters(self.inputs.engine['cc4s'], self.inputs.methods.get_list())
        self.ctx.parts, self.ctx.reason = {}, ''
        inputs = {name: self.inputs[name] for name in ('vasp', FINISHED_STEPS) if name in self.inputs}
        inputs.update(snapshots=self.inputs.snapshots, frame=self.inputs.frame)
        inputs['engine'] = orm.Dict(integral_settings(self.inputs.engine.get_dict()))
        inputs['tensors'] = orm.List(tensor_names(self.ctx.parameters)) if self.ctx.parameters else orm.List([])
        inputs['metadata'] = {'call_link_label': 'integrals'}
        return ToContext(vasp=self.submit(VaspIntegralsWorkChain, **inputs))

    def take_integrals(self) -> ExitCode | None:
        """Take the tensors and the Hartree–Fock energy."""
        node = self.ctx.vasp
        if not node.is_finished_ok:
            return self.exit_codes.ERROR_NO_INTEGRALS.format(reason=reason_of(node))
        self.ctx.tensors = node.outputs.tensors
        for name in ('hf_energy', 'hf_forces'):
            if name in node.outputs:
                self.ctx.parts[name] = node.outputs[name]
        return None

    def goes_beyond_hartree_fock(self) -> bool:
        """Tell whether any method needs Cc4s."""
        return bool(self.ctx.parameters)

    def run_cc4s(self) -> ToContext:
        """Run the cheapest calculation that gives all methods."""
        inputs = cc4s_inputs(self, 'cc4s', parameters=orm.Dict(self.ctx.parameters), tensors=self.ctx.tensors)
        return ToContext(cc4s=self.submit(Cc4sBaseWorkChain, **inputs))

    def take_energies(self) -> None:
        """Take the energies that there are, also where Cc4s did not come to its end."""
        node = self.ctx.cc4s
        self.ctx.parts.update(energies_of(node))
        if not node.is_finished_ok:
            self.ctx.reason = reason_of(node)

    def label(self) -> None:
        """Store the energies as labels of the snapshot."""
        labelled = label_point(
            self.inputs.snapshots,
            self.inputs.frame,
            self.inputs.methods,
            orm.Dict(label_source(self.inputs.engine)),
            science_hash(label_point),
            **self.ctx.parts,
            metadata={'call_link_label': 'label'},
        )
        self.ctx.missing = [method for method in self.inputs.methods if method not in labelled.methods]
        if labelled.methods:
            self.out('labelled', labelled)

    def may_clean(self) -> bool:
        """Tell whether the tensors may go: where an energy is missing they are kept, for they are dear."""
        return self.inputs.clean_tensors.value and not self.ctx.missing

    def remove_tensors(self) -> None:
        """Empty the folder of the tensors."""
        remove(self.ctx.tensors, self)

    def judge(self) -> ExitCode | None:
        """Say which energies there are not, and why."""
        if not self.ctx.missing:
            return None
        return self.exit_codes.ERROR_ENERGIES_MISSING.format(reason=self.ctx.reason or no_energy(self.ctx.missing[0]))


def points_ports(spec: WorkChainSpec) -> None:
    """Declare what points are labelled by which methods, and where Cc4s runs."""
    spec.input('snapshots', valid_type=SnapshotsData)
    spec.input('methods', valid_type=orm.List, serializer=orm.to_aiida_type, validator=validate_methods)
    spec.input('engine', valid_type=orm.Dict, serializer=orm.to_aiida_type, validator=refuse_correlation_engine)
    cc4s_ports(spec)
    clean_tensors_port(spec)


def cc4s_inputs(workchain: WorkChain, label: str, **job: orm.Data) -> InputTree:
    """Return the inputs of Cc4s, from start to end, of a WorkChain that has it in its namespace `cc4s`.

    :param label: of the link to it.
    :param job: inputs of its job that the namespace has not.
    """
    return {
        **workchain.exposed_inputs(Cc4sBaseWorkChain, 'cc4s', agglomerate=False),
        Cc4sBaseWorkChain.JOB: {**workchain.exposed_inputs(Cc4sCalculation, 'cc4s'), **job},
        'metadata': {'call_link_label': label},
    }


def label_source(engine: orm.Dict) -> Source:
    """Return the source as labels store it: of Hartree–Fock at the Γ point they say nothing more."""
    source = correlation_engine(engine).source()
    return {name: value for name, value in source.items() if (name, value) != ('hf_kpoints', None)}


def energies_of(node: orm.WorkChainNode) -> dict[str, orm.Data]:
    """Return what Cc4s gave of a point, as inputs of :func:`label_point`: there may be energies where it failed."""
    outputs: Mapping[str, orm.Data] = node.outputs
    return {
        name: outputs[output] for name, output in (('energies', 'energies'), ('run', 'summary')) if output in outputs
    }


def no_energy(method: str) -> str:
    """Return why there is no energy of `method`, where Cc4s did not fail."""
    return f'Cc4s gave no energy from which {method} follows'


def reason_of(node: orm.ProcessNode) -> str:
    """Return why a process failed, in a sentence."""
    return node.exit_message or f'{node.process_label}<{node.pk}> ended as {node.process_state.value}'


def remove(folder: orm.RemoteData, workchain: Any) -> None:
    """Empty a remote folder; where that fails, say so and go on."""
    try:
        folder._clean()
    except Exception as error:  # a transport raises what it likes  # noqa: BLE001
        workchain.report(f'the tensors in {folder.get_remote_path()} could not be removed: {error}')
