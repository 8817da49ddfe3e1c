"""DistillWorkChain: one network that stands for a whole force field, such as a base with its Δ."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from aiida import orm
from aiida.engine import ExitCode, ProcessBuilder, ToContext, WorkChain, if_
from aiida.engine.processes.ports import PortNamespace
from aiida.engine.processes.workchains.workchain import WorkChainSpec

from aiida_mlcc.calculations.evaluate import EvaluateCalculation
from aiida_mlcc.calculations.functions.force_field_charges import force_field_charges
from aiida_mlcc.calculations.ports import settings_port
from aiida_mlcc.calculations.runtime_source import science_hash
from aiida_mlcc.calculations.train import TrainCalculation
from aiida_mlcc.data.force_field import ForceFieldData
from aiida_mlcc.data.snapshots import SnapshotsData
from aiida_mlcc.engines.engine import Inputs
from aiida_mlcc.jobs.crystal import displace_atoms, find_primitive_cell
from aiida_mlcc.jobs.inputs import InputTree, JobOptions, job_inputs, refuse_mismatch
from aiida_mlcc.jobs.ports import structure_port, supercell_port, symprec_port
from aiida_mlcc.jobs.restart import EvaluateRestartWorkChain, TrainRestartWorkChain
from aiida_mlcc.runtime.mace.training_settings import Network, Training
from aiida_mlcc.runtime.tasks.evaluate_settings import Evaluate
from aiida_mlcc.science.crystal.cells import commensurate, primitive_cell
from aiida_mlcc.science.force_field.kinds import kind_of
from aiida_mlcc.science.labels.displacements import Displacements
from aiida_mlcc.science.labels.methods import predicted
from aiida_mlcc.workflows.common.protocol import ProtocolMixin

TEACHER = 'teacher'
"""What the force field is called in the jobs that evaluate it."""


class DistillWorkChain(ProtocolMixin, WorkChain):
    """A network learns energies, forces and force constants of a force field, the teacher.

    The teacher labels the frames and displacements of the crystal. Its labels are predictions, ``ML(METHOD)``, and that
    is the method of the network, too. The dipole–dipole energy of a polar crystal stays a term of its own.
    """

    PROTOCOL_FILE = 'distill.yaml'
    SETTINGS: ClassVar = {'parameters': Displacements, 'train.network': Network, 'train.training': Training}

    @classmethod
    def define(cls, spec: WorkChainSpec) -> None:
        super().define(spec)
        spec.input('force_field', valid_type=ForceFieldData, validator=_refuse_force_field, help='The teacher.')
        structure_port(spec)
        spec.input('snapshots', valid_type=SnapshotsData, help='Frames to train on; their labels are not read.')
        supercell_port(spec, 'the primitive cell')
        symprec_port(spec)
        settings_port(spec, 'parameters', Displacements, help='How atoms are displaced for the force constants.')
        spec.input(
            'seed',
            valid_type=orm.Int,
            serializer=orm.to_aiida_type,
            help='Seed of the split, the initial weights and the order of the frames.',
        )
        spec.expose_inputs(EvaluateCalculation, namespace='evaluate', exclude=_SET_HERE_OF_LABELS)
        spec.expose_inputs(TrainCalculation, namespace='train', exclude=_SET_HERE_OF_TRAINING)
        spec.inputs.validator = _refuse
        spec.output('force_field', valid_type=ForceFieldData, help='The network.')
        spec.output('snapshots', valid_type=SnapshotsData, help='The frames as the teacher labelled them.')
        spec.output(
            'summary',
            valid_type=orm.Dict,
            help='Results of the training; `errors` contains the differences between the network and its teacher.',
        )
        spec.output('history', valid_type=orm.ArrayData, required=False, help='Losses and errors epoch by epoch.')
        spec.outline(
            cls.find_primitive_cell,
            if_(cls.is_polar)(
                cls.find_born_charges,
            ),
            cls.displace_atoms,
            cls.ask_teacher,
            cls.collect_labels,
            cls.train_network,
            cls.collect_network,
        )
        spec.exit_code(210, 'ERROR_DISPLACEMENTS', message='The crystal cannot be displaced: {reason}')
        spec.exit_code(211, 'ERROR_BORN_CHARGES', message='The dipoles of the force field cannot be kept: {reason}')
        spec.exit_code(310, 'ERROR_NO_LABELS', message='The force field does not label the {what}: {reason}')
        spec.exit_code(311, 'ERROR_NOT_TRAINED', message='The network was not trained: {reason}')

    @classmethod
    def get_builder_from_protocol(
        cls,
        code: orm.AbstractCode,
        structure: orm.StructureData,
        snapshots: SnapshotsData,
        force_field: ForceFieldData,
        protocol: str | None = None,
        overrides: InputTree | None = None,
        options: JobOptions | None = None,
        train_options: JobOptions | None = None,
    ) -> ProcessBuilder:
        """Return a builder with the inputs of a protocol.

        Atoms are displaced in the cell of the snapshots, unless `overrides` have a ``supercell_matrix``.

        :param code: a Python that has MACE and phonopy.
        :param options: scheduler options of all jobs, as in ``metadata.options``.
        :param train_options: what differs for the training, such as a GPU partition.
        :raises aiida_mlcc.workflows.common.protocol.ProtocolError: for an unknown protocol or override key.
        :raises aiida_mlcc.science.crystal.cells.CrystalError: for snapshots of another crystal.
        """
        inputs = cls.get_protocol_inputs(protocol, overrides)
        if inputs.get('supercell_matrix') is None:
            primitive = primitive_cell(structure.get_ase(), inputs['symprec'])
            multiples, _ = commensurate(primitive, snapshots.get_ase(0))
            inputs['supercell_matrix'] = (multiples.T * round(float(np.sign(np.linalg.det(multiples))))).tolist()
        inputs['evaluate'] = job_inputs(inputs['evaluate'], code, options)
        inputs['train'] = job_inputs(inputs['train'], code, {**(options or {}), **(train_options or {})})
        return cls.fill({'structure': structure, 'snapshots': snapshots, 'force_field': force_field, **inputs})

    def find_primitive_cell(self) -> None:
        """Find the primitive cell, whose displacements symmetry tells apart."""
        self.ctx.primitive = find_primitive_cell(self.inputs)

    def is_polar(self) -> bool:
        """Tell whether the teacher has a dipole–dipole energy."""
        return any(kind_of(term['kind']).polar for term in self.inputs.force_field.base.attributes.get('terms'))

    def find_born_charges(self) -> ExitCode | None:
        """Take the Born charges of the teacher: no network reaches as far as dipoles do."""
        self.ctx.born_charges, node = force_field_charges.run_get_node(
            self.inputs.force_field,
            self.ctx.primitive,
            science_hash(force_field_charges),
            metadata={'call_link_label': 'find_born_charges'},
        )
        if not node.is_finished_ok:
            return self.exit_codes.ERROR_BORN_CHARGES.format(reason=node.exit_message)
        return None

    def displace_atoms(self) -> ExitCode | None:
        """Move one atom at a time, as many as symmetry makes different."""
        self.ctx.displaced, reason = displace_atoms(self.inputs, self.ctx.primitive)
        if reason is not None:
            return self.exit_codes.ERROR_DISPLACEMENTS.format(reason=reason)
        return None

    def ask_teacher(self) -> ToContext:
        """Get energies and forces of the teacher for the frames and the displacements."""
        frames, displaced = self.inputs.snapshots, self.ctx.displaced
        self.report(
            f'{self.method} energies and forces of {frames.n_frames} frames of {frames.n_atoms} atoms, and of '
            f'{displaced.n_frames - 1} displacements in a cell of {displaced.n_atoms}'
        )
        return ToContext(
            frames=self.submit_labels(frames, 'label_frames'),
            displacements=self.submit_labels(displaced, 'label_displacements'),
        )

    def submit_labels(self, snapshots: SnapshotsData, label: str) -> orm.ProcessNode:
        """Submit the job that labels some structures, with this call link label."""
        job = self.exposed_inputs(EvaluateCalculation, 'evaluate')
        job.update(
            snapshots=snapshots,
            force_fields={TEACHER: self.inputs.force_field},
            parameters=orm.Dict(Evaluate.defaults()),
        )
        return self.submit(EvaluateRestartWorkChain, job=job, metadata={'call_link_label': label})

    def collect_labels(self) -> ExitCode | None:
        """Keep the labels; frames that the teacher cannot label are left out, displacements must all be there."""
        for what in ('frames', 'displacements'):
            node = self.ctx[what]
            if not node.is_finished_ok:
                reason = node.exit_message or f'the job ended as {node.process_state}'
                return self.exit_codes.ERROR_NO_LABELS.format(what=what, reason=reason)
            if failed := node.outputs.summary.get('failures', []):
                if what == 'displacements':
                    return self.exit_codes.ERROR_NO_LABELS.format(what=what, reason=failed[0]['reason'])
                self.report(f'{len(failed)} frames are left out: {failed[0]["reason"]}')
        self.out('snapshots', self.ctx.frames.outputs.evaluated[TEACHER])
        return None

    def train_network(self) -> ToContext:
        """Train the network on all that the teacher said."""
        job = self.exposed_inputs(TrainCalculation, 'train')
        job.update(
            snapshots=self.ctx.frames.outputs.evaluated[TEACHER],
            reference=self.ctx.displacements.outputs.evaluated[TEACHER],
            structure=self.ctx.primitive,
            method=orm.Str(self.method),
            seed=self.inputs.seed,
        )
        if 'born_charges' in self.ctx:
            job['born_charges'] = self.ctx.born_charges
        return ToContext(
            trained=self.submit(TrainRestartWorkChain, job=job, metadata={'call_link_label': 'train_network'})
        )

    def collect_network(self) -> ExitCode | None:
        """Return the network, and how far it is from its teacher."""
        node = self.ctx.trained
        if not node.is_finished_ok:
            reason = node.exit_message or f'the training ended as {node.process_state}'
            return self.exit_codes.ERROR_NOT_TRAINED.format(reason=reason)
        for name in ('force_field', 'summary', 'history'):
            if name in node.outputs:
                self.out(name, node.outputs[name])
        return None

    @property
    def method(self) -> str:
        """The method of the teacher's predictions, ``ML(METHOD)``."""
        return predicted(self.inputs.force_field.method)


