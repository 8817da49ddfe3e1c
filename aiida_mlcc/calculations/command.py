"""CommandCalculation: energies of many structures by any program that keeps to a contract of two files."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TypedDict

from aiida import orm
from aiida.common.datastructures import CalcInfo, CodeInfo
from aiida.common.folders import Folder
from aiida.engine import CalcJob
from aiida.engine.processes.calcjobs.calcjob import CalcJobProcessSpec
from aiida.engine.processes.ports import PortNamespace

from aiida_mlcc.calculations.base import JobInputs
from aiida_mlcc.calculations.command_settings import (
    LABELS_FILE,
    SETTINGS_FILE,
    SNAPSHOTS_FILE,
    STDERR_FILE,
    STDOUT_FILE,
    CommandEnergies,
)
from aiida_mlcc.calculations.correlate import validate_names
from aiida_mlcc.calculations.ports import settings_port
from aiida_mlcc.data.snapshots import SnapshotsData
from aiida_mlcc.science.json_values import JsonValue
from aiida_mlcc.science.labels.extxyz import to_extxyz
from aiida_mlcc.science.labels.methods import slug_of


class CommandCalculation(CalcJob):
    """Run ``CODE arguments…`` in a folder with ``snapshots.extxyz``; it leaves ``labels.extxyz`` there.

    ``docs/howto/any_program.md`` is the contract.
    """

    @classmethod
    def define(cls, spec: CalcJobProcessSpec) -> None:
        super().define(spec)
        spec.input('snapshots', valid_type=SnapshotsData)
        spec.input('methods', valid_type=orm.List, serializer=orm.to_aiida_type, validator=validate_names)
        settings_port(spec, 'engine', CommandEnergies, help='The program, with all its settings.')
        options = spec.inputs['metadata']['options']
        options['parser_name'].default = 'mlcc.command'
        options['resources'].default = lambda: {'num_machines': 1, 'num_mpiprocs_per_machine': 1}
        options['withmpi'].default = False
        options['input_filename'].default = SNAPSHOTS_FILE
        options['output_filename'].default = STDOUT_FILE
        spec.inputs.validator = _refuse
        spec.output('labelled', valid_type=SnapshotsData, help='The snapshots with the energies that succeeded.')
        spec.output('failures', valid_type=orm.Dict, required=False, help='Which snapshots failed, and why.')
        spec.exit_code(300, 'ERROR_NO_RETRIEVED', invalidates_cache=True, message='The job retrieved nothing.')
        spec.exit_code(301, 'ERROR_NO_LABELS', invalidates_cache=True, message='{reason}')
        spec.exit_code(302, 'ERROR_UNREADABLE_RESULT', invalidates_cache=True, message='{reason}')
        spec.exit_code(
            330,
            'ERROR_ALL_FAILED',
            invalidates_cache=True,
            message='No snapshot could be labelled. The first: {reason}',
        )

    def prepare_for_submission(self, folder: Folder) -> CalcInfo:
        settings, methods = self.inputs.engine.get_dict(), self.inputs.methods.get_list()
        written = {
            SNAPSHOTS_FILE: to_extxyz(self.inputs.snapshots.get_snapshots().without_labels()),
            SETTINGS_FILE: json.dumps(task_of(methods, settings['settings']), indent=1, sort_keys=True) + '\n',
            **settings['files'],
        }
        for name, text in written.items():
            with folder.open(name, 'w', encoding='utf8') as handle:
                handle.write(text)
        code_info = CodeInfo()
        code_info.code_uuid = self.inputs.code.uuid
        code_info.cmdline_params = list(settings['arguments'])
        code_info.stdout_name = STDOUT_FILE
        code_info.stderr_name = STDERR_FILE
        calc_info = CalcInfo()
        calc_info.codes_info = [code_info]
        calc_info.retrieve_list = [LABELS_FILE, STDOUT_FILE, STDERR_FILE]
        return calc_info


class CommandTask(TypedDict):
    """The content of ``settings.json``."""

    methods: dict[str, str]
    settings: Mapping[str, JsonValue]


def task_of(methods: list[str], settings: Mapping[str, JsonValue]) -> CommandTask:
    """Return the content of ``settings.json``: method → slug, which names its energies, and the program's settings."""
    return {'methods': {method: slug_of(method) for method in methods}, 'settings': settings}


def _refuse(inputs: JobInputs, namespace: PortNamespace) -> str | None:
    if 'snapshots' not in namespace or 'snapshots' not in inputs:
        return None
    return None if inputs['snapshots'].n_frames else '`snapshots` holds no frame'
