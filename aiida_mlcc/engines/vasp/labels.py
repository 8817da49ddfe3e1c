"""VaspLabelsWorkChain: energies and forces of given snapshots by VASP, one job for each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from aiida import orm
from aiida.engine.processes.ports import PortNamespace
from aiida.engine.processes.workchains.workchain import WorkChainSpec
from aiida_vasp.calcs.vasp import VaspCalculation

from aiida_mlcc.calculations.functions.vasp_labels import vasp_labels
from aiida_mlcc.calculations.functions.vasp_structures import vasp_structures
from aiida_mlcc.calculations.ports import settings_port
from aiida_mlcc.calculations.runtime_source import science_hash
from aiida_mlcc.data.snapshots import SnapshotsData
from aiida_mlcc.engines.engine import Inputs, Step
from aiida_mlcc.engines.single_points import SinglePointsWorkChain, refuse_frames
from aiida_mlcc.engines.vasp.incar import single_point
from aiida_mlcc.engines.vasp.jobs import retrieved_run, vasp_job, vasp_ports, why
from aiida_mlcc.engines.vasp.settings import VaspForces, refuse_potentials, source_of


class VaspLabelsWorkChain(SinglePointsWorkChain):
    """A frame that fails is named and does not stop the others, unless all of the first batch fail."""

    PROGRAM: ClassVar = 'VASP'

    @classmethod
    def define(cls, spec: WorkChainSpec) -> None:
        super().define(spec)
        settings_port(spec, 'engine', VaspForces, help='VASP.')
        vasp_ports(spec)
        spec.inputs.validator = _refuse

    @property
    def settings(self) -> VaspForces:
        """The settings of VASP."""
        return VaspForces.of(self.inputs.engine.get_dict())

    def take_structures(self, frames: orm.List, label: str) -> Mapping[str, orm.StructureData]:
        """Return ``frame_N`` → the structure of frame N."""
        found: dict[str, orm.StructureData] = vasp_structures(
            self.inputs.snapshots, frames, science_hash(vasp_structures), metadata={'call_link_label': label}
        )
        return found

    def single_point(self, structure: orm.StructureData, label: str) -> Step:
        """Return VASP and its inputs."""
        ours = self.settings
        job = vasp_job(self.inputs.vasp, ours.potentials, structure, single_point(ours), ours.kpoints, label)
        return Step(VaspCalculation, {**job})

    @staticmethod
    def why_no_label(node: orm.CalcJobNode) -> str | None:
        """Return why VASP gives no label, in a sentence, or None."""
        if not node.is_finished_ok:
            return why(node)
        run = retrieved_run(node)
        if run is None or not run.steps or run.steps[0].forces is None:
            return f'{node.process_label}<{node.pk}> left no energy and forces.'
        return None if run.converged(0) else f'the electrons did not converge in {run.nelm} steps'

    def read_labels(self, retrieved: Mapping[str, orm.FolderData], label: str) -> SnapshotsData:
        """Return snapshots with the labels of ``frame_N``."""
        return vasp_labels(
            self.inputs.snapshots,
            orm.Str(self.settings.method),
            orm.Str(self.settings.energy),
            orm.Dict(source_of(self.settings)),
            science_hash(vasp_labels),
            metadata={'call_link_label': label},
            **retrieved,
        )


def _refuse(inputs: Inputs, namespace: PortNamespace) -> str | None:
    if not {'snapshots', 'engine', 'vasp'} <= set(inputs):
        return None
    settings = VaspForces.of(inputs['engine'].get_dict())
    reason = refuse_frames(inputs, source_of(settings))
    return reason or refuse_potentials(list(inputs['snapshots'].get_snapshots().symbols), settings.potentials)
