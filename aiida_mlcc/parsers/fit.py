"""FitParser: one Δ force field per method, and the samples of each, or a base."""

from __future__ import annotations

from pathlib import Path

from aiida import orm

from aiida_mlcc.calculations.fit import FitCalculation
from aiida_mlcc.parsers.base import RuntimeParser, read_force_field
from aiida_mlcc.runtime.task_records import TaskOutput
from aiida_mlcc.science.fit.delta_samples import DeltaSamples
from aiida_mlcc.science.npz import read_npz

_BASE, _DELTA, _SAMPLES = 'force_field', 'delta_', 'samples_'


class FitParser(RuntimeParser):
    """A base is the output ``force_field``; each ``delta_SLUG`` folder is ``delta.SLUG``, each ``samples_SLUG.npz``
    ``samples.SLUG``."""

    def parse_results(self, folder: Path, output: TaskOutput) -> None:
        origin = FitCalculation.origin_of(self.node.inputs)
        if (path := folder / _BASE).is_dir():
            self.out(_BASE, read_force_field(path).say_origin(**origin))
        for path in sorted(folder.glob(f'{_DELTA}*')):
            self.out(f'delta.{path.name.removeprefix(_DELTA)}', read_force_field(path).say_origin(**origin))
        for path in sorted(folder.glob(f'{_SAMPLES}*')):
            arrays, _ = read_npz(path)
            DeltaSamples.from_arrays(arrays)
            node = orm.ArrayData()
            for name, array in arrays.items():
                node.set_array(name, array)
            self.out(f'samples.{path.stem.removeprefix(_SAMPLES)}', node)
