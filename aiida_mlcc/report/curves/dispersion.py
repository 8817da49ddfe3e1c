"""Dispersion, density of states, special points with their errors, and the symmetry of the force constants."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from aiida import orm

from aiida_mlcc.report.csv_files import along_path, of_density, safe
from aiida_mlcc.report.curve_table import Content, Drawn, Files, Placed, Printed, Shown, listed
from aiida_mlcc.report.data.arrays import MEMBERS
from aiida_mlcc.report.data.modes import label_at_gamma, undetermined_modes
from aiida_mlcc.report.data.records import HarmonicResults, Results, SpecialPoint
from aiida_mlcc.report.data.run import Findings
from aiida_mlcc.report.page.figures import dispersion_figure
from aiida_mlcc.report.page.tables import Table, long_range_table, special_points_table
from aiida_mlcc.report.print.article_figures import brillouin_zone, dispersion_of_all, members_figure
from aiida_mlcc.science.phonons.gamma_modes import GammaMode

_CAPTION = (
    'Lines: mean over the members, DFT dashed. Shaded: ± one sd, that of the error budget in the dispersion and that '
    'over the members in the density of states, or the range over the members. The density of states shares the axis '
    'of frequency. Imaginary frequencies are drawn below zero. Point at a line to read branch, wave vector (units of '
    'the reciprocal lattice) and error, or move the slider.'
)

_DOTTED = ' Dotted: the splitting of LO and TO is not determined there, see the table.'

_SYMMETRY = {
    'translation_eV_A2': 'sum over neighbours (eV/Å²)',
    'permutation_eV_A2': 'Φᵢⱼ − Φⱼᵢᵀ (eV/Å²)',
    'largest_eV_A2': 'largest of Φ (eV/Å²)',
    'residual_force_eV_A': 'force at rest (eV/Å)',
}


def read(nodes: Mapping[str, orm.Data]) -> HarmonicResults:
    """Return the modes at the special points and at Γ, and ``force_constants``.

    ``special_points_cm1`` → LABEL → ``qpoint`` (fractional), ``mean``, ``min``, ``max``, ``sd`` (one number a mode) and
    ``members`` (one list a member); ``contributions`` to the sd and ``commensurate`` are not known without an error
    budget; ``undetermined`` lists modes whose LO–TO splitting nothing determines. ``long_range``: ``lo_remark`` says
    why, and ``lo_missing`` that there is none, without Born charges. ``gamma_modes``: label, modes and frequencies.
    ``force_constants``: member → how far they were from their symmetry.
    """
    found: HarmonicResults = {}
    if (node := nodes.get('special_points')) is not None:
        entries = {label: e for label, e in node.get_dict().items() if isinstance(e, Mapping) and 'qpoint' in e}
        found['special_points_cm1'] = {
            label: {
                'qpoint': entry['qpoint'],
                'mean': entry['mean'],
                'min': entry['min'],
                'max': entry['max'],
                'members': entry['members'],
                'sd': entry['sd'],
                'contributions': {},
                'commensurate': None,
                'undetermined': entry.get('undetermined', []),
            }
            for label, entry in entries.items()
        }
        found['long_range'] = {'lo_remark': '', 'lo_missing': False, **node.get_dict().get('long_range', {})}
    if (node := nodes.get('gamma_modes')) is not None:
        found['gamma_modes'] = node.get_dict()['modes']
    if (node := nodes.get('force_constants')) is not None:
        found['force_constants'] = node.get_dict()
    return found


def force_constants_table(results: Results) -> Table | None:
    """Return by how much force constants broke the symmetry that was enforced, a row a member."""
    found = {m: entry['force_constants'] for m, entry in results['methods'].items() if entry.get('force_constants')}
    if not found:
        return None
    groups = [
        (method, [[member, *(_size(sizes.get(name)) for name in _SYMMETRY)] for member, sizes in members.items()])
        for method, members in found.items()
    ]
    note = 'The largest component of each, before the symmetry of translations and permutations was enforced.'
    header = ['member', *_SYMMETRY.values()]
    return Table('Symmetry of the force constants', header, groups, note, group_methods=list(found), folded=True)


def _size(value: float | None) -> str:
    return '–' if value is None else f'{value:.2g}'


def _points(points: Mapping[str, SpecialPoint], modes_at_gamma: Sequence[GammaMode]) -> Content:
    header = ['label', 'q1', 'q2', 'q3', 'mode', 'mean', 'min', 'max', 'sd', 'commensurate', 'undetermined']
    header.append('irreducible')
    rows = (
        [
            safe(label),
            *entry['qpoint'],
            mode + 1,
            *(values[mode] for values in (entry['mean'], entry['min'], entry['max'], entry['sd'])),
            '' if entry['commensurate'] is None else entry['commensurate'],
            mode in undetermined_modes(entry),
            safe(label_at_gamma(modes_at_gamma, entry['mean'][mode])) if label == 'GAMMA' else '',
        ]
        for label, entry in points.items()
        for mode in range(len(entry['mean']))
    )
    return header, rows


def _figures(found: Findings) -> list[Drawn]:
    curves = found.curves
    if not curves.dispersion and not curves.dos:
        return []
    n_points = len(next(iter(curves.dispersion.values())).qpoints) if curves.dispersion else 0
    title = 'Dispersion and density of states' if curves.dispersion else 'Density of states'
    marked = any(curve.undetermined is not None for curve in curves.dispersion.values())
    caption = _CAPTION + (_DOTTED if marked else '')
    if without := [method for method, curve in curves.dispersion.items() if curve.sd_of == MEMBERS]:
        caption += f' Of {listed(without)} the sd is that over the members only: there is no error budget of the path.'
    return [Drawn('dispersion', title, dispersion_figure(curves, found.residuals), caption, n_points, 10)]


def _tables(found: Findings) -> list[Placed]:
    return [
        Placed(special_points_table(found.results), 10),
        Placed(long_range_table(found.results), 60),
        Placed(force_constants_table(found.results), 80),
    ]


def _files(found: Findings) -> list[Files]:
    points = {
        method: _points(entry['special_points_cm1'], entry.get('gamma_modes', ()))
        for method, entry in found.results['methods'].items()
    }
    return [
        Files(
            'bands',
            {method: along_path(curve) for method, curve in found.curves.dispersion.items()},
            10,
            ('dispersion', 'band_errors'),
        ),
        Files('dos', {method: of_density(curve) for method, curve in found.curves.dos.items()}, 30, ('dos',)),
        Files('special_points', points, 90, ('special_points', 'error_budget', 'gamma_modes')),
    ]


def _prints(found: Findings) -> list[Printed]:
    references = found.residuals if found.curves.dispersion else ()
    return [
        Printed('dispersion', dispersion_of_all(found.curves, references), 10),
        Printed('members', members_figure(found.curves), 20),
        Printed('brillouin_zone', brillouin_zone(found.curves), 60),
    ]


def _missing(found: Findings) -> list[str]:
    checks = {'a dispersion': found.curves.dispersion, 'a harmonic density of states': found.curves.dos}
    return [name for name, there in checks.items() if not there]


SHOWN = Shown(
    part='methods',
    outputs=('dispersion', 'dos', 'special_points', 'group_velocities', 'gamma_modes', 'force_constants'),
    read=read,
    units={
        'special_points_cm1': 'cm⁻¹',
        'long_range': 'none: what is not known of LO and TO',
        'gamma_modes': 'cm⁻¹',
        'force_constants': 'in the names: eV/Å², eV/Å',
    },
    figures=_figures,
    tables=_tables,
    files=_files,
    prints=_prints,
    missing=_missing,
    place=10,
)
