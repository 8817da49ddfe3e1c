"""FitParser: one Δ force field per method, and the samples of each."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from aiida import orm

from aiida_mlcc.parsers.base import RuntimeParser, read_force_field
from aiida_mlcc.science.fit.delta_samples import DeltaSamples
from aiida_mlcc.science.npz import read_npz

_DELTA, _SAMPLES = 'delta_', 'samples_'


class FitParser(RuntimeParser):
    """Each ``delta_SLUG`` folder becomes the output ``delta.SLUG``, each ``samples_SLUG.npz`` ``samples.SLUG``."""

    def parse_results(self, folder: Path, output: Mapping[str, Any]) -> None:
        for path in sorted(folder.glob(f'{_DELTA}*')):
            self.out(f'delta.{path.name.removeprefix(_DELTA)}', read_force_field(path))
        for path in sorted(folder.glob(f'{_SAMPLES}*')):
            arrays, _ = read_npz(path)
            DeltaSamples.from_arrays(arrays)
            node = orm.ArrayData()
            for name, array in arrays.items():
                node.set_array(name, array)
            self.out(f'samples.{path.stem.removeprefix(_SAMPLES)}', node)
