"""What lies beside the page: the numbers of the nodes, and eigenvectors of the crystal that they came from."""

import numpy as np
import pytest
import yaml
from aiida import orm
from aiida.common.links import LinkType
from aiida_phonopy.data.phonopy import PhonopyData
from aiida_phonopy.data.preprocess import PreProcessData
from ase import Atoms
from ase.build import bulk
from ase.calculators.lj import LennardJones
from plumpy import ProcessState

from aiida_mlcc.report.curves import curves_of_run
from aiida_mlcc.report.exports import write_band_yaml
from aiida_mlcc.report.page import write_report
from aiida_mlcc.science.dispersion import band_frequencies, band_path

CM1_PER_THZ = 33.35641


@pytest.fixture(scope='module')
def written(run, tmp_path_factory):
    """Return the folder of a report on the whole run, and what was said of it."""
    folder = tmp_path_factory.mktemp('report')
    return folder, write_report(run.master, folder)


@pytest.fixture(scope='module')
def argon(aiida_profile):
    """Return a run with the dispersion of a Lennard-Jones crystal of argon, and the node of that dispersion."""
    atoms = bulk('Ar', 'fcc', a=5.3)
    preprocess = PreProcessData(structure=orm.StructureData(ase=atoms), supercell_matrix=[3, 3, 3])
    preprocess.set_displacements(distance=0.01)
    data = PhonopyData(preprocess_data=preprocess.store())
    phonon = preprocess.get_phonopy_instance()
    phonon.generate_displacements(distance=0.01)
    forces = []
    for cell in phonon.supercells_with_displacements:
        image = Atoms(cell.symbols, cell=cell.cell, scaled_positions=cell.scaled_positions, pbc=True)
        image.calc = LennardJones(sigma=3.4, epsilon=0.0104, rc=7.0, smooth=True)
        forces.append(image.get_forces())
    data.set_forces(np.array(forces))
    data.set_residual_forces(np.zeros_like(forces[0]))
    phonon.forces = np.array(forces)
    phonon.produce_force_constants()
    path = band_path(atoms, points=9)
    bands = orm.BandsData()
    bands.set_cell(atoms.cell.array)
    bands.set_kpoints(path.qpoints)
    bands.labels = list(path.labels)
    bands.set_bands(band_frequencies(phonon, path), units='cm^-1')
    creator = orm.CalcFunctionNode()
    creator.set_process_label('phonon_curves')
    creator.base.links.add_incoming(data.store(), LinkType.INPUT_CALC, 'seed_1')
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


def test_the_files_for_print_are_there(written):
    names = {path.name for path in written[1].files}
    for figure in ('dispersion', 'members', 'spectra', 'errors', 'brillouin_zone'):
        assert {f'{figure}.pdf', f'{figure}.svg'} <= names
    assert all(path.stat().st_size for path in written[1].files)


def test_without_forces_there_is_no_band_yaml_and_that_is_said(written):
    assert not list(written[0].glob('*.yaml'))
    assert written[1].missing[0].startswith('no band.yaml of LDA, HF and CCSD(T): ')
    assert 'No band.yaml of LDA, HF and CCSD(T)' in (written[0] / 'index.html').read_text()


def test_band_yaml_has_the_frequencies_along_the_path_with_eigenvectors(argon, tmp_path):
    curves = curves_of_run(argon)
    (path,), missing = write_band_yaml(curves, tmp_path)
    assert missing == {}
    content = yaml.safe_load(path.read_text())
    bands = {tuple(np.round(point['q-position'], 6)): point['band'] for point in content['phonon']}
    curve = curves.dispersion['HF']
    for q, expected in zip(curve.qpoints, curve.mean, strict=True):
        modes = bands[tuple(np.round(q, 6))]
        assert sorted(CM1_PER_THZ * mode['frequency'] for mode in modes) == pytest.approx(expected, abs=0.05)
        assert all(np.linalg.norm(mode['eigenvector']) == pytest.approx(1.0) for mode in modes)


def test_band_yaml_names_the_special_points_and_where_the_path_jumps(argon, tmp_path):
    (path,), _ = write_band_yaml(curves_of_run(argon), tmp_path)
    content = yaml.safe_load(path.read_text())
    assert [label for pair in content['labels'] for label in pair][:3] == ['GAMMA', 'X', 'X']
    assert ['K', 'GAMMA'] in content['labels']
