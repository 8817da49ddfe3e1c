"""ReferenceWorkChain: DFT forces of the few displacements of a crystal that symmetry makes different."""

from __future__ import annotations

from typing import ClassVar

from aiida.engine import ExitCode, ToContext
from aiida.engine.processes.workchains.workchain import WorkChainSpec

from aiida_mlcc.calculations.functions.displaced_structures import displaced_structures
from aiida_mlcc.calculations.ports import settings_port
from aiida_mlcc.calculations.runtime_source import science_hash
from aiida_mlcc.data.snapshots import SnapshotsData
from aiida_mlcc.science.displacements import Displacements
from aiida_mlcc.workflows.dft_labels import DFTLabelsWorkChain, labels_of


class ReferenceWorkChain(DFTLabelsWorkChain):
    """A supercell at rest and with one atom moved in each, all in one job: the harmonic force constants of DFT."""

    PROTOCOL_FILE = 'reference.yaml'
    SETTINGS: ClassVar = {'parameters': Displacements, **DFTLabelsWorkChain.SETTINGS}

    @classmethod
    def define(cls, spec: WorkChainSpec) -> None:
        super().define(spec)
        settings_port(spec, 'parameters', Displacements, help='How atoms are displaced.')
        spec.output('snapshots', valid_type=SnapshotsData, help='The cells, at rest first, with energies and forces.')
        spec.outline(
            cls.displace_atoms,
            cls.evaluate_forces,
            cls.collect_forces,
        )
        spec.exit_code(210, 'ERROR_DISPLACEMENTS', message='The crystal cannot be displaced: {reason}')
        spec.exit_code(310, 'ERROR_NO_FORCES', message='The displacements have no forces: {reason}')

    def displace_atoms(self) -> ExitCode | None:
        """Move one atom at a time, as many as symmetry makes different."""
        self.ctx.displaced, node = displaced_structures.run_get_node(
            self.inputs.structure,
            self.inputs.supercell_matrix,
            self.inputs.parameters,
            self.inputs.symprec,
            science_hash(displaced_structures),
            metadata={'call_link_label': 'displace_atoms'},
        )
        if not node.is_finished_ok:
            return self.exit_codes.ERROR_DISPLACEMENTS.format(reason=node.exit_message)
        return None

    def evaluate_forces(self) -> ToContext:
        """Get their DFT energies and forces."""
        displaced = self.ctx.displaced
        self.report(
            f'{self.inputs.engine["method"]} forces of {displaced.n_frames - 1} displacements and of the cell at rest, '
            f'{displaced.n_atoms} atoms'
        )
        return self.evaluate(displaced, 'evaluate_forces')

    def collect_forces(self) -> ExitCode | None:
        """Keep them, if all are there."""
        node = self.ctx.evaluated
        found, failed = labels_of(node)
        complete = found is not None and found.get_snapshots().labels[self.inputs.engine['method']].labelled.all()
        if failed or not complete:
            reason = f'displacement {failed[0]["snapshot"]}: {failed[0]["reason"]}' if failed else node.exit_message
            return self.exit_codes.ERROR_NO_FORCES.format(reason=reason)
        self.out('snapshots', found)
        return None
