"""Dynamics on the page: what it is compared with, its autocorrelation, peaks and sampling."""

import numpy as np
import pytest
from aiida import orm

from aiida_mlcc.report.curves.spectrum import autocorrelation_figure, peaks_table, sampling_table
from aiida_mlcc.report.data.arrays import curves_of_run
from aiida_mlcc.report.data.outputs import outputs_of
from aiida_mlcc.report.data.results import results_of
from aiida_mlcc.report.print.article_figures import spectra_figure
from tests.report.full_run import LAGS_FS, MEMBERS, finished
from tests.report.read_page import named, page_of, traces

pytestmark = pytest.mark.nightly


@pytest.fixture(scope='module')
def page(page_of_full):
    """Return the page of the run that has everything."""
    return page_of_full


def _mean(node):
    return next(values for name, values, _ in node.get_y() if name == 'mean')


def test_dynamics_is_compared_with_the_harmonic_crystal_of_its_supercell(full, page):
    harmonic = named(page, 'spectrum', 'HF, harmonic')
    assert harmonic['y'] == pytest.approx(_mean(full.nodes['harmonic_dos__hf']), abs=1e-6)
    assert harmonic['line']['dash'] == 'dash'
    assert harmonic['visible'] is True
    assert 'that the supercell of the dynamics holds' in ''.join(page.words)


def test_the_full_mesh_is_there_on_request(page):
    full_mesh = traces(page, 'spectrum', 'mesh')
    assert list(full_mesh) == ['LDA', 'HF', 'CCSD(T)']
    # The density of states of the run is one everywhere.
    assert set(full_mesh['HF']['y']) == {1.0}
    assert full_mesh['HF']['visible'] is False
    assert 'harmonic on the full mesh' in ''.join(page.words)


def test_without_that_supercell_the_full_mesh_is_drawn_and_said(page_of_run):
    page = page_of_run
    assert set(named(page, 'spectrum', 'HF, harmonic')['y']) == {1.0}
    assert traces(page, 'spectrum', 'mesh') == {}
    text = ''.join(page.words)
    assert 'Dashed: harmonic, on the full mesh and not in the supercell of the dynamics.' in text
    assert 'harmonic on the full mesh' not in text


def _of_larger_cell(full, *, n_atoms, with_harmonic):
    """Return a run whose phonons are of eight atoms; its density of states is one everywhere."""
    given = outputs_of(full.process)
    bands = orm.BandsData()
    bands.set_cell(4.03 * np.eye(3))
    bands.set_kpoints([[0.0, 0.0, 0.0], [0.5, 0.0, 0.0]])
    bands.labels = [(0, 'GAMMA'), (1, 'X')]
    bands.set_bands(np.linspace(0, 300, 48).reshape(2, 24), units='cm^-1')
    vdos = given['vdos__hf'].clone()
    vdos.base.attributes.set('modes_per_primitive_cell', 3 * n_atoms * (1 - 1 / 16))
    outputs = {'dispersion__hf': bands.store(), 'dos__hf': given['dos__hf'], 'vdos__hf': vdos.store()}
    return finished({**outputs, **({'harmonic_dos__hf': given['harmonic_dos__hf']} if with_harmonic else {})})


@pytest.mark.parametrize(('n_atoms', 'share'), [(2, 0.25), (8, 1.0)])
def test_the_full_mesh_of_a_larger_cell_is_scaled_to_the_primitive_one_and_that_is_said(full, n_atoms, share):
    page = page_of(_of_larger_cell(full, n_atoms=n_atoms, with_harmonic=True))
    assert set(traces(page, 'spectrum', 'mesh')['HF']['y']) == {share}
    assert ('scaled to the atoms of the primitive cell' in ''.join(page.words)) == (share != 1)


def test_so_is_the_full_mesh_that_stands_in_for_the_supercell_also_in_print(full):
    process = _of_larger_cell(full, n_atoms=2, with_harmonic=False)
    page = page_of(process)
    assert set(named(page, 'spectrum', 'HF, harmonic')['y']) == {0.25}
    assert 'scaled to the atoms of the primitive cell' in ''.join(page.words)
    (axis,) = spectra_figure(curves_of_run(process)).axes
    assert set(axis.lines[1].get_ydata()) == {0.25}


