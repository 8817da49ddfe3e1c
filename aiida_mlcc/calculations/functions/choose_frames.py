"""Which snapshots each costly method labels."""

from aiida import orm
from aiida.engine import ExitCode, calcfunction

from aiida_mlcc.data.snapshots import SnapshotsData
from aiida_mlcc.science.design.choose_snapshots import DESIGNED, select
from aiida_mlcc.science.labels.labelling_plan import selections_of


@calcfunction
def choose_frames(
    snapshots: SnapshotsData,
    selection: orm.Dict,
    methods: orm.List,
    science: orm.Str,
    primitive: orm.StructureData | None = None,
) -> orm.Dict:
    """Return method → indices of the frames that its selection takes; it ends with the reason where there are none.

    A method whose selection makes new structures takes none of these.
    """
    frames = snapshots.get_snapshots()
    cell = None if primitive is None else primitive.get_ase()
    chosen = {}
    try:
        for method, asked in selections_of(methods.get_list(), selection.get_dict()).items():
            designed = asked['kind'] == DESIGNED
            chosen[method] = [] if designed else [int(i) for i in select(frames, asked, cell)]
    except ValueError as error:
        return ExitCode(400, str(error))
    return orm.Dict(chosen)
