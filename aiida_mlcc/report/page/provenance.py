"""What each curve was made from, as the page unfolds it: energies, settings, versions and cost."""

from __future__ import annotations

import contextlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aiida import orm
from aiida.common.links import LinkType
from aiida.plugins import DataFactory

from aiida_mlcc.engines.cost import cost_of
from aiida_mlcc.engines.table import CORRELATION, correlation_engine, programs_of
from aiida_mlcc.report.data.arrays import Curves, Density, Dispersion
from aiida_mlcc.report.data.references import label_sources
from aiida_mlcc.report.data.remembered import remembered
from aiida_mlcc.report.page.tables import Table
from aiida_mlcc.report.provenance.label_jobs import ancestors_of
from aiida_mlcc.report.provenance.trace import trace
from aiida_mlcc.science.crystal.formula import formula_of as chemical_formula
from aiida_mlcc.science.crystal.symmetry import SymmetryError, fitting_tolerance, space_group
from aiida_mlcc.science.force_field.kinds import kind_of
from aiida_mlcc.science.force_field.sum import TermDescription

ARTICLE = (
    'S. Schönbauer, J. P. Carbone, A. Grüneis, Machine-Learned Force Fields for Lattice Dynamics at Coupled-Cluster '
    'Level Accuracy',
    'https://arxiv.org/abs/2507.06929',
)
CITATIONS = (
    ARTICLE,
    ('aiida-mlcc: phonons and vibrational spectra of crystals at coupled-cluster accuracy, on AiiDA', ''),
    ('S. P. Huber et al., AiiDA 1.0, Sci. Data 7, 300 (2020)', 'https://doi.org/10.1038/s41597-020-00638-4'),
    (
        'A. Togo, L. Chaput, T. Tadano, I. Tanaka, Implementation strategies in phonopy and phono3py, J. Phys.: '
        'Condens. Matter 35, 353001 (2023)',
        'https://doi.org/10.1088/1361-648X/acd831',
    ),
    (
        'Y. Hinuma et al., Band structure diagram paths based on crystallography, Comput. Mater. Sci. 128, 140 (2017)',
        'https://doi.org/10.1016/j.commatsci.2016.10.015',
    ),
    (
        'A. Hjorth Larsen et al., The atomic simulation environment, J. Phys.: Condens. Matter 29, 273002 (2017)',
        'https://doi.org/10.1088/1361-648X/aa680e',
    ),
)
"""What a person cites who uses the curves: text and address."""

PROGRAMS = {
    'mace': (
        'I. Batatia et al., MACE: Higher order equivariant message passing neural networks, NeurIPS 35 (2022)',
        'https://arxiv.org/abs/2206.07697',
    ),
    'symfc': (
        'A. Seko, A. Togo, Projector-based efficient estimation of force constants, Phys. Rev. B 110, 214302 (2024)',
        'https://doi.org/10.1103/PhysRevB.110.214302',
    ),
}
"""Programs of force fields, which only some runs use; those of engines stand in their table."""


_PLAIN = (orm.Dict, orm.List, orm.Bool, orm.Int, orm.Float, orm.Str, orm.AbstractCode, orm.StructureData)


@dataclass(frozen=True)
class Provenance:
    """What one curve was made from."""

    method: str
    kind: str
    uuid: str
    facts: list[tuple[str, str]]
    energies: Table | None
    jobs: Table | None


def provenance_of(curves: Curves) -> list[Provenance]:
    """Return the provenance of every curve; dispersion and density of states of a method come from the same forces."""
    kinds: dict[str, Mapping[str, Dispersion | Density]] = {
        'dispersion and density of states': {**curves.dos, **curves.dispersion},
        'spectrum from dynamics': curves.vdos,
    }
    return [
        _provenance(method, kind, orm.load_node(curve.uuid))
        for kind, named in kinds.items()
        for method, curve in named.items()
    ]


def settings_of(process: orm.ProcessNode) -> list[tuple[str, str]]:
    """Return the inputs of a run that are plain values: name and value."""
    links = process.base.links.get_incoming(link_type=(LinkType.INPUT_WORK, LinkType.INPUT_CALC)).all()
    named = sorted((link.link_label.replace('__', '.'), link.node) for link in links if _is_plain(link.node))
    return [(name, _value(node)) for name, node in named]


