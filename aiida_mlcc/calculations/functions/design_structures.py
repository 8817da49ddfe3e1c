"""New structures that are worth a costly energy: the commensurate phonons of the crystal, one at a time."""

from aiida import orm
from aiida.engine import ExitCode, calcfunction

from aiida_mlcc.data.snapshots import SnapshotsData
from aiida_mlcc.science.design.optimal_structures import design_frozen_phonons


@calcfunction
def design_structures(
    snapshots: SnapshotsData, primitive: orm.StructureData, selection: orm.Dict, science: orm.Str
) -> SnapshotsData:
    """Return unlabelled frozen phonons in the cell of `snapshots`; it ends with the reason where there are none."""
    try:
        designed = design_frozen_phonons(snapshots.get_snapshots(), primitive.get_ase(), selection.get_dict())
    except ValueError as error:
        return ExitCode(400, str(error))
    return SnapshotsData(designed)
