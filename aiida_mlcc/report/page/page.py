"""``aiida-mlcc report``: one page with all that a run found, which needs no network, and the files beside it."""

from __future__ import annotations

import base64
import hashlib
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aiida import orm

from aiida_mlcc import __version__
from aiida_mlcc.report.curve_table import Drawn, listed
from aiida_mlcc.report.data.arrays import Curves
from aiida_mlcc.report.data.delta_verdicts import undetermined_lines, verdict_lines
from aiida_mlcc.report.data.imaginary import imaginary_lines, imaginary_summary
from aiida_mlcc.report.data.records import Results
from aiida_mlcc.report.data.references import References, Residual
from aiida_mlcc.report.data.run import Findings, read_run
from aiida_mlcc.report.exports import mean_phonons, write_csv, write_phonopy_files, write_residuals
from aiida_mlcc.report.page.contents import figures_of, missing_from, tables_of
from aiida_mlcc.report.page.figures import readout_data
from aiida_mlcc.report.page.motion import Motions, motions_of
from aiida_mlcc.report.page.provenance import (
    caveat_lines,
    citations_of,
    cost_lines,
    crystal_line,
    formula_of,
    provenance_of,
    settings_of,
    versions_of,
)
from aiida_mlcc.report.page.tables import budget_tables
from aiida_mlcc.report.print.article_figures import brillouin_zone, write_figures
from aiida_mlcc.report.print.figures import NothingToPlot, colour_of, is_dashed
from aiida_mlcc.report.text import failure_lines

if TYPE_CHECKING:
    from markupsafe import Markup

PAGE = 'index.html'


@dataclass(frozen=True)
class Written:
    """The files of a report, what could not be written and why, and the comparison with references."""

    files: list[Path]
    missing: list[str]
    residuals: list[Residual]


def write_report(process: orm.ProcessNode, folder: Path, references: Sequence[References] = ()) -> Written:
    """Write the page of a master WorkChain and the files beside it.

    :param references: a person's own, beside those that come with the package for the crystal.
    :raises NothingToPlot: where the run has no curve of any kind.
    """
    found = read_run(process, references)
    curves, residuals = found.curves, list(found.residuals)
    if not curves.methods:
        raise NothingToPlot(f'{process.process_label}<{process.pk}> has no curve to report')
    folder.mkdir(parents=True, exist_ok=True)
    files = write_csv(found, folder)
    phonons, without = mean_phonons(curves)
    files += write_phonopy_files(curves, phonons, folder)
    reasons = {reason: [method for method in without if without[method] == reason] for reason in without.values()}
    missing = [
        f'no band.yaml and phonopy_params.yaml of {listed(methods)}: {reason}' for reason, methods in reasons.items()
    ]
    files += write_figures(found, folder)
    if residuals:
        files.append(write_residuals(residuals, folder))
    page = render(found, [file.name for file in files], missing, motions_of(curves, phonons))
    (folder / PAGE).write_text(page, encoding='utf-8')
    return Written([folder / PAGE, *files], missing, residuals)


