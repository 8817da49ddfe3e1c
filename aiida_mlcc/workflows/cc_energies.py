"""CCEnergiesWorkChain: HF, MP2, CCSD and CCSD(T) energies of selected snapshots."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiida import orm
from aiida.engine import ExitCode, ToContext, WorkChain, while_
from aiida.engine.processes.workchains.workchain import WorkChainSpec

from aiida_mlcc.calculations.correlate import CorrelateCalculation, validate_methods
from aiida_mlcc.calculations.functions.merge_labels import merge_labels
from aiida_mlcc.calculations.functions.select_snapshots import select_snapshots
from aiida_mlcc.calculations.functions.take_frames import take_frames
from aiida_mlcc.calculations.runtime_source import science_hash
from aiida_mlcc.data.snapshots import SnapshotsData
from aiida_mlcc.engines.pyscf import refuse_correlation_engine, source_of
from aiida_mlcc.science.labelling import made_with, missing_labels
from aiida_mlcc.science.selection import chosen_frames
from aiida_mlcc.workflows.inputs import Options, batches, job_inputs, refuse_fraction
from aiida_mlcc.workflows.ports import count_port
from aiida_mlcc.workflows.protocol import ProtocolMixin
from aiida_mlcc.workflows.restart import CorrelateRestartWorkChain


class CCEnergiesWorkChain(ProtocolMixin, WorkChain):
    """Label a selection of snapshots in batches; a snapshot that fails is named and does not stop the others."""

    PROTOCOL_FILE = 'cc_energies.yaml'

    @classmethod
    def define(cls, spec: WorkChainSpec) -> None:
        super().define(spec)
        spec.input('snapshots', valid_type=SnapshotsData)
        spec.input('methods', valid_type=orm.List, serializer=orm.to_aiida_type, validator=validate_methods)
        spec.input('selection', valid_type=orm.Dict, serializer=orm.to_aiida_type, help='Which frames: kind, n, seed.')
        spec.input('engine', valid_type=orm.Dict, serializer=orm.to_aiida_type, validator=refuse_correlation_engine)
        spec.input_namespace(
            'known_labels',
            valid_type=SnapshotsData,
            required=False,
            dynamic=True,
            help='Labels from earlier runs with the same settings: what they hold is not computed again.',
        )
        count_port(spec, 'batch_size', 8, 'Snapshots per job.')
        count_port(spec, 'max_concurrent', 4, 'Jobs at a time.')
        spec.input(
            'min_success_fraction',
            valid_type=orm.Float,
            serializer=orm.to_aiida_type,
            default=lambda: orm.Float(0.5),
            validator=refuse_fraction,
            help='The share of the selected snapshots that must be labelled for this to count as a success.',
        )
        spec.expose_inputs(
            CorrelateCalculation,
            namespace='correlate',
            exclude=('snapshots', 'methods', 'engine', 'runtime_source', 'parent_folder'),
        )
        spec.inputs.validator = _refuse_selection
        spec.output('snapshots', valid_type=SnapshotsData, help='The snapshots of the input with all labels there are.')
        spec.output('failures', valid_type=orm.Dict, help='Which snapshots failed, and why.')
        spec.outline(
            cls.select_snapshots,
            cls.use_known_labels,
            while_(cls.labels_missing)(
                cls.submit_next_batches,
                cls.collect_batches,
            ),
            cls.assemble_labels,
            cls.judge,
        )
        spec.exit_code(310, 'ERROR_NOTHING_LABELLED', message='No snapshot was labelled. The first reason: {reason}')
        spec.exit_code(
            410,
            'ERROR_TOO_FEW_LABELLED',
            message='Only {n_labelled} of {n_selected} snapshots were labelled; their energies are kept.',
        )

    @classmethod
    def get_builder_from_protocol(
        cls,
        code: orm.AbstractCode,
        snapshots: SnapshotsData,
        protocol: str | None = None,
        overrides: Mapping[str, Any] | None = None,
        options: Options = None,
    ):
        """Return a builder with the inputs of a protocol.

        :param code: a Python that has PySCF.
        :param options: scheduler options of the jobs, as in ``metadata.options``.
        :raises aiida_mlcc.workflows.protocol.ProtocolError: for an unknown protocol or override key.
        """
        inputs = cls.get_protocol_inputs(protocol, overrides)
        inputs['correlate'] = job_inputs(inputs['correlate'], code, options)
        return cls.fill({'snapshots': snapshots, **inputs})

    def select_snapshots(self) -> None:
        """Choose the frames worth a coupled-cluster energy."""
        self.ctx.selected = select_snapshots(
            self.inputs.snapshots,
            self.inputs.selection,
            science_hash(),
            metadata={'call_link_label': 'select_snapshots'},
        )
        methods = ', '.join(self.inputs.methods)
        self.report(f'{self.ctx.selected.n_frames} of {self.inputs.snapshots.n_frames} snapshots for {methods}')

    def use_known_labels(self) -> None:
        """Leave out what earlier runs labelled with the same settings."""
        self.ctx.labelled, self.ctx.failed, self.ctx.batch_number = {}, [], 0
        settings = source_of(self.inputs.engine.get_dict())
        for name, node in sorted(self.inputs.get('known_labels', {}).items()):
            labels = node.get_snapshots().labels
            wanted = [labels[method] for method in self.inputs.methods if method in labels]
            if wanted and all(made_with(label.source, settings) for label in wanted):
                self.ctx.labelled[f'known_{name}'] = node
            else:
                self.report(f'the labels of {name}, SnapshotsData<{node.pk}>, have other settings and are not used')
        together = self.merge(self.ctx.selected) if self.ctx.labelled else self.ctx.selected
        missing = missing_labels(together.get_snapshots(), self.inputs.methods.get_list())
        if known := self.ctx.selected.n_frames - len(missing):
            self.report(f'{known} snapshots are labelled already')
        self.ctx.batches = batches(missing, self.inputs.batch_size.value)

    def labels_missing(self) -> bool:
        """Tell whether batches are left."""
        return bool(self.ctx.batches)

    def submit_next_batches(self) -> ToContext:
        """Submit as many batches as may run at a time: waiting parents hold a worker's slots."""
        size = self.inputs.max_concurrent.value
        now, self.ctx.batches = self.ctx.batches[:size], self.ctx.batches[size:]
        self.ctx.running, jobs = {}, {}
        for frames in now:
            name = f'batch_{self.ctx.batch_number:03d}'
            self.ctx.batch_number += 1
            snapshots = take_frames(
                self.ctx.selected, orm.List(frames), science_hash(), metadata={'call_link_label': f'take_{name}'}
            )
            job = self.exposed_inputs(CorrelateCalculation, 'correlate')
            job.update(snapshots=snapshots, methods=self.inputs.methods, engine=self.inputs.engine)
            jobs[name] = self.submit(CorrelateRestartWorkChain, job=job, metadata={'call_link_label': name})
            self.ctx.running[name] = frames
        self.report(f'{len(jobs)} batches submitted, {len(self.ctx.batches)} to come')
        return ToContext(**jobs)

    def collect_batches(self) -> None:
        """Keep every energy that was finished, and the reason for every one that was not."""
        for name, frames in self.ctx.running.items():
            node = self.ctx[name]
            if 'labelled' in node.outputs:
                self.ctx.labelled[name] = node.outputs.labelled
                done = missing_labels(node.outputs.labelled.get_snapshots(), self.inputs.methods.get_list())
                reasons = node.outputs.failures['failed'] if 'failures' in node.outputs else []
                named = {entry['snapshot']: entry['reason'] for entry in reasons}
                lost = {frame: named.get(frame, node.exit_message or 'not finished') for frame in done}
            else:
                lost = dict.fromkeys(range(len(frames)), node.exit_message or f'the job ended as {node.process_state}')
            for position, reason in sorted(lost.items()):
                self.ctx.failed.append({'snapshot': frames[position], 'batch': name, 'reason': reason})
                self.report(f'snapshot {frames[position]} of the selection failed: {reason}')

    def assemble_labels(self) -> None:
        """Put all labels onto the snapshots they belong to."""
        if self.ctx.labelled:
            self.out('snapshots', self.merge(self.inputs.snapshots))
        self.out('failures', orm.Dict({'failed': self.ctx.failed}).store())

    def judge(self) -> ExitCode | None:
        """Say whether enough snapshots were labelled."""
        n_selected = self.ctx.selected.n_frames
        n_labelled = n_selected - len(self.ctx.failed)
        reason = self.ctx.failed[0]['reason'] if self.ctx.failed else ''
        if not self.ctx.labelled or not n_labelled:
            return self.exit_codes.ERROR_NOTHING_LABELLED.format(reason=reason)
        if n_labelled < self.inputs.min_success_fraction.value * n_selected:
            return self.exit_codes.ERROR_TOO_FEW_LABELLED.format(n_labelled=n_labelled, n_selected=n_selected)
        self.report(f'{n_labelled} of {n_selected} snapshots labelled')
        return None

    def merge(self, snapshots: SnapshotsData) -> SnapshotsData:
        """Return `snapshots` with every label known by now."""
        label = {'call_link_label': 'merge_labels'}
        return merge_labels(snapshots, science_hash(), metadata=label, **self.ctx.labelled)


def _refuse_selection(inputs: Mapping[str, Any], _: Any) -> str | None:
    if 'snapshots' not in inputs or 'selection' not in inputs:
        return None
    try:
        chosen_frames(inputs['snapshots'].n_frames, inputs['selection'].get_dict())
    except (ValueError, KeyError) as error:
        return str(error)
    return None
