"""GTH tables as UPF files: the numbers of the file against the definition of the potential, and against PySCF."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from aiida_mlcc.engines.quantumespresso.gth_upf import GthError, read_gth, to_upf

TABLE = """# a comment
Li GTH-PADE-q1 GTH-LDA-q1
    1
     0.78755305    2    -1.89261247     0.28605968
    2
     0.66637518    1     1.85881111
     1.07930561    1    -0.00589504
#PSEUDOPOTENTIAL
Li GTH-PADE-q3 GTH-LDA-q3 GTH-PADE GTH-LDA
    3
     0.40000000    4   -14.03486849     9.55347627    -1.76648817     0.08436998
    0
#PSEUDOPOTENTIAL
Si GTH-PADE-q4 GTH-PADE
    2    2
     0.44000000    1    -7.33610297
    2
     0.42273813    2     5.90692831    -1.26189397
                                        3.25819622
     0.48427842    1     2.72701346
"""


def numbers(text: str, tag: str) -> np.ndarray:
    found = ElementTree.fromstring(text).find(f'.//{tag}')
    assert found is not None
    assert found.text is not None
    return np.array(found.text.split(), dtype=float)


def test_potential_that_the_table_names_without_a_number_is_taken() -> None:
    assert read_gth(TABLE, 'Li').valence == 3
    assert read_gth(TABLE, 'Li', 1).valence == 1
    assert read_gth(TABLE, 'Si').valence == 4


@pytest.mark.parametrize(
    ('element', 'valence', 'reason'),
    [('Zn', None, 'no pseudopotential of Zn'), ('Li', 2, 'with 2 electrons, only with 1, 3')],
)
def test_potential_that_is_not_there_is_named(element: str, valence: int | None, reason: str) -> None:
    with pytest.raises(GthError, match=reason):
        read_gth(TABLE, element, valence)


def test_local_part_is_the_published_one_and_falls_off_as_the_ion_does() -> None:
    text = to_upf(read_gth(TABLE, 'Li'))
    r, local = numbers(text, 'PP_R'), numbers(text, 'PP_LOCAL')
    # At the origin −Z √(2/π)/r_loc + C₁ Hartree, and −Z/r outside.
    assert local[0] == pytest.approx(2 * (-3 * np.sqrt(2 / np.pi) / 0.4 - 14.03486849), rel=1e-6)
    far = np.searchsorted(r, 8.0)
    assert local[far] == pytest.approx(-2 * 3 / r[far], rel=1e-12)


def test_projectors_are_normalised_and_coupled_as_the_table_says() -> None:
    text = to_upf(read_gth(TABLE, 'Si'))
    weights = numbers(text, 'PP_RAB')
    for index in (1, 2, 3):
        assert (numbers(text, f'PP_BETA.{index}') ** 2 * weights).sum() == pytest.approx(1.0, abs=1e-6)
    couplings = numbers(text, 'PP_DIJ').reshape(3, 3) / 2
    assert np.allclose(couplings, [[5.90692831, -1.26189397, 0], [-1.26189397, 3.25819622, 0], [0, 0, 2.72701346]])


def test_starting_charge_is_that_of_the_valence_electrons() -> None:
    text = to_upf(read_gth(TABLE, 'Si'))
    assert (numbers(text, 'PP_RHOATOM') * numbers(text, 'PP_RAB')).sum() == pytest.approx(4.0, abs=1e-4)


@pytest.mark.parametrize(('name', 'elements'), [('gth-pade', 'H Li Mg Cu'), ('gth-pbe', 'B N Zn'), ('gth-hf-rev', 'C')])
def test_tables_of_pyscf_are_read_as_pyscf_reads_them(name: str, elements: str) -> None:
    pytest.importorskip('pyscf')
    from pyscf.pbc.gto.pseudo import load

    spec = find_spec('pyscf')
    assert spec is not None
    assert spec.origin is not None
    text = (Path(spec.origin).parent / 'pbc' / 'gto' / 'pseudo' / f'{name}.dat').read_text()
    for element in elements.split():
        electrons, radius, _, coefficients, _, *channels = load(name, element)
        found = read_gth(text, element)
        assert (found.valence, found.radius) == (sum(electrons), radius)
        assert np.allclose(found.coefficients, coefficients)
        assert len(found.channels) == len(channels)
        for (width, couplings), (their_width, _, theirs) in zip(found.channels, channels, strict=True):
            assert width == their_width
            assert np.allclose(couplings, theirs)