_SET_HERE_OF_JOBS = ('snapshots', 'runtime_source', 'parent_folder')
_SET_HERE_OF_LABELS = (*_SET_HERE_OF_JOBS, 'engine', 'force_fields', 'parameters')
_SET_HERE_OF_TRAINING = (
    *_SET_HERE_OF_JOBS,
    'method',
    'minus',
    'forces',
    'structure',
    'born_charges',
    'correction',
    'force_constants',
    'reference',
    'start_from',
    'seed',
)


def _refuse_force_field(node: ForceFieldData, _: Any) -> str | None:
    """Refuse a Δ, which has no energy of its own."""
    if node.base.attributes.get('base_scale') or node.base.attributes.get('role', None) == 'delta':
        return 'the force field is a Δ without its base: give their sum, which is an output under `delta_ml`'
    return None


def _refuse(inputs: Inputs, _: PortNamespace) -> str | None:
    """Refuse snapshots of another crystal, or of elements that the teacher lacks."""
    if not {'structure', 'snapshots', 'force_field'} <= set(inputs):
        return None
    known = inputs['force_field'].base.attributes.get('constants')
    if unknown := sorted(set(inputs['snapshots'].get_snapshots().symbols) - set(known)):
        return f'the force field is for {", ".join(sorted(known))}, not for {", ".join(unknown)}'
    return refuse_mismatch(inputs['structure'], inputs['snapshots'])
