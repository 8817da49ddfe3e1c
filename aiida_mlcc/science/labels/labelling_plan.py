"""Which method labels which frame: a selection for each method, and together in one job what a frame lacks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, TypedDict, cast

from aiida_mlcc.science.json_values import StoredSettings
from aiida_mlcc.science.labels.methods import in_order
from aiida_mlcc.science.settings import Settings, setting

PER_METHOD: Final = 'per_method'
"""The key of a selection under which methods have a selection of their own."""


def _named_qpoints(value: dict[str, list[float]]) -> str | None:
    if not value:
        return 'give at least one, such as GAMMA: [0, 0, 0]'
    for label, qpoint in value.items():
        numbers = isinstance(qpoint, list | tuple) and all(isinstance(x, int | float) for x in qpoint)
        if not numbers or len(qpoint) != 3:
            return f'the q-point {label} is {qpoint!r}: give three numbers'
    return None


@dataclass(frozen=True)
class Rounds(Settings):
    """Labelling in rounds: frames are added until the frequencies are known well enough."""

    TITLE = 'rounds'

    target_sd_cm1: float = setting('Standard deviation that all modes must reach.', above=0, unit='cm⁻¹')
    qpoints: dict[str, list[float]] = setting('Whose modes: label → three fractions.', check=_named_qpoints)
    first: int = setting('Frames in the first round.', at_least=1)
    step: int = setting('Frames that each further round adds.', at_least=1)
    most: int = setting('Frames after which labelling ends.', at_least=1)

    def refuse_together(self) -> str | None:
        """Refuse fewer frames in all than in the first round."""
        if self.most < self.first:
            return f'`most` is {self.most}, fewer than the {self.first} of the first round'
        return None


class Selection(TypedDict, total=False):
    """Which frames a method labels, as the input `selection` holds it: the ``kind`` and the settings of that kind.

    ``per_method``: selections of their own for some methods.
    """

    kind: str
    n: int
    seed: int
    qpoints: list[list[float]] | None
    energy_mev_atom: float
    second_amplitude: float | None
    largest_displacement: float
    references: int
    per_method: dict[str, Selection]


def as_settings(selection: Selection) -> StoredSettings:
    """Return a selection as a group of settings, to be checked or built."""
    return cast(StoredSettings, selection)


def selections_of(methods: Sequence[str], selection: Selection) -> dict[str, Selection]:
    """Return method → its selection: its own one under ``per_method``, or else the common one."""
    own = selection.get(PER_METHOD) or {}
    return {method: own.get(method, common_selection(selection)) for method in methods}


def common_selection(selection: Selection) -> Selection:
    """Return the selection of the methods that have none of their own."""
    return cast(Selection, {key: value for key, value in selection.items() if key != PER_METHOD})


def costliest(methods: Sequence[str]) -> str:
    """Return the costliest of some wave-function methods."""
    return in_order(methods)[-1]


def with_cheaper(chosen: Mapping[str, Sequence[int]]) -> dict[str, list[int]]:
    """Give every frame that is chosen for a method to the cheaper ones, too: its job computes their energies anyway.

    :param chosen: method → frames.
    :returns: the same methods, each with its frames in ascending order.
    """
    rank = {method: place for place, method in enumerate(in_order(chosen))}
    return {
        method: sorted({frame for other, frames in chosen.items() if rank[other] >= rank[method] for frame in frames})
        for method in chosen
    }


def plan_batches(lacking: Mapping[str, Sequence[int]], size: int, pilot: bool) -> list[tuple[list[str], list[int]]]:
    """Return the batches in which frames are labelled, as methods and frames, the costliest methods first.

    :param lacking: method → frames without its label.
    :param size: frames in a batch at most.
    :param pilot: whether the first batch is one frame, which shows what the others will cost.
    """
    planned: list[tuple[list[str], list[int]]] = []
    for methods, frames in in_one_job(lacking).items():
        start = 1 if pilot and not planned else 0
        planned += [(list(methods), frames[:start])] * start
        left = frames[start:]
        # Of equal length as far as that goes: those that run beside each other end together.
        n_batches = -(-len(left) // size)
        edges = [round(number * len(left) / n_batches) for number in range(n_batches + 1)] if left else []
        planned += [(list(methods), left[first:last]) for first, last in pairwise(edges)]
    return planned


def in_one_job(lacking: Mapping[str, Sequence[int]]) -> dict[tuple[str, ...], list[int]]:
    """Bring together the frames that lack the same methods.

    :param lacking: method → frames without its label.
    :returns: methods in order of cost → frames in ascending order; the costliest sets first, which take longest.
    """
    wanted: dict[int, list[str]] = {}
    ordered = in_order(lacking)
    for method in ordered:
        for frame in lacking[method]:
            wanted.setdefault(frame, []).append(method)
    groups: dict[tuple[str, ...], list[int]] = {}
    for frame in sorted(wanted):
        groups.setdefault(tuple(wanted[frame]), []).append(frame)
    order = sorted(groups, key=lambda methods: [ordered.index(m) for m in reversed(methods)], reverse=True)
    return {methods: groups[methods] for methods in order}
