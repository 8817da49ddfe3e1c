"""What can be said of a selection, and of labelling in rounds, before anything runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from aiida import orm

from aiida_mlcc.data.snapshots import SnapshotsData
from aiida_mlcc.engines.engine import Inputs
from aiida_mlcc.engines.table import correlation_engine, force_kind, force_kind_of, refuse_jobs
from aiida_mlcc.jobs.inputs import refuse_mismatch
from aiida_mlcc.science.design.choose_snapshots import DESIGNED, SelectionError, refuse_selection
from aiida_mlcc.science.json_values import Source, StoredSettings
from aiida_mlcc.science.labels.labelling_plan import PER_METHOD, Rounds, Selection, common_selection, selections_of
from aiida_mlcc.science.labels.merging import made_with
from aiida_mlcc.science.labels.methods import WAVEFUNCTION_METHODS

NEEDS_CRYSTAL = (DESIGNED, 'optimal')
"""Kinds of selection that look at the crystal and at the DFT forces."""

GROWING = ('random', 'optimal')
"""Kinds whose larger selections contain the smaller ones: rounds label no frame twice."""


def refuse_selections(
    n_frames: int, methods: Sequence[str], selection: Selection, rounds: StoredSettings | None = None
) -> str | None:
    """Return why a selection of `n_frames` snapshots cannot be made, in a sentence, or None.

    :param selection: with its ``per_method``.
    :param rounds: settings of labelling in rounds, which set the ``n`` of the common selection.
    """
    own = selection.get(PER_METHOD) or {}
    if not isinstance(own, Mapping):
        return f'`{PER_METHOD}` is {own!r}: give a selection for each method'
    if unknown := [method for method in own if method not in (*methods, *WAVEFUNCTION_METHODS)]:
        return f'`{PER_METHOD}` names {unknown[0]!r}: choose from {", ".join(WAVEFUNCTION_METHODS)}'
    common = common_selection(selection)
    if rounds is not None:
        if (reason := Rounds.refuse(rounds)) is not None:
            return reason
        if (reason := _refuse_rounds(methods, common, own)) is not None:
            return f'rounds: {reason}'
        common['n'] = Rounds.of(rounds).most
    for where, asked in {'': common, **{f'{PER_METHOD}.{method}: ': one for method, one in own.items()}}.items():
        if not isinstance(asked, Mapping):
            return f'{where}{asked!r} is not a selection: give its `kind`'
        try:
            refuse_selection(n_frames, asked)
        except SelectionError as error:
            return f'{where}{error}'
    designs = [asked for asked in selections_of(methods, selection).values() if asked['kind'] == DESIGNED]
    if any(design != designs[0] for design in designs):
        return f'the selections of kind {DESIGNED!r} differ: give the same one for all methods'
    return None


def kinds_of(methods: Sequence[str], selection: Selection) -> set[str]:
    """Return the kinds of selection that `methods` take."""
    return {asked.get('kind', '') for asked in selections_of(methods, selection).values()}


def growing_methods(methods: Sequence[str], selection: Selection) -> list[str]:
    """Return the methods that take the common selection, which grows from round to round."""
    own = selection.get(PER_METHOD) or {}
    return [method for method in methods if method not in own]


def base_method_of(snapshots: SnapshotsData) -> str | None:
    """Return the DFT method whose labels `snapshots` carry, or None."""
    return next(iter(snapshots.base_methods), None)


def base_engine_of(inputs: Inputs) -> StoredSettings:
    """Return the engine that labels new structures by DFT as the snapshots are labelled.

    :raises ValueError: where there is none, or ``base_engine`` has other settings.
    """
    method: Any = base_method_of(inputs['snapshots'])
    return base_engine_like(method, inputs['snapshots'].get_snapshots().labels[method].source, inputs)


def base_engine_like(method: str, source: Source, inputs: Inputs) -> StoredSettings:
    """Return ``base_engine``, or else an engine that gives labels of `method` with this source.

    :raises ValueError: where there is none, or ``base_engine`` has other settings.
    """
    engine = force_kind_of(source, method)
    like = engine.like(method, source, inputs['engine'])
    if 'base_engine' not in inputs:
        return like
    given = inputs['base_engine'].get_dict()
    if (reason := engine.refuse_other_settings(given, like)) is not None:
        raise ValueError(reason)
    return given


def refuse_labelling(inputs: Inputs, _: Any) -> str | None:
    """Refuse a selection that cannot be made or labelled; the validator of the labelling WorkChain."""
    if any(name not in inputs for name in ('snapshots', 'methods', 'selection', 'engine')):
        return None
    if (reason := refuse_jobs(inputs)) is not None:
        return reason
    snapshots, methods = inputs['snapshots'], inputs['methods'].get_list()
    selection = inputs['selection'].get_dict()
    rounds = inputs['rounds'].get_dict() if 'rounds' in inputs else None
    if (reason := refuse_selections(snapshots.n_frames, methods, selection, rounds)) is not None:
        return reason
    if (reason := refuse_methods(inputs['engine'], methods, selection)) is not None:
        return reason
    kinds = kinds_of(methods, selection)
    if kinds & set(NEEDS_CRYSTAL) or rounds is not None:
        what = (
            'labelling in rounds' if rounds is not None else f'a selection of kind {min(kinds & set(NEEDS_CRYSTAL))!r}'
        )
        if (reason := _refuse_without_crystal(inputs, what)) is not None:
            return reason
    if DESIGNED in kinds:
        try:
            job = force_kind(str(base_engine_of(inputs)['name'])).place
        except ValueError as error:
            return str(error)
        if job not in inputs:
            return f'a selection of kind {DESIGNED!r} needs `{job}`, the job of the new DFT labels'
    return _refuse_other_settings(inputs, methods, has_new_frames=DESIGNED in kinds)


def refuse_methods(engine: orm.Dict, methods: Sequence[str], selection: Selection) -> str | None:
    """Return why the engine cannot give each method for the frames selected for it, in a sentence, or None."""
    asked = correlation_engine(engine)
    if lacking := [method for method in methods if method not in asked.calculates(methods)]:
        return (
            f'the engine {asked.name} has no {lacking[0]}, only '
            f'{", ".join(asked.calculates(WAVEFUNCTION_METHODS))}: leave it out of `methods`, or use the engine '
            '`command` with a program that has it'
        )
    return asked.refuse_methods(methods, selections_of(methods, selection))


def _refuse_without_crystal(inputs: Inputs, what: str) -> str | None:
    if 'structure' not in inputs:
        return f'{what} needs `structure`, the crystal'
    base_method = base_method_of(inputs['snapshots'])
    label = None if base_method is None else inputs['snapshots'].get_snapshots().labels[base_method]
    if label is None or label.forces is None:
        return f'{what} needs DFT energies and forces of the snapshots, but they have none'
    return refuse_mismatch(inputs['structure'], inputs['snapshots'])


def _refuse_other_settings(inputs: Inputs, methods: Sequence[str], has_new_frames: bool) -> str | None:
    """Refuse to add to labels that were made with other settings; those of all frames are taken as they are."""
    settings = correlation_engine(inputs['engine']).source()
    for method, label in inputs['snapshots'].get_snapshots().labels.items():
        complete = label.labelled.all() and not has_new_frames
        if method in methods and not complete and not made_with(label.source, settings):
            return (
                f'{int(label.labelled.sum())} of the snapshots have {method} energies made with other settings '
                'than `engine`, and labels of different settings must not be mixed: use the same settings, or '
                f'snapshots without {method}'
            )
    return None


def _refuse_rounds(methods: Sequence[str], common: Selection, own: Mapping[str, Selection]) -> str | None:
    if common.get('kind') not in GROWING:
        return f'a selection of kind {common.get("kind")!r} cannot grow: choose from {", ".join(GROWING)}'
    if all(method in own for method in methods):
        return f'every method has its own selection under `{PER_METHOD}`: no method is left for labelling in rounds'
    return None
