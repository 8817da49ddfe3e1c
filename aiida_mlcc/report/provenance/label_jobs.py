"""Which job an energy comes from, also where a function stored it from what several jobs left."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

from aiida import orm
from aiida.common.links import LinkType
from aiida.plugins import DataFactory
from aiida.tools.graph.graph_traversers import traverse_graph

from aiida_mlcc.data.process_types import entry_point_of
from aiida_mlcc.engines.table import kinds
from aiida_mlcc.report.data.remembered import remembered
from aiida_mlcc.science.labels.pairing import pair_by_geometry

_BACKWARD = [LinkType.CREATE, LinkType.INPUT_CALC]
_HARTREE_FOCK = ('mesh_hartree_fock', 'hartree_fock')
"""The steps of VASP that give an energy: that on a mesh of its own goes before that at Γ."""


_HF = 'HF'
_REPLACED = 'aiida.calculations:mlcc.replace_hartree_fock'
"""What adds correlation energies to the Hartree–Fock energies of another calculation."""


@remembered
def ancestors_of(node: orm.Node) -> Sequence[int]:
    """Return the PKs of all data and calculations that `node` was made from, itself included."""
    return sorted(traverse_graph([node.pk], links_backward=_BACKWARD)['nodes'])


def sources_of(labelled: orm.Data) -> list[Any]:
    """Return the SnapshotsData among the ancestors of `labelled`, itself included, whose labels are their own."""
    query = orm.QueryBuilder()
    query.append(DataFactory('mlcc.snapshots'), filters={'id': {'in': ancestors_of(labelled)}}, tag='node', project='*')
    return [node for node in query.order_by({'node': 'id'}).all(flat=True) if is_source(node)]


@remembered
def is_source(node: orm.Data) -> bool:
    """Tell whether the labels of `node` are its own: computed by jobs or given, not gathered from other nodes."""
    creator = node.creator
    if creator is None or isinstance(creator, orm.CalcJobNode):
        return bool(node.methods)
    return bool(node.methods) and entry_point_of(creator.process_type) in {*_inputs_of_makers(), _REPLACED}


class LabelJobs:
    """The jobs behind the labels of one node for which :func:`is_source` holds."""

    def __init__(self, labelled: orm.Data) -> None:
        self.labelled, self.creator = labelled, labelled.creator
        self._parts: dict[tuple[str, str], dict[int, tuple[LabelJobs, int]]] = {}
        self.inputs = _inputs_of(self.creator) if isinstance(self.creator, orm.CalcFunctionNode) else {}

    def of(self, method: str, frame: int) -> orm.CalculationNode | None:
        """Return the job that computed a label, None for one that was given.

        Of a sum it is the job of the correlation energy; :meth:`hartree_fock_of` has that of the other part. Where the
        graph does not lead to a job, as after an import of a part of it, it is the function that stored the label.
        """
        if not self.inputs:
            return self.creator
        if self.is_sum:
            return self._of_part('hartree_fock' if method == _HF else 'snapshots', method, frame)
        input_of = _inputs_of_makers().get(entry_point_of(self.creator.process_type) or '')
        name = None if input_of is None else input_of(self.creator, self.inputs, method, frame)
        node = self.inputs.get(name or '')
        maker = None if node is None else node.creator
        if isinstance(maker, orm.CalcFunctionNode):
            steps = _inputs_of(maker)
            maker = next((steps[name].creator for name in _HARTREE_FOCK if name in steps), None)
        return maker if isinstance(maker, orm.CalcJobNode) else self.creator

    @property
    def is_sum(self) -> bool:
        """Tell whether the labels have the Hartree–Fock energy of another calculation."""
        return bool(self.inputs) and entry_point_of(self.creator.process_type) == _REPLACED

    def hartree_fock_of(self, method: str, frame: int) -> orm.CalculationNode | None:
        """Return the job of the Hartree–Fock part of a label, None where it is that of the label itself."""
        return self._of_part('hartree_fock', _HF, frame) if self.is_sum and method != _HF else None

    def _of_part(self, name: str, method: str, frame: int) -> orm.CalculationNode | None:
        """Return the job of a part of a sum, whose labels may have been merged with others before they were added."""
        if (name, method) not in self._parts:
            self._parts[name, method] = self._places_of_part(name, method)
        jobs, there = self._parts[name, method].get(frame, (None, -1))
        return self.creator if jobs is None else jobs.of(method, there)

    def _places_of_part(self, name: str, method: str) -> dict[int, tuple[LabelJobs, int]]:
        """Return frame → where its part of the sum was stored first, and the frame there."""
        part, labelled = self.inputs[name], self.labelled.get_snapshots()
        # The sum keeps the frames of its `snapshots` in their order.
        energies = (labelled if method == _HF else part.get_snapshots()).labels[method].energies
        places: dict[int, tuple[LabelJobs, int]] = {}
        for source in sources_of(part):
            found = source.get_snapshots()
            if method not in found.labels:
                continue
            for frame, there in enumerate(pair_by_geometry(labelled, found).indices):
                if there >= 0 and found.labels[method].energies[there] == energies[frame]:
                    places.setdefault(frame, (LabelJobs(source), int(there)))
        return places


@cache
def _inputs_of_makers() -> dict[str, Callable[..., str | None]]:
    """Return entry point → where it has what a job left of a label, of the calcfunctions that store labels."""
    makers = (maker for engine in kinds() for maker in engine.label_makers)
    return {maker.entry_point: maker.input_of for maker in makers if maker.input_of is not None}


def _inputs_of(process: orm.ProcessNode) -> dict[str, orm.Data]:
    links = process.base.links.get_incoming(link_type=LinkType.INPUT_CALC).all()
    return {link.link_label: link.node for link in links}
