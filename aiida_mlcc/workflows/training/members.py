"""The list of trainings of a run: a base for each seed, Δ of one or several kinds on top of it, and the control."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from aiida_mlcc.jobs.inputs import seed_label
from aiida_mlcc.runtime.delta_kinds import BASE, CONTROL, DELTA, Kind, kinds_for
from aiida_mlcc.science.labels.methods import slug_of


@dataclass(frozen=True)
class Training:
    """One job.

    :param name: its link label.
    :param role: :data:`~aiida_mlcc.runtime.delta_kinds.BASE`, ``DELTA`` or ``CONTROL``.
    :param method: None where one job serves all methods.
    :param seed: None where one job serves all seeds.
    :param needs: the name of the training whose result it starts from.
    :param optional: whether everything asked for is there without it.
    """

    name: str
    role: str
    kind: Kind
    method: str | None
    seed: int | None
    needs: str | None = None
    optional: bool = False


def plan_trainings(
    base_method: str,
    methods: Sequence[str],
    seeds: Sequence[int],
    base: str,
    kind: str,
    compare: Sequence[str] = (),
    control: bool = False,
) -> list[Training]:
    """Return all jobs: the bases first, then Δ, then what is only compared with it, then the control.

    :param base: kind of the bases.
    :param kind: of the Δ that the results are made with.
    :param compare: further kinds, for the error budget only.
    """
    of_base, of_delta = kinds_for(BASE)[base], kinds_for(DELTA)
    of_control = next(iter(kinds_for(CONTROL).values()))
    bases = [Training(base_name(base_method, seed), BASE, of_base, base_method, seed) for seed in seeds]
    deltas = [
        training
        for name in (kind, *compare)
        for training in _deltas(base_method, methods, seeds, of_delta[name], name != kind)
    ]
    controls = [
        Training(_name(CONTROL, base_method, seed), CONTROL, of_control, base_method, seed, optional=True)
        for seed in (seeds if control else ())
    ]
    return [*bases, *deltas, *controls]


def base_name(base_method: str, seed: int) -> str:
    """Return the name of the training of a base."""
    return _name(BASE, base_method, seed)


def _deltas(
    base_method: str, methods: Sequence[str], seeds: Sequence[int], kind: Kind, optional: bool
) -> list[Training]:
    return [
        Training(
            _name(f'{DELTA}_{kind.slug}', method, seed),
            DELTA,
            kind,
            method,
            seed,
            None if seed is None or not kind.needs_network else base_name(base_method, seed),
            optional,
        )
        for method in (methods if kind.per_method else (None,))
        for seed in (seeds if kind.per_seed else (None,))
    ]


def _name(what: str, method: str | None, seed: int | None) -> str:
    parts = (what, None if method is None else slug_of(method), None if seed is None else seed_label(seed))
    return '_'.join(part for part in parts if part)