def cost_lines(process: orm.ProcessNode) -> list[tuple[str, str]]:
    """Return what a run cost: core hours as far as the programs say, and jobs."""
    cost = cost_of([process])
    least = 'at least ' if cost['n_jobs_of_unknown_cost'] else ''
    is_known = bool(cost['core_hours']) or cost['n_jobs'] > cost['n_jobs_of_unknown_cost']
    hours = f'{least}{cost["core_hours"]:.3g} core hours' if is_known else 'not known'
    lines = [('cost', hours), ('jobs', str(cost['n_jobs']))]
    if cost['n_jobs_of_unknown_cost']:
        lines.append(('jobs of unknown cost', str(cost['n_jobs_of_unknown_cost'])))
    if cost['largest_memory_gb'] is not None:
        lines.append(('largest memory', f'{cost["largest_memory_gb"]:.3g} GB'))
    return lines


def caveat_lines(process: orm.ProcessNode) -> list[tuple[str, str]]:
    """Return what keeps energies of a run from being compared: MP2 with CCSD where only one is corrected."""
    found = []
    for name, value in settings_of(process):
        settings = json.loads(value) if name.endswith('engine') else {}
        if CORRELATION.refuse(settings) is None:
            found.append(correlation_engine(settings).caveat())
    return [('energies', note) for note in dict.fromkeys(filter(None, found))]


def versions_of(process: orm.ProcessNode) -> str:
    """Return the versions of AiiDA and of this package that ran a process, as far as the node says."""
    known = process.base.attributes.get('version', {}) or {}
    names = {'core': 'aiida-core', 'plugin': 'aiida-mlcc'}
    return ', '.join(f'{names.get(name, name)} {version}' for name, version in sorted(known.items()))


@remembered
def citations_of(process: orm.ProcessNode) -> Sequence[tuple[str, str]]:
    """Return what to cite for a run: the article, the package, and the programs behind its labels and force fields."""
    engines = {json.loads(value).get('name') for name, value in settings_of(process) if name.endswith('engine')}
    used = _programs_of_jobs(process)
    for link in [*process.base.links.get_incoming().all(), *process.base.links.get_outgoing().all()]:
        attributes = link.node.base.attributes
        if isinstance(link.node, DataFactory('mlcc.snapshots')):
            engines |= {source.get('engine') for source in attributes.get('sources').values()}
        elif isinstance(link.node, DataFactory('mlcc.force_field')):
            used |= _programs_of(attributes.get('terms'))
    programs = programs_of(engines).values()
    return [*CITATIONS, *programs, *(entry for name, entry in PROGRAMS.items() if name in used)]


def _programs_of_jobs(process: orm.ProcessNode) -> set[str]:
    """Return the programs behind the force fields that the jobs of a run made."""
    jobs = [job.pk for job in process.called_descendants if isinstance(job, orm.CalculationNode)]
    if not jobs:
        return set()
    query = orm.QueryBuilder().append(orm.CalculationNode, filters={'id': {'in': jobs}}, tag='job')
    query.append(DataFactory('mlcc.force_field'), with_incoming='job', project='attributes.terms')
    return {program for terms in query.all(flat=True) for program in _programs_of(terms)}


def _programs_of(terms: list[TermDescription]) -> set[str]:
    return {program for term in terms for program in kind_of(term['kind']).cites}


