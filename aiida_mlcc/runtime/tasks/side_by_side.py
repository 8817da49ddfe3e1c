"""Structures evaluated in this process, or several at a time in processes of their own."""

from __future__ import annotations

import multiprocessing
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any, TypeVar

from aiida_mlcc.runtime.calculators import build_calculator
from aiida_mlcc.science.json_values import StoredSettings

T = TypeVar('T')

_calculator: Any = None
"""Of a process of its own."""


class Here:
    """Computes at once what is submitted."""

    def __init__(self, calculator: Any) -> None:
        self._calculator = calculator

    def submit(self, function: Callable[..., T], *arguments: Any) -> Future[T]:
        """Return a future that is over: `function` of the calculator and the arguments."""
        future: Future[T] = Future()
        try:
            future.set_result(function(self._calculator, *arguments))
        except Exception as error:  # noqa: BLE001
            future.set_exception(error)
        return future

    def close(self) -> None:
        """Nothing is left to end."""


class SideBySide:
    """Computes in several processes, each with a calculator of its own."""

    def __init__(self, n_processes: int, spec: StoredSettings, folder: Path) -> None:
        self._pool = ProcessPoolExecutor(
            n_processes,
            # A fork of a process in which OpenMP has begun hangs.
            mp_context=multiprocessing.get_context('spawn'),
            initializer=_begin,
            initargs=(os.getpid(), dict(spec), folder),
        )

    def submit(self, function: Callable[..., T], *arguments: Any) -> Future[T]:
        """Return the future of `function` of the calculator and the arguments."""
        return self._pool.submit(_with_calculator, function, *arguments)

    def close(self) -> None:
        """End the processes, when they are done with what they compute."""
        self._pool.shutdown(cancel_futures=True)


def result_of(future: Future[T]) -> T:
    """Return what was computed, or raise what it raised.

    :raises MemoryError: where the process was killed.
    """
    try:
        return future.result()
    except BrokenProcessPool:
        raise MemoryError(
            'a process that evaluated a structure was killed, as the system does when memory is full'
        ) from None


def _begin(parent: int, spec: StoredSettings, folder: Path) -> None:
    global _calculator
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    _calculator = build_calculator(spec, folder)


def _end_with(parent: int) -> None:
    """End this process when the job is killed."""
    while os.getppid() == parent:
        time.sleep(1.0)
    os._exit(1)


def _with_calculator(function: Callable[..., T], *arguments: Any) -> T:
    return function(_calculator, *arguments)
