"""From a curve back to the energies that made it, through the provenance graph."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from aiida import orm
from aiida.common.links import LinkType
from aiida.plugins import DataFactory

from aiida_mlcc.data.process_types import process_types
from aiida_mlcc.report.data.outputs import by_method
from aiida_mlcc.report.data.remembered import remembered
from aiida_mlcc.report.provenance.label_jobs import LabelJobs, ancestors_of, is_source
from aiida_mlcc.science.json_values import Json
from aiida_mlcc.science.labels.pairing import pair_by_geometry

_TRAINING = process_types(*(f'aiida.calculations:mlcc.{task}' for task in ('train', 'fit')))


@dataclass(frozen=True)
class Energy:
    """One energy that a force field was trained on.

    :param snapshot: index of the frame in the training set.
    :param node: UUID of the SnapshotsData that the energy was first stored in, and `frame` its index there.
    :param calculation: UUID of the job that computed it, None where the labels were given.
    :param hartree_fock: UUID of the job of its Hartree–Fock part, None where it is part of `calculation`.
    """

    method: str
    snapshot: int
    energy_eV: float
    node: str
    frame: int
    calculation: str | None
    name: str
    hartree_fock: str | None = None


@dataclass(frozen=True)
class Trace:
    """What a curve was made from."""

    curve: str
    methods: list[str]
    seeds: list[int]
    force_fields: list[str]
    training_sets: list[str]
    energies: list[Energy]

    def plain(self) -> Json:
        """Return everything as plain JSON."""
        return asdict(self)


@remembered
def trace(curve: orm.Data) -> Trace:
    """Follow a dispersion or density of states back to every energy its force fields were trained on.

    Energies of methods that did not enter `curve` are left out, also where the same job computed them.
    """
    ancestors = ancestors_of(curve)
    force_fields = _among(ancestors, DataFactory('mlcc.force_field'))
    methods = list(dict.fromkeys(node.method for node in force_fields))
    trainings = _among(ancestors, orm.CalcJobNode, _TRAINING)
    training_sets = list({job.inputs.snapshots.uuid: job.inputs.snapshots for job in trainings}.values())
    seeds = sorted({job.inputs.seed.value for job in trainings})
    sources = [node for node in _among(ancestors, DataFactory('mlcc.snapshots')) if is_source(node)]
    energies = [energy for known in training_sets for energy in energies_of(known, sources, methods)]
    return Trace(
        curve=curve.uuid,
        methods=methods,
        seeds=seeds,
        force_fields=[node.uuid for node in force_fields],
        training_sets=[node.uuid for node in training_sets],
        energies=sorted(dict.fromkeys(energies), key=lambda e: (methods.index(e.method), e.snapshot, e.frame)),
    )


def curves_of(node: orm.Node) -> dict[str, orm.Data]:
    """Return method → dispersion for a master WorkChain; a curve stands for itself."""
    if isinstance(node, orm.ProcessNode):
        return by_method(node, 'dispersion')
    return {'': node}


def _among(pks: Sequence[int], node_class: Any, process_types: Sequence[str] | None = None) -> list[Any]:
    filters: dict[str, dict[str, Sequence[Any]]] = {'id': {'in': pks}}
    if process_types is not None:
        filters['process_type'] = {'in': process_types}
    query = orm.QueryBuilder().append(node_class, filters=filters, tag='node', project='*')
    return query.order_by({'node': 'id'}).all(flat=True)


def energies_of(training_set: orm.Data, sources: list[Any], methods: list[str]) -> list[Energy]:
    """Return where each energy of a training set was first stored, and the job that computed it.

    :param sources: the SnapshotsData that it may come from.
    """
    frames = training_set.get_snapshots()
    found = []
    for source in sources:
        labelled = source.get_snapshots()
        wanted = [method for method in methods if method in labelled.labels and method in frames.labels]
        if not wanted or labelled.symbols != frames.symbols:
            continue
        partner = pair_by_geometry(frames, labelled).indices
        jobs = LabelJobs(source)
        names: dict[int | None, str] = {}
        for method in wanted:
            energies = labelled.labels[method].energies
            for snapshot in frames.labelled_by(method):
                frame = int(partner[snapshot])
                if frame < 0 or energies[frame] != frames.labels[method].energies[snapshot]:
                    continue
                job, other = jobs.of(method, frame), jobs.hartree_fock_of(method, frame)
                pk = None if job is None else job.pk
                if pk not in names:
                    names[pk] = _name(source, job)
                found.append(
                    Energy(
                        method=method,
                        snapshot=int(snapshot),
                        energy_eV=float(energies[frame]),
                        node=source.uuid,
                        frame=frame,
                        calculation=None if job is None else job.uuid,
                        name=names[pk],
                        hartree_fock=None if other is None else other.uuid,
                    )
                )
    return found


def _name(source: orm.Data, job: orm.CalculationNode | None) -> str:
    """Say in words where a label comes from: the job, and the place in the workflow where it was stored."""
    if job is None:
        return source.label or 'given labels'
    caller = source.creator.caller
    links = [] if caller is None else caller.base.links.get_incoming(link_type=LinkType.CALL_WORK).all()
    return f'{job.process_label} {links[0].link_label}' if links else job.process_label
