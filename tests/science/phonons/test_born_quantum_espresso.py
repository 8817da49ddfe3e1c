"""Born charges of Quantum ESPRESSO: outputs of ``ph.x`` and files of ``q2r.x``."""

import re
from pathlib import Path

import numpy as np
import pytest
from ase.build import bulk

from aiida_mlcc.science.phonons.born import BornError, born_from_arrays
from aiida_mlcc.science.phonons.born_quantum_espresso import charges_from_quantum_espresso, is_quantum_espresso

DATA = Path(__file__).parents[2] / 'data' / 'quantum_espresso'


@pytest.fixture
def printed() -> str:
    return (DATA / 'ph_LiF.6.out').read_text()


@pytest.fixture
def q2r() -> str:
    return (DATA / 'lih_lda.fc').read_text()


def test_charges_that_ph_prints_are_put_on_the_primitive_cell(printed):
    assert is_quantum_espresso(printed)
    # In another order of the atoms and other primitive vectors than those of ph.x.
    primitive = bulk('LiF', 'rocksalt', a=3.93)[[1, 0]]
    born = born_from_arrays(charges_from_quantum_espresso(printed), primitive)
    assert born.dielectric == pytest.approx(2.135696 * np.eye(3), abs=1e-6)
    # Printed: 1.04409 and −1.03264; half of the net charge is taken off each.
    assert born.charges == pytest.approx(1.038365 * np.array([-np.eye(3), np.eye(3)]), abs=1e-6)
    assert born.net_charge == pytest.approx(0.01145, abs=1e-5)


def test_charges_in_the_head_of_a_q2r_file_are_put_on_the_primitive_cell(q2r):
    assert is_quantum_espresso(q2r)
    born = born_from_arrays(charges_from_quantum_espresso(q2r), bulk('LiH', 'rocksalt', a=4.017))
    assert born.charges == pytest.approx(0.9405173 * np.array([np.eye(3), -np.eye(3)]), abs=1e-6)
    assert born.dielectric == pytest.approx(3.963782410014 * np.eye(3), abs=1e-9)


def test_rows_are_directions_of_the_field(printed):
    text = printed.replace('Ey  (       -0.00000', 'Ey  (        0.12000')
    assert charges_from_quantum_espresso(text)['born_charges'][0][1, 0] == pytest.approx(0.12)


@pytest.mark.parametrize(
    ('what', 'cut'),
    [('dielectric tensor', 'Dielectric constant in cartesian axis'), ('Born charges', 'atom      2   F')],
)
def test_an_output_that_ended_early_is_refused(printed, what, cut):
    with pytest.raises(BornError, match=what):
        charges_from_quantum_espresso(printed[: printed.index(cut)])


def test_a_q2r_file_without_charges_is_refused(q2r):
    with pytest.raises(BornError, match='no Born charges'):
        charges_from_quantum_espresso(re.sub(r'^ T$', ' F', q2r, count=1, flags=re.MULTILINE))


def test_a_q2r_file_that_ends_in_its_head_is_refused(q2r):
    with pytest.raises(BornError, match='cannot be read'):
        charges_from_quantum_espresso('\n'.join(q2r.splitlines()[:9]))


def test_charges_of_another_crystal_are_refused(printed):
    with pytest.raises(BornError, match='belong to another cell'):
        born_from_arrays(charges_from_quantum_espresso(printed), bulk('LiF', 'rocksalt', a=4.2))


def test_a_born_file_of_phonopy_is_not_taken_for_one():
    assert not is_quantum_espresso('14.400  # elements: Li F\n2.1 0 0 0 2.1 0 0 0 2.1\n1 0 0 0 1 0 0 0 1\n')
