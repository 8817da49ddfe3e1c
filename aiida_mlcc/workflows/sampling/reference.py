"""ReferenceWorkChain: DFT forces of the few displacements of a crystal that symmetry makes different."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from aiida import orm
from aiida.engine import ExitCode, ToContext
from aiida.engine.processes.workchains.workchain import WorkChainSpec

from aiida_mlcc.calculations.ports import settings_port
from aiida_mlcc.data.snapshots import SnapshotsData
from aiida_mlcc.jobs.crystal import displace_atoms
from aiida_mlcc.science.labels.displacements import Displacements
from aiida_mlcc.workflows.sampling.dft_labels import DFTLabelsWorkChain, labels_of


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
        self.ctx.displaced, reason = displace_atoms(self.inputs, self.inputs.structure)
        if reason is not None:
            return self.exit_codes.ERROR_DISPLACEMENTS.format(reason=reason)
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
        if (reason := why_incomplete(node, self.inputs.engine['method'])) is not None:
            return self.exit_codes.ERROR_NO_FORCES.format(reason=reason)
        self.out('snapshots', labels_of(node)[0])
        return None


def why_incomplete(node: orm.ProcessNode, method: str) -> str | None:
    """Return why a process that ended did not label every displacement, in a sentence, or None."""
    found, failed = labels_of(node)
    if failed:
        return f'displacement {failed[0]["snapshot"]}: {failed[0]["reason"]}'
    if found is None:
        return node.exit_message or f'the job ended as {node.process_state}'
    label = found.get_snapshots().labels.get(method)
    unlabelled = range(found.n_frames) if label is None else np.flatnonzero(~label.labelled)
    if len(unlabelled) == 0:
        return None
    said = f': {node.exit_message}' if node.exit_message else ''
    return f'displacement {unlabelled[0]} has no {method} label{said}'
