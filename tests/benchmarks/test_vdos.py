"""The benchmark of the correlation in small: what it prints, and that all ways give the same."""

from __future__ import annotations

from tests.benchmarks import vdos
from tests.benchmarks.printed import printed_by

SMALL = ('--atoms', '6', '--frames', '400', '--max-lag', '20', '--some-atoms', '2')


def test_one_json_object_tells_seconds_memory_and_ratios() -> None:
    printed = printed_by(vdos, *SMALL)
    assert (printed['benchmark'], printed['n_atoms'], printed['n_frames']) == ('vdos', 6, 400)
    assert printed['seconds'] > 0
    assert 0 < printed['peak_memory_before_gb'] <= printed['peak_memory_gb'] < 1.5
    assert (
        {'complex_fft_loop', 'real_fft_loop', 'direct'} <= set(printed['ratios']) == set(printed['largest_difference'])
    )
    assert max(printed['largest_difference'].values()) < 1e-5
