"""``python -m aiida_mlcc.runtime TASK``: run the task that ``input.json`` in the present folder describes."""

from __future__ import annotations

import importlib
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path

from aiida_mlcc.runtime.task import COMPUTER, INPUT_FILE, OUTPUT_FILE, Job, JobError, reason_of
from aiida_mlcc.science.npz import write_json

TASKS = ('md', 'evaluate', 'correlate', 'integrals', 'train', 'fit')
"""Each is a module of ``tasks`` with a function ``run(job)``, imported when asked for and no earlier: one task's
programs need not be installed for another's."""


def main(arguments: Sequence[str] | None = None, folder: Path | str = '.') -> int:
    """Run one task and return its exit code: 0 where it finished or paused, 1 where ``output.json`` says why not."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if len(words) != 1 or words[0] not in TASKS:
        sys.stderr.write(f'usage: python -m aiida_mlcc.runtime {{{",".join(TASKS)}}}\n')
        return 2
    task = words[0]
    try:
        job = Job(folder, task)
    except JobError as error:
        return _refuse(Path(folder), str(error))
    try:
        with job.catching_signals():
            importlib.import_module(f'aiida_mlcc.runtime.tasks.{task}').run(job)
    except JobError as error:
        job.fail(str(error), error.reason, **error.results)
    except ImportError as error:
        traceback.print_exc()
        job.fail(f'the task {task} needs a Python package that this computer lacks: {error}', COMPUTER)
    except Exception as error:  # noqa: BLE001
        traceback.print_exc()
        # Errors of the science modules are sentences already; of others the type says more than the text.
        job.fail(str(error) if _is_ours(error) else f'{type(error).__name__}: {error}', reason_of(error))
    else:
        if job.ended:
            return 0
        job.fail(f'the task {task} ended without saying how')
    return 1


def _is_ours(error: Exception) -> bool:
    return type(error).__module__.startswith('aiida_mlcc.')


def _refuse(folder: Path, message: str) -> int:
    sys.stderr.write(f'{message}\n')
    if (folder / INPUT_FILE).exists():
        write_json(folder / OUTPUT_FILE, {'final': False, 'reason': 'error', 'message': message})
    return 1


if __name__ == '__main__':
    sys.exit(main())
