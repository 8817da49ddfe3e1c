"""IntegralsCalculation: Hartree–Fock of many structures with PySCF, and the integrals that Cc4s takes from it."""

from __future__ import annotations

from aiida import orm
from aiida.common.datastructures import CalcInfo
from aiida.common.folders import Folder
from aiida.engine.processes.calcjobs.calcjob import CalcJobProcessSpec
from ase import Atoms

from aiida_mlcc.calculations.base import JobInputs, RuntimeCalculation, write_snapshots
from aiida_mlcc.calculations.ports import settings_port
from aiida_mlcc.data.snapshots import SnapshotsData
from aiida_mlcc.runtime.pyscf.settings import PyscfIntegrals
from aiida_mlcc.runtime.task_records import IntegralsTask


class IntegralsCalculation(RuntimeCalculation):
    """Write CoulombVertex and EigenEnergies of every frame; a frame that fails does not stop the others.

    The tensors stay in the remote folder, under ``frames/0007``. A job that continues another one has that one's
    tensors in its own folder as well, as hard links where the file system allows it: only the last folder is needed.
    """

    TASK = 'integrals'
    CHECKED = ('snapshots',)
    LABELLED_FILE = 'labelled.npz'
    FRAMES_FOLDER = 'frames'
    PREVIOUS_FRAMES_FOLDER = 'previous_frames'
    RESULT_FILES = (LABELLED_FILE,)

    @classmethod
    def define(cls, spec: CalcJobProcessSpec) -> None:
        super().define(spec)
        spec.input('snapshots', valid_type=SnapshotsData)
        settings_port(spec, 'engine', PyscfIntegrals, help='PySCF.')
        spec.input(
            'label_hf',
            valid_type=orm.Bool,
            serializer=orm.to_aiida_type,
            default=lambda: orm.Bool(True),
            help='Whether the snapshots are given back with the Hartree–Fock energies of this job.',
        )
        spec.output(
            'labelled', valid_type=SnapshotsData, required=False, help='The snapshots with the HF energies, if asked.'
        )
        spec.output(
            'tensors',
            valid_type=orm.Dict,
            required=False,
            help='Frame → its `folder` in the remote folder, its sizes, and energies in eV per cell: `hf`, `mp2_full` '
            'over all virtual orbitals, `mp2_truncated` over those that are kept.',
        )
        spec.output('failures', valid_type=orm.Dict, required=False, help='Which snapshots failed, and why.')
        spec.exit_code(330, 'ERROR_ALL_FAILED', message='No snapshot has integrals. The first: {reason}')

    @classmethod
    def refuse(cls, inputs: JobInputs) -> str | None:
        if not inputs['snapshots'].n_frames:
            return '`snapshots` holds no frame'
        return refuse_open_shell(inputs['snapshots'].get_ase())

    @classmethod
    def is_valid_cache(cls, node: orm.ProcessNode) -> bool:
        """The tensors are in no repository, and their folder may be gone: never take an earlier job for this one."""
        return False

    def write_task(self, folder: Folder) -> IntegralsTask:
        return {
            'snapshots': write_snapshots(folder, self.inputs.snapshots, 'snapshots.npz'),
            'label_hf': self.inputs.label_hf.value,
            'engine': self.inputs.engine.get_dict(),
        }

    def prepare_for_submission(self, folder: Folder) -> CalcInfo:
        calc_info = super().prepare_for_submission(folder)
        if 'parent_folder' in self.inputs:
            parent = self.inputs.parent_folder
            origin = f'{parent.get_remote_path()}/{self.FRAMES_FOLDER}'
            calc_info.remote_symlink_list = [(parent.computer.uuid, origin, self.PREVIOUS_FRAMES_FOLDER)]
        return calc_info


def refuse_open_shell(atoms: Atoms) -> str | None:
    """Return why the electrons of `atoms` form no closed shell, in a sentence, or None.

    The core that a pseudopotential stands for is a closed shell: the atomic numbers decide.
    """
    if int(atoms.numbers.sum()) % 2:
        return (
            f'{atoms.get_chemical_formula()} has an odd number of electrons, which a closed-shell calculation cannot '
            'hold: take a supercell with an even number'
        )
    return None
