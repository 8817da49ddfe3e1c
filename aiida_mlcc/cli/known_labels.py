"""Energies of earlier runs, which need not be computed again."""

from __future__ import annotations

from typing import Any


def find_known_labels(snapshots: Any) -> dict[str, Any]:
    """Return the labels that jobs of this profile computed of structures in `snapshots`, by names fit for links.

    Whether their settings are the same is for the WorkChain to judge; here it counts that a structure is.
    """
    from aiida import orm
    from aiida.plugins import DataFactory

    from aiida_mlcc.science.pairing import AmbiguousPairing, pair_by_geometry

    content = snapshots.get_snapshots()
    query = orm.QueryBuilder()
    query.append(orm.CalcJobNode, filters={'process_type': 'aiida.calculations:mlcc.correlate'}, tag='job')
    query.append(
        DataFactory('mlcc.snapshots'),
        with_incoming='job',
        filters={'attributes.symbols': {'==': list(content.symbols)}},
        tag='labelled',
        project='*',
    )
    known = {}
    for node in query.order_by({'labelled': 'id'}).all(flat=True):
        try:
            shared = pair_by_geometry(content, node.get_snapshots()).matched
        except AmbiguousPairing:
            continue
        if len(shared):
            known[f'labels_{node.uuid[:8]}'] = node
    return known
