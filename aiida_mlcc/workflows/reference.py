"""ReferenceWorkChain: DFT forces of the few displacements of a crystal that symmetry makes different."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from aiida import orm
from aiida.engine import ExitCode, ProcessBuilder, ToContext, WorkChain
from aiida.engine.processes.ports import PortNamespace
from aiida.engine.processes.workchains.workchain import WorkChainSpec

from aiida_mlcc.calculations.functions.displaced_structures import displaced_structures
from aiida_mlcc.calculations.ports import settings_port
from aiida_mlcc.calculations.runtime_source import science_hash
from aiida_mlcc.data.snapshots import SnapshotsData
from aiida_mlcc.engines.table import FORCES, codes_by_place, force_engine, label_ports, with_label_job
from aiida_mlcc.jobs.inputs import Options
from aiida_mlcc.jobs.ports import structure_port, supercell_port, symprec_port
from aiida_mlcc.runtime.evaluate_settings import Evaluate
from aiida_mlcc.science.displacements import Displacements
from aiida_mlcc.workflows.dft_labels import labels_of
from aiida_mlcc.workflows.protocol import ProtocolMixin


class ReferenceWorkChain(ProtocolMixin, WorkChain):
    """A supercell at rest and with one atom moved in each, all in one job: the harmonic force constants of DFT."""

    PROTOCOL_FILE = 'reference.yaml'
    SETTINGS: ClassVar = {'parameters': Displacements, 'evaluate.parameters': Evaluate}

    @classmethod
    def define(cls, spec: WorkChainSpec) -> None:
        super().define(spec)
        structure_port(spec)
        supercell_port(spec, '`structure`')
        symprec_port(spec)
        settings_port(spec, 'parameters', Displacements, help='How atoms are displaced.')
        settings_port(spec, 'engine', FORCES, help='Where energies and forces come from, with all its settings.')
        label_ports(spec)
        spec.inputs.validator = refuse_label_places
        spec.output('snapshots', valid_type=SnapshotsData, help='The cells, at rest first, with energies and forces.')
        spec.outline(
            cls.displace_atoms,
            cls.evaluate_forces,
            cls.collect_forces,
        )
        spec.exit_code(210, 'ERROR_DISPLACEMENTS', message='The crystal cannot be displaced: {reason}')
        spec.exit_code(310, 'ERROR_NO_FORCES', message='The displacements have no forces: {reason}')

    @classmethod
    def get_builder_from_protocol(
        cls,
        code: orm.AbstractCode,
        structure: orm.StructureData,
        engine: Mapping[str, Any] | orm.Dict,
        protocol: str | None = None,
        overrides: Mapping[str, Any] | None = None,
        options: Options = None,
        **codes: orm.AbstractCode | None,
    ) -> ProcessBuilder:
        """Return a builder with the inputs of a protocol.

        :param code: a Python that has ASE and PySCF, or the program of an engine.
        :param engine: the DFT, with all its settings.
        :param options: scheduler options of the job, as in ``metadata.options``.
        :param codes: the codes of engines with a program of their own, such as ``vasp_code``.
        :raises aiida_mlcc.workflows.protocol.ProtocolError: for an unknown protocol or override key.
        """
        inputs = cls.get_protocol_inputs(protocol, overrides)
        inputs = with_label_job(inputs, engine, codes_by_place(code, codes), options)
        return cls.fill({'structure': structure, 'engine': engine, **inputs})

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
        displaced, engine = self.ctx.displaced, self.inputs.engine
        self.report(
            f'{engine["method"]} forces of {displaced.n_frames - 1} displacements and of the cell at rest, '
            f'{displaced.n_atoms} atoms'
        )
        process, inputs = force_engine(engine).labels(self.inputs, displaced)
        return ToContext(evaluated=self.submit(process, **inputs, metadata={'call_link_label': 'evaluate_forces'}))

    def collect_forces(self) -> ExitCode | None:
        """Keep them, if all are there."""
        node = self.ctx.evaluated
        found, failed = labels_of(node)
        if found is None or failed:
            reason = f'displacement {failed[0]["snapshot"]}: {failed[0]["reason"]}' if failed else node.exit_message
            return self.exit_codes.ERROR_NO_FORCES.format(reason=reason)
        self.out('snapshots', found)
        return None


def refuse_label_places(inputs: Mapping[str, Any], namespace: PortNamespace) -> str | None:
    """Refuse an engine without the code that labels structures with it."""
    return force_engine(inputs['engine']).refuse_places(inputs) if 'engine' in inputs else None
