"""The same ± everywhere: bands, what is told of them, slider, table, CSV, print, results; and where there is none."""

import csv

import numpy as np
import pytest

from aiida_mlcc.report.data.arrays import curves_of_run
from aiida_mlcc.report.data.outputs import outputs_of
from aiida_mlcc.report.data.results import results_of
from aiida_mlcc.report.page.figures import readout_data
from aiida_mlcc.report.print.article_figures import dispersion_of_all
from aiida_mlcc.report.publication.captions import figures_with_captions
from aiida_mlcc.report.publication.make_figures import read_bands
from aiida_mlcc.report.publication.run_content import _columns
from aiida_mlcc.report.publication.verify_bundle import read_table
from tests.report.read_page import findings_of

TOTAL, HALFWAY = 4.0, 6.0
"""What tests.graphs gives CCSD(T) along the path, and its lowest mode halfway to X."""


@pytest.fixture(scope='module')
def curves(run):
    return curves_of_run(run.master)


def of_bands(page, role, method):
    """Return the trace of a method's bands; those of its density of states are on another axis."""
    return next(
        trace
        for trace in page.data['dispersion-data']['data']
        if trace['meta'] == {'role': role, 'method': method} and trace.get('xaxis') != 'x2'
    )


def test_the_band_is_that_of_the_error_budget(page_of_run, run):
    shade = of_bands(page_of_run, 'sd', 'CCSD(T)')
    gap = shade['y'].index(None)
    above = shade['y'][:gap]
    mean, n_points = run.dispersion['CCSD(T)'].get_bands()[:, 0], gap // 2
    expected = [TOTAL, TOTAL, HALFWAY, TOTAL, TOTAL][:n_points]
    assert mean[:n_points] - np.array(above[:n_points]) == pytest.approx(expected)
    assert shade['visible']


def test_hovering_tells_the_error_that_the_table_has(page_of_run):
    line = of_bands(page_of_run, 'line', 'CCSD(T)')
    assert '± %{customdata[2]:.1f}' in line['hovertemplate']
    told = [row[2] for row in line['customdata'] if row[2] is not None]
    assert set(told) == {TOTAL, HALFWAY}


def test_hovering_tells_of_members_where_there_is_no_budget(page_of_run):
    template = of_bands(page_of_run, 'line', 'HF')['hovertemplate']
    assert '±' not in template
    assert 'members %{customdata[3]:.1f} to %{customdata[4]:.1f}, sd' in template
    assert any('Of LDA and HF the sd is that over the members only' in word for word in page_of_run.words)


def test_the_slider_reads_the_error_of_the_table(run, curves):
    read = readout_data(curves)['methods']
    points = results_of(run.master)['methods']['CCSD(T)']['special_points_cm1']
    for index, label in curves.dispersion['CCSD(T)'].labels:
        assert read['CCSD(T)']['sd'][index] == points[label]['sd']
    assert (read['CCSD(T)']['sd_of'], read['HF']['sd_of']) == ('error budget', 'members')


def test_the_csv_file_has_it_and_the_spread_of_the_members_beside_it(written):
    with (written[0] / 'bands_ccsd_t.csv').open(newline='') as file:
        rows = list(csv.DictReader(file))
    assert {float(row['sd']) for row in rows} == {TOTAL, HALFWAY}
    assert float(rows[-1]['sd_members']) == pytest.approx(np.sqrt(2))
    assert 'sd_members' not in (written[0] / 'bands_hf.csv').read_text().splitlines()[0]


def test_the_printed_figure_shades_it_from_the_csv_file_too(written, curves, run):
    cell = np.asarray(run.dispersion['CCSD(T)'].cell)
    read = read_bands(written[0] / 'bands_ccsd_t.csv', list(curves.dispersion['CCSD(T)'].members), cell)
    assert read.sd == pytest.approx(curves.dispersion['CCSD(T)'].sd)
    figure = dispersion_of_all(curves, ())
    low = min(path.vertices[:, 1].min() for shade in figure.axes[0].collections for path in shade.get_paths())
    assert low == pytest.approx(-HALFWAY - 1, abs=1.01)


def test_the_caption_says_of_which_methods(run):
    found = findings_of(run.master)
    entry = {'formula': 'LiF', 'folder': '', 'curves': [{'id': 'bands_hf', 'kind': 'bands'}], 'tables': {}}
    caption = next(each['caption'] for each in figures_with_captions(found, entry) if each['name'] == 'dispersion')
    assert 'of the error budget in the dispersion of CCSD(T)' in caption
    assert 'over the members in the dispersion of LDA and HF' in caption


def test_results_say_what_the_errors_of_the_bands_are(run):
    methods = results_of(run.master)['methods']
    assert {method: entry['bands_sd_of'] for method, entry in methods.items()} == {
        'LDA': 'members',
        'HF': 'members',
        'CCSD(T)': 'error budget',
    }


def test_a_bundle_traces_it_to_the_node_of_the_budget(written, run):
    errors = outputs_of(run.master)['band_errors__ccsd_t']
    table = read_table(written[0] / 'bands_ccsd_t.csv')
    columns = _columns('bands', table, [run.dispersion['CCSD(T)'], errors])
    assert columns['sd'] == {'node': errors.uuid, 'array': 'sd', 'by_branch': True}
    assert columns['sd_members'] == {'node': run.dispersion['CCSD(T)'].uuid, 'array': 'sd', 'by_branch': True}
