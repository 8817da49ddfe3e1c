"""CorrelateParser: the energies that succeeded, and which snapshots failed and why."""

from __future__ import annotations

from pathlib import Path

from aiida import orm
from aiida.engine import ExitCode

from aiida_mlcc.calculations.correlate import CorrelateCalculation
from aiida_mlcc.parsers.base import RuntimeParser, read_snapshots
from aiida_mlcc.runtime.task_records import TaskOutput


class CorrelateParser(RuntimeParser):
    """A snapshot that failed is named; only where none succeeded has the job failed."""

    def parse_results(self, folder: Path, output: TaskOutput) -> ExitCode | None:
        node = read_snapshots(folder / CorrelateCalculation.LABELLED_FILE)
        self.out('labelled', node)
        failures = output.get('failures', [])
        if failures:
            self.out('failures', orm.Dict({'failed': failures}))
        if not node.methods:
            reason = failures[0]['reason'] if failures else 'no reason given'
            return self.exit_codes.ERROR_ALL_FAILED.format(reason=reason)
        return None
