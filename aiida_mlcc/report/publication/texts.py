"""What a bundle says of itself: README, privacy, citation, licence, metadata for archives, model cards, versions."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from platform import python_version

import yaml

from aiida_mlcc import __version__
from aiida_mlcc.report.page.provenance import ARTICLE, citations_of, crystal_line
from aiida_mlcc.report.publication.request import LICENCES, UNNAMED, Request
from aiida_mlcc.report.publication.run_content import RunContent
from aiida_mlcc.report.text import failure_lines
from aiida_mlcc.science.fit.fit_errors import FitErrors

KEYWORDS = (
    'phonons',
    'vibrational spectra',
    'coupled cluster',
    'machine-learned force fields',
    'lattice dynamics',
    'AiiDA',
)
SOURCE = 'https://github.com/aiida-mlcc/aiida-mlcc'
DOCUMENTATION = 'https://aiida-mlcc.readthedocs.io'

_REQUIREMENT = re.compile(r'[A-Za-z0-9][\w.-]*')


def description_of(runs: Sequence[RunContent]) -> str:
    """Return the abstract of the bundle."""
    parts = []
    for run in runs:
        labels = run.entry['labels']
        counts = ', '.join(f'{len(label["energies"])} of {label["method"]}' for label in labels)
        crystal = run.entry['formula'] or 'a crystal'
        parts.append(
            f'Phonons of {crystal} by {", ".join(run.found.curves.methods)}'
            + (f', by force fields that were trained on energies ({counts})' if counts else '')
            + f'. {crystal_line(run.process)}.'
        )
    return (
        f'{" ".join(parts)} The bundle holds the curves, the labelled structures, the force fields and, in an archive '
        'of AiiDA, the whole provenance from each curve to each energy.'
    )


def readme(request: Request, runs: Sequence[RunContent], has_models: bool, cannot: Sequence[str]) -> str:
    """Return ``README.md``.

    :param cannot: what could not be written and why.
    """
    several = len(runs) > 1
    run_folder = 'RUN/' if several else ''
    lines = [f'# {request.title}', '', description_of(runs), '']
    if several:
        lines += ['| RUN | crystal | methods | node |', '|---|---|---|---|']
        lines += [
            f'| `{run.entry["folder"]}` | {run.entry["formula"]} | {", ".join(run.found.curves.methods)} | '
            f'`{run.entry["uuid"]}` |'
            for run in runs
        ]
        lines.append('')
    else:
        lines += [f'The run is the node `{runs[0].entry["uuid"]}` of `archive.aiida`.', '']
    failed = [line for run in runs for line in failure_lines(run.found.results['failed'])]
    if absent := [*failed, *cannot]:
        lines += ['Not there:', '', *(f'- {line}' for line in absent), '']
    lines += _CHECK.format(uuid=runs[0].entry['uuid']).splitlines()
    lines += ['', '## What is where', '', '| file | content |', '|---|---|']
    lines += [f'| {name} | {what} |' for name, what in _contents(run_folder, has_models)]
    lines += ['', '## Cite', '', 'The paper that this bundle belongs to, the bundle (`CITATION.cff`), and:', '']
    cited = dict.fromkeys(entry for run in runs for entry in citations_of(run.process))
    lines += [f'- {text}{f". {address}" if address else ""}' for text, address in cited]
    name, address = LICENCES[request.licence]
    lines += ['', '## Licence', '', f'{name} ({request.licence}), {address}; see `LICENSE`.', '']
    lines += [f'Made by aiida-mlcc {__version__}, {SOURCE}', '']
    return '\n'.join(lines)


_CHECK = """## Check it

```sh
python verify.py                               # NumPy only: files, schemas, and the numbers against the archive
python figures/make_figures.py -o ../figures   # NumPy and Matplotlib only: draws the figures from the CSV files
python trace.py                                # AiiDA: from each dispersion to each energy and the job that computed it
```

