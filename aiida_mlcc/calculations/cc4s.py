"""Cc4sCalculation: coupled-cluster energies of one structure with Cc4s, from tensors that another program wrote."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path, PurePosixPath
from typing import Any, TypedDict

from aiida import orm
from aiida.common.datastructures import CalcInfo, CodeInfo
from aiida.common.folders import Folder
from aiida.engine import CalcJob
from aiida.engine.processes.calcjobs.calcjob import CalcJobProcessSpec
from aiida.engine.processes.ports import PortNamespace

import aiida_mlcc
from aiida_mlcc.calculations.cc4s_input import (
    RESTART,
    Parameters,
    amplitudes_files,
    refuse_parameters,
    render,
    tensor_names,
)

_DIGEST = 'sha256'
_CHECKED = ('code', 'parameters', 'tensors')


def check_source() -> orm.SinglefileData:
    """Return the script that checks the tensors as a node: the stored one where the profile has it, else a new one."""
    content = (Path(aiida_mlcc.__file__).parent / 'runtime' / 'cc4s' / Cc4sCalculation.CHECK_FILE).read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    query = orm.QueryBuilder().append(orm.SinglefileData, filters={f'attributes.{_DIGEST}': digest})
    if (stored := query.limit(1).first(flat=True)) is not None:
        return stored
    node = orm.SinglefileData(io.BytesIO(content), filename=Cc4sCalculation.CHECK_FILE)
    node.base.attributes.set(_DIGEST, digest)
    return node


class Cc4sInputs(TypedDict, total=False):
    """The inputs of a Cc4sCalculation that its checks read."""

    code: orm.AbstractCode
    parameters: orm.Dict
    tensors: orm.RemoteData | orm.FolderData
    tensors_path: orm.Str
    parent_folder: orm.RemoteData


class Cc4sCalculation(CalcJob):
    """Run Cc4s on the integrals of one structure.

    Before Cc4s starts, a script that needs a plain ``python3`` and no package compares every tensor's header with its
    file and with the other tensors, and stops the job where they disagree: Cc4s itself reads a truncated file silently.
    """

    INPUT_FILE = 'cc4s.in'
    OUTPUT_FILE = 'cc4s.out.yaml'
    STDOUT_FILE = 'cc4s.stdout'
    STDERR_FILE = 'cc4s.stderr'
    CHECK_FILE = 'cc4s_check.py'
    CHECK_REPORT = 'check.json'
    CHECKPOINT = 'atrip-checkpoint.yaml'
    """What (T) has summed so far; Cc4s goes on from it where it finds it, and removes it at the end."""
    PLUGIN = 'mlcc.cc4s'

    @classmethod
    def define(cls, spec: CalcJobProcessSpec) -> None:
        super().define(spec)
        spec.input(
            'parameters',
            valid_type=orm.Dict,
            serializer=orm.to_aiida_type,
            validator=_validate_parameters,
            help='The calculation: `ccsd`, `triples`, `basis_set_correction`, `finite_size_correction`, `mp2`, each '
            'a mapping of its settings.',
        )
        spec.input(
            'tensors',
            valid_type=(orm.RemoteData, orm.FolderData),
            help='Where CoulombVertex, EigenEnergies and what the corrections need lie, each a .yaml and an .elements.',
        )
        spec.input(
            'tensors_path',
            valid_type=orm.Str,
            serializer=orm.to_aiida_type,
            required=False,
            validator=_validate_path,
            help='The folder within `tensors` that holds them; by default `tensors` itself.',
        )
        spec.input(
            'copy_tensors',
            valid_type=orm.Bool,
            serializer=orm.to_aiida_type,
            default=lambda: orm.Bool(False),
            help='Copy the tensors of a RemoteData; by default they are linked to.',
        )
        spec.input(
            'parent_folder',
            valid_type=orm.RemoteData,
            required=False,
            help='Remote folder of an unfinished job on the same tensors, whose amplitudes this one takes, or whose '
            '(T) it continues, for which it needs the same resources, too.',
        )
        spec.input(
            'check_source',
            valid_type=orm.SinglefileData,
            default=check_source,
            help='The script that checks the tensors, filled by itself; part of the cache key and of the provenance.',
        )
        options = spec.inputs['metadata']['options']
        options['parser_name'].default = cls.PLUGIN
        options['resources'].default = lambda: {'num_machines': 1, 'num_mpiprocs_per_machine': 1}
        options['withmpi'].default = True
        options['input_filename'].default = cls.INPUT_FILE
        options['output_filename'].default = cls.STDOUT_FILE
        spec.inputs.validator = cls._validate_inputs

        spec.output('energies', valid_type=orm.Dict, help='Named contributions, eV per cell.')
        spec.output('summary', valid_type=orm.Dict, help='Convergence, time, memory, operations and core hours.')
        for status, name, transient in _EXIT_CODES:
            spec.exit_code(status, name, message='{message}', invalidates_cache=transient)

    @classmethod
    def _validate_inputs(cls, inputs: Cc4sInputs, namespace: PortNamespace) -> str | None:
        """Refuse what could not run; a WorkChain that exposes only a part of these inputs has nothing to say yet."""
        if any(name not in namespace for name in _CHECKED):
            return None
        code, tensors = inputs.get('code'), inputs.get('tensors')
        if code is not None and (reason := refuse_code(code)) is not None:
            return reason
        if tensors is None or 'parameters' not in inputs:
            return None
        for name, remote in (('tensors', tensors), ('parent_folder', inputs.get('parent_folder'))):
            if code is None or not isinstance(remote, orm.RemoteData) or remote.computer.uuid == code.computer.uuid:
                continue
            return (
                f'`{name}` lies on {remote.computer.label}, but the code runs on {code.computer.label}: take a Cc4s '
                'code on that computer, or store the tensors as a FolderData'
            )
        if (reason := _refuse_restart(inputs)) is not None:
            return reason
        path = inputs['tensors_path'].value if 'tensors_path' in inputs else ''
        if isinstance(tensors, orm.FolderData):
            return _refuse_missing(tensors, path, inputs['parameters'].get_dict())
        return None

    def prepare_for_submission(self, folder: Folder) -> CalcInfo:
        parameters = self.inputs.parameters.get_dict()
        names = tensor_names(parameters)
        folder.create_file_from_filelike(io.BytesIO(render(parameters).encode()), self.INPUT_FILE, mode='wb')

        code_info = CodeInfo()
        code_info.code_uuid = self.inputs.code.uuid
        code_info.cmdline_params = ['-i', self.INPUT_FILE]
        code_info.stdout_name = self.STDOUT_FILE
        code_info.stderr_name = self.STDERR_FILE

        calc_info = CalcInfo()
        calc_info.codes_info = [code_info]
        calc_info.prepend_text = f'python3 -I -S {self.CHECK_FILE} {" ".join(names)} || exit 1'
        source = self.inputs.check_source
        calc_info.local_copy_list = [(source.uuid, source.filename, self.CHECK_FILE)]
        calc_info.remote_copy_list = []
        calc_info.remote_symlink_list = []
        self._add_tensors(calc_info, names)
        if 'parent_folder' in self.inputs:
            parent, restart = self.inputs.parent_folder, parameters.get(RESTART)
            if restart is None or restart.get('checkpoint'):
                origin = f'{parent.get_remote_path()}/{self.CHECKPOINT}'
                calc_info.remote_copy_list.append((parent.computer.uuid, origin, self.CHECKPOINT))
            if restart is not None and restart.get('read') is not None:
                for file in amplitudes_files(restart['read']):
                    origin = f'{parent.get_remote_path()}/{file}'
                    calc_info.remote_symlink_list.append((parent.computer.uuid, origin, file))
        calc_info.retrieve_list = [
            *(self.OUTPUT_FILE, self.STDOUT_FILE, self.STDERR_FILE, self.CHECK_REPORT, self.CHECKPOINT)
        ]
        return calc_info

    def _add_tensors(self, calc_info: CalcInfo, names: list[str]) -> None:
        tensors = self.inputs.tensors
        within = self.inputs.tensors_path.value if 'tensors_path' in self.inputs else ''
        for file in _files_of(names):
            if isinstance(tensors, orm.FolderData):
                calc_info.local_copy_list.append((tensors.uuid, str(PurePosixPath(within, file)), file))
                continue
            origin = str(PurePosixPath(tensors.get_remote_path(), within, file))
            copied = self.inputs.copy_tensors.value
            target = calc_info.remote_copy_list if copied else calc_info.remote_symlink_list
            target.append((tensors.computer.uuid, origin, file))


_EXIT_CODES = (
    (210, 'ERROR_MISSING_TENSOR', True),
    (211, 'ERROR_INCONSISTENT_TENSORS', True),
    (212, 'ERROR_UNKNOWN_METHOD', False),
    (213, 'ERROR_NOT_CHECKED', True),
    (300, 'ERROR_NO_OUTPUT', True),
    (301, 'ERROR_CC4S_FAILED', True),
    (400, 'ERROR_OUT_OF_WALLTIME', True),
    (410, 'ERROR_INTERRUPTED', True),
    (411, 'ERROR_OUT_OF_MEMORY', True),
    (420, 'ERROR_NOT_CONVERGED', False),
    (430, 'ERROR_TRIPLES_FAILED', True),
)
"""Status, name, and whether the same inputs may end otherwise: a remote folder's content is in no cache key."""


