"""Structures with DFT energies and forces: what WorkChains that make them have in common, and what an engine gave."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from aiida import orm
from aiida.engine import ProcessBuilder, ToContext, WorkChain
from aiida.engine.processes.ports import PortNamespace
from aiida.engine.processes.workchains.workchain import WorkChainSpec

from aiida_mlcc.calculations.evaluate import EvaluateCalculation
from aiida_mlcc.data.snapshots import SnapshotsData
from aiida_mlcc.engines.engine import Inputs
from aiida_mlcc.engines.table import codes_by_place, force_engine, label_ports, with_label_job
from aiida_mlcc.jobs.inputs import JobOptions
from aiida_mlcc.runtime.task_records import SnapshotFailure
from aiida_mlcc.runtime.tasks.evaluate_settings import Evaluate
from aiida_mlcc.science.json_values import StoredSettings
from aiida_mlcc.science.settings import Group
from aiida_mlcc.workflows.common.protocol import Overrides, ProtocolMixin, read_overrides
from aiida_mlcc.workflows.sampling.dft_supercell import dft_supercell_ports, of_conventional_cells, refuse_cell


class DFTLabelsWorkChain(ProtocolMixin, WorkChain):
    """Supercells of a crystal, which a subclass makes, with DFT energies and forces."""

    SETTINGS: ClassVar[Mapping[str, Group]] = {'evaluate.parameters': Evaluate}

    @classmethod
    def define(cls, spec: WorkChainSpec) -> None:
        super().define(spec)
        dft_supercell_ports(spec)
        label_ports(spec)
        spec.inputs.validator = _refuse

    @classmethod
    def get_builder_from_protocol(
        cls,
        code: orm.AbstractCode,
        structure: orm.StructureData,
        engine: StoredSettings | orm.Dict,
        protocol: str | None = None,
        overrides: Overrides = None,
        options: JobOptions | None = None,
        **codes: orm.AbstractCode | None,
    ) -> ProcessBuilder:
        """Return a builder with the inputs of a protocol.

        :param code: a Python that has ASE and PySCF, or the program of an engine.
        :param engine: the DFT, with all its settings.
        :param options: scheduler options of the jobs, as in ``metadata.options``.
        :param codes: the codes of engines with a program of their own, such as ``vasp_code``.
        :raises aiida_mlcc.workflows.common.protocol.ProtocolError: for an unknown protocol or override key.
        """
        asked = read_overrides(overrides)
        inputs = cls.get_protocol_inputs(protocol, asked)
        if 'supercell_matrix' not in asked:
            inputs['supercell_matrix'] = of_conventional_cells(structure, inputs['supercell_matrix'])
        filled = with_label_job(inputs, str(engine['name']), codes_by_place(code, codes), options)
        return cls.fill({'structure': structure, 'engine': engine, **filled})

    def evaluate(self, snapshots: SnapshotsData, label: str) -> ToContext:
        """Submit what gets their DFT energies and forces, as ``evaluated``, with this call link label."""
        process, inputs = force_engine(self.inputs.engine).labels(self.inputs, snapshots)
        return ToContext(evaluated=self.submit(process, **inputs, metadata={'call_link_label': label}))


def labels_of(node: orm.ProcessNode) -> tuple[SnapshotsData | None, list[SnapshotFailure]]:
    """Return the labelled snapshots, None where there are none, and entries of what failed (`snapshot`, `reason`)."""
    if 'snapshots' in node.outputs:
        return node.outputs.snapshots, node.outputs.failures['failed']
    if 'evaluated' in node.outputs:
        return node.outputs.evaluated[EvaluateCalculation.ENGINE], node.outputs.summary.get('failures', [])
    return None, []


def _refuse(inputs: Inputs, namespace: PortNamespace) -> str | None:
    """Refuse an engine without the code that labels structures with it, or that cannot calculate the supercell."""
    if 'engine' not in inputs:
        return None
    return force_engine(inputs['engine']).refuse_places(inputs) or refuse_cell(inputs)