With `pip install aiida-mlcc`, which needs neither PyTorch nor PySCF,

```sh
aiida-mlcc verify .                                  # all of this, and the CSV files made anew from the archive
aiida-mlcc results -p archive.aiida {uuid}
aiida-mlcc report -p archive.aiida {uuid} -o ../report
aiida-mlcc trace -p archive.aiida {uuid}
verdi archive import archive.aiida                   # into a profile of your own
```

Write new files beside this folder, not into it: the checks take an added file for a change."""


def _contents(run_folder: str, has_models: bool) -> list[tuple[str, str]]:
    found = [
        ('`archive.aiida`', 'what the results came from, filtered: see `PRIVACY.md`'),
        ('`curves.json`', 'figure → CSV file → node → codes, models, labels (UUIDs); `schema/curves.schema.json`'),
        ('`results.json`', 'frequencies at the special points with their spread, errors; `schema/results.schema.json`'),
        (f'`data/{run_folder}*.csv`', 'every curve: mean, min, max, sd, members; units as in `results.json`'),
        (
            f'`labels/{run_folder}METHOD.extxyz`',
            'structures and energies (eV per cell): `energy`, `energy_SLUG` of the method and of the density '
            'functional, `sigma_SLUG`, forces (eV/Å) where there are any, and UUID and frame of the node that holds '
            'the energy',
        ),
    ]
    if has_models:
        text = 'force fields: a description and safetensors, with a model card for each method'
        found.append((f'`models/{run_folder}METHOD/`', text))
    return [
        *found,
        (
            f'`phonopy/{run_folder}METHOD/`',
            '`phonopy.yaml` with force constants (phonopy, Euphonic, NOMAD) and `band.yaml` with eigenvectors '
            '(phononwebsite), of the mean of the members’ force constants',
        ),
        (f'`figures/{run_folder}`', 'the figures for print, and `captions.md`'),
        (f'`report/{run_folder}index.html`', 'all of it on one page, to be read in a browser without a network'),
        ('`metadata.yaml`', 'what Materials Cloud Archive and Zenodo ask for at an upload'),
        ('`ro-crate-metadata.json`', 'the same and the provenance for machines, a Process Run Crate'),
        ('`environment.lock`', 'versions of the packages that read this'),
        ('`SHA256SUMS`', '`sha256sum -c SHA256SUMS`'),
    ]


def privacy_text(request: Request) -> str:
    """Return ``PRIVACY.md``: what was taken out, what was left and why; no name stands there."""
    privacy = request.privacy
    lines = ['# What was taken out of the archive', '']
    lines += ['| what | how often | what became of it |', '|---|---|---|']
    lines += [f'| {entry["what"]} | {entry["count"]} | {entry["becomes"]} |' for entry in privacy.get('replaced', ())]
    lines += ['', '# What was left', '']
    if privacy.get('left'):
        lines += ['| where | how often | why |', '|---|---|---|']
        lines += [f'| {entry["what"]} | {entry["count"]} | {entry["becomes"]} |' for entry in privacy['left']]
    else:
        lines.append('Nothing that is known to be private.')
    lines += [
        '',
        'Times, UUIDs, labels of computers and codes, numbers of jobs and the versions of programs stay. AiiDA’s cache '
        f'finds nodes by a hash: {privacy.get("n_without_hash", 0)} nodes whose content, or whose input’s, was '
        'replaced have none any more, and are not found by it.',
        '',
    ]
    return '\n'.join(lines)


def metadata_yaml(request: Request, runs: Sequence[RunContent]) -> str:
    """Return ``metadata.yaml``: what is filled in at Materials Cloud Archive, and in the names of Zenodo's API."""
    authors = [
        {'name': author.name, 'affiliation': author.affiliation, 'orcid': author.orcid} for author in request.authors
    ] or [{'name': UNNAMED, 'affiliation': '', 'orcid': ''}]
    keywords = [*KEYWORDS, *dict.fromkeys(run.entry['formula'] for run in runs if run.entry['formula'])]
    cited = dict.fromkeys(entry for run in runs for entry in citations_of(run.process))
    references = [{'citation': text, 'url': address} for text, address in cited]
    description = description_of(runs)
    content = {
        'materials_cloud_archive': {
            'title': request.title,
            'description': description,
            'authors': authors,
            'license': request.licence,
            'keywords': keywords,
            'references': references,
            'files': [{'name': name, 'description': text} for name, text in _FILES.items()],
        },
        'zenodo': {
            'title': request.title,
            'upload_type': 'dataset',
            'publication_date': request.date[:10],
            'description': description,
            'creators': [{name: value for name, value in author.items() if value} for author in authors],
            'access_right': 'open',
            'license': request.licence.lower(),
            'keywords': keywords,
            'references': [f'{text}. {address}'.rstrip('. ') for text, address in cited],
            'related_identifiers': [
                {'identifier': ARTICLE[1], 'relation': 'cites', 'resource_type': 'publication-preprint'},
                {'identifier': SOURCE, 'relation': 'isCompiledBy', 'resource_type': 'software'},
            ],
        },
    }
    return yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=110)