def refuse_code(code: orm.AbstractCode) -> str | None:
    """Return why a code is not Cc4s, in a sentence, or None; one that was set up without a plugin is believed."""
    plugin = code.default_calc_job_plugin
    if plugin in (None, Cc4sCalculation.PLUGIN):
        return None
    return f'the code {code.full_label} was set up for `{plugin}`: Cc4s needs one for `{Cc4sCalculation.PLUGIN}`'


def _files_of(names: list[str]) -> list[str]:
    return [f'{name}.{ending}' for name in names for ending in ('yaml', 'elements')]


def _refuse_missing(tensors: orm.FolderData, path: str, parameters: Parameters) -> str | None:
    try:
        there = set(tensors.base.repository.list_object_names(path or None))
    except (FileNotFoundError, NotADirectoryError):
        return f'`tensors` holds no folder {path!r}'
    if missing := [file for file in _files_of(tensor_names(parameters)) if file not in there]:
        where = f'the folder {path!r} of `tensors`' if path else '`tensors`'
        return f'{where} lacks {missing[0]}, which this calculation reads'
    return None


def _refuse_restart(inputs: Cc4sInputs) -> str | None:
    """Refuse to go on without a parent, or from one that calculates something else."""
    asked, parent = inputs['parameters'].get_dict().get(RESTART, {}), inputs.get('parent_folder')
    if parent is None:
        needed = asked.get('read') is not None or asked.get('checkpoint')
        return '`parameters.restart` goes on from another job, but `parent_folder` is missing' if needed else None
    job = parent.creator
    if job is None or job.process_type != Cc4sCalculation.build_process_type():
        return None
    ours = [inputs['tensors'].uuid, inputs['tensors_path'].value if 'tensors_path' in inputs else '']
    theirs = [job.inputs.tensors.uuid, job.inputs.tensors_path.value if 'tensors_path' in job.inputs else '']
    if ours == theirs:
        return None
    return (
        f'`parent_folder` is of {job.process_label}<{job.pk}>, which had other tensors: its amplitudes are those of '
        'another calculation'
    )


def _validate_parameters(node: orm.Dict, _: Any) -> str | None:
    return refuse_parameters(node.get_dict())


def _validate_path(node: orm.Str, _: Any) -> str | None:
    path = PurePosixPath(node.value)
    if path.is_absolute() or '..' in path.parts:
        return f'{node.value!r} leads out of `tensors`: give a folder within it'
    return None
