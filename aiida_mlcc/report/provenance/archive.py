"""What goes into an archive of a run, and what must not."""

from __future__ import annotations

from aiida import orm
from aiida.tools.graph.graph_traversers import get_nodes_export

TRAVERSAL = {'call_calc_backward': True, 'call_work_backward': True, 'return_backward': True, 'create_backward': True}
"""From a result to the run that made it; AiiDA itself adds inputs, outputs and called processes."""

_LICENSED = 'data.vasp.potcar_file.%'


class LicensedNodes(ValueError):
    """Nodes that hold what only licence holders may have."""


def refuse_licensed(node: orm.Node) -> int:
    """Return how many nodes an archive of `node` would hold.

    :raises LicensedNodes: where one of them is the file of a licensed potential (aiida-vasp's ``vasp.potcar_file``).
    """
    pks = get_nodes_export([node.pk], **TRAVERSAL)['nodes']
    query = orm.QueryBuilder().append(orm.Node, filters={'id': {'in': list(pks)}, 'node_type': {'like': _LICENSED}})
    if found := query.all(flat=True):
        raise LicensedNodes(
            f'Not exported: {len(found)} of the nodes hold licensed potentials ({found[0].node_type} '
            f'<{found[0].pk}>), which must not be passed on; export a node that does not contain them.'
        )
    return len(pks)
