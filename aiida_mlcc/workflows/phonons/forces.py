"""Which calculators share the displaced cells of a phonon calculation, and what their jobs have given."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

from aiida import orm

from aiida_mlcc.data.force_field import ForceFieldData
from aiida_mlcc.data.snapshots import SnapshotsData
from aiida_mlcc.engines.engine import Inputs

SHARED = 'shared'
"""The geometry of all members where none of them has relaxed."""


@dataclass
class PhononForces:
    """The jobs that evaluate forces: one for each geometry, with the members in it and their alternatives.

    Alternatives are evaluated in the cell of the member they are an alternative to. It holds names only: AiiDA copies
    what a dataclass holds into its checkpoints, and a copied node is another one.

    :param geometries: geometry → the members in it.
    :param alternatives: name among the calculators of a job → kind and member.
    :param waiting: geometries whose forces are still to be evaluated.
    :param without: geometries that do without alternatives, which may have spoilt the job.
    """

    geometries: dict[str, list[str]]
    alternatives: dict[str, list[str]]
    waiting: list[str]
    without: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, inputs: Inputs, cells: Iterable[str], left_out: Collection[str] = ()) -> PhononForces:
        """Return the jobs for the inputs of the WorkChain.

        :param cells: the members that have a cell of their own; empty where all have the same.
        :param left_out: alternatives that are not evaluated at all, as :func:`alternatives_of` names them.
        """
        by_kind = inputs.get('alternatives', {})
        alternatives = {name_of(kind, member): [kind, member] for kind in sorted(by_kind) for member in by_kind[kind]}
        alternatives = {name: place for name, place in alternatives.items() if name not in left_out}
        geometries = {name: [name] for name in cells}
        geometries = geometries or {SHARED: list(inputs.get('force_fields', {})) or ['engine']}
        return cls(geometries, alternatives, list(geometries))

    def alternatives_in(self, geometry: str) -> list[str]:
        """Return the alternatives that are evaluated in a geometry."""
        own = [] if geometry in self.without else list(self.alternatives)
        members = self.geometries[geometry]
        return [name for name in own if geometry == SHARED or self.alternatives[name][1] in members]

    def calculators(self, geometry: str, inputs: Inputs) -> dict[str, dict[str, ForceFieldData]]:
        """Return the inputs of a job that say where its forces come from."""
        found = {name: inputs['force_fields'][name] for name in self.geometries[geometry]}
        for name in self.alternatives_in(geometry):
            kind, member = self.alternatives[name]
            found[name] = inputs['alternatives'][kind][member]
        return {'force_fields': found}

    def label(self, geometry: str) -> str:
        """Return the link label of a job."""
        suffix = '' if geometry == SHARED else f'_{geometry}'
        return f'forces{suffix}_without_alternatives' if geometry in self.without else f'forces{suffix}'

    def accept(self, geometry: str, node: orm.ProcessNode) -> bool:
        """Take a job as the one that counts, unless it failed and may do better without alternatives."""
        if not node.is_finished_ok and self.alternatives_in(geometry):
            self.without.append(geometry)
            return False
        self.waiting.remove(geometry)
        return True


def name_of(kind: str, member: str) -> str:
    """Return the name of an alternative among the calculators of a job."""
    return f'{kind}_of_{member}'


def alternatives_of(inputs: Inputs) -> dict[str, ForceFieldData]:
    """Return all alternatives by their name among the calculators of a job."""
    by_kind = inputs.get('alternatives', {})
    return {name_of(kind, member): node for kind, nodes in by_kind.items() for member, node in nodes.items()}


def evaluated_by(node: orm.ProcessNode) -> dict[str, SnapshotsData]:
    """Return the labelled cells of a job by the name of the calculator: of an evaluation, or of an engine."""
    if 'evaluated' in node.outputs:
        return dict(node.outputs.evaluated.items())
    return {'engine': node.outputs.snapshots}


def lost_in(node: orm.ProcessNode, before: int | None = None) -> dict[str, str]:
    """Return the calculators that failed, with a reason.

    :param before: failures of this and later cells do not count.
    """
    if 'failures' in node.outputs:
        failures = [{'calculator': 'engine', **entry} for entry in node.outputs.failures['failed']]
    else:
        failures = node.outputs.summary.get('failures', [])
    counting = [entry for entry in failures if before is None or entry['snapshot'] < before]
    return {entry['calculator']: entry['reason'] for entry in reversed(counting)}


def reason_of(node: orm.ProcessNode) -> str:
    """Return how a job ended, in a sentence."""
    return node.exit_message or f'It ended {node.process_state}.'