def _provenance(method: str, kind: str, node: orm.Data) -> Provenance:
    traced = trace(node)
    sources = list(dict.fromkeys(_source_text(uuid) for uuid in traced.training_sets))
    counts = Counter(energy.method for energy in traced.energies)
    facts = [
        ('node', node.uuid),
        ('force fields of', ', '.join(traced.methods) or 'none: the forces are those of an engine'),
        ('force fields', ', '.join(traced.force_fields) or 'none'),
        ('seeds', ', '.join(map(str, traced.seeds)) or 'none'),
        ('training snapshots', '; '.join(sources) or 'none'),
        ('energies', ', '.join(f'{n} of {name}' for name, n in counts.items()) or 'none'),
    ]
    if node.creator is not None:
        facts.append(('computed by', f'{node.creator.process_label}, {versions_of(node.creator) or "version unknown"}'))
    rows = [
        [e.method, str(e.snapshot), f'{e.energy_eV:.6f}', e.calculation or 'given', f'{e.name}, frame {e.frame}']
        for e in traced.energies
    ]
    header = ['method', 'snapshot', 'energy (eV per cell)', 'calculation', 'where']
    energies = Table(f'Energies behind {kind} of {method}', header, [('', rows)]) if rows else None
    return Provenance(method, kind, node.uuid, facts, energies, _jobs(node, f'{kind} of {method}'))


def _jobs(node: orm.Data, what: str) -> Table | None:
    query = orm.QueryBuilder()
    query.append(orm.CalcJobNode, filters={'id': {'in': ancestors_of(node)}}, tag='job').order_by({'job': 'id'})
    rows = []
    for job in query.all(flat=True):
        cost = cost_of([job])
        cached = job.base.caching.is_created_from_cache
        known = '–' if cost['n_jobs_of_unknown_cost'] else f'{cost["core_hours"]:.2g}'
        hours = 'from the cache' if cached else known
        computer = '' if job.computer is None else job.computer.label
        rows.append([job.process_label or '', job.uuid, versions_of(job) or '–', computer, hours])
    header = ['job', 'node', 'versions', 'computer', 'core hours']
    return Table(f'Jobs behind {what}', header, [('', rows)]) if rows else None


def _source_text(uuid: str) -> str:
    node = orm.load_node(uuid)
    return f'{node.base.attributes.get("n_frames", "?")} frames in {uuid}'


def _is_plain(node: orm.Node) -> bool:
    return isinstance(node, _PLAIN)


def _value(node: orm.Node) -> str:
    if isinstance(node, orm.AbstractCode):
        return node.full_label
    if isinstance(node, orm.StructureData):
        return f'{node.get_formula()} {node.uuid}'
    content: Any = node.get_dict() if isinstance(node, orm.Dict) else None
    if content is None:
        content = node.get_list() if isinstance(node, orm.List) else node.value
    return json.dumps(content, sort_keys=True, ensure_ascii=False, default=str)


def formula_of(process: orm.ProcessNode) -> str:
    """Return the formula of the crystal of a run, empty where neither structure nor snapshots tell it."""
    links = process.base.links.get_incoming(link_label_filter='structure').all_nodes()
    if links and isinstance(links[0], orm.StructureData):
        return chemical_formula(links[0].get_ase().symbols)
    snapshots = process.base.links.get_outgoing(link_label_filter='snapshots').all_nodes()
    if snapshots and isinstance(snapshots[0], DataFactory('mlcc.snapshots')):
        return chemical_formula(snapshots[0].get_ase().symbols)
    return ''


def crystal_line(process: orm.ProcessNode) -> str:
    """Say in a line what was calculated and how: space group, cell, and engine and basis of the energies."""
    links = process.base.links.get_incoming(link_label_filter='structure').all_nodes()
    said = []
    if links and isinstance(links[0], orm.StructureData):
        atoms = links[0].get_ase()
        with contextlib.suppress(SymmetryError):
            said.append(f'space group {space_group(atoms, fitting_tolerance(atoms))}')
        lengths = ' '.join(f'{length:.4f}' for length in atoms.cell.lengths())
        angles = ' '.join(f'{angle:.2f}' for angle in atoms.cell.angles())
        said.append(f'cell of {len(atoms)} atoms, {lengths} Å, {angles}°')
    return ' · '.join([*said, *_engines(process)])


def _engines(process: orm.ProcessNode) -> list[str]:
    """Return engine and basis of the labels of a run, each with its methods."""
    by_engine: dict[str, list[str]] = {}
    for method, source in label_sources(process).items():
        words = [str(source[name]) for name in ('engine', 'basis', 'potential_family') if source.get(name)]
        if words:
            by_engine.setdefault(', '.join(words), []).append(method)
    return [f'{", ".join(methods)}: {engine}' for engine, methods in by_engine.items()]
