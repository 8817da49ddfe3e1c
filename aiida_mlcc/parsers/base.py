"""RuntimeParser: what every parser of a runtime task has in common."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from aiida import orm
from aiida.engine import ExitCode
from aiida.parsers import Parser
from safetensors import SafetensorError

from aiida_mlcc.calculations.base import RuntimeCalculation
from aiida_mlcc.data.force_field import ForceFieldData
from aiida_mlcc.data.snapshots import SnapshotsData
from aiida_mlcc.parsers.parse_raw.scheduler import OUT_OF_TIME, UNKNOWN, how_it_ended
from aiida_mlcc.runtime.task import COMPUTER, DAMAGED, RESOURCES, SIGNAL, WALLTIME, Progress
from aiida_mlcc.runtime.task_records import TaskOutput
from aiida_mlcc.science.force_field import ForceField
from aiida_mlcc.science.labels.snapshots import Snapshots

_CODES = {COMPUTER: 'ERROR_COMPUTER', RESOURCES: 'ERROR_OUT_OF_RESOURCES'}
"""Reason of a job that failed → its exit code, where that is of its own."""


class RuntimeParser(Parser):
    """Read ``output.json``, then whatever files the task left: a job cut short may have left useful ones."""

    def parse(self, **kwargs: Any) -> ExitCode | None:
        output = self.read_output()
        folder = Path(kwargs.get('retrieved_temporary_folder') or '')
        if output is not None:
            self.out('summary', orm.Dict({k: v for k, v in output.items() if k not in ('final', 'message')}))
        try:
            reason = self.parse_results(folder, output or {})
        except (*DAMAGED, SafetensorError) as error:
            if output is not None and output.get('final'):
                return self.exit_codes.ERROR_UNREADABLE_RESULT.format(message=f'A result cannot be read: {error}.')
            reason = None
        return self.verdict(output) or reason

    def parse_results(self, folder: Path, output: TaskOutput) -> ExitCode | None:
        """Turn the files in `folder` into output nodes; return an exit code where they are not a success."""
        raise TypeError(f'{type(self).__name__} does not say what its results are')

    def read_output(self) -> TaskOutput | None:
        """Return the content of ``output.json``, or None where the job did not come to write it."""
        try:
            return json.loads(self.retrieved.base.repository.get_object_content(RuntimeCalculation.OUTPUT_FILE))
        except (FileNotFoundError, json.JSONDecodeError):
            return None

    def verdict(self, output: TaskOutput | None) -> ExitCode | None:
        """Say how the job ended: a killed process arrives here as finished, without its final marker."""
        done = describe_progress(last_progress(self.retrieved))
        if output is None:
            return self._cut_short(done, UNKNOWN)
        if output.get('final'):
            return None
        reason = output.get('reason')
        if reason == WALLTIME:
            return self.exit_codes.ERROR_OUT_OF_WALLTIME.format(done=done)
        if reason == SIGNAL:
            return self._cut_short(done, 'stopped by SIGTERM')
        code = _CODES.get(str(reason), 'ERROR_TASK_FAILED')
        return self.exit_codes[code].format(message=output.get('message', 'The task gave no reason.'))

    def _cut_short(self, done: str, otherwise: str) -> ExitCode:
        """Say why the scheduler ended the job, `otherwise` where it does not say."""
        why = how_it_ended(self.node.get_detailed_job_info(), self.node.get_scheduler_stderr(), otherwise)
        if why == OUT_OF_TIME:
            return self.exit_codes.ERROR_OUT_OF_WALLTIME.format(done=done)
        return self.exit_codes.ERROR_INTERRUPTED.format(why=why, done=done)


def last_progress(retrieved: orm.FolderData) -> Progress | None:
    """Return the last whole line of ``progress.jsonl``, or None."""
    try:
        lines = retrieved.base.repository.get_object_content(RuntimeCalculation.PROGRESS_FILE).splitlines()
    except FileNotFoundError:
        return None
    for line in reversed(lines):
        try:
            return json.loads(line)
        except json.JSONDecodeError:
            continue
    return None


def describe_progress(progress: Progress | None) -> str:
    """Say in words how far a task came."""
    if progress is None:
        return 'nothing'
    return f'{progress["unit"]} {progress["done"]} of {progress["total"]}'


def read_snapshots(path: Path) -> SnapshotsData:
    """Return the snapshots in an ``.npz`` file as a node."""
    return SnapshotsData(Snapshots.load(path))


def read_force_field(folder: Path) -> ForceFieldData:
    """Return the force field in a folder as a node."""
    return ForceFieldData(ForceField.load(folder))
