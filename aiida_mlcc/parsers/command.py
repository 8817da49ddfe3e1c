"""CommandParser: the energies that any program wrote, and which snapshots failed and why."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from aiida import orm
from aiida.engine import ExitCode
from aiida.parsers import Parser

from aiida_mlcc.calculations.command_settings import LABELS_FILE, STDERR_FILE, STDOUT_FILE, CommandEnergies, source_of
from aiida_mlcc.data.snapshots import SnapshotsData
from aiida_mlcc.parsers.parse_raw.command_labels import CommandLabelsError, read_command_labels

_LONGEST = 200


class CommandParser(Parser):
    """A snapshot that failed is named; only where none succeeded has the job failed."""

    def parse(self, **kwargs: Any) -> ExitCode | None:
        if LABELS_FILE not in self.retrieved.list_object_names():
            said = self._last_line(STDERR_FILE) or self._last_line(STDOUT_FILE)
            reason = f'The program wrote no {LABELS_FILE}' + (f'; the last that it said is: {said}' if said else '.')
            return self.exit_codes.ERROR_NO_LABELS.format(reason=reason)
        snapshots = self.node.inputs.snapshots.get_snapshots()
        with TemporaryDirectory(prefix='aiida-mlcc-') as folder:
            path = Path(folder) / LABELS_FILE
            path.write_bytes(self.retrieved.get_object_content(LABELS_FILE, 'rb'))
            try:
                found = read_command_labels(path, snapshots, self.node.inputs.methods.get_list())
            except CommandLabelsError as error:
                return self.exit_codes.ERROR_UNREADABLE_RESULT.format(reason=f'{error}.')
        source = source_of(CommandEnergies.of(self.node.inputs.engine.get_dict()))
        self.out('labelled', SnapshotsData(found.onto(snapshots, source)))
        if found.failures:
            self.out('failures', orm.Dict({'failed': found.failures}))
        if len(found.failures) == snapshots.n_frames and not self.outputs.labelled.methods:
            return self.exit_codes.ERROR_ALL_FAILED.format(reason=found.failures[0]['reason'])
        return None

    def _last_line(self, name: str) -> str:
        if name not in self.retrieved.list_object_names():
            return ''
        text = self.retrieved.get_object_content(name, 'rb').decode('utf8', errors='replace')
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        return lines[-1][:_LONGEST] if lines else ''
