"""NewStructuresWorkChain: structures that no dynamics visits, with DFT energies and forces like those of its frames."""

from __future__ import annotations

from aiida import orm
from aiida.engine import ExitCode, ToContext, WorkChain
from aiida.engine.processes.workchains.workchain import WorkChainSpec

from aiida_mlcc.calculations.functions.design_structures import design_structures
from aiida_mlcc.calculations.functions.join_snapshots import join_snapshots
from aiida_mlcc.calculations.ports import settings_port
from aiida_mlcc.calculations.runtime_source import science_hash
from aiida_mlcc.data.snapshots import SnapshotsData
from aiida_mlcc.engines.table import FORCES, force_engine, label_ports
from aiida_mlcc.workflows.sampling.dft_labels import labels_of


class NewStructuresWorkChain(WorkChain):
    """Frozen phonons of the crystal, one mode each, behind the snapshots whose forces they come from."""

    @classmethod
    def define(cls, spec: WorkChainSpec) -> None:
        super().define(spec)
        spec.input('snapshots', valid_type=SnapshotsData, help='Frames with DFT forces, which determine the modes.')
        spec.input('structure', valid_type=orm.StructureData, help='The primitive cell of the crystal.')
        spec.input('selection', valid_type=orm.Dict, help='Settings of the design, as of a selection.')
        settings_port(spec, 'engine', FORCES, help='Settings of the DFT labels.')
        label_ports(spec)
        spec.output('snapshots', valid_type=SnapshotsData, help='The frames of the input, then the new structures.')
        spec.outline(
            cls.design_structures,
            cls.evaluate_base_method,
            cls.join_snapshots,
        )
        spec.exit_code(310, 'ERROR_NO_DESIGN', message='No new structure could be made: {reason}')
        spec.exit_code(311, 'ERROR_NO_LABELS', message='The new structures have no DFT labels: {reason}')

    def design_structures(self) -> ExitCode | None:
        """Make the structures that say most about the phonons."""
        self.ctx.designed, node = design_structures.run_get_node(
            self.inputs.snapshots,
            self.inputs.structure,
            self.inputs.selection,
            science_hash(design_structures),
            metadata={'call_link_label': 'design_structures'},
        )
        if not node.is_finished_ok:
            return self.exit_codes.ERROR_NO_DESIGN.format(reason=node.exit_message)
        self.report(f'{self.ctx.designed.n_frames} new structures in SnapshotsData<{self.ctx.designed.pk}>')
        return None

    def evaluate_base_method(self) -> ToContext:
        """Get their DFT energies and forces."""
        process, inputs = force_engine(self.inputs.engine).labels(self.inputs, self.ctx.designed)
        label = {'call_link_label': 'evaluate_base_method'}
        return ToContext(evaluated=self.submit(process, **inputs, metadata=label))

    def join_snapshots(self) -> ExitCode | None:
        """Put the new structures behind the snapshots; one whose DFT energy failed is of no use."""
        node = self.ctx.evaluated
        evaluated, failed = labels_of(node)
        if evaluated is None:
            return self.exit_codes.ERROR_NO_LABELS.format(reason=node.exit_message)
        for entry in failed:
            self.report(f'new structure {entry["snapshot"]} has no DFT energy: {entry["reason"]}')
        joined, join = join_snapshots.run_get_node(
            self.inputs.snapshots,
            evaluated,
            science_hash(join_snapshots),
            metadata={'call_link_label': 'join_snapshots'},
        )
        if not join.is_finished_ok:
            return self.exit_codes.ERROR_NO_LABELS.format(reason=join.exit_message)
        self.out('snapshots', joined)
        return None
