"""The step of a WorkChain that calculates a curve of the table."""

from __future__ import annotations

from collections.abc import Mapping

from aiida import orm
from aiida.engine import WorkChain

from aiida_mlcc.calculations.runtime_source import science_hash
from aiida_mlcc.workflows.curve_table import Dynamics, Phonons, all_curves


def draw(process: WorkChain, name: str, source: Phonons | Dynamics) -> dict[str, orm.Data]:
    """Calculate the curve of an entry, if `source` allows it, and return it.

    It is an output of `process` then, which reports what there is to tell of it, or why there is no such curve.
    """
    curve = all_curves()[name]
    arguments = None if curve.arguments is None else curve.arguments(source)
    if arguments is None:
        return {}
    found, call = curve.calculate.run_get_node(
        science=science_hash(curve.calculate), metadata={'call_link_label': curve.step}, **arguments
    )
    if not call.is_finished_ok:
        process.report(f'no {name.replace("_", " ")}: {call.exit_message}')
        return {}
    made = dict(found) if isinstance(found, Mapping) else dict(zip(curve.outputs, [found], strict=True))
    process.out_many(made)
    for line in curve.told(made):
        process.report(line)
    return made
