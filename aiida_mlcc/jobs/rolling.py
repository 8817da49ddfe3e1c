"""Waiting for the first of several processes, where AiiDA's WorkChain waits for all of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aiida.engine.processes.process import ProcessState

if TYPE_CHECKING:
    from aiida.engine import WorkChain as _WorkChain
else:
    _WorkChain = object


class RollingMixin(_WorkChain):
    """Go on to the next step as soon as one of the processes that are waited for has ended.

    A step that returns a ``ToContext`` names all processes that are still to be waited for, those of earlier steps
    included. In the context stands the node of a process that has ended, and a placeholder for one that has not.
    """

    _awaitables: list[Any]

    def _on_awaitable_finished(self, awaitable: Any) -> None:
        waiting_for = next((one for one in self._awaitables if one.pk == awaitable.pk), None)
        if waiting_for is None:
            # A step is being made, which may wait for this process again: it will be told once more.
            self._watched().discard(awaitable.pk)
            return
        super()._on_awaitable_finished(waiting_for)
        if self.state == ProcessState.WAITING:
            self.resume()
        else:
            self._has_news = True

    def _action_awaitables(self) -> None:
        """Ask to be told of the end of each process, once for each."""
        watched, all_awaitables = self._watched(), self._awaitables
        self._awaitables = [one for one in all_awaitables if one.pk not in watched]
        watched.update(one.pk for one in all_awaitables)
        try:
            super()._action_awaitables()
        finally:
            self._awaitables = all_awaitables
        if self.__dict__.pop('_has_news', False):
            self.call_soon(self.resume)

    def _watched(self) -> set[int]:
        """Return the processes of whose end this one will be told; none after it was loaded anew."""
        found: set[int] = self.__dict__.setdefault('_watched_pks', set())
        return found
