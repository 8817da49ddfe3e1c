"""TrainCalculation: a MACE network on the labels of a method, or on the difference of two methods."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiida import orm
from aiida.common.folders import Folder
from aiida.engine.processes.calcjobs.calcjob import CalcJobProcessSpec

from aiida_mlcc.calculations.base import RuntimeCalculation, validate_device, write_snapshots
from aiida_mlcc.calculations.parameters import refuse_settings
from aiida_mlcc.data.force_field import ForceFieldData
from aiida_mlcc.data.snapshots import SnapshotsData


class TrainCalculation(RuntimeCalculation):
    """Train one network with one seed: energies and forces of `method`, or energies of `method` − `minus`."""

    TASK = 'train'
    CHECKED = ('snapshots', 'method', 'minus')
    FORCE_FIELD_FOLDER = 'force_field'
    HISTORY_FILE = 'history.jsonl'
    RESULT_FILES = (FORCE_FIELD_FOLDER, HISTORY_FILE)

    @classmethod
    def define(cls, spec: CalcJobProcessSpec) -> None:
        super().define(spec)
        spec.input('snapshots', valid_type=SnapshotsData)
        spec.input('method', valid_type=orm.Str, serializer=orm.to_aiida_type, help='The method to learn.')
        spec.input(
            'minus',
            valid_type=orm.Str,
            required=False,
            serializer=orm.to_aiida_type,
            help='Learn the energy difference to this method instead, without forces: a Δ.',
        )
        spec.input('seed', valid_type=orm.Int, serializer=orm.to_aiida_type, help='Seed of split, weights and order.')
        spec.input('device', valid_type=orm.Str, default=lambda: orm.Str('cpu'), validator=validate_device)
        spec.input('network', valid_type=orm.Dict, serializer=orm.to_aiida_type, validator=_validate_network)
        spec.input('training', valid_type=orm.Dict, serializer=orm.to_aiida_type, validator=_validate_training)
        spec.output('force_field', valid_type=ForceFieldData)
        spec.output('history', valid_type=orm.ArrayData, required=False, help='Losses and errors epoch by epoch.')

    @classmethod
    def refuse(cls, inputs: Mapping[str, Any]) -> str | None:
        wanted = [inputs[name].value for name in ('method', 'minus') if inputs.get(name) is not None]
        for method in wanted:
            if method not in inputs['snapshots'].methods:
                there = ', '.join(inputs['snapshots'].methods) or 'none'
                return f'`snapshots` have no {method} labels to learn from; their methods: {there}'
        return None

    def write_task(self, folder: Folder) -> dict[str, Any]:
        minus = self.inputs.minus.value if 'minus' in self.inputs else None
        training = self.inputs.training.get_dict()
        dtype = training.pop('dtype')
        return {
            'snapshots': write_snapshots(folder, self.inputs.snapshots, 'snapshots.npz'),
            'target': {'method': self.inputs.method.value, 'minus': minus, 'forces': minus is None},
            'network': self.inputs.network.get_dict(),
            'training': training,
            'seed': self.inputs.seed.value,
            'device': self.inputs.device.value,
            'dtype': dtype,
        }


def _validate_network(node: orm.Dict, _: Any) -> str | None:
    return refuse_settings('network', node.get_dict())


def _validate_training(node: orm.Dict, _: Any) -> str | None:
    return refuse_settings('training', node.get_dict())