_FILES = {
    'archive.aiida': 'AiiDA archive with the provenance of every result',
    'bundle.zip': 'Everything else: curves, labels, force fields, figures, and scripts that check and draw them',
}


def citation_cff(request: Request, runs: Sequence[RunContent]) -> str:
    """Return ``CITATION.cff``, of version 1.2.0 of the format."""
    authors: list[dict[str, str]] = []
    for author in request.authors:
        family, _, given = author.name.partition(',')
        person = {'family-names': family.strip(), 'given-names': given.strip(), 'affiliation': author.affiliation}
        named = person if given else {'name': author.name}
        orcid = {'orcid': f'https://orcid.org/{author.orcid}'} if author.orcid else {}
        authors.append({name: value for name, value in {**named, **orcid}.items() if value})
    content = {
        'cff-version': '1.2.0',
        'message': 'If you use these data, please cite them, and the paper that they belong to.',
        'type': 'dataset',
        'title': request.title,
        'authors': authors or [{'name': UNNAMED}],
        'date-released': request.date[:10],
        'license': request.licence,
        'keywords': [*KEYWORDS, *dict.fromkeys(run.entry['formula'] for run in runs if run.entry['formula'])],
        'references': [
            {
                'type': 'software',
                'title': 'aiida-mlcc',
                'authors': [{'name': 'The aiida-mlcc developers'}],
                'version': __version__,
                'url': SOURCE,
            }
        ],
    }
    return yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=110)


def licence_text(request: Request) -> str:
    """Return ``LICENSE``: whose the data are and where the text of their licence is."""
    name, address = LICENCES[request.licence]
    authors = '; '.join(author.name for author in request.authors) or UNNAMED
    return (
        f'{request.title}\nCopyright {request.date[:4]} {authors}\n\n'
        f'This work is licensed under {name} (SPDX-License-Identifier: {request.licence}).\n'
        f'The text of the licence is at {address}\n\n'
        'verify.py, trace.py and figures/make_figures.py are those of aiida-mlcc and under the MIT License,\n'
        f'{SOURCE}\n'
    )


