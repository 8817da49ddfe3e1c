"""The outputs of a process by namespace, read from the links: an imported archive needs none of our classes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from aiida import orm
from aiida.common.links import LinkType
from ase import Atoms

from aiida_mlcc.report.data.records import Failure, LearningCurve
from aiida_mlcc.report.data.remembered import remembered
from aiida_mlcc.science.fit.fit_errors import MemberErrors
from aiida_mlcc.science.json_values import Json
from aiida_mlcc.science.labels.methods import METHODS, in_order, slug_of

_SEPARATOR = '__'


@dataclass(frozen=True)
class RunOutputs:
    """All that is read of a run, found once.

    :param methods: in the order of :func:`methods_of`.
    :param nodes: output → node, by the label of the link.
    :param by_method: namespace → method → node.
    :param errors: method → errors of its force fields, by member.
    :param alternatives: kind of Δ → the same of force fields that were trained for comparison.
    :param learning_curve: of labelling in rounds.
    :param failed: what is missing, and why.
    :param crystal: that the run was started for.
    """

    methods: Sequence[str]
    nodes: Mapping[str, orm.Data]
    by_method: Mapping[str, Mapping[str, orm.Data]]
    errors: Mapping[str, MemberErrors]
    alternatives: Mapping[str, Mapping[str, MemberErrors]]
    learning_curve: LearningCurve
    failed: list[Failure]
    crystal: Atoms | None


@remembered
def read_outputs(process: orm.ProcessNode) -> RunOutputs:
    """Return the outputs of a run; what it lacks is empty."""
    nodes, methods = outputs_of(process), methods_of(process)
    namespaces = dict.fromkeys(label.partition(_SEPARATOR)[0] for label in nodes if _SEPARATOR in label)
    found: defaultdict[str, dict[str, orm.Data]] = defaultdict(dict)
    found.update({name: by_method(process, name) for name in namespaces})
    errors = dict(content_of(process, 'errors'))
    others = errors.pop('alternatives', {})
    learning_curve = cast(LearningCurve, content_of(process, 'learning_curve'))
    crystal = crystal_of(process)
    return RunOutputs(methods, nodes, found, errors, others, learning_curve, failures_of(process), crystal)


def crystal_of(process: orm.ProcessNode) -> Atoms | None:
    """Return the crystal that a run was started for."""
    structure = process.base.links.get_incoming(link_label_filter='structure').all_nodes()
    return structure[0].get_ase() if structure and isinstance(structure[0], orm.StructureData) else None


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


def failures_of(process: orm.ProcessNode) -> list[Failure]:
    """Return what is missing from a run, and why."""
    found: list[Failure] = content_of(process, 'failures').get('failed', [])
    return found


def content_of(process: orm.ProcessNode, name: str) -> Json:
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
