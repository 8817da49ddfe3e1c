"""What stands below each figure of a bundle, and what it is drawn from."""

from __future__ import annotations

from collections.abc import Sequence

from aiida_mlcc.report.curve_table import listed
from aiida_mlcc.report.data.arrays import ERROR_BUDGET, MEMBERS, Curves
from aiida_mlcc.report.data.run import Findings
from aiida_mlcc.report.publication.entries import FigureEntry, RunEntry
from aiida_mlcc.report.publication.make_figures import ENDINGS

_LINES = 'Lines: mean over the members, DFT dashed. Shaded:'
_RANGE = 'the range over the members'
_ERROR = {
    ERROR_BUDGET: '± one standard deviation of the error budget in the dispersion',
    MEMBERS: '± one standard deviation over the members in the dispersion',
}
_DOTTED = ' White dots: nothing determines the splitting of LO and TO there.'
_SOURCES = {
    'dispersion': (('bands', 'dos', 'vdos'), ('residuals',)),
    'members': (('bands',), ()),
    'spectra': (('vdos', 'harmonic_dos', 'dos'), ()),
    'projected_spectra': (('vdos', 'dos'), ()),
    'errors': ((), ('errors',)),
    'brillouin_zone': (('bands',), ()),
}
"""Figure → the kinds of CSV files that it is drawn from, a file a method, and the tables of the run."""


def figures_with_captions(found: Findings, entry: RunEntry) -> list[FigureEntry]:
    """Return the figures of a run as ``curves.json`` lists them.

    :param entry: of the run, with its ``curves`` and ``tables``.
    """
    texts = _texts(found, entry)
    figures: list[FigureEntry] = []
    for name, (kinds, tables) in _SOURCES.items():
        curves = [curve['id'] for curve in entry['curves'] if curve['kind'] in kinds]
        read = [table for table in tables if table in entry['tables']]
        if name not in texts or not (curves or read):
            continue
        folder = f'figures/{entry["folder"]}'.rstrip('/')
        figures.append(
            {
                'name': name,
                'files': [f'{folder}/{name}.{ending}' for ending in ENDINGS],
                'caption': texts[name],
                'curves': curves,
                'tables': [entry['tables'][table] for table in read],
            }
        )
    return figures


def _texts(found: Findings, entry: RunEntry) -> dict[str, str]:
    curves = found.curves
    crystal = entry['formula'] or 'the crystal'
    texts = {}
    drawn = [
        name
        for name, there in (
            ('phonon dispersion', curves.dispersion),
            ('harmonic density of states', curves.dos),
            ('vibrational density of states from dynamics', curves.vdos),
        )
        if there
    ]
    if drawn:
        marked = any(curve.undetermined is not None for curve in curves.dispersion.values())
        text = f'{listed(drawn).capitalize()} of {crystal} by {listed(curves.methods)}. {_LINES} {_shaded(curves)}.'
        text += _DOTTED if marked else ''
        if 'residuals' in entry['tables']:
            text += ' Diamonds: references, cited in the table of residuals.'
        texts['dispersion'] = text
    if curves.dispersion:
        n_members = max(len(curve.members) for curve in curves.dispersion.values())
        texts['members'] = (
            f'Phonon dispersion of {crystal} by each of the {n_members} members of an ensemble, a panel a method.'
        )
        texts['brillouin_zone'] = f'Brillouin zone of {crystal} with the path of the dispersion.'
    if curves.vdos:
        texts['spectra'] = (
            f'Vibrational density of states of {crystal} from the velocity autocorrelation of dynamics (line, with the '
            'range over the members) and of the harmonic crystal (dashed).'
        )
    chosen = curves.vdos or curves.dos
    if len({symbol for curve in chosen.values() for symbol in curve.elements}) > 1:
        source = 'dynamics' if curves.vdos else 'the harmonic crystal'
        texts['projected_spectra'] = f'Parts of the elements in the density of states of {crystal} from {source}.'
    if 'errors' in entry['tables']:
        texts['errors'] = 'Root-mean-square errors of the energies of the force fields, a bar a member.'
    return texts


def _shaded(curves: Curves) -> str:
    """Return what is shaded in the dispersion and in the densities of states."""
    by_kind: dict[str, list[str]] = {}
    for method, curve in curves.dispersion.items():
        by_kind.setdefault(curve.sd_of, []).append(method)
    parts = [
        _ERROR[kind] + (f' of {listed(methods)}' if len(by_kind) > 1 else '')
        for kind, methods in sorted(by_kind.items())
    ]
    if curves.dos or curves.vdos:
        parts.append(f'{_RANGE} in the densities of states' if parts else _RANGE)
    return listed(parts)


def captions_text(runs: Sequence[RunEntry]) -> str:
    """Return the captions of all figures with their sources, as Markdown."""
    lines = ['# Captions and sources', '']
    for run in runs:
        by_id = {curve['id']: curve for curve in run['curves']}
        if len(runs) > 1:
            lines += [f'## {run["folder"]}: {run["label"] or run["formula"]}', '']
        for figure in run['figures']:
            sources = [f'{by_id[name]["csv"]} (node {", ".join(by_id[name]["nodes"])})' for name in figure['curves']]
            lines += [f'**{figure["name"]}**. {figure["caption"]}', '', 'Drawn by `figures/make_figures.py` from:', '']
            lines += [f'- {source}' for source in [*sources, *figure['tables']]]
            lines.append('')
    return '\n'.join(lines)
