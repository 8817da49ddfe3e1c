"""Networks are built without a search for the best order of contractions: tests build many and use each a little."""

from __future__ import annotations

import pytest

from aiida_mlcc.runtime.mace_model import import_mace


@pytest.fixture(autouse=True, scope='session')
def _networks_as_they_come() -> None:
    import_mace()
    import e3nn

    e3nn.set_optimization_defaults(optimize_einsums=False)
