"""What every entry of the table of shown curves must keep: plain data with units, and a place where they are shown."""

import json

import pytest

from aiida_mlcc.report.curve_table import all_shown
from aiida_mlcc.report.data.results import to_json
from aiida_mlcc.workflows.curve_table import all_curves
from tests.report.full_run import finished
from tests.report.read_page import findings_of

SLUG = 'hf'
DRAWN = [name for name, curve in all_curves().items() if curve.arguments is not None]
PARTS = {'harmonic_phonon': 'methods', 'vacf': 'dynamics'}


@pytest.fixture(scope='module')
def made(curve_nodes):
    """Return output → node, as the calcfunctions of the table give them."""
    return {name: node for outputs in curve_nodes.values() for name, node in outputs.items()}


@pytest.fixture(scope='module')
def calculated(made):
    """Return what is found of a run that returned these nodes."""
    process = finished({f'{name}__{SLUG}': node for name, node in made.items()})
    return findings_of(process)


def test_all_that_is_calculated_is_shown_and_nothing_else():
    assert set(all_shown()) == set(all_curves())


@pytest.mark.parametrize('name', all_shown())
def test_an_entry_reads_what_the_calcfunction_gives(name):
    shown, curve = all_shown()[name], all_curves()[name]
    assert set(shown.outputs) == set(curve.outputs)
    assert shown.part == PARTS[curve.stage]


@pytest.mark.parametrize('name', DRAWN)
def test_the_reader_gives_plain_data_with_units(made, name):
    shown = all_shown()[name]
    found = shown.read({output: made[output] for output in shown.outputs if output in made})
    assert found
    assert set(found) <= set(shown.units)
    assert all(shown.units.values())
    assert json.loads(json.dumps(found, allow_nan=False)) == found


@pytest.mark.parametrize('name', all_shown())
def test_without_nodes_there_is_nothing_to_read(name):
    assert all_shown()[name].read({}) == {}


def test_results_hold_every_key_that_an_entry_promises(calculated):
    for name in DRAWN:
        shown = all_shown()[name]
        assert set(shown.units) <= set(calculated.results[shown.part]['HF'])
    to_json(calculated.results)


@pytest.mark.parametrize('name', all_shown())
def test_a_curve_has_a_figure_or_a_table_or_adds_to_one_that_has(calculated, everything, name):
    shown = all_shown()[name]
    content = calculated.results[shown.part]['HF']
    found = calculated if set(shown.units) <= set(content) else everything
    visible = [*shown.figures(found), *shown.prints(found), *(t for t in shown.tables(found) if t.table is not None)]
    others = {key for other, entry in all_shown().items() if other != name for key in entry.units}
    assert visible or set(shown.units) <= others


@pytest.mark.parametrize('name', all_shown())
def test_csv_files_have_a_row_of_as_many_cells_as_their_header(calculated, name):
    for files in all_shown()[name].files(calculated):
        for header, rows in files.contents.values():
            rows = list(rows)
            assert rows
            assert all(len(row) == len(header) for row in rows)


def test_no_two_entries_write_the_same_file(everything):
    for kind, key in (('figures', 'name'), ('files', 'kind'), ('prints', 'name')):
        items = [item for shown in all_shown().values() for item in getattr(shown, kind)(everything)]
        names = [getattr(item, key) for item in items]
        assert len(set(names)) == len(names)
