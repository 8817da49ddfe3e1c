"""The results of a run as plain data: no PK and no time, so that an imported run gives the same."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import cast

from aiida import orm

from aiida_mlcc.jobs.inputs import merge
from aiida_mlcc.report.curve_table import all_shown
from aiida_mlcc.report.data.arrays import ERROR_BUDGET, MEMBERS
from aiida_mlcc.report.data.delta_verdicts import worst_verdict
from aiida_mlcc.report.data.imaginary import imaginary_modes_of
from aiida_mlcc.report.data.outputs import RunOutputs, read_outputs
from aiida_mlcc.report.data.records import (
    DynamicsResults,
    HarmonicResults,
    MethodResults,
    Results,
    SnapshotsSummary,
)
from aiida_mlcc.science.json_values import Json


def results_of(process: orm.ProcessNode) -> Results:
    """Return what a master WorkChain found, as plain JSON.

    ``methods`` → METHOD → ``special_points_cm1``; ``errors`` of its force fields, and of those with another kind of Δ
    under ``alternatives``; ``imaginary_modes``, empty where there are none, see
    :func:`~aiida_mlcc.report.data.imaginary.imaginary_modes_of`; ``delta``, what was found of its Δ, see
    :mod:`~aiida_mlcc.report.data.delta_verdicts`, None without one; ``bands_sd_of``, whether the errors along the path
    are those of the ``error budget``, as at the special points, or over the ``members`` only; and whatever else the
    entries of :mod:`aiida_mlcc.report.curve_table` read, where it was computed.
    ``dynamics`` → METHOD → likewise of its dynamics.
    ``learning_curve``: of labelling in rounds, empty without. ``failed``: what is missing and why. ``snapshots``: how
    many, labelled by what, and their identity.
    """
    return results_from(read_outputs(process))


def results_from(outputs: RunOutputs) -> Results:
    """Return the results of a run whose outputs are read, see :func:`results_of`."""
    errors, along = outputs.errors, outputs.by_method['band_errors']
    content = cast(Mapping[str, HarmonicResults], curve_results(outputs, 'methods'))
    imaginary = imaginary_modes_of(outputs)
    methods: dict[str, MethodResults] = {
        method: {
            **found,
            'errors': errors.get(method, {}),
            'alternatives': {
                kind: by_kind[method] for kind, by_kind in outputs.alternatives.items() if method in by_kind
            },
            'imaginary_modes': imaginary.get(method, []),
            'delta': worst_verdict(errors.get(method, {})),
            'bands_sd_of': ERROR_BUDGET if method in along else MEMBERS,
        }
        for method, found in content.items()
        if 'special_points_cm1' in found
    }
    return {
        'methods': methods,
        'dynamics': cast(dict[str, DynamicsResults], curve_results(outputs, 'dynamics')),
        'learning_curve': outputs.learning_curve,
        'failed': outputs.failed,
        'snapshots': _snapshots(outputs.nodes.get('snapshots')),
    }


def curve_results(outputs: RunOutputs, part: str) -> dict[str, Json]:
    """Return method → what the entries of a part of the results read, in the order of the table of methods."""
    entries = [entry for entry in all_shown().values() if entry.part == part]
    nodes: dict[str, dict[str, orm.Data]] = {}
    for name in dict.fromkeys(name for entry in entries for name in entry.outputs):
        for method, node in outputs.by_method[name].items():
            nodes.setdefault(method, {})[name] = node
    found = {}
    for method in outputs.methods:
        content: Json = {}
        for entry in entries:
            of_entry = {name: node for name, node in nodes.get(method, {}).items() if name in entry.outputs}
            content = merge(content, entry.read(of_entry))
        if content:
            found[method] = content
    return found


def to_json(results: Results | Json) -> str:
    """Return `results` as text: equal results give equal text."""
    return json.dumps(results, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False)


def _snapshots(node: orm.Data | None) -> SnapshotsSummary:
    if node is None:
        return {}
    attributes = node.base.attributes.all
    symbols = attributes['symbols']
    return {
        'uuid': node.uuid,
        'content_hash': attributes['content_hash'],
        'n_frames': attributes['n_frames'],
        'n_atoms': attributes['n_atoms'],
        'formula': ''.join(f'{s}{symbols.count(s)}' for s in sorted(set(symbols))),
        'n_labelled': attributes['n_labelled'],
    }
