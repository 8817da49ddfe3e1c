"""A job on the compute node: what it was asked, how far it is, when it must stop, and how it ended.

Every task is a module with a function ``run(job: Job) -> None``. It reads ``job.input``, writes its files into
``job.folder`` and what it needs to resume into ``job.checkpoint``, and ends in one of three ways::

    def run(job: Job) -> None:
        n_epochs = job.require('training', 'epochs')      # a missing key becomes a sentence
        for epoch in range(job_state.epoch, n_epochs):
            if job.must_stop(reserve=longest_epoch):      # out of time, or the scheduler sent SIGTERM
                save(job.checkpoint)
                return job.pause(epochs_done=epoch)       # output.json: final false, reason walltime; exit code 0
            ...
            job.progress(epoch + 1, n_epochs, 'epoch', loss=loss)
        job.finish(epochs_done=n_epochs, errors=errors)   # output.json: final true; exit code 0

or by raising :class:`JobError` with one sentence for the person who can act (``output.json``: ``final`` false, reason
``error``; exit code 1). A job that pauses because of SIGTERM has the reason ``signal``. The reason of an error is
``computer`` where a package or a GPU is missing (:class:`ComputerError`), and ``resources`` where a disk or the memory
is full. ``output.json`` is the last file a job writes and the only one that says ``final``: a job that was killed has
none, and whatever else it left is a checkpoint or partial.

``checkpoint/`` of an earlier job is copied into the folder of its successor before that starts. Write there
atomically (:func:`aiida_mlcc.science.npz.write_npz`, :func:`~aiida_mlcc.science.npz.write_json`, :func:`replacing`).
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import time
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, TypedDict, TypeVar

from aiida_mlcc.science.json_values import Json
from aiida_mlcc.science.npz import write_json
from aiida_mlcc.science.settings import Settings, SettingsError

INPUT_FILE = 'input.json'
OUTPUT_FILE = 'output.json'
PROGRESS_FILE = 'progress.jsonl'
CHECKPOINT_FOLDER = 'checkpoint'

_STOP_SIGNALS = (signal.SIGTERM, signal.SIGUSR1)
_SECONDS_BETWEEN_LINES = 1.0

Group = TypeVar('Group', bound=Settings)
Content = TypeVar('Content')

DAMAGED = (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile)
"""What reading a file raises that a full disk or a kill has cut off."""

ERROR, COMPUTER, RESOURCES = 'error', 'computer', 'resources'
"""Why a job failed: by its input, by what its computer lacks, or because a disk or the memory was full."""

WALLTIME, SIGNAL = 'walltime', 'signal'
"""Why a job paused: its time is up, or it was told to stop by SIGTERM, as ``scancel`` does."""

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT)
_OUT_OF_MEMORY = ('MemoryError', 'OutOfMemoryError')


class Progress(TypedDict, total=False):
    """A line of ``progress.jsonl``; a task may say more under further names."""

    done: int
    total: int
    unit: str
    seconds: float


class JobError(Exception):
    """What stops a job, as one sentence for the person who can act.

    :param results: what is known all the same; goes into ``output.json`` beside the sentence.
    """

    def __init__(self, message: str, **results: Any) -> None:
        super().__init__(message)
        self.results = results

    @property
    def reason(self) -> str:
        """:data:`RESOURCES` where a full disk or memory is behind it."""
        return reason_of(self.__cause__) if isinstance(self.__cause__, Exception) else ERROR


class ComputerError(JobError):
    """What the computer lacks: a package, or a GPU. The same job may run elsewhere, or when that is mended."""

    @property
    def reason(self) -> str:
        """:data:`COMPUTER`."""
        return COMPUTER


def reason_of(error: BaseException) -> str:
    """Return which of :data:`ERROR`, :data:`COMPUTER` and :data:`RESOURCES` an exception is.

    PyTorch has an error of its own for a GPU without memory, which is told by its name: nothing here imports PyTorch.
    """
    if isinstance(error, ImportError):
        return COMPUTER
    no_room = isinstance(error, OSError) and error.errno in _NO_ROOM
    return RESOURCES if no_room or type(error).__name__ in _OUT_OF_MEMORY else ERROR


class Job:
    """One run of a task in its folder. The clock starts when the job is made.

    :param folder: where ``input.json`` lies and where all files go.
    :param task: the task asked for on the command line; ``input.json`` must name the same.
    """

    def __init__(self, folder: Path | str, task: str | None = None) -> None:
        self._started = time.monotonic()
        self._stop_signal: int | None = None
        self._last_line = float('-inf')
        self._remarks: list[str] = []
        self.ended = False
        self.folder = Path(folder)
        # An output left by an earlier run in this folder would vouch for files that this run is about to replace.
        (self.folder / OUTPUT_FILE).unlink(missing_ok=True)
        self.checkpoint = self.folder / CHECKPOINT_FOLDER
        self.checkpoint.mkdir(exist_ok=True)
        self.input = self._read_input(task)
        self._max_seconds = self._read_time_limit()

    def _read_input(self, task: str | None) -> Json:
        path = self.folder / INPUT_FILE
        try:
            content = json.loads(path.read_text())
        except FileNotFoundError:
            raise JobError(f'there is no {INPUT_FILE} in {self.folder.resolve()}') from None
        except ValueError as error:
            raise JobError(f'{INPUT_FILE} cannot be read as JSON: {error}') from None
        if not isinstance(content, dict):
            raise JobError(f'{INPUT_FILE} must hold one JSON object')
        if task is not None and content.get('task') != task:
            raise JobError(f'{INPUT_FILE} is for the task {content.get("task")!r}, not {task!r}')
        return content

    def _read_time_limit(self) -> float | None:
        limit = self.input.get('max_seconds')
        if limit is not None and (isinstance(limit, bool) or not isinstance(limit, int | float) or limit <= 0):
            raise JobError(f'max_seconds is {limit!r} in {INPUT_FILE}: give a positive number of seconds, or null')
        return limit

    def require(self, *keys: str) -> Any:
        """Return ``input[keys[0]][keys[1]]…``.

        :raises JobError: naming the key that is missing.
        """
        value: Any = self.input
        for depth, key in enumerate(keys):
            if not isinstance(value, Mapping) or key not in value:
                raise JobError(f'{INPUT_FILE} lacks {".".join(keys[: depth + 1])}')
            value = value[key]
        return value

    def settings(self, group: type[Group], *keys: str) -> Group:
        """Return the group of settings at ``input[keys[0]][keys[1]]…``.

        :raises JobError: naming the key that is missing, or the setting that is not allowed.
        """
        given = self.require(*keys)
        if not isinstance(given, Mapping):
            raise JobError(f'{".".join(keys)} in {INPUT_FILE} is {given!r}: give a mapping of settings')
        try:
            return group.of(given)
        except SettingsError as error:
            raise JobError(str(error)) from error

    def path_of(self, *keys: str) -> Path:
        """Return the path in the job's folder that an input names.

        :raises JobError: where the key is missing, or nothing lies there.
        """
        path = self.folder / str(self.require(*keys))
        if not path.exists():
            raise JobError(f'{INPUT_FILE} names {path.name} as its {".".join(keys)}, but there is no such file')
        return path

    def kept(self, path: Path, read: Callable[[Path], Content | None], *damaged: type[Exception]) -> Content | None:
        """Return what `read` makes of a file of the checkpoint; None where there is none, or it is damaged.

        A damaged file is set aside and named in ``output.json`` (``remarks``); its work is done again.

        :param damaged: further exceptions by which `read` says so, besides :data:`DAMAGED`.
        """
        if not path.exists():
            return None
        try:
            return read(path)
        except JobError:
            raise
        except Exception as error:
            if reason_of(error) != ERROR or not isinstance(error, (*DAMAGED, *damaged)):
                raise
            self.set_aside(path, error)
            return None

    def set_aside(self, path: Path, error: Exception) -> None:
        """Move a damaged file of the checkpoint out of the way, and remark it."""
        os.replace(path, path.with_name(f'{path.name}.damaged'))
        self._remarks.append(
            f'{path.name} of the checkpoint is damaged and was set aside ({type(error).__name__}: {error}): what it '
            'held is computed again'
        )

    @property
    def seconds(self) -> float:
        """Wall time since the job was made."""
        return time.monotonic() - self._started

    def must_stop(self, reserve: float = 0.0) -> bool:
        """Whether to checkpoint and :meth:`pause` now.

        :param reserve: seconds that the next piece of work and the checkpoint after it may take.
        """
        if self._stop_signal is not None:
            return True
        return self._time_is_up(reserve)

    def _time_is_up(self, reserve: float = 0.0) -> bool:
        return self._max_seconds is not None and self.seconds + reserve >= self._max_seconds

    @contextmanager
    def catching_signals(self) -> Iterator[None]:
        """Let SIGTERM and SIGUSR1, by which schedulers announce the end, ask for a stop in good order."""
        before = {number: signal.signal(number, self._note_signal) for number in _STOP_SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _note_signal(self, number: int, _frame: FrameType | None) -> None:
        self._stop_signal = number

    def progress(self, done: int, total: int, unit: str, **extras: Any) -> None:
        """Append a line to ``progress.jsonl``, at most one a second besides the last.

        :param unit: ``step``, ``epoch``, ``snapshot`` or ``structure``.
        :param extras: plain JSON; say the unit in the name (``temperature_K``).
        """
        now = time.monotonic()
        if done < total and now - self._last_line < _SECONDS_BETWEEN_LINES:
            return
        self._last_line = now
        line = {'done': int(done), 'total': int(total), 'unit': unit, 'seconds': round(self.seconds, 3), **extras}
        with open(self.folder / PROGRESS_FILE, 'a') as stream:
            stream.write(json.dumps(line) + '\n')

    def finish(self, **results: Any) -> None:
        """Say that all files are complete: ``output.json`` with ``final`` true."""
        self._end(final=True, **results)

    def pause(self, **results: Any) -> None:
        """Say that the job stopped in good order and can be resumed from its checkpoint."""
        told_to_stop = self._stop_signal == signal.SIGTERM and not self._time_is_up()
        self._end(final=False, reason=SIGNAL if told_to_stop else WALLTIME, **results)

    def fail(self, message: str, reason: str = ERROR, **results: Any) -> None:
        """Say in one sentence why the job cannot go on. A task raises :class:`JobError` instead of calling this.

        :param reason: :data:`ERROR`, :data:`COMPUTER` or :data:`RESOURCES`.
        """
        self._end(final=False, reason=reason, message=message, **results)

    def _end(self, **content: Any) -> None:
        if self._remarks:
            content['remarks'] = self._remarks
        write_json(self.folder / OUTPUT_FILE, {**content, 'wall_seconds': round(self.seconds, 3)})
        self.ended = True


def read_result(path: Path, identity: str, *keys: str) -> Json | None:
    """Return what a file of the checkpoint says of a finished piece of work; None where it is that of another.

    :param identity: hash of what fixes the result, which the file names.
    :param keys: what the result holds.
    :raises ValueError: where the file holds something else.
    """
    found = json.loads(path.read_text())
    if not isinstance(found, dict):
        raise ValueError('it holds no JSON object')
    if found.pop('identity', None) != identity:
        return None
    if missing := [key for key in keys if key not in found]:
        raise ValueError(f'it lacks {missing[0]!r}')
    return found


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a path to write a file or a folder to, which takes the place of `path` when the block ends well.

    A file is replaced atomically. A folder is replaced in two steps: a reader may find none, never half of one.
    """
    scratch = path.with_name(f'{path.name}.partial')
    if scratch.is_dir():
        shutil.rmtree(scratch)
    yield scratch
    if path.is_dir():
        shutil.rmtree(path)
    os.replace(scratch, path)
