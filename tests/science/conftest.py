from collections.abc import Callable

import pytest
from ase import Atoms
from ase.build import bulk

from aiida_mlcc.science.force_field import Term
from tests.crystals import spring_term


@pytest.fixture
def springs() -> Callable[..., Term]:
    return spring_term


@pytest.fixture
def diamond() -> Atoms:
    return bulk('C', 'diamond', a=3.56)


@pytest.fixture
def rock_salt() -> Atoms:
    return bulk('LiH', 'rocksalt', a=4.017)


@pytest.fixture
def wurtzite() -> Atoms:
    return bulk('ZnS', 'wurtzite', a=3.82, c=6.26, u=0.381)
