"""MdCalculation: molecular dynamics of one crystal, with an engine or a force field."""

from __future__ import annotations

from aiida import orm
from aiida.common.folders import Folder
from aiida.engine.processes.calcjobs.calcjob import CalcJobProcessSpec

from aiida_mlcc.calculations.base import (
    JobInputs,
    RuntimeCalculation,
    describe_primitive,
    validate_device,
    write_force_field,
    write_snapshots,
)
from aiida_mlcc.calculations.ports import settings_port
from aiida_mlcc.data.force_field import ForceFieldData
from aiida_mlcc.data.snapshots import SnapshotsData
from aiida_mlcc.runtime import programs
from aiida_mlcc.runtime.md.settings import MD
from aiida_mlcc.runtime.task_records import Calculator, MdTask, MemberCalculator
from aiida_mlcc.science.json_values import StoredSettings


class MdCalculation(RuntimeCalculation):
    """Langevin dynamics with a temperature sweep, or NVE."""

    TASK = 'md'
    CHECKED = ('engine', 'force_field')
    TRAJECTORY_FILE = 'trajectory.npz'
    VACF_FILE = 'vacf.npz'
    RESULT_FILES = (TRAJECTORY_FILE, VACF_FILE)

    @classmethod
    def define(cls, spec: CalcJobProcessSpec) -> None:
        super().define(spec)
        spec.input('start', valid_type=SnapshotsData, help='The structure to start from: its first frame.')
        spec.input('engine', valid_type=orm.Dict, required=False, serializer=orm.to_aiida_type)
        spec.input('force_field', valid_type=ForceFieldData, required=False)
        spec.input(
            'primitive',
            valid_type=orm.StructureData,
            required=False,
            help='The primitive cell of `start`, for the harmonic modes beside a velocity autocorrelation.',
        )
        spec.input('seed', valid_type=orm.Int, serializer=orm.to_aiida_type, help='Seed of velocities and thermostat.')
        spec.input('device', valid_type=orm.Str, default=lambda: orm.Str('cpu'), validator=validate_device)
        settings_port(spec, 'parameters', MD, help='How to move.')
        spec.output(
            'trajectory',
            valid_type=SnapshotsData,
            required=False,
            help='Frames with energies and forces; the last steps of a dynamics for a spectrum that blew up.',
        )
        spec.output(
            'vacf',
            valid_type=orm.ArrayData,
            required=False,
            help='Mass-weighted velocity autocorrelation per element (`vacf_C`) and direction (`vacf_C_xyz`), amu '
            'Å²/fs², over `time_fs`; of `blocks` of the run; harmonic modes of the same supercell, or the attribute '
            '`no_harmonic_modes_because`.',
        )
        spec.exit_code(320, 'ERROR_NO_FRAMES', message='The dynamics recorded nothing.')

    @classmethod
    def refuse(cls, inputs: JobInputs) -> str | None:
        engine, force_field = inputs.get('engine'), inputs.get('force_field')
        if (engine is None) == (force_field is None):
            return 'give one of `engine` and `force_field`'
        if inputs['parameters']['time_step_fs'] is None:
            return '`parameters.time_step_fs` is null: a dynamics needs its time step'
        return programs.refuse(programs.FORCES, engine.get_dict()) if engine is not None else None

    def write_task(self, folder: Folder) -> MdTask:
        parameters = self.inputs.parameters.get_dict()
        task: MdTask = {
            'calculator': write_calculator(folder, self.inputs, parameters['dtype']),
            'start': write_snapshots(folder, self.inputs.start, 'start.npz'),
            'frame': 0,
            'seed': self.inputs.seed.value,
            'parameters': parameters,
        }
        if 'primitive' in self.inputs:
            task['primitive'] = describe_primitive(self.inputs.primitive)
        return task


def write_calculator(folder: Folder, inputs: JobInputs, dtype: str) -> Calculator:
    """Describe the calculator of a task: the force field in `inputs`, whose files are written, or the engine."""
    if 'force_field' in inputs:
        return force_field_calculator(folder, inputs['force_field'], 'force_field', inputs['device'].value, dtype)
    return engine_calculator(inputs['engine'])


def force_field_calculator(
    folder: Folder, node: ForceFieldData, name: str, device: str, dtype: str
) -> MemberCalculator:
    """Write a force field into the job's folder and describe it as the calculator of a task."""
    return {
        'kind': 'force-field',
        'path': write_force_field(folder, node, name),
        'label': node.method,
        'device': device,
        'dtype': dtype,
    }


def engine_calculator(engine: orm.Dict) -> StoredSettings:
    """Describe an engine as the calculator of a task."""
    settings = engine.get_dict()
    return {'kind': settings.pop('name'), **settings}
