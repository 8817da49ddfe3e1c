"""What lies beside the page: the numbers of the nodes, and eigenvectors of the crystal that they came from."""

import csv

import numpy as np
import phonopy
import pytest
import yaml
from aiida import orm
from aiida.common.links import LinkType
from plumpy import ProcessState

from aiida_mlcc.calculations.functions.phonopy_instance import PhonopyInstances
from aiida_mlcc.report.data.arrays import curves_of_run
from aiida_mlcc.report.exports import mean_phonons, write_csv, write_phonopy_files
from aiida_mlcc.report.page.motion import motions_of
from aiida_mlcc.report.text import PRETTY
from aiida_mlcc.science.phonons.branches import frequencies_of, path_matrices
from aiida_mlcc.science.phonons.dispersion import band_path
from tests.report.full_run import LAGS_FS, MEMBERS, PEAKS, TEMPERATURES

CM1_PER_THZ = 33.35641


@pytest.fixture(scope='module')
def all_written(everything, tmp_path_factory):
    """Return a folder with the CSV files of the run that has everything."""
    folder = tmp_path_factory.mktemp('csv')
    write_csv(everything, folder)
    return folder


def _rows(path):
    with path.open(encoding='utf-8') as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope='module')
def argon(argon_phonons):
    """Return a run with the dispersion of a Lennard-Jones crystal of argon, and the node of that dispersion."""
    atoms, data = argon_phonons.primitive.get_ase(), argon_phonons.members['seed_1']
    phonon = PhonopyInstances().of(data)
    path = band_path(atoms, points=9)
    bands = orm.BandsData()
    bands.set_cell(atoms.cell.array)
    bands.set_kpoints(path.qpoints)
    bands.labels = list(path.labels)
    bands.set_bands(frequencies_of(path_matrices(phonon, path)), units='cm^-1')
    creator = orm.CalcFunctionNode()
    creator.set_process_label('phonon_curves')
    creator.base.links.add_incoming(data, LinkType.INPUT_CALC, 'seed_1')
    creator.store()
    bands.base.links.add_incoming(creator, LinkType.CREATE, 'dispersion')
    run = orm.WorkChainNode()
    run.set_process_state(ProcessState.FINISHED)
    run.store()
    bands.store().base.links.add_incoming(run, LinkType.RETURN, 'dispersion__hf')
    return run


def test_csv_holds_every_frequency(run, written):
    lines = (written[0] / 'bands_ccsd_t.csv').read_text().splitlines()
    header = lines[0].split(',')
    rows = [dict(zip(header, line.split(','), strict=True)) for line in lines[1:]]
    assert len(rows) == 36
    top = [float(row['mean']) for row in rows if row['branch'] == '6']
    assert top == pytest.approx(run.dispersion['CCSD(T)'].get_bands()[:, 5])


def test_csv_over_temperature_holds_every_quantity_with_its_unit(full, all_written):
    node = full.nodes['thermal_properties__hf']
    rows = _rows(all_written / 'thermal_hf.csv')
    assert [float(row['temperature_K']) for row in rows] == list(TEMPERATURES)
    for quantity in ('free_energy_kJ_mol', 'entropy_J_K_mol', 'heat_capacity_J_K_mol'):
        for part in ('mean', 'min', 'max', 'sd'):
            name = f'{quantity}_{part}'
            assert [float(row[name]) for row in rows] == pytest.approx(node.get_array(name), rel=1e-8, abs=1e-12)
        every = node.get_array(f'{quantity}_members')
        assert [float(row[f'{quantity}_seed_5391']) for row in rows] == pytest.approx(every[1], rel=1e-8, abs=1e-12)
    found = [float(row['F_A2_mean']) for row in _rows(all_written / 'mean_square_displacements_hf.csv')]
    assert found == pytest.approx(full.nodes['mean_square_displacements__hf'].get_array('F_mean'))


def test_csv_of_gruneisen_parameters_has_empty_cells_where_there_is_no_frequency(full, all_written):
    rows = _rows(all_written / 'gruneisen_hf.csv')
    expected = full.nodes['gruneisen__hf'].get_array('mean')
    found = np.array([float(row['mean'] or 'nan') for row in rows]).reshape(6, 6).T
    assert found == pytest.approx(expected, nan_ok=True)
    assert rows[0]['mean'] == ''


def test_csv_of_the_harmonic_counterpart_and_of_dynamics_have_one_axis(full, all_written):
    harmonic, dynamics = (_rows(all_written / f'{kind}_hf.csv') for kind in ('harmonic_dos', 'vdos'))
    assert [row['frequency_cm1'] for row in harmonic] == [row['frequency_cm1'] for row in dynamics]
    curves = {name: values for name, values, _ in full.nodes['harmonic_dos__hf'].get_y()}
    assert [float(row['mean']) for row in harmonic] == pytest.approx(curves['mean'], rel=1e-8, abs=1e-12)
    for name in ('element_Li', 'direction_x', 'sampling_sd'):
        assert [float(row[name]) for row in harmonic] == pytest.approx(curves[name], rel=1e-8, abs=1e-12)


