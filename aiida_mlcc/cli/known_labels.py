"""Energies of earlier runs, which need not be computed again."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aiida.engine import ProcessBuilder

    from aiida_mlcc.data.snapshots import SnapshotsData

_SAME_CELL = 1e-4
"""Å: as structures are compared."""


def find_known_labels(snapshots: SnapshotsData) -> dict[str, SnapshotsData]:
    """Return the labels that jobs of this profile computed in the cell of `snapshots`, by names fit for links.

    Whether their settings and structures are the same is for the WorkChain to judge: among them may be the frozen
    phonons of an earlier run, which are not among the snapshots.
    """
    import numpy as np
    from aiida import orm
    from aiida.plugins import DataFactory

    from aiida_mlcc.data.process_types import process_types
    from aiida_mlcc.engines.table import correlation_kinds

    content = snapshots.get_snapshots()
    makers = {maker.entry_point for engine in correlation_kinds() for maker in engine.label_makers}
    query = orm.QueryBuilder()
    query.append(orm.CalculationNode, filters={'process_type': {'in': process_types(*makers)}}, tag='job')
    query.append(
        DataFactory('mlcc.snapshots'),
        with_incoming='job',
        filters={'attributes.symbols': {'==': list(content.symbols)}},
        tag='labelled',
        project='*',
    )
    known = {}
    for node in query.order_by({'labelled': 'id'}).all(flat=True):
        apart = np.abs(content.cells - node.get_snapshots().cells[0]).max(axis=(1, 2))
        if apart.min() < _SAME_CELL:
            known[f'labels_{node.uuid[:8]}'] = node
    return known


def reuse_finished_jobs(builder: ProcessBuilder, snapshots: SnapshotsData) -> None:
    """Let the energies of `builder` go on from what jobs of this profile left, such as steps of VASP."""
    from aiida_mlcc.engines.table import correlation_engine

    if not (labelling := dict(builder.get('cc_energies', {}))).get('engine'):
        return
    for name, nodes in correlation_engine(labelling['engine']).find_finished(snapshots).items():
        setattr(builder.cc_energies, name, nodes)
