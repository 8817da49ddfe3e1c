"""Cc4sBatchWorkChain: the energies of a batch of snapshots with Cc4s, from integrals by PySCF or VASP."""

from __future__ import annotations

from aiida import orm
from aiida.engine import ExitCode, ToContext, WorkChain, if_
from aiida.engine.processes.workchains.workchain import WorkChainSpec

from aiida_mlcc.calculations.functions.merge_labels import merge_labels
from aiida_mlcc.calculations.integrals import IntegralsCalculation
from aiida_mlcc.calculations.runtime_source import science_hash
from aiida_mlcc.data.snapshots import SnapshotsData
from aiida_mlcc.engines.cc4s.point import Cc4sPointWorkChain, reason_of, remove
from aiida_mlcc.engines.cc4s.ports import integrals_port
from aiida_mlcc.engines.cc4s.settings import has_integrals_of_vasp, integral_settings
from aiida_mlcc.jobs.restart import IntegralsRestartWorkChain


class Cc4sBatchWorkChain(WorkChain):
    """PySCF makes the integrals of all snapshots in one job, VASP those of each on its own; Cc4s takes one each."""

    @classmethod
    def define(cls, spec: WorkChainSpec) -> None:
        super().define(spec)
        spec.expose_inputs(Cc4sPointWorkChain, exclude=('frame', 'tensors', 'integrals'))
        integrals_port(spec)
        spec.output('labelled', valid_type=SnapshotsData, required=False, help='The batch with the energies there are.')
        spec.output('failures', valid_type=orm.Dict, help='Which snapshots failed, and why.')
        spec.outline(
            cls.begin,
            if_(cls.takes_integrals_of_pyscf)(
                cls.make_integrals,
                cls.take_integrals,
            ),
            cls.run_points,
            cls.collect_points,
            if_(cls.may_clean)(
                cls.remove_tensors,
            ),
            cls.finish,
        )
        spec.exit_code(310, 'ERROR_NOTHING_LABELLED', message='No snapshot was labelled. The first reason: {reason}')

    def begin(self) -> None:
        """Ask for all snapshots."""
        self.ctx.frames = list(range(self.inputs.snapshots.n_frames))
        self.ctx.failed, self.ctx.labelled, self.ctx.integrals = [], {}, None

    def takes_integrals_of_pyscf(self) -> bool:
        """Tell whether one job makes the integrals of all."""
        return not has_integrals_of_vasp(self.inputs.engine)

    def make_integrals(self) -> ToContext:
        """Run Hartree–Fock of all snapshots, and write the integrals over its orbitals."""
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

    def run_points(self) -> ToContext:
        """Run Cc4s on each snapshot."""
        points = {}
        for frame in self.ctx.frames:
            inputs = self.exposed_inputs(Cc4sPointWorkChain)
            inputs.update(frame=orm.Int(frame), metadata={'call_link_label': f'point_{frame:03d}'})
            if self.ctx.integrals is not None:
                outputs = self.ctx.integrals.outputs
                inputs.update(tensors=outputs.remote_folder, integrals=outputs.tensors)
            points[f'point_{frame:03d}'] = self.submit(Cc4sPointWorkChain, **inputs)
        return ToContext(**points)

    def collect_points(self) -> None:
        """Keep every energy, and the reason for each that is missing."""
        for frame in self.ctx.frames:
            name = f'point_{frame:03d}'
            node = self.ctx[name]
            found: list[str] = []
            if 'labelled' in node.outputs:
                self.ctx.labelled[name] = node.outputs.labelled
                found = node.outputs.labelled.methods
            if missing := [method for method in self.inputs.methods if method not in found]:
                self.note_failure(frame, missing, reason_of(node))

    def may_clean(self) -> bool:
        """Tell whether PySCF's tensors may go: they are cheap to make again, so also where an energy is missing."""
        return self.ctx.integrals is not None and self.inputs.clean_tensors.value

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
