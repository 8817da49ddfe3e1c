"""Write a bundle from the archive that it publishes, in a process of its own: the archive is its profile.

``python -m aiida_mlcc.report.publication.build BUNDLE REQUEST`` writes everything beside ``archive.aiida`` and checks
it. Whatever a reader sees therefore comes from what a reader gets.
"""

from __future__ import annotations

import json
import re
import shutil
import sys
from collections.abc import Generator, Iterator
from importlib import resources
from pathlib import Path
from typing import Any

from aiida import orm

from aiida_mlcc import __version__
from aiida_mlcc.report.curve_table import all_shown
from aiida_mlcc.report.data.results import to_json
from aiida_mlcc.report.publication import checks, texts
from aiida_mlcc.report.publication.bare import run_bare
from aiida_mlcc.report.publication.captions import captions_text
from aiida_mlcc.report.publication.crate import CRATE, crate
from aiida_mlcc.report.publication.entries import RunEntry
from aiida_mlcc.report.publication.read_archive import archive_as_profile
from aiida_mlcc.report.publication.request import Refused, Request
from aiida_mlcc.report.publication.run_content import RunContent, write_run
from aiida_mlcc.report.publication.verify_bundle import ARCHIVE, SUMS, files_of, sha256

_SCHEMAS = ('curves.schema.json', 'results.schema.json')


def build(bundle: Path, request: Request) -> Iterator[str]:
    """Write everything beside the archive, and yield a line on each step.

    :raises Refused: where what was written does not pass its checks.
    """
    with archive_as_profile(bundle / ARCHIVE):
        entries, description = yield from write_contents(bundle, request)
    drawn = run_bare(bundle / 'figures/make_figures.py', ('numpy', 'matplotlib'), ('-o', str(bundle / 'figures')))
    if drawn.returncode:
        raise Refused(f'The figures could not be drawn by NumPy and Matplotlib alone: {_last_line(drawn.stderr)}')
    yield f'drew {len(drawn.stdout.splitlines())} figures'
    list_files(bundle, request, entries, description)
    for check in checks.check(bundle, draw=False):
        if check.problems:
            raise Refused(f'The bundle does not pass its own check, that {check.what}: {check.problems[0]}')
        yield f'checked that {check.what}'


def write_contents(bundle: Path, request: Request) -> Generator[str, None, tuple[list[RunEntry], str]]:
    """Write what the loaded profile tells of the runs, and yield a line on each step.

    :returns: the entries of the runs in ``curves.json``, and the description of the bundle.
    """
    runs = []
    for uuid, folder in request.runs:
        runs.append(write_run(orm.load_node(uuid), bundle, folder, request.without_models))
        yield f'wrote the curves, labels, models and phonons of {runs[-1].entry["label"] or uuid}'
    _write_texts(bundle, request, runs)
    yield 'wrote the texts'
    return [run.entry for run in runs], texts.description_of(runs)


def list_files(bundle: Path, request: Request, entries: list[RunEntry], description: str) -> None:
    """Write the files that list the others: the crate and the checksums."""
    files = [name for name in files_of(bundle) if name != CRATE]
    text = crate(request, entries, description, files, bundle)
    (bundle / CRATE).write_text(text, encoding='utf-8')
    write_sums(bundle)


def write_sums(bundle: Path) -> None:
    """Write the checksums of all files."""
    lines = [f'{sha256(bundle / name)}  {name}\n' for name in files_of(bundle)]
    (bundle / SUMS).write_text(''.join(lines), encoding='utf-8')


def _write_texts(bundle: Path, request: Request, runs: list[RunContent]) -> None:
    package = resources.files('aiida_mlcc.report.publication')
    for name, source in checks.SCRIPTS.items():
        (bundle / name).parent.mkdir(parents=True, exist_ok=True)
        (bundle / name).write_text(package.joinpath(source).read_text(encoding='utf-8'), encoding='utf-8')
    (bundle / 'schema').mkdir()
    for name in _SCHEMAS:
        shutil.copyfile(str(package.joinpath('schema', name)), bundle / 'schema' / name)
    units: dict[str, str] = {}
    for entry in all_shown().values():
        units |= entry.units
    results = {run.entry['uuid']: run.found.results for run in runs}
    entries = [run.entry for run in runs]
    generator = f'aiida-mlcc {__version__}'
    written: dict[str, str] = {
        'curves.json': _text({'format': 1, 'generator': generator, 'title': request.title, 'runs': entries}),
        'results.json': _on_lines(to_json({'format': 1, 'units': units, 'runs': results})) + '\n',
        'figures/captions.md': captions_text(entries),
        'README.md': texts.readme(
            request, runs, not request.without_models, [line for run in runs for line in run.missing]
        ),
        'PRIVACY.md': texts.privacy_text(request),
        'metadata.yaml': texts.metadata_yaml(request, runs),
        'CITATION.cff': texts.citation_cff(request, runs),
        'LICENSE': texts.licence_text(request),
        'environment.lock': texts.environment_lock(),
    }
    for run in runs:
        for method, folder in texts.card_folders(run).items():
            written[f'{folder}/README.md'] = texts.model_card(run, method, request)
    for name, text in written.items():
        (bundle / name).write_text(text, encoding='utf-8')


def _text(content: Any) -> str:
    return json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + '\n'


def _on_lines(text: str) -> str:
    """Return indented JSON with each list of numbers on a line: half as long."""
    return re.sub(r'\[\n[\s\d.,eE+-]+\]', lambda found: ' '.join(found.group().split()), text)


def _last_line(text: str) -> str:
    return (text.strip().splitlines() or ['no reason given'])[-1]


def main() -> int:
    """Write a bundle; print a line a step, and on failure the sentence last."""
    bundle, request = Path(sys.argv[1]), Request.read(Path(sys.argv[2]))
    try:
        for line in build(bundle, request):
            print(line, flush=True)
    except (Refused, ValueError, OSError) as error:
        print(f'{" ".join(str(error).split()) or type(error).__name__}', file=sys.stderr)
        return 1
    return 0


if __name__ == '__main__':
    sys.exit(main())
