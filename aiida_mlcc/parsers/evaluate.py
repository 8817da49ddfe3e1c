"""EvaluateParser: the snapshots as each calculator labelled them."""

from __future__ import annotations

from pathlib import Path

from aiida_mlcc.parsers.base import RuntimeParser, read_snapshots
from aiida_mlcc.runtime.task_records import TaskOutput

_PREFIX = 'evaluated_'


class EvaluateParser(RuntimeParser):
    """One SnapshotsData per calculator, under its name."""

    def parse_results(self, folder: Path, output: TaskOutput) -> None:
        for path in sorted(folder.glob(f'{_PREFIX}*.npz')):
            self.out(f'evaluated.{path.stem.removeprefix(_PREFIX)}', read_snapshots(path))
