"""Check a bundle with AiiDA: what ``verify.py`` checks, and the curves made anew from the archive."""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import numpy as np

from aiida_mlcc.report.publication import trace_bundle, verify_bundle
from aiida_mlcc.report.publication.bare import run_bare
from aiida_mlcc.report.publication.entries import CurvesFile
from aiida_mlcc.report.publication.read_archive import archive_as_profile
from aiida_mlcc.report.publication.request import Refused
from aiida_mlcc.report.publication.verify_bundle import ARCHIVE, SUMS, read_table

OURS = ('curves.json', SUMS, ARCHIVE)
"""What every bundle has."""

SCRIPTS = {
    'verify.py': 'verify_bundle.py',
    'trace.py': 'trace_bundle.py',
    'figures/make_figures.py': 'make_figures.py',
}
"""Script of a bundle → the file of this package that it is a copy of."""


@dataclass(frozen=True)
class Check:
    """Something that was checked, and a sentence for each thing that is wrong."""

    what: str
    problems: list[str]


def is_bundle(folder: Path) -> bool:
    """Tell whether a folder is a bundle that this package wrote."""
    try:
        content = json.loads((folder / 'curves.json').read_text(encoding='utf-8'))
        written = str(content['generator'])
    except (OSError, ValueError, KeyError, TypeError):
        return False
    return written.startswith('aiida-mlcc') and all((folder / name).is_file() for name in OURS)


def check(bundle: Path, draw: bool = True) -> Iterator[Check]:
    """Yield what is checked and what is wrong.

    The scripts of a bundle are run where they are those of this package, and only then: a bundle may come from anybody.

    :param draw: draw the figures, to see that they can be drawn.
    :raises Refused: where the folder does not hold a bundle.
    """
    bundle = bundle.absolute()
    if not is_bundle(bundle):
        raise Refused(f'{bundle} is not a bundle: {", ".join(OURS)} belong to one')
    failed = False
    for what, problems in verify_bundle.check(bundle):
        failed |= bool(problems)
        yield Check(what, problems)
    from aiida.common.exceptions import AiidaException

    try:
        content = json.loads((bundle / 'curves.json').read_text(encoding='utf-8'))
        with archive_as_profile(bundle / ARCHIVE):
            yield Check('the CSV files are those that the archive gives', _other_csv(bundle, content))
            yield Check('every dispersion leads to its energies', _broken(content))
    except (Refused, AiidaException, OSError, ValueError, KeyError, TypeError) as error:
        failed = True
        yield Check('AiiDA reads the archive', [' '.join(str(error).split()) or type(error).__name__])
    differing = foreign_scripts(bundle)
    yield Check('the scripts are those of this version of aiida-mlcc', differing)
    if differing or failed:
        return
    yield Check('verify.py runs with NumPy alone', _bare(bundle / 'verify.py', ('numpy',)))
    if draw:
        yield Check('make_figures.py draws every figure with NumPy and Matplotlib alone', _not_drawn(bundle, content))


def foreign_scripts(bundle: Path) -> list[str]:
    """Return a sentence for each script that is not that of this version of the package."""

    package = resources.files('aiida_mlcc.report.publication')
    problems = []
    for name, source in SCRIPTS.items():
        there = bundle / name
        if not there.is_file() or there.read_bytes() != package.joinpath(source).read_bytes():
            problems.append(f'{name} is not that of this version, and was not run')
    return problems


def _other_csv(bundle: Path, content: CurvesFile) -> list[str]:
    """Return which CSV files differ from those that the archive gives now."""
    from aiida import orm

    from aiida_mlcc.report.data.results import to_json
    from aiida_mlcc.report.data.run import read_run
    from aiida_mlcc.report.exports import write_csv, write_errors

    problems = []
    results = json.loads((bundle / 'results.json').read_text(encoding='utf-8'))['runs']
    for run in content['runs']:
        process = orm.load_node(run['uuid'])
        found = read_run(process)
        if to_json(found.results) != to_json(results[run['uuid']]):
            problems.append(f'results.json has other results of {run["uuid"]} than the archive')
        with tempfile.TemporaryDirectory() as folder:
            written = write_csv(found, Path(folder))
            errors = write_errors(found.results, Path(folder))
            for path in [*written, *([errors] if errors else [])]:
                there = bundle / 'data' / run['folder'] / path.name
                if not there.is_file():
                    problems.append(f'data/{path.name} is not there')
                elif not _same_table(there, path):
                    problems.append(f'{there.relative_to(bundle).as_posix()} differs from what the archive gives')
    return problems


def _same_table(first: Path, second: Path) -> bool:
    """Tell whether two CSV files say the same, numbers to their digits: processors differ in the last."""
    if first.read_bytes() == second.read_bytes():
        return True
    one, other = read_table(first), read_table(second)
    if list(one) != list(other):
        return False
    for name in one:
        if one[name] == other[name]:
            continue
        try:
            ours, theirs = (verify_bundle.numbers(table[name]) for table in (one, other))
        except ValueError:
            return False
        if ours.shape != theirs.shape or not np.allclose(ours, theirs, rtol=1e-8, atol=1e-12, equal_nan=True):
            return False
    return True


def _not_drawn(bundle: Path, content: CurvesFile) -> list[str]:
    with tempfile.TemporaryDirectory() as folder:
        problems = _bare(bundle / 'figures/make_figures.py', ('numpy', 'matplotlib'), ('-o', folder))
        drawn = {path.relative_to(folder).as_posix() for path in Path(folder).rglob('*') if path.is_file()}
    named = {name.partition('/')[2] for run in content['runs'] for f in run['figures'] for name in f['files']}
    return problems + [f'{name} was not drawn' for name in sorted(named - drawn)]


def _broken(content: CurvesFile) -> list[str]:
    return [line for run in content['runs'] for _, lines in trace_bundle.broken_links(run) for line in lines]


def _bare(script: Path, packages: tuple[str, ...], arguments: tuple[str, ...] = ()) -> list[str]:
    try:
        done = run_bare(script, packages, arguments)
    except subprocess.TimeoutExpired as error:
        return [f'{script.name} did not end within {error.timeout:g} s']
    if done.returncode == 0:
        return []
    said = (done.stderr.strip() or done.stdout.strip()).splitlines() or ['no reason given']
    return [f'{script.name}: {said[-1]}']
