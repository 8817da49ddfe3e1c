"""Which job an energy comes from, also where a function stored it from what several jobs left."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from aiida import orm
from aiida.common.links import LinkType

from aiida_mlcc.data.process_types import entry_point_of
from aiida_mlcc.engines.table import engines
from aiida_mlcc.report.remembered import remembered

_HARTREE_FOCK = ('mesh_hartree_fock', 'hartree_fock')
"""The steps of VASP that give an energy: that on a mesh of its own goes before that at Γ."""


_HARTREE_FOCK_OF_ANOTHER = 'aiida.calculations:mlcc.replace_hartree_fock'


def _input_of_part(_: orm.CalcFunctionNode, inputs: Mapping[str, Any], method: str, frame: int) -> str:
    return 'hartree_fock' if method == 'HF' else 'snapshots'


@remembered
def is_source(node: orm.Data) -> bool:
    """Tell whether the labels of `node` are its own: computed by jobs or given, not gathered from other nodes."""
    creator = node.creator
    at_first_hand = creator is None or isinstance(creator, orm.CalcJobNode)
    return bool(node.methods) and (at_first_hand or entry_point_of(creator.process_type) in _inputs_of_makers())


class LabelJobs:
    """The jobs behind the labels of one node for which :func:`is_source` holds."""

    def __init__(self, labelled: orm.Data) -> None:
        self.creator = labelled.creator
        self.inputs = _inputs_of(self.creator) if isinstance(self.creator, orm.CalcFunctionNode) else {}

    def of(self, method: str, frame: int) -> orm.CalculationNode | None:
        """Return the job that computed a label, None for one that was given.

        Where the graph does not lead to a job, as after an import of a part of it, it is the function that stored it.
        """
        if not self.inputs:
            return self.creator
        input_of = _inputs_of_makers().get(entry_point_of(self.creator.process_type) or '')
        name = None if input_of is None else input_of(self.creator, self.inputs, method, frame)
        node = self.inputs.get(name or '')
        maker = None if node is None else node.creator
        if isinstance(maker, orm.CalcFunctionNode):
            steps = _inputs_of(maker)
            maker = next((steps[name].creator for name in _HARTREE_FOCK if name in steps), None)
        return maker if isinstance(maker, orm.CalcJobNode) else self.creator


@cache
def _inputs_of_makers() -> dict[str, Callable[..., str | None]]:
    """Return entry point → where it has what a job left of a label, of the calcfunctions that store labels."""
    makers = (maker for engine in engines() for maker in engine.label_makers)
    of_engines = {maker.entry_point: maker.input_of for maker in makers if maker.input_of is not None}
    return {**of_engines, _HARTREE_FOCK_OF_ANOTHER: _input_of_part}


def _inputs_of(process: orm.ProcessNode) -> Mapping[str, Any]:
    links = process.base.links.get_incoming(link_type=LinkType.INPUT_CALC).all()
    return {link.link_label: link.node for link in links}
