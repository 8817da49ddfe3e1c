"""QuantumEspressoLabelsWorkChain: energies and forces of given snapshots by pw.x, one job for each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiida import orm
from aiida.engine import ExitCode, ToContext, WorkChain, while_
from aiida.engine.processes.ports import PortNamespace
from aiida.engine.processes.workchains.workchain import WorkChainSpec
from aiida.plugins import CalculationFactory

from aiida_mlcc.calculations.functions.merge_labels import merge_labels
from aiida_mlcc.calculations.ports import settings_port
from aiida_mlcc.calculations.runtime_source import science_hash
from aiida_mlcc.data.snapshots import SnapshotsData
from aiida_mlcc.engines.quantumespresso.functions import quantumespresso_labels, quantumespresso_structures
from aiida_mlcc.engines.quantumespresso.jobs import PLACE, pw_job, quantumespresso_ports, why
from aiida_mlcc.engines.quantumespresso.potentials import potentials, refuse_potentials, valence
from aiida_mlcc.engines.quantumespresso.pw_xml import XML, PwXmlError, parse_pw_xml
from aiida_mlcc.engines.quantumespresso.settings import QuantumEspressoForces, source_of
from aiida_mlcc.engines.single_points import chosen_frames, refuse_frames
from aiida_mlcc.jobs.inputs import batches
from aiida_mlcc.jobs.ports import count_port


class QuantumEspressoLabelsWorkChain(WorkChain):
    """A frame that fails is named and does not stop the others."""

    @classmethod
    def define(cls, spec: WorkChainSpec) -> None:
        super().define(spec)
        spec.input('snapshots', valid_type=SnapshotsData, help='Frames, or displaced cells.')
        spec.input(
            'frames',
            valid_type=orm.List,
            required=False,
            serializer=orm.to_aiida_type,
            help='Indices of the frames to be labelled; all of them where it is not given.',
        )
        settings_port(spec, 'engine', QuantumEspressoForces, help='Quantum ESPRESSO.')
        quantumespresso_ports(spec)
        count_port(spec, 'max_concurrent', 4, 'Jobs at a time.')
        spec.inputs.validator = _refuse
        spec.output('snapshots', valid_type=SnapshotsData, help='The snapshots of the input with the new labels.')
        spec.output('failures', valid_type=orm.Dict, help='Which frames failed, and why.')
        spec.outline(
            cls.plan_batches,
            while_(cls.batches_left)(
                cls.submit_next_batch,
                cls.collect_batch,
            ),
            cls.assemble_labels,
        )
        spec.exit_code(310, 'ERROR_NOTHING_LABELLED', message='No snapshot was labelled. The first reason: {reason}')

    def plan_batches(self) -> None:
        """Put as many frames into a batch as may run at a time."""
        self.ctx.labelled, self.ctx.failed = {}, []
        frames = chosen_frames(self.inputs)
        self.ctx.batches = batches(frames, self.inputs.max_concurrent.value)
        self.report(f'{self.inputs.engine["method"]} energies and forces of {len(frames)} frames by Quantum ESPRESSO')

    def batches_left(self) -> bool:
        """Tell whether batches are left."""
        return bool(self.ctx.batches)

    def submit_next_batch(self) -> ToContext:
        """Submit one job for each frame of the next batch."""
        self.ctx.running = self.ctx.batches.pop(0)
        settings = self.inputs.engine.get_dict()
        label = {'call_link_label': f'take_frames_{self.ctx.running[0]}'}
        structures = quantumespresso_structures(
            self.inputs.snapshots, orm.List(self.ctx.running), science_hash(quantumespresso_structures), metadata=label
        )
        further = _with_an_empty_level(self.inputs.snapshots, settings)
        jobs = {}
        for name, structure in structures.items():
            job = pw_job(self.inputs[PLACE], settings, structure, name, further)
            jobs[name] = self.submit(CalculationFactory('quantumespresso.pw'), **job)
        return ToContext(**jobs)

    def collect_batch(self) -> None:
        """Keep every label that converged, and the reason for every one that did not."""
        finished = {}
        for frame in self.ctx.running:
            node = self.ctx[f'frame_{frame}']
            if (reason := why_no_label(node)) is None:
                finished[f'frame_{frame}'] = node.outputs.retrieved
                continue
            method = self.inputs.engine['method']
            self.ctx.failed.append({'snapshot': frame, 'methods': [method], 'job': node.pk, 'reason': reason})
            self.report(f'no {method} label of snapshot {frame}: {reason}')
        if finished:
            engine = self.inputs.engine
            name = f'batch_{len(self.ctx.labelled):03d}'
            self.ctx.labelled[name] = quantumespresso_labels(
                self.inputs.snapshots,
                orm.Str(engine['method']),
                orm.Dict({**source_of(engine.get_dict()), 'pseudopotentials': self._checksums()}),
                science_hash(quantumespresso_labels),
                metadata={'call_link_label': name},
                **finished,
            )

    def _checksums(self) -> dict[str, str]:
        """Return element → MD5 of its pseudopotential: families of one name may differ."""
        symbols = self.inputs.snapshots.get_snapshots().symbols
        found = potentials(symbols, self.inputs.engine.get_dict())
        return {element: str(node.md5) for element, node in sorted(found.items())}

    def assemble_labels(self) -> ExitCode | None:
        """Put the labels onto the snapshots they belong to."""
        self.out('failures', orm.Dict({'failed': self.ctx.failed}).store())
        if not self.ctx.labelled:
            return self.exit_codes.ERROR_NOTHING_LABELLED.format(reason=self.ctx.failed[0]['reason'])
        label = {'call_link_label': 'merge_labels'}
        self.out(
            'snapshots',
            merge_labels(self.inputs.snapshots, science_hash(merge_labels), metadata=label, **self.ctx.labelled),
        )
        return None


def _with_an_empty_level(snapshots: SnapshotsData, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the keyword for one level more than there are pairs of electrons, which shows whether there is a gap."""
    if settings['degauss'] is not None or 'nbnd' in settings['parameters'].get('SYSTEM', {}):
        return {}
    symbols = snapshots.get_snapshots().symbols
    of_element = valence(symbols, settings)
    return {'SYSTEM': {'nbnd': round(sum(of_element[symbol] for symbol in symbols)) // 2 + 1}}


def why_no_label(node: orm.CalcJobNode) -> str | None:
    """Return why a job gives no label, in a sentence, or None."""
    if not node.is_finished_ok:
        return why(node)
    if XML not in node.outputs.retrieved.list_object_names():
        return f'{node.process_label}<{node.pk}> left no {XML}'
    try:
        run = parse_pw_xml(node.outputs.retrieved.get_object_content(XML, 'rb'))
    except PwXmlError as error:
        return str(error)
    if not run.converged:
        return 'the electrons did not converge'
    fixed = node.inputs.parameters.get_dict()['SYSTEM'].get('occupations') == 'fixed'
    if fixed and run.gap is not None and run.gap <= 0:
        return (
            f'occupied and empty levels overlap by {-run.gap:.3g} eV on the mesh of k-points: fixed occupations need a '
            'gap; for a metal, set `degauss`'
        )
    return None


def _refuse(inputs: Mapping[str, Any], namespace: PortNamespace) -> str | None:
    if not {'snapshots', 'engine', PLACE} <= set(inputs):
        return None
    settings = inputs['engine'].get_dict()
    reason = refuse_frames(inputs, source_of(settings))
    return reason or refuse_potentials(list(inputs['snapshots'].get_snapshots().symbols), settings)
