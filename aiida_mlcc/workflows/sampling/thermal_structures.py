"""ThermalStructuresWorkChain: structures drawn from harmonic force constants, with DFT energies and forces."""

from __future__ import annotations

from typing import ClassVar

from aiida.engine import ExitCode, ToContext, while_
from aiida.engine.processes.workchains.workchain import WorkChainSpec

from aiida_mlcc.calculations.functions.draw_structures import draw_structures
from aiida_mlcc.calculations.functions.join_snapshots import join_snapshots
from aiida_mlcc.calculations.ports import settings_port
from aiida_mlcc.calculations.runtime_source import science_hash
from aiida_mlcc.data.snapshots import SnapshotsData
from aiida_mlcc.jobs.ports import seed_port
from aiida_mlcc.science.design.thermal_structures import ThermalStructures
from aiida_mlcc.workflows.sampling.dft_labels import DFTLabelsWorkChain, labels_of


class ThermalStructuresWorkChain(DFTLabelsWorkChain):
    """Draws from the harmonic distribution: a few, which make the force constants better, and then the others."""

    PROTOCOL_FILE = 'thermal_structures.yaml'
    SETTINGS: ClassVar = {'parameters': ThermalStructures, **DFTLabelsWorkChain.SETTINGS}

    @classmethod
    def define(cls, spec: WorkChainSpec) -> None:
        super().define(spec)
        seed_port(spec)
        spec.input(
            'reference',
            valid_type=SnapshotsData,
            help='Displacements with DFT forces; the first structures are drawn from their force constants.',
        )
        settings_port(spec, 'parameters', ThermalStructures, help='Number of structures, and their temperatures.')
        spec.output('snapshots', valid_type=SnapshotsData, help='The structures with energies and forces.')
        spec.outline(
            while_(cls.structures_left)(
                cls.draw_structures,
                cls.evaluate_structures,
                cls.collect_structures,
            ),
            cls.judge,
        )
        spec.exit_code(210, 'ERROR_NO_DISTRIBUTION', message='No structure can be drawn: {reason}')
        spec.exit_code(310, 'ERROR_NOTHING_LABELLED', message='No structure has DFT forces: {reason}')
        spec.exit_code(
            410, 'ERROR_STRUCTURES_MISSING', message='{n_frames} of {n_structures} structures have DFT forces. {reason}'
        )

    @property
    def n_structures(self) -> int:
        """How many structures are asked for."""
        return int(self.inputs.parameters['n_structures'])

    def structures_left(self) -> bool:
        """Tell whether structures are still to be drawn."""
        if 'n_drawn' not in self.ctx:
            self.ctx.n_drawn, self.ctx.frames, self.ctx.reason = 0, None, ''
        return bool(self.ctx.n_drawn < self.n_structures)

    def draw_structures(self) -> ExitCode | None:
        """Draw from the force constants of the reference displacements, later of the first structures as well."""
        more = {} if self.ctx.frames is None else {'frames': self.ctx.frames}
        drawn, node = draw_structures.run_get_node(
            self.inputs.reference,
            self.inputs.structure,
            self.inputs.supercell_matrix,
            self.inputs.parameters,
            self.inputs.seed,
            self.inputs.symprec,
            science_hash(draw_structures),
            **more,
            metadata={'call_link_label': 'draw_structures'},
        )
        if not node.is_finished_ok:
            if self.ctx.frames is not None:
                self.out('snapshots', self.ctx.frames)
            return self.exit_codes.ERROR_NO_DISTRIBUTION.format(reason=node.exit_message)
        self.ctx.drawn = drawn['snapshots']
        self.ctx.n_drawn += self.ctx.drawn.n_frames
        for remark in drawn['remarks']:
            self.report(remark)
        return None

    def evaluate_structures(self) -> ToContext:
        """Get their DFT energies and forces."""
        drawn, parameters = self.ctx.drawn, self.inputs.parameters
        self.report(
            f'{self.inputs.engine["method"]} forces of {drawn.n_frames} structures of {drawn.n_atoms} atoms between '
            f'{parameters["temperature_start_K"]:g} and {parameters["temperature_end_K"]:g} K'
        )
        return self.evaluate(drawn, 'evaluate_structures')

    def collect_structures(self) -> ExitCode | None:
        """Keep those that are labelled, behind the first ones."""
        node = self.ctx.evaluated
        found, failed = labels_of(node)
        for entry in failed:
            self.ctx.reason = entry['reason']
            self.report(f'structure {entry["snapshot"]} has no DFT energy: {entry["reason"]}')
        if found is None:
            self.ctx.reason = node.exit_message or f'the job ended as {node.process_state}'
            if self.ctx.frames is None:
                return self.exit_codes.ERROR_NOTHING_LABELLED.format(reason=self.ctx.reason)
            return None
        if self.ctx.frames is None:
            self.ctx.frames = found
            return None
        label = {'call_link_label': 'join_snapshots'}
        self.ctx.frames = join_snapshots(self.ctx.frames, found, science_hash(join_snapshots), metadata=label)
        return None

    def judge(self) -> ExitCode | None:
        """Return the structures, and say whether all are there."""
        self.out('snapshots', self.ctx.frames)
        n_frames = int(self.ctx.frames.get_snapshots().labelled_by(self.inputs.engine['method']).size)
        if n_frames < self.n_structures:
            return self.exit_codes.ERROR_STRUCTURES_MISSING.format(
                n_frames=n_frames, n_structures=self.n_structures, reason=self.ctx.reason
            )
        return None
