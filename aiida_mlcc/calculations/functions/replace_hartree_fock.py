"""Correlation energies of one engine on the Hartree–Fock energies of another."""

from aiida import orm
from aiida.engine import ExitCode, calcfunction

from aiida_mlcc.data.snapshots import SnapshotsData
from aiida_mlcc.science.labels.merging import replace_hartree_fock as replace


@calcfunction
def replace_hartree_fock(snapshots: SnapshotsData, hartree_fock: SnapshotsData, science: orm.Str) -> SnapshotsData:
    """Return `snapshots` with E_HF from `hartree_fock` in their energies beyond HF, matched by geometry.

    The labels name both sources. It ends with the reason where one of the two parts is missing.
    """
    try:
        return SnapshotsData(replace(snapshots.get_snapshots(), hartree_fock.get_snapshots()))
    except ValueError as error:
        return ExitCode(400, str(error))
