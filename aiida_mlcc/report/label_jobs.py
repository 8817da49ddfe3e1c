"""Which job an energy comes from, also where a function stored it from what several jobs left."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiida import orm
from aiida.common.links import LinkType

from aiida_mlcc.data.process_types import entry_point_of

_POINT = 'aiida.calculations:mlcc.label_point'
_TRAJECTORY = 'aiida.calculations:mlcc.vasp_trajectory'
_LABELS = 'aiida.calculations:mlcc.vasp_labels'
_HARTREE_FOCK = ('mesh_hartree_fock', 'hartree_fock')
"""The steps of VASP that give an energy: that on a mesh of its own goes before that at Γ."""


def is_source(node: orm.Data) -> bool:
    """Tell whether the labels of `node` are its own: computed by jobs or given, not gathered from other nodes."""
    creator = node.creator
    at_first_hand = creator is None or isinstance(creator, orm.CalcJobNode)
    return bool(node.methods) and (
        at_first_hand or entry_point_of(creator.process_type) in (_POINT, _TRAJECTORY, _LABELS)
    )


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
        node = self.inputs.get(self._name(method, frame) or '')
        maker = None if node is None else node.creator
        if isinstance(maker, orm.CalcFunctionNode):
            steps = _inputs_of(maker)
            maker = next((steps[name].creator for name in _HARTREE_FOCK if name in steps), None)
        return maker if isinstance(maker, orm.CalcJobNode) else self.creator

    def _name(self, method: str, frame: int) -> str | None:
        """Return the input that holds what a job left of a label."""
        labelled_by = entry_point_of(self.creator.process_type)
        if labelled_by == _POINT:
            by_hartree_fock = 'hf_energy' if 'hf_energy' in self.inputs else 'integrals'
            return by_hartree_fock if method == 'HF' else 'energies'
        if labelled_by == _LABELS:
            frames = sorted(int(name.removeprefix('frame_')) for name in self.inputs if name.startswith('frame_'))
            return f'frame_{frames[frame]}'
        return self._segment(frame)

    def _segment(self, frame: int) -> str | None:
        """Return the part of a dynamics in which a frame lies."""
        summary = self.creator.base.links.get_outgoing(link_label_filter='summary').all_nodes()
        if not summary or not {'steps', 'parameters'} <= set(self.inputs):
            return None
        step = summary[0]['steps'][frame] + self.inputs['parameters']['equilibration_steps']
        for name, n_steps in sorted(self.inputs['steps'].get_dict().items()):
            if step <= n_steps:
                return name
            step -= n_steps
        return None


def _inputs_of(process: orm.ProcessNode) -> Mapping[str, Any]:
    links = process.base.links.get_incoming(link_type=LinkType.INPUT_CALC).all()
    return {link.link_label: link.node for link in links}
