"""CorrelateCalculation: HF, MP2, CCSD and CCSD(T) energies of many structures with PySCF, in one job."""

from __future__ import annotations

from typing import Any

from aiida import orm
from aiida.common.folders import Folder
from aiida.engine.processes.calcjobs.calcjob import CalcJobProcessSpec

from aiida_mlcc.calculations.base import JobInputs, RuntimeCalculation, write_snapshots
from aiida_mlcc.data.snapshots import SnapshotsData
from aiida_mlcc.runtime import programs
from aiida_mlcc.runtime.task_records import CorrelateTask
from aiida_mlcc.science.labels.methods import WAVEFUNCTION_METHODS, refuse_name


def validate_methods(node: orm.List, _: Any) -> str | None:
    """Refuse an empty list, a method that is not calculated here, or one given twice."""
    if unknown := [m for m in node.get_list() if m not in WAVEFUNCTION_METHODS]:
        return f'unknown method {unknown[0]!r}: choose from {", ".join(WAVEFUNCTION_METHODS)}'
    return validate_names(node, None)


def validate_names(node: orm.List, _: Any) -> str | None:
    """Refuse an empty list, what cannot be the name of a method, or one given twice."""
    methods = node.get_list()
    if not methods:
        return 'no method asked for'
    for method in methods:
        if (reason := refuse_name(method) if isinstance(method, str) else f'{method!r} is not a method') is not None:
            return reason
    if len(set(methods)) < len(methods):
        return f'a method is asked for twice in {", ".join(methods)}'
    return None


class CorrelateCalculation(RuntimeCalculation):
    """Label every frame of `snapshots` at the Γ point; a frame that fails does not stop the others."""

    TASK = 'correlate'
    CHECKED = ('snapshots',)
    LABELLED_FILE = 'labelled.npz'
    RESULT_FILES = (LABELLED_FILE,)

    @classmethod
    def define(cls, spec: CalcJobProcessSpec) -> None:
        super().define(spec)
        spec.input('snapshots', valid_type=SnapshotsData)
        spec.input('methods', valid_type=orm.List, serializer=orm.to_aiida_type, validator=validate_methods)
        spec.input('engine', valid_type=orm.Dict, serializer=orm.to_aiida_type, validator=_validate_engine)
        spec.output('labelled', valid_type=SnapshotsData, help='The snapshots with the energies that succeeded.')
        spec.output('failures', valid_type=orm.Dict, required=False, help='Which snapshots failed, and why.')
        spec.exit_code(330, 'ERROR_ALL_FAILED', message='No snapshot could be labelled. The first: {reason}')

    @classmethod
    def refuse(cls, inputs: JobInputs) -> str | None:
        return None if inputs['snapshots'].n_frames else '`snapshots` holds no frame'

    def write_task(self, folder: Folder) -> CorrelateTask:
        return {
            'snapshots': write_snapshots(folder, self.inputs.snapshots, 'snapshots.npz'),
            'methods': self.inputs.methods.get_list(),
            'engine': self.inputs.engine.get_dict(),
        }


def _validate_engine(node: orm.Dict, _: Any) -> str | None:
    return programs.refuse(programs.ENERGIES, node.get_dict())
