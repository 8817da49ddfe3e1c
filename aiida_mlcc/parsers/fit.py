"""FitParser: one Δ force field per method."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from aiida_mlcc.parsers.base import RuntimeParser, read_force_field

_PREFIX = 'delta_'


class FitParser(RuntimeParser):
    """Each ``delta_SLUG`` folder becomes the output ``delta.SLUG``."""

    def parse_results(self, folder: Path, output: Mapping[str, Any]) -> None:
        for path in sorted(folder.glob(f'{_PREFIX}*')):
            self.out(f'delta.{path.name.removeprefix(_PREFIX)}', read_force_field(path))
