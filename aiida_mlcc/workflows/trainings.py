"""What is to be trained: a base for each seed, Δ of one or several kinds on top of it, and the control."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from aiida_mlcc.jobs.inputs import seed_label
from aiida_mlcc.science.methods import slug_of

KINDS_OF_DELTA = ('mace', 'readout', 'force-constants')
"""A network of its own; a linear readout of the base's network; symmetry-adapted force constants."""


@dataclass(frozen=True)
class Training:
    """One job.

    :param name: its link label.
    :param role: ``base``, ``delta`` or ``control``.
    :param kind: of Δ; a base and the control are networks.
    :param method: None where one job serves all methods.
    :param seed: None where one job serves all seeds.
    :param needs: the name of the training whose result it starts from.
    :param optional: whether everything asked for is there without it.
    """

    name: str
    role: str
    kind: str
    method: str | None
    seed: int | None
    needs: str | None = None
    optional: bool = False


def plan_trainings(
    base_method: str,
    methods: Sequence[str],
    seeds: Sequence[int],
    kind: str,
    compare: Sequence[str] = (),
    control: bool = False,
) -> list[Training]:
    """Return all jobs: the bases first, then Δ, then what is only compared with it, then the control.

    :param kind: of the Δ that the results are made with.
    :param compare: further kinds, for the error budget only.
    """
    bases = [Training(base_name(base_method, seed), 'base', 'mace', base_method, seed) for seed in seeds]
    deltas = [
        training for one in (kind, *compare) for training in _deltas(base_method, methods, seeds, one, one != kind)
    ]
    controls = [
        Training(
            f'control_{slug_of(base_method)}_{seed_label(seed)}', 'control', 'mace', base_method, seed, optional=True
        )
        for seed in (seeds if control else ())
    ]
    return [*bases, *deltas, *controls]


def base_name(base_method: str, seed: int) -> str:
    """Return the name of the training of a base."""
    return f'base_{slug_of(base_method)}_{seed_label(seed)}'


def kind_slug(kind: str) -> str:
    """Return a kind of Δ as it is written in links and inputs (``force-constants`` → ``force_constants``)."""
    return kind.replace('-', '_')


def _deltas(
    base_method: str, methods: Sequence[str], seeds: Sequence[int], kind: str, optional: bool
) -> list[Training]:
    name = f'delta_{kind_slug(kind)}'
    if kind == 'mace':
        return [
            Training(f'{name}_{slug_of(method)}_{seed_label(seed)}', 'delta', kind, method, seed, optional=optional)
            for method in methods
            for seed in seeds
        ]
    if kind == 'readout':
        return [
            Training(f'{name}_{seed_label(seed)}', 'delta', kind, None, seed, base_name(base_method, seed), optional)
            for seed in seeds
        ]
    return [Training(name, 'delta', kind, None, None, optional=optional)]
