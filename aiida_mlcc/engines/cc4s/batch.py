"""Cc4sBatchWorkChain: the energies of a batch of snapshots with Cc4s, from integrals by PySCF."""

from __future__ import annotations

from aiida import orm
from aiida.engine import ExitCode, ToContext, WorkChain, if_, while_
from aiida.engine.processes.workchains.workchain import WorkChainSpec

from aiida_mlcc.calculations.cc4s_input import with_defaults
from aiida_mlcc.calculations.functions.label_point import label_point
from aiida_mlcc.calculations.functions.merge_labels import merge_labels
from aiida_mlcc.calculations.integrals import IntegralsCalculation
from aiida_mlcc.calculations.runtime_source import science_hash
from aiida_mlcc.data.snapshots import SnapshotsData
from aiida_mlcc.engines.cc4s.base import Cc4sBaseWorkChain
from aiida_mlcc.engines.cc4s.point import (
    cc4s_inputs,
    energies_of,
    label_source,
    no_energy,
    points_ports,
    reason_of,
    remove,
)
from aiida_mlcc.engines.cc4s.ports import integrals_port
from aiida_mlcc.engines.cc4s.settings import cc4s_parameters, integral_settings
from aiida_mlcc.jobs.restart import IntegralsRestartWorkChain
from aiida_mlcc.jobs.rolling import RollingMixin


class Cc4sBatchWorkChain(RollingMixin, WorkChain):
    """PySCF makes the integrals of all snapshots in one job; Cc4s takes one each, and its label is stored at once."""

    @classmethod
    def define(cls, spec: WorkChainSpec) -> None:
        super().define(spec)
        points_ports(spec)
        integrals_port(spec)
        spec.output('labelled', valid_type=SnapshotsData, required=False, help='The batch with the energies there are.')
        spec.output('failures', valid_type=orm.Dict, help='Which snapshots failed, and why.')
        spec.outline(
            cls.make_integrals,
            cls.take_integrals,
            cls.run_cc4s,
            while_(cls.points_left)(
                cls.label_points,
            ),
            if_(cls.may_clean)(
                cls.remove_tensors,
            ),
            cls.finish,
        )
        spec.exit_code(310, 'ERROR_NOTHING_LABELLED', message='No snapshot was labelled. The first reason: {reason}')

    def make_integrals(self) -> ToContext:
        """Run Hartree–Fock of all snapshots, and write the integrals over its orbitals."""
        self.ctx.frames = list(range(self.inputs.snapshots.n_frames))
        self.ctx.failed, self.ctx.labelled = [], {}
        job = self.exposed_inputs(IntegralsCalculation, 'integrals')
        engine = orm.Dict(integral_settings(self.inputs.engine.get_dict()))
        job.update(snapshots=self.inputs.snapshots, engine=engine, label_hf=orm.Bool(False))
        node = self.submit(IntegralsRestartWorkChain, job=job, metadata={'call_link_label': 'integrals'})
        return ToContext(integrals=node)

    def take_integrals(self) -> None:
        """Go on with the snapshots that have integrals."""
        outputs = self.ctx.integrals.outputs
        written = outputs.tensors.get_dict() if 'tensors' in outputs else {}
        reasons = {}
        if 'failures' in outputs:
            reasons = {entry['snapshot']: entry['reason'] for entry in outputs.failures['failed']}
        for frame in self.ctx.frames:
            if str(frame) not in written:
                self.note_failure(frame, self.inputs.methods, reasons.get(frame, reason_of(self.ctx.integrals)))
        self.ctx.frames = [frame for frame in self.ctx.frames if str(frame) in written]

    def run_cc4s(self) -> ToContext | None:
        """Run on each snapshot the cheapest calculation that gives all methods, where any needs Cc4s."""
        # The same nodes for all points: each node costs a worker's time.
        self.ctx.source = orm.Dict(label_source(self.inputs.engine)).store()
        self.ctx.science = science_hash(label_point).store()
        self.ctx.running = {}
        if not (asked := cc4s_parameters(self.inputs.engine['cc4s'], self.inputs.methods.get_list())):
            for frame in self.ctx.frames:
                self.label(frame, None)
            return None
        parameters, outputs = orm.Dict(with_defaults(asked)).store(), self.ctx.integrals.outputs
        points = {}
        for frame in self.ctx.frames:
            name = f'cc4s_{frame:03d}'
            job = {'parameters': parameters, 'tensors': outputs.remote_folder}
            job['tensors_path'] = orm.Str(outputs.tensors[str(frame)]['folder'])
            points[name] = self.submit(Cc4sBaseWorkChain, **cc4s_inputs(self, name, **job))
            self.ctx.running[name] = [frame, points[name].pk]
        return ToContext(**points)

    def points_left(self) -> bool:
        """Tell whether Cc4s runs on a snapshot."""
        return bool(self.ctx.running)

    def label_points(self) -> ToContext:
        """Store the energies of each point that ended, and wait for the next one."""
        for name, (frame, _) in list(self.ctx.running.items()):
            if isinstance(self.ctx[name], orm.ProcessNode):
                del self.ctx.running[name]
                self.label(frame, self.ctx[name])
        return ToContext(**{name: orm.load_node(pk) for name, (_, pk) in self.ctx.running.items()})

    def label(self, frame: int, point: orm.WorkChainNode | None) -> None:
        """Store the energies of a snapshot as labels, and the reason for each that is missing."""
        name = f'point_{frame:03d}'
        labelled = label_point(
            self.inputs.snapshots,
            orm.Int(frame),
            self.inputs.methods,
            self.ctx.source,
            self.ctx.science,
            integrals=self.ctx.integrals.outputs.tensors,
            **({} if point is None else energies_of(point)),
            metadata={'call_link_label': f'label_{frame:03d}'},
        )
        if labelled.methods:
            self.ctx.labelled[name] = labelled
        if missing := [method for method in self.inputs.methods if method not in labelled.methods]:
            failed = point is not None and not point.is_finished_ok
            self.note_failure(frame, missing, reason_of(point) if failed else no_energy(missing[0]))

    def may_clean(self) -> bool:
        """Tell whether PySCF's tensors may go: they are cheap to make again, so also where an energy is missing."""
        return self.inputs.clean_tensors.value

    def remove_tensors(self) -> None:
        """Empty the folders of the tensors: those of an earlier job are the same files under another name."""
        for job in self.ctx.integrals.called:
            if 'remote_folder' in job.outputs:
                remove(job.outputs.remote_folder, self)

    def finish(self) -> ExitCode | None:
        """Return the batch with all labels there are."""
        self.out('failures', orm.Dict({'failed': self.ctx.failed}).store())
        if not self.ctx.labelled:
            return self.exit_codes.ERROR_NOTHING_LABELLED.format(reason=self.ctx.failed[0]['reason'])
        label = {'call_link_label': 'merge_labels'}
        self.out(
            'labelled',
            merge_labels(self.inputs.snapshots, science_hash(merge_labels), metadata=label, **self.ctx.labelled),
        )
        return None

    def note_failure(self, frame: int, methods: list[str], reason: str) -> None:
        """Write down which energies of a snapshot there are not, and why."""
        self.ctx.failed.append({'snapshot': frame, 'methods': list(methods), 'reason': reason})
        self.report(f'no {", ".join(methods)} energy of snapshot {frame} of the batch: {reason}')
