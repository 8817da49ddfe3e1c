"""The benchmark of a step in small: which kinds it compares, and that no two evaluations share a result."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.benchmarks import evaluate
from tests.benchmarks.data import load
from tests.benchmarks.printed import printed_by

pytestmark = pytest.mark.nightly

SMALL = ('--crystal', 'lif8', '--channels', '2', '--max-L', '0', '--r-max', '2.5')
KINDS = {'base', 'SumCalculator', 'mace', 'readout', 'force-constants'}


@pytest.fixture(scope='module')
def printed() -> dict[str, Any]:
    return printed_by(evaluate, *SMALL, '--steps', '1')


def test_one_json_object_tells_seconds_and_ratios_of_every_kind(printed) -> None:
    assert set(printed['ratios']) == set(printed['cpu_seconds']) == KINDS
    assert printed['ratios']['base'] == 1.0
    assert printed['n_atoms'] == 512


def test_the_sum_of_two_calculators_is_the_fused_force_field() -> None:
    snapshots, primitive = load(None, 'lif8')
    network = {'r_max': 2.5, 'num_channels': 2, 'max_L': 0, 'max_ell': 3, 'num_interactions': 2, 'correlation': 3}
    network |= {'num_radial_basis': 6, 'num_cutoff_basis': 5, 'MLP_irreps': '2x0e'}
    named = evaluate.calculators(snapshots, primitive, network, 1, 'float64')
    found = [named[name].get_forces(snapshots.atoms(3)) for name in ('base', 'SumCalculator', 'mace')]
    assert np.allclose(found[1], found[2], rtol=0, atol=1e-9)
    assert not np.allclose(found[0], found[1], rtol=0, atol=1e-3)
