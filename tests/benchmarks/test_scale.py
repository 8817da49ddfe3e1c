"""The benchmark of large data in small."""

from __future__ import annotations

import pytest

from tests.benchmarks import scale
from tests.benchmarks.printed import printed_by

pytestmark = pytest.mark.nightly


def test_each_case_tells_its_cost_and_how_it_grows() -> None:
    printed = printed_by(scale, '--share', '0.02')
    assert printed['benchmark'] == 'scale'
    assert set(printed['cases']) == set(scale.CASES)
    for found in printed['cases'].values():
        assert found['growth'] == pytest.approx(found['cpu_seconds'] / found['cpu_seconds_at_half'])
        assert found['peak_mb'] > 0
    assert printed['cases']['import']['n_frames'] == 400
    assert printed['cases']['page']['page_mb'] > 1
