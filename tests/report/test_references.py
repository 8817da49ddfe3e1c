"""References: units, sentences for what cannot be read, residuals, and what is shipped."""

import numpy as np
import pytest
import yaml
from ase.build import bulk

from aiida_mlcc.data.snapshots import SnapshotsData
from aiida_mlcc.report.data.arrays import curves_of_run
from aiida_mlcc.report.data.references import (
    UnreadableReferences,
    minimal_bases,
    read_references,
    residual_lines,
    residuals,
    shipped_references,
)
from aiida_mlcc.report.page.tables import residual_table
from aiida_mlcc.science.labels.snapshots import Label, Snapshots
from tests.report.full_run import finished

POINT = {'label': 'X', 'modes': [6], 'value': 300.0, 'unit': 'cm-1', 'citation': 'A. Person'}


def _written(tmp_path, **changes):
    path = tmp_path / 'mine.yaml'
    path.write_text(yaml.safe_dump({'points': [{**POINT, **changes}]}))
    return path


@pytest.mark.parametrize(('unit', 'cm1'), [('cm-1', 1.0), ('THz', 33.35641), ('meV', 8.065544)])
def test_units_are_converted_with_their_uncertainty(tmp_path, unit, cm1):
    (point,) = read_references(_written(tmp_path, value=10.0, uncertainty=0.5, unit=unit)).points
    assert point.frequency_cm1 == pytest.approx(10 * cm1, rel=1e-6)
    assert point.uncertainty_cm1 == pytest.approx(0.5 * cm1, rel=1e-6)


def test_csv_says_the_same_as_yaml(tmp_path):
    table = tmp_path / 'mine.csv'
    table.write_text(
        'label,qpoint,modes,value,unit,citation\nX,,5 6,12.5,THz,A. Person\n,0.25 0 0.25,1,3,meV,B. Person\n'
    )
    at_x, between = read_references(table).points
    assert (at_x.label, at_x.modes) == ('X', (5, 6))
    assert between.qpoint == (0.25, 0.0, 0.25)


@pytest.mark.parametrize(
    ('changes', 'sentence'),
    [
        ({'unit': 'Ry'}, "mine.yaml, point 1 has the unknown unit 'Ry': give one of cm-1, THz, meV"),
        ({'unit': None}, 'mine.yaml, point 1 has no `unit`'),
        ({'value': 'high'}, 'a value that is not a number'),
        ({'value': float('nan')}, 'values are finite'),
        ({'modes': [0]}, 'modes count from 1'),
        ({'label': None}, 'needs one of `label` and `qpoint`'),
        ({'frequency': 3}, 'unknown name `frequency`'),
    ],
)
def test_what_cannot_be_read_is_a_sentence(tmp_path, changes, sentence):
    with pytest.raises(UnreadableReferences, match=sentence):
        read_references(_written(tmp_path, **changes))


@pytest.mark.parametrize('text', ['', '- 1', 'points: 3', '{'])
def test_a_file_without_points_is_a_sentence(tmp_path, text):
    path = tmp_path / 'mine.yaml'
    path.write_text(text)
    with pytest.raises(UnreadableReferences, match=r'mine\.yaml (has no list|cannot be read)'):
        read_references(path)


def test_a_residual_is_calculated_minus_reference(run, tmp_path):
    dispersion = curves_of_run(run.master).dispersion
    found = residuals(dispersion, read_references(_written(tmp_path)).points)
    assert [entry.method for entry in found] == ['LDA', 'HF', 'CCSD(T)']
    assert [entry.residual_cm1 for entry in found] == pytest.approx([0.0, 10.0, 20.0])
    assert found[0].sd_cm1 == pytest.approx(2**0.5)
    assert found[0].distance == pytest.approx(2 * np.pi / 4.03)


