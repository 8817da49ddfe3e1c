"""EvaluateParser: the snapshots as each calculator labelled them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from aiida_mlcc.parsers.base import RuntimeParser, read_snapshots

_PREFIX = 'evaluated_'


class EvaluateParser(RuntimeParser):
    """One SnapshotsData per calculator, under its name."""

    def parse_results(self, folder: Path, output: Mapping[str, Any]) -> None:
        for path in sorted(folder.glob(f'{_PREFIX}*.npz')):
            self.out(f'evaluated.{path.stem.removeprefix(_PREFIX)}', read_snapshots(path))
