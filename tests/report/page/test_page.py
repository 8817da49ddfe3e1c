"""The page: the numbers of the nodes, nothing from elsewhere, nothing run that a name holds, and what is missing."""

import base64
import hashlib
import re

import numpy as np
import pytest
from aiida import orm

from aiida_mlcc.report.data.outputs import by_method
from aiida_mlcc.report.page.page import render, write_report
from aiida_mlcc.report.print.figures import NothingToPlot
from tests.report.full_run import finished
from tests.report.read_page import Page, page_of, traces

HOSTILE = '</script><img src=x onerror="alert(1)">'


@pytest.fixture(scope='module')
def page(page_of_run):
    """Return the page of the whole run."""
    return page_of_run


def test_every_method_has_its_dispersion_and_can_be_switched_off(run, page):
    assert list(traces(page, 'dispersion', 'line')) == ['LDA', 'HF', 'CCSD(T)']
    assert set(traces(page, 'spectrum', 'line')) == {'LDA', 'HF', 'CCSD(T)'}


@pytest.mark.parametrize('method', ['LDA', 'HF', 'CCSD(T)'])
def test_drawn_frequencies_are_those_of_the_node(run, page, method):
    lines = [t for t in page.data['dispersion-data']['data'] if t['meta'] == {'role': 'line', 'method': method}]
    drawn = [y for y in lines[0]['y'] if y is not None]
    # Branch after branch, each along the whole path.
    assert pytest.approx(run.dispersion[method].get_bands(), abs=1e-3) == np.reshape(drawn, (6, 6)).T


def test_hovering_tells_branch_wave_vector_and_spread(run, page):
    trace = next(t for t in page.data['dispersion-data']['data'] if t['meta'] == {'role': 'line', 'method': 'HF'})
    branch, q, sd, low, high = trace['customdata'][4]
    node = run.dispersion['HF']
    assert (branch, q) == (1, '0.500 0.000 0.500')
    assert [sd, low, high] == pytest.approx([node.get_array(name)[4, 0] for name in ('sd', 'min', 'max')], abs=0.01)


def test_each_member_is_there_and_hidden_at_first(page):
    members = [t for t in page.data['dispersion-data']['data'] if t['meta']['role'] == 'member' and 'xaxis' not in t]
    assert len(members) == 6
    assert not any(trace['visible'] for trace in members)


def test_the_density_of_states_shares_the_axis_of_frequency(page):
    sideways = [t for t in page.data['dispersion-data']['data'] if t.get('xaxis') == 'x2']
    assert sideways
    assert not any('yaxis' in trace for trace in sideways)
    assert 'cm⁻¹' in page.data['dispersion-data']['layout']['yaxis']['title']['text']


def test_tables_hold_the_frequencies_and_their_errors(page):
    text = ''.join(page.words)
    assert '320.0 ± 4.0' in text
    assert 'Error budget' in text
    assert 'HF did not converge' in text


def test_the_provenance_unfolds_to_every_energy(run, page):
    text = ''.join(page.words)
    for snapshot in (1, 3):
        assert f'{run.energies["CCSD(T)"][snapshot]:.6f}' in text
    assert run.correlate.uuid in text


def test_nothing_is_loaded_from_elsewhere(page):
    assert all(value.startswith('data:') for value in page.loaded)
    assert "default-src 'none'" in page.policy


def test_the_policy_allows_these_scripts_and_no_others(page):
    hashes = [f'sha256-{base64.b64encode(hashlib.sha256(s.encode()).digest()).decode()}' for s in page.scripts]
    assert re.findall(r"'(sha256-[^']+)'", page.policy) == hashes


def test_no_button_sends_the_figure_away(page):
    assert 'sendChartToCloud' not in page.scripts[-1]
    assert 'modeBarButtons:' in page.scripts[-1]


def test_names_out_of_an_archive_stay_text(run):
    bands = orm.BandsData()
    bands.set_cell(run.dispersion['HF'].cell)
    bands.set_kpoints([[0, 0, 0], [0.5, 0, 0.5]])
    bands.labels = [(0, 'GAMMA'), (1, HOSTILE)]
    bands.set_bands(np.ones((2, 6)), units='cm^-1')
    bands.set_array('members', np.ones((1, 2, 6)))
    bands.base.attributes.set('members', [HOSTILE])
    page = page_of(finished({'dispersion__hf': bands.store()}, label=HOSTILE))
    assert HOSTILE in ''.join(page.words)
    assert not any('onerror' in image for image in page.images)
    assert len(page.scripts) == 2
    figure = page.data['dispersion-data']
    assert not any('<img' in trace.get('name', '') for trace in figure['data'])
    assert not any('<img' in text for text in figure['layout']['xaxis']['ticktext'])


def test_a_run_with_one_dispersion_says_what_else_is_not_there(run):
    process = finished({'dispersion__ccsd_t': run.dispersion['CCSD(T)']}, exit_status=410)
    page = page_of(process)
    text = ''.join(page.words)
    for name in ('a spectrum from dynamics', 'an error budget', 'errors of force fields'):
        assert name in text
    assert 'a learning curve' not in text, 'nobody asked for labelling in rounds'
    assert 'exit status 410: Finished without HF; the other results are complete.' in text
    assert set(page.data) == {'dispersion-data', 'readout-data'}


def test_a_run_with_densities_only_is_drawn(run):
    dos = by_method(run.master, 'dos')['HF']
    page = page_of(finished({'dos__hf': dos}))
    assert 'a dispersion' in ''.join(page.words)
    assert page.data['readout-data'] == {}


def test_a_run_without_curves_is_a_sentence(run, tmp_path):
    with pytest.raises(NothingToPlot, match='no curve to report'):
        write_report(finished({}), tmp_path)


def test_modes_in_motion_are_on_the_page_as_data_where_there_are_any(everything, page_of_full):
    motions = {'methods': {'<HF>': []}}
    assert Page(render(everything, motions=motions)).data['motion-data'] == motions
    assert 'motion-data' not in page_of_full.data
