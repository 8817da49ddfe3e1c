"""What a benchmark prints, run in this process."""

from __future__ import annotations

import json
from types import ModuleType
from typing import Any

import pytest


def printed_by(benchmark: ModuleType, *options: str) -> dict[str, Any]:
    """Return the JSON object that ``python -m BENCHMARK OPTIONS`` prints; the last line, all of it being JSON."""
    with pytest.MonkeyPatch.context() as patch:
        lines: list[str] = []
        patch.setattr('sys.argv', [benchmark.__name__, *options])
        patch.setattr('sys.stdout.write', lines.append)
        benchmark.main()
    return json.loads(''.join(lines))
