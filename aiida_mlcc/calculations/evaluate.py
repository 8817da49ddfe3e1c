"""EvaluateCalculation: energies and forces of many structures, with many force fields or an engine, in one job."""

from __future__ import annotations

from collections.abc import Mapping

from aiida import orm
from aiida.common.folders import Folder
from aiida.engine.processes.calcjobs.calcjob import CalcJobProcessSpec

from aiida_mlcc.calculations.base import JobInputs, RuntimeCalculation, validate_device, write_snapshots
from aiida_mlcc.calculations.md import engine_calculator, force_field_calculator
from aiida_mlcc.calculations.ports import settings_port
from aiida_mlcc.data.force_field import ForceFieldData
from aiida_mlcc.data.snapshots import SnapshotsData
from aiida_mlcc.runtime import programs
from aiida_mlcc.runtime.task_records import Calculator, EvaluateTask
from aiida_mlcc.runtime.tasks.evaluate_settings import Evaluate


class EvaluateCalculation(RuntimeCalculation):
    """Label every frame of `snapshots` with each force field, or with the engine, relaxed before if asked for.

    An engine evaluates as many structures at a time as the job has processes on its machine
    (``metadata.options.resources``).
    """

    TASK = 'evaluate'
    CHECKED = ('engine', 'force_fields')
    ENGINE = 'engine'
    RESULT_FILES = ('evaluated_*.npz',)

    @classmethod
    def define(cls, spec: CalcJobProcessSpec) -> None:
        super().define(spec)
        spec.input('snapshots', valid_type=SnapshotsData)
        spec.input('engine', valid_type=orm.Dict, required=False, serializer=orm.to_aiida_type)
        spec.input_namespace('force_fields', valid_type=ForceFieldData, required=False, dynamic=True)
        spec.input('device', valid_type=orm.Str, default=lambda: orm.Str('cpu'), validator=validate_device)
        settings_port(spec, 'parameters', Evaluate, help='What is computed, and how.')
        spec.output_namespace(
            'evaluated',
            valid_type=SnapshotsData,
            dynamic=True,
            help='The snapshots as labelled by each force field, under its name, or by the engine, as `engine`.',
        )

    @classmethod
    def refuse(cls, inputs: JobInputs) -> str | None:
        engine, force_fields = inputs.get('engine'), inputs.get('force_fields')
        if (engine is None) == (not force_fields):
            return 'give one of `engine` and `force_fields`'
        return programs.refuse(programs.FORCES, engine.get_dict()) if engine is not None else None

    def write_task(self, folder: Folder) -> EvaluateTask:
        parameters = self.inputs.parameters.get_dict()
        if 'engine' in self.inputs:
            calculators: Mapping[str, Calculator] = {self.ENGINE: engine_calculator(self.inputs.engine)}
        else:
            device, dtype = self.inputs.device.value, parameters['dtype']
            calculators = {
                name: force_field_calculator(folder, node, name, device, dtype)
                for name, node in sorted(self.inputs.force_fields.items())
            }
        return {
            'snapshots': write_snapshots(folder, self.inputs.snapshots, 'snapshots.npz'),
            'calculators': calculators,
            'parameters': parameters,
            'n_processes': self.n_processes,
        }

    @property
    def n_processes(self) -> int:
        """How many structures an engine evaluates at a time: the processes that the job asks for on its machine."""
        resources = self.inputs.metadata.options.resources
        asked = resources.get('num_mpiprocs_per_machine') or resources.get('tot_num_mpiprocs', 1)
        return int(asked) if 'engine' in self.inputs else 1
