"""MdParser: the trajectory, or the velocity autocorrelation, of a molecular-dynamics job."""

from __future__ import annotations

from pathlib import Path

from aiida import orm
from aiida.engine import ExitCode

from aiida_mlcc.calculations.md import MdCalculation
from aiida_mlcc.parsers.base import RuntimeParser, read_snapshots
from aiida_mlcc.runtime.task_records import TaskOutput
from aiida_mlcc.science.npz import read_npz


class MdParser(RuntimeParser):
    """Keep the frames that there are, also of a dynamics that blew up or ran out of time."""

    def parse_results(self, folder: Path, output: TaskOutput) -> ExitCode | None:
        trajectory, vacf = folder / MdCalculation.TRAJECTORY_FILE, folder / MdCalculation.VACF_FILE
        if trajectory.is_file():
            self.out('trajectory', read_snapshots(trajectory))
        if vacf.is_file():
            arrays, description = read_npz(vacf)
            node = orm.ArrayData(arrays)
            node.base.attributes.set_many(description)
            self.out('vacf', node)
        return None if trajectory.is_file() or vacf.is_file() else self.exit_codes.ERROR_NO_FRAMES
