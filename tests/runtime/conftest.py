"""Networks are not optimised: tests build many and use each a little."""

from __future__ import annotations

import pytest

from aiida_mlcc.runtime.mace.model import import_mace
from tests.warm_python import take_networks_as_they_come


@pytest.fixture(autouse=True, scope='session')
def _networks_as_they_come() -> None:
    import_mace()
    take_networks_as_they_come()
