"""What a job or WorkChain of an engine gave: snapshots with DFT energies and forces, and what failed."""

from __future__ import annotations

from typing import Any

from aiida import orm

from aiida_mlcc.calculations.evaluate import EvaluateCalculation
from aiida_mlcc.data.snapshots import SnapshotsData


def labels_of(node: orm.ProcessNode) -> tuple[SnapshotsData | None, list[dict[str, Any]]]:
    """Return the labelled snapshots, None where there are none, and entries of what failed (`snapshot`, `reason`)."""
    if 'snapshots' in node.outputs:
        return node.outputs.snapshots, node.outputs.failures['failed']
    if 'evaluated' in node.outputs:
        return node.outputs.evaluated[EvaluateCalculation.ENGINE], node.outputs.summary.get('failures', [])
    return None, []
