"""One run made by hand for all tests of reports: they only read it."""

import pytest

from tests.graphs import Run, build_run


@pytest.fixture(scope='package')
def run(aiida_profile) -> Run:
    """Return a finished run in the test profile."""
    from aiida import orm

    computer = orm.Computer('reports', 'localhost', transport_type='core.local', scheduler_type='core.direct')
    return build_run(computer.store())
