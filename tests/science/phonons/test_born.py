"""Born charges: what is corrected, what is refused, and bands equal to those of phonopy's own command."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from ase.build import bulk

from aiida_mlcc.science.crystal.cells import supercell
from aiida_mlcc.science.phonons.born import BornError, born_from_arrays, born_from_file, coulomb_factor
from aiida_mlcc.science.phonons.branches import frequencies_of, path_matrices
from aiida_mlcc.science.phonons.dispersion import band_path
from aiida_mlcc.science.units import CM1_PER_THZ
from tests.crystals import rocksalt, spring_term
from tests.science.phonons.test_branches import phonon_of

DIELECTRIC = '1.96 0 0 0 1.96 0 0 0 1.96'
BORN = f'# elements: Li F\n{DIELECTRIC}\n1.04 0 0 0 1.04 0 0 0 1.04\n-1.04 0 0 0 -1.04 0 0 0 -1.04\n'


def test_what_is_neutral_and_symmetric_stays_as_it_is():
    found = born_from_file(BORN, rocksalt())
    assert np.allclose(found.charges, [1.04 * np.eye(3), -1.04 * np.eye(3)])
    assert np.allclose(found.dielectric, 1.96 * np.eye(3))
    assert found.net_charge == pytest.approx(0, abs=1e-12)
    assert found.asymmetry == pytest.approx(0, abs=1e-12)
    assert found.factor == coulomb_factor() == pytest.approx(14.39964, rel=1e-5)


def test_net_charge_is_taken_off_all_atoms_alike_and_asymmetry_averaged_out():
    text = BORN.replace('-1.04 0 0 0 -1.04 0 0 0 -1.04', '-1.00 0 0 0 -1.00 0 0 0 -1.03')
    found = born_from_file(text, rocksalt())
    assert found.net_charge == pytest.approx(0.04)
    # −1.00, −1.00, −1.03 average to −1.01: the sum of 0.03 is shared by two atoms.
    assert np.allclose(found.charges, [1.025 * np.eye(3), -1.025 * np.eye(3)])
    assert 0 < found.asymmetry < 0.03
    assert '0.04 e' in found.report()


def test_atoms_that_symmetry_makes_equal_are_given_once_as_phonopy_has_it():
    from phonopy.file_IO import parse_BORN_from_strings

    from aiida_mlcc.science.crystal.cells import to_phonopy

    wurtzite = bulk('ZnO', 'wurtzite', a=3.25, c=5.2, u=0.38)
    lines = ['# a comment', '3.7 0 0 0 3.7 0 0 0 3.9', '2.1 0.02 0 -0.02 2.1 0 0 0 2.2', '-2.1 0 0 0 -2.1 0 0 0 -2.2']
    text = '\n'.join(lines)
    found = born_from_file(text, wurtzite)
    assert found.charges.shape == (4, 3, 3)
    assert np.allclose(found.charges.sum(axis=0), 0, atol=1e-12)
    theirs = parse_BORN_from_strings(text, to_phonopy(wurtzite))['born']
    assert np.abs(found.charges - theirs).max() < 0.03


@pytest.mark.parametrize(
    ('text', 'reason'),
    [
        (BORN + '0 0 0 0 0 0 0 0 0\n', 'charges of 3 atoms, but the primitive cell has 2'),
        (BORN.replace('Li F', 'Li H'), 'names the atoms Li H, but those of the primitive cell are Li F'),
        (BORN.replace('-1.04', '-3.04'), 'add up to 2.00 e and not to zero'),
        (
            BORN.replace('1.04 0 0 0 1', '1.04 0 .9 0 1').replace('-1.04 0 0 0', '-1.04 0 -.9 0', 1),
            'depart from the symmetry',
        ),
        (BORN.replace('1.04', 'nan'), 'not a number'),
        (BORN.replace(DIELECTRIC, '0 0 0 0 0 0 0 0 0'), 'eigenvalue below 1'),
        (BORN.replace(DIELECTRIC, '1e5 0 0 0 1e5 0 0 0 1e5'), 'a metal, which has no Born charges'),
        (BORN.replace(DIELECTRIC, '1.96 1.96 1.96'), 'line 2 of the BORN file is not a tensor'),
        ('# nothing\n', 'fewer than three lines'),
    ],
)
def test_a_file_of_another_cell_is_refused_in_a_sentence(text, reason):
    with pytest.raises(BornError, match=reason):
        born_from_file(text, rocksalt())


@pytest.mark.parametrize('factor', ['4 atoms', '0', '-14.4', 'nan', 'inf', '1', '2.0'])
def test_a_factor_in_other_units_is_refused(factor):
    with pytest.raises(BornError, match='the factor of the Born charges is'):
        born_from_file(BORN.replace('# elements: Li F', factor), rocksalt())


def test_the_factor_of_vasp_is_taken_and_any_words_are_a_comment():
    assert born_from_file(BORN.replace('# elements: Li F', '14.400'), rocksalt()).factor == 14.4
    found = born_from_file(BORN.replace('# elements: Li F', 'default value'), rocksalt())
    assert found.factor == coulomb_factor()
    assert found.remark == ''


def test_element_names_are_compared_whatever_the_case_of_the_word_before_them():
    with pytest.raises(BornError, match='names the atoms Na Cl'):
        born_from_file(BORN.replace('# elements: Li F', '# Elements: Na Cl'), rocksalt())


def test_element_names_that_cannot_be_read_are_remarked_on():
    found = born_from_file(BORN.replace('# elements: Li F', '# elements: NaCl'), rocksalt())
    assert "'elements: NaCl' names no elements" in found.report()


def test_a_dielectric_tensor_along_another_axis_is_refused():
    """Wurtzite has its axis along z; the cell of the tensor had it along x."""
    wurtzite = bulk('ZnO', 'wurtzite', a=3.25, c=5.2, u=0.38)
    charges = np.array([2.1 * np.eye(3), -2.1 * np.eye(3)] * 2)
    right = born_from_arrays({'born_charges': charges, 'dielectric': np.diag([3.7, 3.7, 5.9])}, wurtzite)
    assert right.dielectric_asymmetry == pytest.approx(0, abs=1e-9)
    with pytest.raises(BornError, match=r'dielectric tensor departs from the symmetry of the crystal by 1\.10'):
        born_from_arrays({'born_charges': charges, 'dielectric': np.diag([5.9, 3.7, 3.7])}, wurtzite)


def test_charges_of_a_conventional_cell_in_another_order_are_put_onto_the_primitive_one():
    cube = supercell(bulk('LiF', 'rocksalt', a=4.03, cubic=True), 1)[[7, 0, 5, 2, 4, 1, 6, 3]]
    charges = np.array([1.04 * np.eye(3) if symbol == 'Li' else -1.04 * np.eye(3) for symbol in cube.symbols])
    arrays = {'born_charges': charges, 'dielectric': 1.96 * np.eye(3)}
    arrays |= {'numbers': cube.numbers, 'cell': cube.cell.array, 'positions': cube.positions}
    assert np.allclose(born_from_arrays(arrays, rocksalt()).charges, [1.04 * np.eye(3), -1.04 * np.eye(3)])
    other = {**arrays, 'cell': 1.1 * cube.cell.array}
    with pytest.raises(BornError, match='belong to another cell'):
        born_from_arrays(other, rocksalt())
    del arrays['cell']
    with pytest.raises(BornError, match='charges of 8 atoms, but the primitive cell has 2'):
        born_from_arrays(arrays, rocksalt())


def test_bands_are_those_of_the_phonopy_command(tmp_path: Path):
    primitive = rocksalt()
    phonon = phonon_of(spring_term(primitive, 3.0))
    path = band_path(primitive, points=6)
    phonon.nac_params = born_from_file(BORN, primitive).nac_params()
    ours = frequencies_of(path_matrices(phonon, path)) / CM1_PER_THZ

    phonon.nac_params = None
    phonon.save(tmp_path / 'phonopy_params.yaml', settings={'force_constants': True})
    (tmp_path / 'BORN').write_text(BORN)
    first, last = path.segments[0]
    ends = ' '.join(f'{x:.12f}' for x in np.concatenate([path.qpoints[first], path.qpoints[last]]))
    command = [str(Path(sys.executable).with_name('phonopy')), 'phonopy_params.yaml']
    command += ['--band', ends, '--band-points', str(last - first + 1)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120)
    assert (tmp_path / 'band.yaml').exists(), done.stdout + done.stderr
    phonons = yaml.safe_load((tmp_path / 'band.yaml').read_text())['phonon']
    theirs = np.array([[mode['frequency'] for mode in point['band']] for point in phonons])
    assert np.abs(ours[first : last + 1] - theirs).max() < 1e-6
    assert theirs[0, 5] - theirs[0, 4] > 1e-1, 'longitudinal and transverse modes are split at Γ'
