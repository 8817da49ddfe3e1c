"""TrainParser: the trained force field and the course of its training."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from aiida import orm
from aiida.engine import ExitCode

from aiida_mlcc.calculations.train import TrainCalculation
from aiida_mlcc.parsers.base import RuntimeParser, read_force_field
from aiida_mlcc.runtime.task_records import TaskOutput


class TrainParser(RuntimeParser):
    """A training cut short gives no force field: its best weights are in the checkpoint, where it goes on.

    A Δ that is not better than rescaling the base is kept, but the training has not succeeded.
    """

    def parse_results(self, folder: Path, output: TaskOutput) -> ExitCode | None:
        history = folder / TrainCalculation.HISTORY_FILE
        if history.is_file():
            self.out('history', history_arrays(history.read_text()))
        if output.get('final'):
            force_field = read_force_field(folder / TrainCalculation.FORCE_FIELD_FOLDER)
            self.out('force_field', force_field.say_origin(**TrainCalculation.origin_of(self.node.inputs)))
        errors = output.get('errors', {})
        if errors.get('better_than_rescaling', True):
            return None
        return self.exit_codes.ERROR_NO_BETTER_THAN_RESCALING.format(
            network=errors['valid_energy_rmse_mev_atom'], rescaling=errors['rescaling_mev_atom']
        )


def history_arrays(text: str) -> orm.ArrayData:
    """Turn JSON lines, one an epoch, into arrays of shape (n_epochs,); what an epoch lacks is NaN."""
    epochs = [json.loads(line) for line in text.splitlines() if line.endswith('}')]
    names = sorted({name for epoch in epochs for name in epoch})
    values = {name: [epoch.get(name) for epoch in epochs] for name in names}
    return orm.ArrayData({n: np.array([np.nan if v is None else v for v in vs], float) for n, vs in values.items()})