@pytest.mark.parametrize('n_cells', [1, 3, 1000])
def test_the_atoms_of_the_primitive_cell_are_known_however_large_the_supercell_was(full, n_cells):
    vdos = full.nodes['vdos__hf'].clone()
    vdos.base.attributes.set('modes_per_primitive_cell', 3 * 5 * (1 - 1 / (5 * n_cells)))
    assert curves_of_run(finished({'vdos__hf': vdos.store()})).vdos['HF'].n_atoms == 5


def test_a_spectrum_alone_is_drawn(full):
    page = page_of(finished({'vdos__hf': full.nodes['vdos__hf']}))
    assert list(traces(page, 'spectrum', 'line')) == ['HF']


def test_each_element_can_be_shown(full, page):
    curves = {name: values for name, values, _ in full.nodes['vdos__hf'].get_y()}
    for element in ('Li', 'F'):
        part = named(page, 'spectrum', f'HF, dynamics, {element}')
        assert part['y'] == pytest.approx(curves[f'element_{element}'], abs=1e-6)
        assert part['meta']['role'] == 'element'
        assert part['visible'] is False


def test_the_autocorrelation_is_one_at_lag_zero_and_over_femtoseconds(full, page):
    line = traces(page, 'autocorrelation', 'line')['HF']
    assert line['x'] == pytest.approx(LAGS_FS)
    assert line['y'][0] == 1
    runs = [link.node for link in full.nodes['vdos__hf'].creator.base.links.get_incoming().all()]
    own = [(run.get_array('vacf_Li') + run.get_array('vacf_F')) / 8e-3 for run in runs]
    assert line['y'] == pytest.approx(np.mean(own, axis=0), abs=1e-4)
    members = [t for t in page.data['autocorrelation-data']['data'] if t['name'] in {f'HF {m}' for m in MEMBERS}]
    assert len(members) == 2
    assert 'fs' in page.data['autocorrelation-data']['layout']['xaxis']['title']['text']


def test_the_autocorrelation_is_shared_out_among_the_elements(page):
    assert named(page, 'autocorrelation', 'HF, Li')['y'][0] == 0.75
    assert named(page, 'autocorrelation', 'HF, F')['y'][0] == 0.25


def test_without_the_autocorrelations_in_the_database_there_is_no_figure(run):
    assert autocorrelation_figure(curves_of_run(run.master)) is None


def test_every_peak_has_its_shift_and_error(full):
    table = peaks_table(results_of(full.process)['dynamics'])
    assert list(table.group_methods) == ['LDA', 'HF', 'CCSD(T)']
    assert dict(table.groups)['HF'] == [['150.2', '146.5', '-3.8 ± 0.5', '2'], ['280.5', '–', '–', '0']]
    assert 'cm⁻¹' in table.caption
    assert '11.5' in table.note


def test_the_sampling_of_every_trajectory_is_told_with_its_units(full):
    table = sampling_table(results_of(full.process)['dynamics'])
    heading, rows = table.groups[1]
    assert heading == 'HF: 5.0 independent samples'
    assert dict(zip(table.header, rows[0], strict=True)) == {
        'trajectory': 'seed_5192',
        'time (ps)': '15.0',
        'temperature (K)': '302.2',
        'drift (meV/atom/ps)': '0.0021',
        'correlation time (ps)': '4.125',
        'blocks': '5',
        'independent samples': '2.5',
    }
    assert rows[1][4] == '≥ 9.000'


def test_a_run_without_dynamics_has_neither_table(run):
    dynamics = results_of(run.master)['dynamics']
    assert peaks_table(dynamics) is None
    assert sampling_table(dynamics) is None


def test_why_there_are_no_peaks_is_said(full):
    sampling = results_of(full.process)['dynamics']['HF']['sampling']
    table = sampling_table({'HF': {'sampling': {**sampling, 'no_peaks_because': 'the crystal is not at rest'}}})
    assert 'HF has no table of peaks: the crystal is not at rest.' in table.note


def test_modes_above_the_spectrum_are_told(full):
    sampling = results_of(full.process)['dynamics']['HF']['sampling']
    table = sampling_table({'HF': {'sampling': {**sampling, 'share_of_modes_cut_off': 0.25}}})
    assert '25.0% of the modes of HF lie above its spectrum' in table.note