def render(
    found: Findings,
    files: Sequence[str] = (),
    not_written: Sequence[str] = (),
    motions: Motions | None = None,
) -> str:
    """Return the page as HTML.

    :param files: names of what lies beside the page.
    :param not_written: what does not, and why.
    :param motions: the modes to be animated, of :func:`~aiida_mlcc.report.page.motion.motions_of`.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup
    from plotly.offline import get_plotlyjs

    loader = PackageLoader('aiida_mlcc.report.page', 'templates')
    environment = Environment(
        loader=loader,
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
    )
    style, script = (loader.get_source(environment, f'report.{ending}')[0] for ending in ('css', 'js'))
    process, curves, results = found.process, found.curves, found.results
    library, formula = get_plotlyjs(), formula_of(process)
    return environment.get_template('report.html').render(
        version=__version__,
        policy=_policy(library, script),
        title=f'{formula or "Crystal"}: phonons by {listed(curves.methods)}',
        subtitle=_subtitle(process),
        crystal=crystal_line(process),
        notices=_notices(process, results),
        imaginary=imaginary_lines(results),
        imaginary_summary=imaginary_summary(results),
        missing=_missing(found),
        not_written=not_written,
        methods=[{'name': m, 'colour': colour_of(m), 'dashed': is_dashed(m)} for m in curves.methods],
        has_elements=any(len(curve.elements) > 1 for curve in curves.vdos.values()),
        has_full_mesh=curves.has_full_mesh,
        has_references=bool(found.residuals),
        figures=[_embedded(drawn) for drawn in figures_of(found)],
        tables=tables_of(found),
        budgets=budget_tables(results),
        zone=_zone(curves),
        run_facts=_run_facts(process),
        provenance=provenance_of(curves),
        settings=settings_of(process),
        citations=citations_of(process),
        files=files,
        readout=_json(readout_data(curves)),
        motions=_json(motions) if motions else None,
        style=Markup(style),
        library=Markup(library),
        script=Markup(script),
    )


@dataclass(frozen=True)
class Embedded:
    """A figure as the template takes it; `alt` is read aloud."""

    id: str
    title: str
    json: Markup
    caption: str
    alt: str
    readout: int


def _embedded(drawn: Drawn) -> Embedded:
    from markupsafe import Markup

    content = Markup(_escaped(drawn.figure.to_json(validate=False)))
    alt = f'{drawn.title}: interactive figure'
    return Embedded(drawn.name, drawn.title, content, drawn.caption, alt, drawn.readout)


def _notices(process: orm.ProcessNode, results: Results) -> list[str]:
    notices = []
    if not process.is_terminated:
        notices.append('The run is not over: this is what there is by now.')
    elif not process.is_finished_ok:
        reason = process.exit_message or f'it ended {process.process_state}'
        notices.append(f'The run ended with exit status {process.exit_status}: {reason}')
    missing = [f'Missing: {line}' for line in failure_lines(results['failed'])]
    return [*notices, *missing, *verdict_lines(results), *undetermined_lines(results)]


def _missing(found: Findings) -> list[str]:
    asked = found.process.base.links.get_incoming(link_label_filter='methods').all_nodes()
    wanted = asked[0].get_list() if asked and isinstance(asked[0], orm.List) else []
    lost = [method for method in wanted if method not in found.curves.methods]
    return [*(f'curves of {method}' for method in lost), *missing_from(found)]


def _run_facts(process: orm.ProcessNode) -> list[tuple[str, str]]:
    facts = [('run', f'{process.process_label} {process.uuid}')]
    if process.label:
        facts.append(('label', process.label))
    if process.description:
        facts.append(('description', process.description))
    facts += [('started', f'{process.ctime:%Y-%m-%d %H:%M %Z}'), ('versions', versions_of(process) or 'unknown')]
    return [*facts, *cost_lines(process), *caveat_lines(process)]


def _subtitle(process: orm.ProcessNode) -> str:
    return ' · '.join(filter(None, [process.label, process.process_label, process.uuid, f'{process.ctime:%Y-%m-%d}']))


def _zone(curves: Curves) -> str:
    figure = brillouin_zone(curves)
    if figure is None:
        return ''
    drawn = io.BytesIO()
    figure.savefig(drawn, format='svg', transparent=True)
    return f'data:image/svg+xml;base64,{base64.b64encode(drawn.getvalue()).decode()}'


def _policy(*scripts: str) -> str:
    """Allow these scripts and no others: a name out of an archive cannot run, and nothing is fetched."""
    hashes = ' '.join(f"'sha256-{base64.b64encode(hashlib.sha256(s.encode()).digest()).decode()}'" for s in scripts)
    return (
        f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; img-src data: blob:; base-uri 'none'; "
        "form-action 'none'"
    )


def _json(content: Any) -> Any:
    from markupsafe import Markup

    return Markup(_escaped(json.dumps(content, ensure_ascii=False)))


def _escaped(text: str) -> str:
    """Return JSON that nothing in it can end the script element of."""
    return text.replace('<', '\\u003c').replace('>', '\\u003e').replace('&', '\\u0026')
