"""``ro-crate-metadata.json``: the bundle as a Process Run Crate (https://w3id.org/ro/wfrun/process/0.5).

A figure is the result of ``make_figures.py``, its objects being CSV files; a CSV file is the result of this package,
its objects being the archive and nodes in it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TypedDict

from aiida_mlcc import __version__
from aiida_mlcc.report.publication.entries import RunEntry
from aiida_mlcc.report.publication.request import LICENCES, UNNAMED, Request
from aiida_mlcc.report.publication.texts import DOCUMENTATION, KEYWORDS
from aiida_mlcc.report.publication.verify_bundle import ARCHIVE, SUMS

CRATE = 'ro-crate-metadata.json'
_CRATE, _PROFILE = 'https://w3id.org/ro/crate/1.1', 'https://w3id.org/ro/wfrun/process/0.5'
_SCRIPT, _TOOL = 'figures/make_figures.py', f'{DOCUMENTATION}/#aiida-mlcc'
_FORMATS = {
    '.aiida': 'application/zip',
    '.cff': 'application/yaml',
    '.csv': 'text/csv',
    '.extxyz': 'chemical/x-xyz',
    '.html': 'text/html',
    '.json': 'application/json',
    '.md': 'text/markdown',
    '.pdf': 'application/pdf',
    '.py': 'text/x-python',
    '.svg': 'image/svg+xml',
    '.yaml': 'application/yaml',
}


Reference = TypedDict('Reference', {'@id': str})
"""An entity, by its name."""

Entity = Mapping[str, str | Sequence[str] | Reference | Sequence[Reference]]
"""An entity of a crate: keyword → text or references to others, as schema.org has them."""


def crate(request: Request, runs: Sequence[RunEntry], description: str, files: Sequence[str], bundle: Path) -> str:
    """Return the crate as JSON-LD text.

    :param runs: of ``curves.json``.
    :param files: of the bundle, without the crate itself.
    """
    people: list[dict[str, str]] = [
        {
            '@id': f'https://orcid.org/{author.orcid}' if author.orcid else f'#author-{number}',
            '@type': 'Person',
            'name': author.name,
            **({'affiliation': author.affiliation} if author.affiliation else {}),
        }
        for number, author in enumerate(request.authors, start=1)
    ] or [{'@id': '#author', '@type': 'Organization', 'name': UNNAMED}]
    actions = _actions(request, runs, people[0]['@id'])
    name, address = LICENCES[request.licence]
    about = {caption: text for run in runs for caption, text in _descriptions(run).items()}
    listed = sorted({*files, SUMS})
    graph = [
        {'@id': CRATE, '@type': 'CreativeWork', 'conformsTo': {'@id': _CRATE}, 'about': {'@id': './'}},
        {
            '@id': './',
            '@type': 'Dataset',
            'name': request.title,
            'description': description,
            'datePublished': request.date,
            'license': {'@id': address},
            'author': _ids(people),
            'keywords': ', '.join(KEYWORDS),
            'conformsTo': {'@id': _PROFILE},
            'hasPart': _references(listed),
            'mentions': _ids(actions),
        },
        {'@id': _PROFILE, '@type': 'CreativeWork', 'name': 'Process Run Crate', 'version': '0.5'},
        {'@id': address, '@type': 'CreativeWork', 'name': name, 'identifier': request.licence},
        {
            '@id': _TOOL,
            '@type': 'SoftwareApplication',
            'name': 'aiida-mlcc',
            'softwareVersion': __version__,
            'url': DOCUMENTATION,
        },
        *people,
        *(_file(file, bundle, about.get(file)) for file in listed),
        *_nodes(runs),
        *actions,
    ]
    content = {'@context': [f'{_CRATE}/context', 'https://w3id.org/ro/terms/workflow-run/context'], '@graph': graph}
    return json.dumps(content, indent=1, ensure_ascii=False) + '\n'


def _actions(request: Request, runs: Sequence[RunEntry], agent: str) -> list[Entity]:
    actions: list[Entity] = []
    common: Entity = {'agent': {'@id': agent}, 'endTime': request.date}
    for run in runs:
        of_curve = {curve['id']: curve for curve in run['curves']}
        suffix = f'-{run["folder"]}' if run['folder'] else ''
        for curve in run['curves']:
            actions.append(
                {
                    '@id': f'#write-{curve["id"]}{suffix}',
                    '@type': 'CreateAction',
                    'name': f'Write {curve["csv"]} from the archive',
                    'instrument': {'@id': _TOOL},
                    'object': _references([ARCHIVE, *map(_node_id, curve['nodes'])]),
                    'result': {'@id': curve['csv']},
                    **common,
                }
            )
        for figure in run['figures']:
            sources = [*(of_curve[name]['csv'] for name in figure['curves']), *figure['tables'], 'curves.json']
            actions.append(
                {
                    '@id': f'#draw-{figure["name"]}{suffix}',
                    '@type': 'CreateAction',
                    'name': f'Draw {figure["name"]}',
                    'description': figure['caption'],
                    'instrument': {'@id': _SCRIPT},
                    'object': _references(dict.fromkeys(sources)),
                    'result': _references(figure['files']),
                    **common,
                }
            )
    return actions


def _nodes(runs: Sequence[RunEntry]) -> list[Entity]:
    found: dict[str, Entity] = {}
    for run in runs:
        for curve in run['curves']:
            made = curve['created_by']
            for uuid in curve['nodes']:
                found[uuid] = {
                    '@id': _node_id(uuid),
                    '@type': 'CreativeWork',
                    'name': f'{curve["kind"]} of {curve["method"]}, a node of {ARCHIVE}',
                    'identifier': uuid,
                    'isPartOf': {'@id': ARCHIVE},
                    **({'description': f'made by {made["process"]} {made["node"]}'} if made else {}),
                }
    return list(found.values())


def _file(name: str, bundle: Path, description: str | None) -> Entity:
    entity: dict[str, str | list[str]] = {'@id': name, '@type': 'File', 'name': Path(name).name}
    if name == _SCRIPT:
        entity |= {'@type': ['File', 'SoftwareSourceCode'], 'programmingLanguage': 'Python', 'version': __version__}
        entity['url'] = DOCUMENTATION
    if (known := _FORMATS.get(Path(name).suffix)) is not None:
        entity['encodingFormat'] = known
    if (bundle / name).is_file():
        entity['contentSize'] = str((bundle / name).stat().st_size)
    return entity if description is None else {**entity, 'description': description}


def _descriptions(run: RunEntry) -> dict[str, str]:
    found = {name: figure['caption'] for figure in run['figures'] for name in figure['files']}
    found |= {curve['csv']: f'{curve["kind"]} of {curve["method"]}' for curve in run['curves']}
    return found | {label['file']: f'structures with energies of {label["method"]}' for label in run['labels']}


def _ids(entities: Sequence[Entity]) -> list[Reference]:
    return _references(str(entity['@id']) for entity in entities)


def _references(names: Iterable[str]) -> list[Reference]:
    return [{'@id': name} for name in names]


def _node_id(uuid: str) -> str:
    return f'#node-{uuid}'
