"""DeltaTrainWorkChain: a base force field on DFT, Δ on E_WFT − E_DFT, and their sum, per method and seed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiida import orm
from aiida.engine import ExitCode, ToContext, WorkChain, while_
from aiida.engine.processes.workchains.workchain import WorkChainSpec

from aiida_mlcc.calculations.correlate import validate_methods
from aiida_mlcc.calculations.fit import FitCalculation
from aiida_mlcc.calculations.functions.primitive_structure import primitive_structure
from aiida_mlcc.calculations.functions.sum_force_fields import sum_force_fields
from aiida_mlcc.calculations.runtime_source import science_hash
from aiida_mlcc.calculations.train import TrainCalculation
from aiida_mlcc.data.force_field import ForceFieldData
from aiida_mlcc.data.snapshots import SnapshotsData
from aiida_mlcc.science.methods import DFT_METHODS, slug_of
from aiida_mlcc.workflows.inputs import Options, job_inputs, refuse_mismatch, refuse_seeds, seed_label
from aiida_mlcc.workflows.ports import count_port, symprec_port
from aiida_mlcc.workflows.protocol import ProtocolMixin, merge
from aiida_mlcc.workflows.restart import FitRestartWorkChain, TrainRestartWorkChain

KINDS_OF_DELTA = ('mace', 'force-constants')


class DeltaTrainWorkChain(ProtocolMixin, WorkChain):
    """Each seed is one member: its own base network, and ΔML of every method on top of it."""

    PROTOCOL_FILE = 'delta_train.yaml'
    _FIT = 'delta_force_constants'

    @classmethod
    def define(cls, spec: WorkChainSpec) -> None:
        super().define(spec)
        spec.input('structure', valid_type=orm.StructureData, help='The crystal the snapshots are supercells of.')
        spec.input('snapshots', valid_type=SnapshotsData, help='Frames with the labels of all methods.')
        spec.input('base_method', valid_type=orm.Str, serializer=orm.to_aiida_type, validator=_refuse_base_method)
        spec.input('methods', valid_type=orm.List, serializer=orm.to_aiida_type, validator=validate_methods)
        spec.input('seeds', valid_type=orm.List, serializer=orm.to_aiida_type, validator=refuse_seeds)
        symprec_port(spec)
        count_port(spec, 'max_concurrent', 4, 'Jobs at a time.')
        set_here = ('snapshots', 'seed', 'runtime_source', 'parent_folder')
        spec.expose_inputs(TrainCalculation, namespace='base', exclude=(*set_here, 'method', 'minus'))
        spec.input_namespace('delta')
        spec.input(
            'delta.kind',
            valid_type=orm.Str,
            serializer=orm.to_aiida_type,
            validator=_refuse_kind,
            help='`mace`: a second network on energy differences. `force-constants`: a linear fit, in seconds.',
        )
        spec.expose_inputs(
            TrainCalculation,
            namespace='delta.mace',
            exclude=(*set_here, 'method', 'minus'),
            namespace_options={'required': False, 'populate_defaults': False},
        )
        spec.expose_inputs(
            FitCalculation,
            namespace='delta.force_constants',
            exclude=(*set_here, 'structure', 'base_method', 'methods'),
            namespace_options={'required': False, 'populate_defaults': False},
        )
        spec.inputs.validator = _refuse_labels
        spec.output_namespace('base', valid_type=ForceFieldData, dynamic=True, help='The base force field per seed.')
        spec.output_namespace('delta_ml', dynamic=True, help='Base plus Δ, per method and seed.')
        spec.output('errors', valid_type=orm.Dict, help='Errors of every fit, per method and seed.')
        spec.output('failures', valid_type=orm.Dict, help='Which trainings failed, and why.')
        spec.outline(
            cls.find_primitive_cell,
            cls.plan_trainings,
            while_(cls.trainings_left)(
                cls.train_next,
                cls.collect_trained,
            ),
            cls.add_deltas,
            cls.judge,
        )
        spec.exit_code(310, 'ERROR_NO_MEMBER', message='No member was trained. The first reason: {reason}')
        spec.exit_code(410, 'ERROR_MEMBERS_MISSING', message='{n_failed} of {n_planned} trainings failed.')

    @classmethod
    def get_builder_from_protocol(
        cls,
        code: orm.AbstractCode,
        structure: orm.StructureData,
        snapshots: SnapshotsData,
        base_method: str,
        protocol: str | None = None,
        overrides: Mapping[str, Any] | None = None,
        options: Options = None,
        train_options: Options = None,
    ):
        """Return a builder with the inputs of a protocol.

        :param code: a Python that has MACE, symfc and phonopy.
        :param base_method: the method of the labels with forces, ``LDA`` or ``PBE``.
        :param options: scheduler options of all jobs, as in ``metadata.options``.
        :param train_options: what differs for the networks, such as a GPU partition.
        :raises aiida_mlcc.workflows.protocol.ProtocolError: for an unknown protocol or override key.
        """
        inputs = cls.get_protocol_inputs(protocol, overrides)
        gpu = merge(options or {}, train_options or {})
        delta = inputs['delta']
        inputs['base'] = job_inputs(inputs['base'], code, gpu)
        chosen = {'mace': 'mace', 'force-constants': 'force_constants'}.get(delta['kind'])
        inputs['delta'] = {'kind': delta['kind']}
        if chosen:
            inputs['delta'][chosen] = job_inputs(delta[chosen], code, gpu if chosen == 'mace' else options)
        return cls.fill({'structure': structure, 'snapshots': snapshots, 'base_method': base_method, **inputs})

    def find_primitive_cell(self) -> None:
        """Find the primitive cell, to whose symmetry Δ is adapted."""
        self.ctx.primitive = primitive_structure(
            self.inputs.structure,
            self.inputs.symprec,
            science_hash(),
            metadata={'call_link_label': 'find_primitive_cell'},
        )

    def plan_trainings(self) -> None:
        """List what is to be trained: bases by seed, and Δ by seed or once for all."""
        self.ctx.trained, self.ctx.failed = {}, []
        self.ctx.queue = [('base', self.inputs.base_method.value, seed) for seed in self.inputs.seeds]
        kind = self.inputs.delta.kind.value
        if kind == 'mace':
            pairs = [('delta', method, seed) for method in self.inputs.methods for seed in self.inputs.seeds]
            self.ctx.queue.extend(pairs)
        else:
            self.ctx.queue.append((self._FIT, None, self.inputs.seeds[0]))
        self.ctx.n_planned = len(self.ctx.queue)
        self.report(f'{len(self.inputs.seeds)} members, Δ of kind {kind}: {self.ctx.n_planned} jobs')

    def trainings_left(self) -> bool:
        """Tell whether anything is left to train."""
        return bool(self.ctx.queue)

    def train_next(self) -> ToContext:
        """Submit as many trainings as may run at a time."""
        size = self.inputs.max_concurrent.value
        now, self.ctx.queue = self.ctx.queue[:size], self.ctx.queue[size:]
        self.ctx.running = {}
        jobs = {}
        for role, method, seed in now:
            name = role if method is None else f'{role}_{slug_of(method)}_{seed_label(seed)}'
            label = {'call_link_label': name}
            if role == self._FIT:
                jobs[name] = self.submit(FitRestartWorkChain, job=self.fit_inputs(seed), metadata=label)
            else:
                job = self.train_inputs(role, method, seed)
                jobs[name] = self.submit(TrainRestartWorkChain, job=job, metadata=label)
            self.ctx.running[name] = (role, method, seed)
        return ToContext(**jobs)

    def train_inputs(self, role: str, method: str, seed: int) -> dict[str, Any]:
        """Return the inputs of one network: the base on energies and forces, Δ on energy differences."""
        namespace = 'base' if role == 'base' else 'delta.mace'
        job = self.exposed_inputs(TrainCalculation, namespace)
        job.update(snapshots=self.inputs.snapshots, method=orm.Str(method), seed=orm.Int(seed))
        if role != 'base':
            job['minus'] = self.inputs.base_method
        return job

    def fit_inputs(self, seed: int) -> dict[str, Any]:
        """Return the inputs of the linear fit of all methods."""
        job = self.exposed_inputs(FitCalculation, 'delta.force_constants')
        job.update(
            snapshots=self.inputs.snapshots,
            structure=self.ctx.primitive,
            base_method=self.inputs.base_method,
            methods=self.inputs.methods,
            seed=orm.Int(seed),
        )
        return job

    def collect_trained(self) -> None:
        """Keep what was trained; name what was not."""
        for name, (_, method, seed) in self.ctx.running.items():
            node = self.ctx[name]
            if node.is_finished_ok:
                self.ctx.trained[name] = node
                for entry in node.outputs.summary.get('failures', []):
                    self.note_failure(name, entry['method'], seed, entry['reason'])
                continue
            reason = node.exit_message or f'the training ended as {node.process_state}'
            self.note_failure(name, method, seed, reason)

    def note_failure(self, what: str, method: str | None, seed: int, reason: str) -> None:
        """Write down what was not trained, and why."""
        self.ctx.failed.append({'what': what, 'method': method, 'seed': seed, 'reason': reason})
        self.report(f'{what} failed{"" if method is None else f" for {method}"}: {reason}')

    def add_deltas(self) -> None:
        """Add Δ to the base of every member, and gather all errors."""
        base_method = self.inputs.base_method.value
        errors: dict[str, dict[str, Any]] = {}
        for seed in self.inputs.seeds:
            base = self.ctx.trained.get(f'base_{slug_of(base_method)}_{seed_label(seed)}')
            if base is None:
                continue
            self.out(f'base.{seed_label(seed)}', base.outputs.force_field)
            errors.setdefault(base_method, {})[seed_label(seed)] = base.outputs.summary['errors']
            for method in self.inputs.methods:
                delta, error = self.delta_of(method, seed)
                if delta is None:
                    continue
                label = f'{slug_of(method)}_{seed_label(seed)}'
                total = sum_force_fields(
                    base.outputs.force_field,
                    delta,
                    science_hash(),
                    metadata={'call_link_label': f'add_delta_{label}'},
                )
                self.out(f'delta_ml.{slug_of(method)}.{seed_label(seed)}', total)
                errors.setdefault(method, {})[seed_label(seed)] = error
        self.out('errors', orm.Dict(errors).store())
        self.out('failures', orm.Dict({'failed': self.ctx.failed}).store())

    def delta_of(self, method: str, seed: int) -> tuple[ForceFieldData | None, dict[str, Any]]:
        """Return the Δ of a method for a member, and its errors."""
        if self.inputs.delta.kind.value == 'mace':
            node = self.ctx.trained.get(f'delta_{slug_of(method)}_{seed_label(seed)}')
            return (None, {}) if node is None else (node.outputs.force_field, node.outputs.summary['errors'])
        node = self.ctx.trained.get(self._FIT)
        if node is None or slug_of(method) not in node.outputs.delta:
            return None, {}
        return node.outputs.delta[slug_of(method)], node.outputs.summary['errors'][method]

    def judge(self) -> ExitCode | None:
        """Say whether there are members, and whether all there should be."""
        if 'base' not in self.outputs:
            return self.exit_codes.ERROR_NO_MEMBER.format(reason=self.ctx.failed[0]['reason'])
        if self.ctx.failed:
            return self.exit_codes.ERROR_MEMBERS_MISSING.format(
                n_failed=len(self.ctx.failed), n_planned=self.ctx.n_planned
            )
        return None


def _refuse_kind(node: orm.Str, _: Any) -> str | None:
    if node.value in KINDS_OF_DELTA:
        return None
    return f'unknown kind of Δ {node.value!r}: choose from {", ".join(KINDS_OF_DELTA)}'


def _refuse_base_method(node: orm.Str, _: Any) -> str | None:
    return None if node.value in DFT_METHODS else f'{node.value!r} is no base: choose from {", ".join(DFT_METHODS)}'


def _refuse_labels(inputs: Mapping[str, Any], _: Any) -> str | None:
    """Refuse snapshots that lack a label, or belong to another crystal."""
    if any(name not in inputs for name in ('snapshots', 'structure', 'base_method', 'methods')):
        return None
    chosen = inputs['delta']['kind'].value.replace('-', '_') if 'delta' in inputs else None
    if chosen and chosen not in inputs['delta']:
        return f'`delta.kind` is {chosen}, but `delta.{chosen}` says nothing about it'
    snapshots = inputs['snapshots']
    for method in (inputs['base_method'].value, *inputs['methods']):
        if method not in snapshots.methods:
            return f'`snapshots` have no {method} labels; their methods: {", ".join(snapshots.methods) or "none"}'
    base = snapshots.get_snapshots().labels[inputs['base_method'].value]
    if base.forces is None:
        return f'`snapshots` have no {inputs["base_method"].value} forces, which the base is trained on'
    return refuse_mismatch(inputs['structure'], snapshots)
