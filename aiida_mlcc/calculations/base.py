"""RuntimeCalculation: what every job has in common that runs one task of the runtime."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, TypedDict

from aiida import orm
from aiida.common.datastructures import CalcInfo, CodeInfo
from aiida.common.folders import Folder
from aiida.engine import CalcJob
from aiida.engine.processes.calcjobs.calcjob import CalcJobProcessSpec
from aiida.engine.processes.ports import PortNamespace

from aiida_mlcc.calculations.runtime_source import RUNTIME_SOURCE_FILE, runtime_source
from aiida_mlcc.data.force_field import ForceFieldData
from aiida_mlcc.data.snapshots import SnapshotsData
from aiida_mlcc.runtime.task_records import Cell, Polarity
from aiida_mlcc.science.force_field import DESCRIPTION_FILE, WEIGHTS_FILE
from aiida_mlcc.science.labels.merging import common_source
from aiida_mlcc.science.labels.snapshots import SnapshotsError

DEVICES = ('cpu', 'cuda')
_MARGIN_OF_WALLTIME = 0.05


class JobInputs(TypedDict, total=False):
    """The inputs of a job of the runtime that a check reads; each job has some of them."""

    code: orm.AbstractCode
    parent_folder: orm.RemoteData
    snapshots: SnapshotsData
    structure: orm.StructureData
    primitive: orm.StructureData
    born_charges: orm.ArrayData
    reference: SnapshotsData
    engine: orm.Dict
    force_field: ForceFieldData
    force_fields: Mapping[str, ForceFieldData]
    start: SnapshotsData
    base: ForceFieldData
    start_from: ForceFieldData
    base_method: orm.Str
    method: orm.Str
    minus: orm.Str
    methods: orm.List
    role: orm.Str
    kind: orm.Str
    parameters: orm.Dict
    network: orm.Dict
    training: orm.Dict
    correction: orm.Dict
    force_constants: orm.Dict
    forces: orm.Bool
    seed: orm.Int
    device: orm.Str


class RuntimeCalculation(CalcJob):
    """Run ``python -m aiida_mlcc.runtime TASK`` in the job's folder.

    A job that ends before its work is done leaves ``checkpoint/`` behind; a job with that one's remote folder as
    ``parent_folder`` goes on from there.
    """

    TASK: str
    INPUT_FILE = 'input.json'
    OUTPUT_FILE = 'output.json'
    PROGRESS_FILE = 'progress.jsonl'
    STDOUT_FILE = 'runtime.out'
    STDERR_FILE = 'runtime.err'
    CHECKPOINT = 'checkpoint'
    CHECKED: tuple[str, ...] = ()
    """The ports that :meth:`refuse` reads."""
    RESULT_FILES: tuple[str, ...] = ()
    """Files that the parser turns into nodes, by glob; they are not kept twice."""

    @classmethod
    def define(cls, spec: CalcJobProcessSpec) -> None:
        super().define(spec)
        spec.input(
            'runtime_source',
            valid_type=orm.SinglefileData,
            default=lambda: runtime_source(cls.TASK),
            help='The code that runs, filled by itself; part of the cache key and of the provenance.',
        )
        spec.input(
            'parent_folder',
            valid_type=orm.RemoteData,
            required=False,
            help='Remote folder of an unfinished job with the same inputs, whose checkpoint this one continues.',
        )
        options = spec.inputs['metadata']['options']
        options['parser_name'].default = f'mlcc.{cls.TASK}'
        options['resources'].default = lambda: {'num_machines': 1, 'num_mpiprocs_per_machine': 1}
        options['withmpi'].default = False
        options['input_filename'].default = cls.INPUT_FILE
        options['output_filename'].default = cls.STDOUT_FILE
        spec.inputs.validator = cls._validate_inputs

        spec.output('summary', valid_type=orm.Dict, help='What the task says of its run.')
        spec.exit_code(300, 'ERROR_NO_RETRIEVED', invalidates_cache=True, message='The job retrieved nothing.')
        spec.exit_code(301, 'ERROR_TASK_FAILED', message='{message}')
        spec.exit_code(302, 'ERROR_UNREADABLE_RESULT', invalidates_cache=True, message='{message}')
        spec.exit_code(303, 'ERROR_COMPUTER', invalidates_cache=True, message='{message}')
        spec.exit_code(411, 'ERROR_OUT_OF_RESOURCES', invalidates_cache=True, message='{message}')
        spec.exit_code(
            400, 'ERROR_OUT_OF_WALLTIME', invalidates_cache=True, message='Out of time after {done}: to be continued.'
        )
        spec.exit_code(
            410,
            'ERROR_INTERRUPTED',
            invalidates_cache=True,
            message='The job ended without its final marker ({why}) after {done}.',
        )

    @classmethod
    def _validate_inputs(cls, inputs: JobInputs, namespace: PortNamespace) -> str | None:
        """Refuse what the task could not run; a subclass says it in :meth:`refuse`.

        A WorkChain that exposes these inputs may leave some out, to fill them in later: then there is nothing to say.
        """
        if any(name not in namespace for name in ('parent_folder', *cls.CHECKED)):
            return None
        code, parent = inputs.get('code'), inputs.get('parent_folder')
        if code is not None and parent is not None and parent.computer.uuid != code.computer.uuid:
            return f'`parent_folder` lies on {parent.computer.label}, but the code runs on {code.computer.label}'
        return cls.refuse(inputs)

    @classmethod
    def refuse(cls, inputs: JobInputs) -> str | None:
        """Return why `inputs` cannot run, in a sentence, or None."""
        return None

    def write_task(self, folder: Folder) -> Mapping[str, object]:
        """Write the task's files into `folder` and return the content of ``input.json``."""
        raise TypeError(f'{type(self).__name__} does not say what its task is')

    def prepare_for_submission(self, folder: Folder) -> CalcInfo:
        seconds = self.inputs.metadata.options.get('max_wallclock_seconds')
        task = {
            'task': self.TASK,
            'max_seconds': None if seconds is None else seconds * (1 - _MARGIN_OF_WALLTIME),
            **self.write_task(folder),
        }
        with folder.open(self.INPUT_FILE, 'w') as handle:
            json.dump(task, handle, indent=1, sort_keys=True)

        code_info = CodeInfo()
        code_info.code_uuid = self.inputs.code.uuid
        code_info.cmdline_params = ['-m', 'aiida_mlcc.runtime', self.TASK]
        code_info.stdout_name = self.STDOUT_FILE
        code_info.stderr_name = self.STDERR_FILE

        source = self.inputs.runtime_source
        calc_info = CalcInfo()
        calc_info.codes_info = [code_info]
        calc_info.prepend_text = f'export PYTHONPATH="$PWD/{RUNTIME_SOURCE_FILE}${{PYTHONPATH:+:$PYTHONPATH}}"'
        calc_info.local_copy_list = [(source.uuid, source.filename, RUNTIME_SOURCE_FILE)]
        calc_info.remote_copy_list = []
        if 'parent_folder' in self.inputs:
            parent = self.inputs.parent_folder
            origin = f'{parent.get_remote_path()}/{self.CHECKPOINT}'
            calc_info.remote_copy_list = [(parent.computer.uuid, origin, self.CHECKPOINT)]
        calc_info.retrieve_list = [self.OUTPUT_FILE, self.PROGRESS_FILE, self.STDOUT_FILE, self.STDERR_FILE]
        calc_info.retrieve_temporary_list = list(self.RESULT_FILES)
        return calc_info


