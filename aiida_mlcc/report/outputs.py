"""The outputs of a process by namespace, read from the links: an imported archive needs none of our classes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from aiida import orm
from aiida.common.links import LinkType

from aiida_mlcc.report.remembered import remembered
from aiida_mlcc.science.methods import METHODS, in_order, slug_of

_SEPARATOR = '__'


@remembered
def outputs_of(process: orm.ProcessNode) -> Mapping[str, orm.Data]:
    """Return the outputs of a process by link label (``dispersion__ccsd_t``)."""
    links = process.base.links.get_outgoing(link_type=(LinkType.RETURN, LinkType.CREATE)).all()
    return {link.link_label: link.node for link in links}


def by_method(process: orm.ProcessNode, namespace: str) -> dict[str, orm.Data]:
    """Return method → output of a namespace whose keys are slugs, in the order of :func:`methods_of`."""
    outputs = outputs_of(process)
    labels = {method: f'{namespace}{_SEPARATOR}{slug_of(method)}' for method in methods_of(process)}
    return {method: outputs[label] for method, label in labels.items() if label in outputs}


@remembered
def methods_of(process: orm.ProcessNode) -> Sequence[str]:
    """Return the methods of the table and those that the snapshots and force fields of a process name, in order."""
    links = process.base.links.get_incoming(link_type=(LinkType.INPUT_CALC, LinkType.INPUT_WORK)).all()
    names, kinds = dict.fromkeys(METHODS.values()), {}
    for node in (*(link.node for link in links), *outputs_of(process).values()):
        attributes = node.base.attributes.all if isinstance(node, orm.Data) else {}
        for entry in attributes.get('named', {}).values():
            names[entry['name']], kinds[entry['name']] = None, entry['kind']
        if isinstance(method := attributes.get('method'), str) and method:
            names[method] = None
    return in_order(names, kinds)


def plain(process: orm.ProcessNode, name: str) -> dict[str, Any]:
    """Return the content of a Dict output, empty where there is none."""
    node = outputs_of(process).get(name)
    return node.get_dict() if isinstance(node, orm.Dict) else {}


def returned_by(node: orm.Node) -> orm.ProcessNode | None:
    """Return the outermost WorkChain that gave `node` as an output, or None."""
    found = node.base.links.get_incoming(link_type=(LinkType.RETURN, LinkType.CREATE)).all_nodes()
    workchains = [process for process in found if isinstance(process, orm.WorkChainNode)]
    return min(workchains, key=_depth, default=None)


def _depth(process: orm.ProcessNode) -> int:
    return sum(1 for _ in _callers(process))


def _callers(process: orm.ProcessNode) -> Iterator[orm.ProcessNode]:
    while (process := process.caller) is not None:
        yield process
