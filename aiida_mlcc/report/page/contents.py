"""What stands on the page besides curves, and all of it in its order."""

from __future__ import annotations

from aiida_mlcc.report.curve_table import Drawn, Placed, all_shown, in_place
from aiida_mlcc.report.data.run import Findings
from aiida_mlcc.report.page.figures import error_figure, learning_figure
from aiida_mlcc.report.page.tables import (
    Table,
    error_rows,
    error_table,
    learning_table,
    residual_table,
    suspicious_table,
    undetermined_table,
    verdict_table,
)

_ERRORS, _LEARNING = 50, 60
"""Their places among what a run may lack."""


def figures_of(found: Findings) -> list[Drawn]:
    """Return the figures there is something to draw in."""
    own = []
    if (figure := error_figure(error_rows(found.results))) is not None:
        caption = 'A point a member of what was fitted, and of the kinds of Δ that were only compared.'
        own.append(Drawn('errors', 'Errors of the energies', figure, caption, place=70))
    if (figure := learning_figure(found.results['learning_curve'])) is not None:
        caption = 'The largest sd at each point against the number of energies computed.'
        own.append(Drawn('learning', 'Learning curve', figure, caption, place=80))
    return in_place('figures', found, own)


def tables_of(found: Findings) -> list[Table]:
    """Return the tables that have a row."""
    own = [
        Placed(residual_table(found.residuals), 20),
        Placed(error_table(error_rows(found.results)), 50),
        Placed(verdict_table(found.results), 52),
        Placed(undetermined_table(found.results), 53),
        Placed(suspicious_table(found.results), 55),
        Placed(learning_table(found.results['learning_curve']), 60),
    ]
    return [placed.table for placed in in_place('tables', found, own) if placed.table is not None]


def missing_from(found: Findings) -> list[str]:
    """Return what the run lacks of what was asked for."""
    lines = [(entry.place, line) for entry in all_shown().values() for line in entry.missing(found)]
    given = found.process.base.links.get_incoming(link_label_filter='force_fields__%').all_nodes()
    if not given and not error_rows(found.results):
        lines.append((_ERRORS, 'errors of force fields'))
    in_rounds = found.process.base.links.get_incoming(link_label_filter='cc_energies__rounds').all_nodes()
    if in_rounds and not found.results['learning_curve']:
        lines.append((_LEARNING, 'a learning curve'))
    return [line for _, line in sorted(lines, key=lambda placed: placed[0])]
