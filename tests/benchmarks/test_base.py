"""The benchmark of the base in small, on the project's own data."""

from __future__ import annotations

from typing import Any

import pytest

from tests.benchmarks import base
from tests.benchmarks.printed import printed_by

pytestmark = pytest.mark.nightly

SMALL = ('--crystal', 'lif8', '--channels', '2', '--max-L', '0', '--r-max', '2.5', '--epochs', '2')
BASES = {'uniform', 'inverse-force', 'uniform, corrected', 'inverse-force, corrected', 'energies alone'}


@pytest.fixture(scope='module')
def printed() -> dict[str, Any]:
    return printed_by(base, *SMALL, '--seeds', '1', '--control')


def test_one_json_object_tells_errors_and_residuals_of_every_base(printed) -> None:
    assert set(printed['bases']) == BASES
    for by_seed in printed['bases'].values():
        entry = by_seed['seed_1']
        assert entry['valid_forces_rmse_mev_angstrom'] > 0
        assert entry['gamma']['qpoint'] == [0.0, 0.0, 0.0]
        assert len(entry['projected_residuals']) == 5


def test_the_correction_takes_away_what_a_network_of_two_epochs_leaves(printed) -> None:
    for weights in ('uniform', 'inverse-force'):
        alone = printed['bases'][weights]['seed_1']['largest_shift_cm1']
        assert printed['bases'][f'{weights}, corrected']['seed_1']['largest_shift_cm1'] < 0.5 * alone


def test_kinds_of_base_are_compared_on_frames_that_they_have_not_seen() -> None:
    """Force constants of ten frames of the demo's crystal: little is left, and the energy of a run stays."""
    kinds = ('--kinds', 'force-constants', 'force-constants+mace', '--frames', '10', '--steps', '20')
    found = printed_by(base, *SMALL, '--seeds', '1', *kinds)
    assert found['n_held_out'] > 10
    assert set(found['kinds']) == {'force-constants', 'force-constants+mace'}
    entry = found['kinds']['force-constants']['seed_1']
    assert entry['held_out_forces_mev_angstrom']['all'] < 20
    assert 380 < entry['frequencies_cm1']['GAMMA'][3] < 430
    assert [len(entry['frequencies_cm1'][point]) for point in ('GAMMA', 'X', 'L')] == [6, 6, 6]
    assert abs(entry['drift_mev_atom_ps']) < 50
    assert entry['with_delta']['step_cpu_s'] > 0