def model_card(run: RunContent, method: str, request: Request) -> str:
    """Return the card of the force fields of a method, with the head that model hubs read."""
    models = [model for model in run.entry['models'] if model['method'] == method]
    labels = {label['method']: label for label in run.entry['labels']}
    head = {
        'license': request.licence.lower(),
        'library_name': 'aiida-mlcc',
        'tags': ['interatomic potential', 'phonons', method, run.entry['formula']],
    }
    errors = run.found.results['methods'].get(method, {}).get('errors', {})
    lines = ['---', yaml.safe_dump(head, sort_keys=False, allow_unicode=True).strip(), '---', '']
    lines += [f'# Force fields of {run.entry["formula"] or "a crystal"}: ML({method})', '']
    lines += [
        f'An ensemble of {len(models)} members for {method}. The energy of each is a sum of weighted terms and a '
        'constant for each atom (eV, Å). `force_field.json` describes the sum; `weights.safetensors` holds its arrays. '
        'Nothing in them is code.',
        '',
        '| member | node | terms |',
        '|---|---|---|',
        *(f'| `{model["member"]}` | `{model["node"]}` | {", ".join(model["terms"])} |' for model in models),
        '',
        '## Trained on',
        '',
    ]
    used = next((curve for curve in run.entry['curves'] if curve['method'] == method and curve['label_methods']), None)
    for name in used['label_methods'] if used else []:
        label = labels.get(name)
        if label is not None:
            source = ', '.join(f'{key} {value}' for key, value in label['source'].items() if isinstance(value, str))
            lines.append(f'- {len(label["energies"])} energies of {name} (`{label["file"]}`; {source})')
    lines += [f'- training sets: {", ".join(f"`{uuid}`" for uuid in used["training_sets"])}' if used else '- not known']
    lines += ['', '## Errors', '']
    known = [f'- `{member}`: {_numbers(entry)}' for member, entry in errors.items() if isinstance(entry, Mapping)]
    lines += known or ['Not known.']
    lines += [
        '',
        '## Use',
        '',
        '```python',
        'from aiida_mlcc.science.force_field import ForceField',
        'from aiida_mlcc.runtime.force_field_calculator import ForceFieldCalculator',
        '',
        f"atoms.calc = ForceFieldCalculator(ForceField.load('{Path(models[0]['folder']).name}'))",
        '```',
        '',
        'A term that is a network needs `pip install "aiida-mlcc[runtime]"`.',
        '',
        '## Limits',
        '',
        f'It is meant for the harmonic and weakly anharmonic vibrations of {run.entry["formula"] or "this crystal"} in '
        'the structure it was trained on, at the volume and about the temperature of the training structures. It is '
        'not a potential for other structures, phases or compositions.',
        '',
    ]
    return '\n'.join(lines)


def _numbers(errors: FitErrors) -> str:
    found = [f'{name} {value:.4g}' for name, value in sorted(errors.items()) if isinstance(value, float)]
    for part in ('train', 'valid'):
        # Runs of early versions nested them.
        if isinstance(nested := errors.get(part), Mapping):
            numbers = {name: value for name, value in sorted(nested.items()) if isinstance(value, float)}
            found += [f'{part} {name} {value:.4g}' for name, value in numbers.items()]
    return ', '.join(found) or 'not known'


def card_folders(run: RunContent) -> dict[str, str]:
    """Return method → folder of its models."""
    return {model['method']: str(Path(model['folder']).parent.as_posix()) for model in run.entry['models']}


def environment_lock() -> str:
    """Return the versions of this package and of all that it requires, as pip reads them."""
    versions: dict[str, str] = {}
    waiting = ['aiida-mlcc']
    while waiting:
        name = waiting.pop()
        try:
            found = metadata.distribution(name)
        except metadata.PackageNotFoundError:
            continue
        key = found.metadata['Name'].lower().replace('_', '-')
        if key in versions:
            continue
        versions[key] = found.version
        waiting += _required(found.requires or ())
    lines = [f'# Python {python_version()}', *(f'{name}=={version}' for name, version in sorted(versions.items()))]
    return '\n'.join(lines) + '\n'


def _required(requirements: Iterable[str]) -> list[str]:
    """Return the names of what is required without extras."""
    plain = [text for text in requirements if 'extra ==' not in text and 'extra==' not in text]
    return [match.group() for text in plain if (match := _REQUIREMENT.match(text))]
