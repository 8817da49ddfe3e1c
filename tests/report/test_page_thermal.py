"""Thermal properties and displacements on the page: the numbers of the nodes, with units, and as text."""

import pytest

from aiida_mlcc.report.curves.thermal import displacement_figure, imaginary_text, thermal_figure
from aiida_mlcc.report.data.results import results_of
from tests.report.full_run import MEMBERS, SLUGS, TEMPERATURES

pytestmark = pytest.mark.nightly

PANELS = {'free_energy_kJ_mol': 'y', 'entropy_J_K_mol': 'y2', 'heat_capacity_J_K_mol': 'y3'}


@pytest.fixture(scope='module')
def page(page_of_full):
    """Return the page of the run that has everything."""
    return page_of_full


def _drawn(page, figure, panel, role, method):
    data = page.data[f'{figure}-data']['data']
    return [t for t in data if t['yaxis'] == panel and t['meta'] == {'role': role, 'method': method}]


@pytest.mark.parametrize('quantity', list(PANELS))
@pytest.mark.parametrize('method', list(SLUGS))
def test_each_quantity_of_each_method_is_drawn_as_its_node_has_it(full, page, quantity, method):
    node = full.nodes[f'thermal_properties__{SLUGS[method]}']
    (line,) = _drawn(page, 'thermal', PANELS[quantity], 'line', method)
    assert line['x'] == pytest.approx(TEMPERATURES)
    assert line['y'] == pytest.approx(node.get_array(f'{quantity}_mean'), abs=1e-5)
    members = _drawn(page, 'thermal', PANELS[quantity], 'member', method)
    for trace, values in zip(members, node.get_array(f'{quantity}_members'), strict=True):
        assert trace['y'] == pytest.approx(values, abs=1e-5)
    assert not any(trace['visible'] for trace in members)


def test_the_band_is_the_range_over_the_members_or_one_standard_deviation(full, page):
    node = full.nodes['thermal_properties__hf']
    mean, low, high, sd = (node.get_array(f'entropy_J_K_mol_{name}') for name in ('mean', 'min', 'max', 'sd'))
    for role, below, above in (('range', low, high), ('sd', mean - sd, mean + sd)):
        (shade,) = _drawn(page, 'thermal', 'y2', role, 'HF')
        n_points = len(TEMPERATURES)
        assert shade['y'][:n_points] == pytest.approx(below, abs=1e-5)
        assert shade['y'][n_points:] == pytest.approx(above[::-1], abs=1e-5)
        assert shade['visible'] is (role == 'sd')


def test_hovering_tells_the_value_its_unit_and_the_spread(full, page):
    (line,) = _drawn(page, 'thermal', 'y2', 'line', 'HF')
    assert '%{y:.3f} J K⁻¹ mol⁻¹, sd %{customdata:.3f}' in line['hovertemplate']
    assert line['customdata'] == pytest.approx(
        full.nodes['thermal_properties__hf'].get_array('entropy_J_K_mol_sd'), abs=1e-5
    )


def test_one_member_has_no_spread_to_tell():
    spread = {'mean': [1.0], 'min': [1.0], 'max': [1.0], 'sd': [0.0], 'members': {'seed_1': [1.0]}}
    content = {'temperatures_K': [0.0], 'entropy_J_K_mol': spread}
    figure = thermal_figure({'methods': {'HF': {'thermal_properties': content}}})
    assert not any('sd' in (trace.hovertemplate or '') for trace in figure.data)


def test_every_axis_has_its_unit(page):
    layout = page.data['thermal-data']['layout']
    titles = [layout[axis]['title']['text'] for axis in ('yaxis', 'yaxis2', 'yaxis3', 'xaxis')]
    assert [title.replace('<br>', ' ') for title in titles] == [
        'free energy (kJ/mol)',
        'entropy (J K⁻¹ mol⁻¹)',
        'heat capacity (J K⁻¹ mol⁻¹)',
        'temperature (K)',
    ]
    assert 'primitive ones unless the given cell was asked for' in ''.join(page.words)


def test_panels_do_not_overlap(page):
    layout = page.data['thermal-data']['layout']
    (_, top), middle, (lowest, below) = (layout[axis]['domain'] for axis in ('yaxis', 'yaxis2', 'yaxis3'))
    assert top == 1
    assert lowest == pytest.approx(0)
    assert below < middle[0] < middle[1] < layout['yaxis']['domain'][0]


def test_displacements_have_a_panel_an_element(full, page):
    node = full.nodes['mean_square_displacements__lda']
    for element, panel in (('Li', 'y'), ('F', 'y2')):
        (line,) = _drawn(page, 'displacements', panel, 'line', 'LDA')
        assert line['y'] == pytest.approx(node.get_array(f'{element}_mean'), abs=1e-5)
        title = page.data['displacements-data']['layout'][panel.replace('y', 'yaxis')]['title']['text']
        assert element in title
        assert 'Å²' in title


def test_members_keep_their_names_and_names_stay_text():
    hostile = '<img src=x>'
    spread = {'mean': [1.0], 'min': [1.0], 'max': [1.0], 'sd': [0.0], 'members': {hostile: [1.0]}}
    content = {'temperatures_K': [0.0], hostile: spread}
    figure = displacement_figure({'methods': {'HF': {'mean_square_displacements_A2': content}}})
    text = figure.to_json()
    assert hostile not in text.replace('\\u003c', '<').replace('\\u003e', '>')
    assert '&lt;img src=x&gt;' in text.replace('\\u0026', '&')


def test_a_run_without_temperatures_has_no_such_figure(run):
    results = results_of(run.master)
    assert thermal_figure(results) is None
    assert displacement_figure(results) is None


def test_results_have_each_member_by_its_name(full):
    found = results_of(full.process)['methods']['HF']['thermal_properties']['entropy_J_K_mol']['members']
    every = full.nodes['thermal_properties__hf'].get_array('entropy_J_K_mol_members')
    assert {name: found[name][-1] for name in MEMBERS} == dict(zip(MEMBERS, every[:, -1], strict=True))


def test_the_share_of_imaginary_modes_is_told_of_the_methods_that_have_any():
    shares = {'LDA': {'seed_1': 0.0, 'seed_2': 0.031}, 'HF': {'seed_1': 0.0}}
    assert imaginary_text({'methods': {m: {'imaginary_share': s} for m, s in shares.items()}}) == (
        ' Imaginary, of all modes: LDA 3.1 %.'
    )
    assert imaginary_text({'methods': {'HF': {}}}) == ''
