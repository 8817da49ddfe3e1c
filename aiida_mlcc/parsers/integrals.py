"""IntegralsParser: where the tensors of each snapshot lie, the HF energies, and which snapshots failed and why."""

from __future__ import annotations

from pathlib import Path

from aiida import orm
from aiida.engine import ExitCode

from aiida_mlcc.calculations.integrals import IntegralsCalculation
from aiida_mlcc.parsers.base import RuntimeParser, read_snapshots
from aiida_mlcc.runtime.task_records import TaskOutput


class IntegralsParser(RuntimeParser):
    """A snapshot that failed is named; only where none succeeded has the job failed."""

    def parse_results(self, folder: Path, output: TaskOutput) -> ExitCode | None:
        if self.node.inputs.label_hf.value:
            self.out('labelled', read_snapshots(folder / IntegralsCalculation.LABELLED_FILE))
        tensors, failures = output.get('tensors', {}), output.get('failures', [])
        if failures:
            self.out('failures', orm.Dict({'failed': failures}))
        if not tensors:
            reason = failures[0]['reason'] if failures else 'no reason given'
            return self.exit_codes.ERROR_ALL_FAILED.format(reason=reason)
        self.out('tensors', orm.Dict(tensors))
        return None
