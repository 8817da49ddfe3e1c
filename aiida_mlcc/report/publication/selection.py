"""Which runs are published, under which names, and what keeps them from it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from typing import Any

from aiida import orm
from aiida.tools.graph.graph_traversers import get_nodes_export

from aiida_mlcc.report.data.outputs import by_method, failures_of, outputs_of
from aiida_mlcc.report.data.records import Failure
from aiida_mlcc.report.page.provenance import formula_of
from aiida_mlcc.report.provenance.archive import TRAVERSAL, refuse_licensed
from aiida_mlcc.report.publication.request import Refused
from aiida_mlcc.science.json_values import Source
from aiida_mlcc.science.labels.methods import METHODS

_OF_METHOD = re.compile(r'^[a-z_]+ of (\S.*)$')
_UNFIT = re.compile(r'[^\w.()+-]+')


def refuse_unfit(runs: Sequence[orm.ProcessNode], failed: Iterable[str]) -> None:
    """Raise where runs cannot be published.

    :param failed: methods and stages that may be missing.
    :raises Refused: for a process that is not over, a failure that `failed` does not name, a run without a curve.
    :raises aiida_mlcc.report.provenance.archive.LicensedNodes: where a node holds the file of a licensed potential.
    """
    for run in runs:
        _refuse_unsealed(run)
        refuse_licensed(run)
        if not any(by_method(run, kind) for kind in ('dispersion', 'dos', 'vdos')):
            raise Refused(f'{_name(run)} has no curve to publish: `aiida-mlcc status {run.pk}` tells how far it came')
        _refuse_failed(run, set(failed))


def folders_of(runs: Sequence[orm.ProcessNode]) -> list[str]:
    """Return the folder of each run in the bundle: empty for one run, else its label or formula.

    :raises Refused: where two runs of one name have labels of different settings.
    """
    if len(runs) == 1:
        return ['']
    named: dict[str, list[orm.ProcessNode]] = {}
    for run in runs:
        named.setdefault(_UNFIT.sub('_', run.label or formula_of(run) or 'run').strip('._') or 'run', []).append(run)
    folders = {}
    for name, same in named.items():
        for other in same[1:]:
            _refuse_other_settings(same[0], other, name)
        for run in same:
            folders[run.uuid] = name if len(same) == 1 else f'{name}-{run.uuid[:8]}'
    return [folders[run.uuid] for run in runs]


def _refuse_unsealed(run: orm.ProcessNode) -> None:
    pks = get_nodes_export([run.pk], **TRAVERSAL)['nodes']
    query = orm.QueryBuilder().append(orm.ProcessNode, filters={'id': {'in': list(pks)}})
    running = [node for node in query.all(flat=True) if not (node.is_sealed and node.is_terminated)]
    if running:
        first = running[0]
        state = first.process_state.value if first.process_state else 'not started'
        raise Refused(
            f'{len(running)} processes are not over, {first.process_label}<{first.pk}> ({state}) among them: '
            'wait for them, or stop them with `aiida-mlcc stop`'
        )


def _refuse_failed(run: orm.ProcessNode, allowed: set[str]) -> None:
    missing: dict[str, str] = {}
    for entry in (entry for entry in failures_of(run) if not entry.get('optional')):
        for name in _names_of(entry):
            missing.setdefault(name, str(entry.get('reason', 'no reason given')))
    asked = run.base.links.get_incoming(link_label_filter='methods').all_nodes()
    wanted = asked[0].get_list() if asked and isinstance(asked[0], orm.List) else []
    for method in wanted:
        if method not in by_method(run, 'dispersion'):
            missing.setdefault(method, 'it has no dispersion')
    if unnamed := {name: reason for name, reason in missing.items() if name not in allowed}:
        name, reason = next(iter(unnamed.items()))
        flags = ' '.join(f"--failed '{name}'" for name in unnamed)
        raise Refused(f'{_name(run)} lacks something of {name}: {reason.rstrip(".")}. Publish without it: {flags}')


def _names_of(entry: Failure) -> list[str]:
    """Return the methods that a failure is of, or where it is of none its stage."""
    methods = entry.get('methods') or ([entry['method']] if entry.get('method') else [])
    if not methods and (found := _OF_METHOD.search(str(entry.get('what', '')))):
        methods = [found.group(1)]
    known = [METHODS.get(method, method) for method in methods]
    return known or [str(entry.get('stage') or entry.get('what') or 'run')]


def _refuse_other_settings(first: orm.ProcessNode, second: orm.ProcessNode, name: str) -> None:
    one, other = (_sources_of(run) for run in (first, second))
    for slug in one.keys() & other.keys():
        if one[slug] != other[slug]:
            keys = sorted(key for key in {*one[slug], *other[slug]} if one[slug].get(key) != other[slug].get(key))
            told = ', '.join(f'{key} {_short(one[slug].get(key))} and {_short(other[slug].get(key))}' for key in keys)
            method = METHODS.get(slug, slug)
            raise Refused(
                f'{_name(first)} and {_name(second)} are both called {name!r}, but their labels of {method} have '
                f'different settings ({told}): give the runs labels that tell them apart, or publish two bundles'
            )


def _sources_of(run: orm.ProcessNode) -> dict[str, Source]:
    node = outputs_of(run).get('snapshots')
    return {} if node is None else dict(node.base.attributes.get('sources', {}) or {})


def _short(value: Any) -> str:
    text = 'none' if value is None else value if isinstance(value, str) else json.dumps(value, sort_keys=True)
    return text if len(text) <= 40 else f'{text[:37]}…'


def _name(run: orm.ProcessNode) -> str:
    return f'{run.process_label or "the run"}<{run.pk}>'