def write_snapshots(folder: Folder, node: SnapshotsData, name: str) -> str:
    """Write the snapshots of `node` into the job's `folder`, and return the file's name."""
    node.get_snapshots().save(folder.get_abs_path(name))
    return name


def write_force_field(folder: Folder, node: ForceFieldData, name: str) -> str:
    """Write a force field into ``force_fields/NAME`` of the job's `folder`, and return that path."""
    path = f'force_fields/{name}'
    folder.get_subfolder(path, create=True)
    for filename in (DESCRIPTION_FILE, WEIGHTS_FILE):
        with node.base.repository.open(filename, 'rb') as handle:
            folder.create_file_from_filelike(handle, f'{path}/{filename}', mode='wb')
    return path


def describe_primitive(node: orm.StructureData) -> Cell:
    """Return a primitive cell as the runtime's tasks read it: symbols, cell and positions in Å."""
    atoms = node.get_ase()
    return {
        'symbols': atoms.get_chemical_symbols(),
        'cell': atoms.cell.tolist(),
        'positions': atoms.positions.tolist(),
    }


def born_charges_port(spec: CalcJobProcessSpec) -> None:
    """Declare the Born charges of a polar crystal."""
    spec.input(
        'born_charges',
        valid_type=orm.ArrayData,
        required=False,
        help='Of a polar crystal: the arrays `born_charges` (e, n_atoms × 3 × 3) and `dielectric` (3 × 3) of '
        '`structure`, as the calcfunction mlcc.born_charges gives them. The dipole–dipole energy is a term of its own '
        'then.',
    )


def describe_polarity(node: orm.ArrayData) -> Polarity:
    """Return Born charges and dielectric tensor as the runtime's tasks read them."""
    charges, dielectric = (node.get_array(name).tolist() for name in ('born_charges', 'dielectric'))
    return {'born_charges': charges, 'dielectric': dielectric}


def reference_port(spec: CalcJobProcessSpec) -> None:
    """Declare the reference displacements of a base."""
    spec.input(
        'reference',
        valid_type=SnapshotsData,
        required=False,
        help='Displacements of few atoms in a supercell, with forces of the base method: the harmonic force constants '
        'of a base are fitted to them in the end, and a network without force constants is fine-tuned on them.',
    )


def refuse_reference(reference: SnapshotsData | None, snapshots: SnapshotsData, method: str) -> str | None:
    """Refuse reference displacements without the forces of `method`, or made with other settings than `snapshots`."""
    if reference is None:
        return None
    label = reference.get_snapshots().labels.get(method)
    if label is None or label.forces is None:
        return f'`reference` has no {method} forces'
    of_frames = snapshots.get_snapshots().labels.get(method)
    if of_frames is None:
        return None
    try:
        common_source(method, of_frames.source, label.source)
    except SnapshotsError as error:
        return f'`reference` and `snapshots`: {error}'
    return None


def describe_reference(folder: Folder, inputs: JobInputs) -> str | None:
    """Write the reference displacements, if there are any, and return the name of the file."""
    return write_snapshots(folder, inputs['reference'], 'reference.npz') if 'reference' in inputs else None


def validate_device(node: orm.Str, _: Any) -> str | None:
    """Refuse a device that the runtime does not know."""
    return None if node.value in DEVICES else f'unknown device {node.value!r}: choose from {", ".join(DEVICES)}'