def test_csv_of_the_autocorrelation_is_over_femtoseconds(all_written):
    rows = _rows(all_written / 'vacf_hf.csv')
    assert [float(row['lag_fs']) for row in rows] == list(LAGS_FS)
    assert [float(rows[0][name]) for name in ('mean', 'seed_5192', 'element_Li')] == pytest.approx([1, 1, 0.75])


def test_csv_of_peaks_and_sampling_hold_what_is_known(all_written):
    found, unknown = _rows(all_written / 'peaks_hf.csv')
    assert {name: float(value) for name, value in found.items()} == PEAKS[0]
    assert (float(unknown['harmonic_cm1']), unknown['shift_cm1']) == (280.5, '')
    first, second = _rows(all_written / 'sampling_hf.csv')
    assert (first['trajectory'], second['trajectory']) == MEMBERS
    assert float(first['correlation_time_ps']) == 4.125
    assert float(first['mean_temperature_K']) == 302.25
    assert second['correlation_time_is_a_lower_bound'] == 'True'


def test_csv_of_special_points_has_the_labels_at_gamma(all_written):
    rows = _rows(all_written / 'special_points_hf.csv')
    assert [row['irreducible'] for row in rows[:6]] == ['T1u', 'T1u', 'T1u', 'A1g', 'B2u', '']
    assert {row['irreducible'] for row in rows[6:]} == {''}


def test_the_files_for_print_are_there(written):
    names = {path.name for path in written[1].files}
    for figure in ('dispersion', 'members', 'spectra', 'errors', 'brillouin_zone'):
        assert {f'{figure}.pdf', f'{figure}.svg'} <= names
    assert all(path.stat().st_size for path in written[1].files)


def test_without_forces_there_is_no_band_yaml_and_that_is_said(written):
    assert not list(written[0].glob('*.yaml'))
    assert written[1].missing[0].startswith('no band.yaml and phonopy_params.yaml of LDA, HF and CCSD(T): ')
    assert 'No band.yaml and phonopy_params.yaml of LDA, HF and CCSD(T)' in (written[0] / 'index.html').read_text()


def test_band_yaml_has_the_frequencies_along_the_path_with_eigenvectors(argon, tmp_path):
    curves = curves_of_run(argon)
    phonons, missing = mean_phonons(curves)
    assert missing == {}
    _, path = write_phonopy_files(curves, phonons, tmp_path)
    content = yaml.safe_load(path.read_text())
    bands = {tuple(np.round(point['q-position'], 6)): point['band'] for point in content['phonon']}
    curve = curves.dispersion['HF']
    for q, expected in zip(curve.qpoints, curve.mean, strict=True):
        modes = bands[tuple(np.round(q, 6))]
        assert sorted(CM1_PER_THZ * mode['frequency'] for mode in modes) == pytest.approx(expected, abs=0.05)
        assert all(np.linalg.norm(mode['eigenvector']) == pytest.approx(1.0) for mode in modes)


def test_band_yaml_names_the_special_points_and_where_the_path_jumps(argon, tmp_path):
    curves = curves_of_run(argon)
    _, path = write_phonopy_files(curves, mean_phonons(curves)[0], tmp_path)
    content = yaml.safe_load(path.read_text())
    assert [label for pair in content['labels'] for label in pair][:3] == ['GAMMA', 'X', 'X']
    assert ['K', 'GAMMA'] in content['labels']


def test_phonopy_goes_on_from_its_file(argon, tmp_path):
    curves = curves_of_run(argon)
    path, _ = write_phonopy_files(curves, mean_phonons(curves)[0], tmp_path)
    assert path.name == 'phonopy_params_hf.yaml'
    phonon = phonopy.load(path)
    curve = curves.dispersion['HF']
    index = dict((label, index) for index, label in curve.labels)['X']
    phonon.run_qpoints([curve.qpoints[index]])
    found = CM1_PER_THZ * phonon.qpoints.frequencies[0]
    assert found == pytest.approx(np.sort(curve.mean[index]), abs=0.05)


def test_modes_in_motion_are_those_of_the_special_points(argon):
    curves = curves_of_run(argon)
    found = motions_of(curves, mean_phonons(curves)[0])
    curve = curves.dispersion['HF']
    assert found['symbols'] == ['Ar']
    points = {point['label']: point for point in found['methods']['HF']}
    for index, label in curve.labels:
        point = points[PRETTY.get(label, label)]
        frequencies = [mode['frequency'] for mode in point['modes']]
        assert frequencies == pytest.approx(np.sort(curve.mean[index]), abs=0.1)
        # Three modes of one atom: their real and imaginary parts together span all directions.
        moved = np.array([mode['u'][0] for mode in point['modes']])
        assert np.linalg.norm(moved, axis=1) == pytest.approx(np.ones(3), abs=1e-3)
        assert abs(np.linalg.det(moved[:, :3] + 1j * moved[:, 3:])) == pytest.approx(1.0, abs=1e-3)
