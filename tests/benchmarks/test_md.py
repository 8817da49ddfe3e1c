"""The benchmark of dynamics in small: what it prints."""

from __future__ import annotations

import pytest

from tests.benchmarks import md
from tests.benchmarks.printed import printed_by
from tests.benchmarks.test_evaluate import KINDS, SMALL

pytestmark = pytest.mark.nightly


def test_one_json_object_tells_steps_a_second_and_ratios_of_every_kind() -> None:
    printed = printed_by(md, *SMALL, '--steps', '1', '--turns', '1')
    assert set(printed['steps_per_second']) == set(printed['ratios']) == KINDS
    assert printed['ratios']['SumCalculator'] == 1.0
    assert (printed['benchmark'], printed['n_atoms'], printed['device']) == ('md', 512, 'cpu, one thread')