def test_a_residual_has_the_sd_of_the_error_budget_where_there_is_one(run, tmp_path):
    dispersion = curves_of_run(run.master).dispersion
    known = {'CCSD(T)': {'X': {'mean': [0, 1, 2, 3, 4, 320.0], 'sd': [4.0] * 6}}}
    found = residuals(dispersion, read_references(_written(tmp_path)).points, known)
    assert found[-1].sd_cm1 == 4.0
    assert residual_lines(found)[-1] == ('CCSD(T) at X, modes 6: 320.0 ± 4.0, reference 300.0, difference +20.0 cm⁻¹')


def test_between_two_points_of_the_path_frequencies_are_interpolated(run, tmp_path):
    path = _written(tmp_path, label=None, qpoint=[0.0625, 0.0, 0.0625])
    curve = curves_of_run(run.master).dispersion['HF']
    (entry,) = residuals({'HF': curve}, read_references(path).points)
    assert entry.calculated_cm1 == pytest.approx(curve.mean[:2, 5].mean())
    assert entry.distance == pytest.approx(curve.path.distances[1] / 2)


@pytest.mark.parametrize('changes', [{'label': 'W'}, {'label': None, 'qpoint': [0.1, 0.2, 0.3]}, {'modes': [7]}])
def test_points_that_the_path_does_not_meet_are_left_out(run, tmp_path, changes):
    points = read_references(_written(tmp_path, **changes)).points
    assert residuals(curves_of_run(run.master).dispersion, points) == []


def test_the_table_names_the_source(run, tmp_path):
    points = read_references(_written(tmp_path, doi='10.1/x')).points
    table = residual_table(residuals(curves_of_run(run.master).dispersion, points))
    ((heading, rows),) = table.groups
    assert 'A. Person, doi:10.1/x' in heading
    assert rows[-1] == ['CCSD(T)', '320.0 ± 4.0', '+20.0'], 'that of the error budget'


def test_diamond_comes_with_its_raman_lines_and_names_what_is_left_out():
    known = shipped_references(bulk('C', 'diamond', a=3.57, cubic=True))
    warm, cold = known.points
    assert (warm.label, warm.frequency_cm1, warm.doi) == ('GAMMA', 1332.5, '10.1103/PhysRevB.1.1687')
    assert (cold.label, cold.frequency_cm1, cold.uncertainty_cm1) == ('GAMMA', 1332.7, 0.2)
    assert any('Maezono' in entry['citation'] for entry in known.left_out)


def test_lithium_hydride_names_what_is_left_out():
    known = shipped_references(bulk('LiH', 'rocksalt', a=4.08))
    assert known.points == ()
    assert all(entry['reason'] for entry in known.left_out)


@pytest.mark.parametrize('atoms', [bulk('C', 'fcc', a=3.57), bulk('Si'), None])
def test_other_crystals_have_none(atoms):
    assert shipped_references(atoms) is None


@pytest.mark.parametrize(
    ('basis', 'compared'),
    [('gth-szv', False), ('sto-3g', False), ('gth-dzvp', True), ('gth-tzv2p', True), (None, True)],
)
def test_a_minimal_basis_is_not_compared_with_measured_frequencies(aiida_profile, basis, compared):
    source = {'engine': 'pyscf', **({} if basis is None else {'basis': basis})}
    frames = Snapshots.from_atoms([bulk('C', 'diamond', a=3.57)]).with_label('HF', Label(np.zeros(1), None, source))
    process = finished({'snapshots': SnapshotsData(frames).store()})
    assert (not minimal_bases(process)) is compared


@pytest.mark.parametrize('left_out', ['Warren', ['Warren'], {'what': 'points'}])
def test_left_out_that_is_no_list_of_entries_is_a_sentence(tmp_path, left_out):
    path = tmp_path / 'mine.yaml'
    path.write_text(yaml.safe_dump({'points': [POINT], 'left_out': left_out}))
    with pytest.raises(UnreadableReferences, match='`left_out` is a list of entries'):
        read_references(path)
