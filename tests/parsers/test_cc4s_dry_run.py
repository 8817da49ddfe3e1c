"""What a dry run of Cc4s says of the article's diamond: 32 atoms, 64 occupied and 640 natural virtual orbitals."""

import pytest

from aiida_mlcc.calculations.cc4s_input import Dimensions, render_dry_run
from aiida_mlcc.parsers.parse_raw.cc4s_dry_run import amplitudes_bytes, forecast_of
from tests.cc4s_records import RECORDED_RUNS

DIAMOND = {'n_occupied': 64, 'n_virtual': 640, 'n_fields': 1500}
PARAMETERS = {'ccsd': {'energy_convergence': 1e-6, 'amplitudes_convergence': 1e-6}}


def forecast(arithmetic, last_step='triples', speed=10.0):
    folder = RECORDED_RUNS / f'dry-diamond32-{arithmetic}-{last_step}'
    texts = [(folder / name).read_text() for name in ('dry-cc4s.out.yaml', 'cc4s.stdout')]
    return forecast_of(*texts, Dimensions(**DIAMOND, real=arithmetic == 'real'), 512, speed)


def test_point_of_the_article_costs_what_the_article_says():
    """750,000 core hours for 200 points (arXiv:2507.06929)."""
    found = forecast('real')
    assert found['core_hours']['CCSD(T)'] == pytest.approx(750_000 / 200, rel=0.1)
    assert found['core_hours']['CCSD(T)'] == pytest.approx(3650, rel=0.01)
    assert found['core_hours']['CCSD'] == pytest.approx(34_553.6e12 / 10e9 / 3600, rel=1e-3)
    assert (found['memory_gb'], found['ranks']) == (294.562, 512)


def test_complex_triples_are_four_times_as_many_operations_as_cc4s_counts():
    real, complex_ = forecast('real')['operations'], forecast('complex')['operations']
    assert complex_['PerturbativeTriples'] == 4 * real['PerturbativeTriples']
    assert complex_['CoupledCluster'] / real['CoupledCluster'] == pytest.approx(3.04, abs=0.01)


def test_faster_cores_take_fewer_hours():
    assert forecast('real', speed=20.0)['core_hours']['CCSD'] == pytest.approx(
        forecast('real')['core_hours']['CCSD'] / 2
    )


def test_ccsd_alone_forecasts_ccsd_alone():
    assert set(forecast('real', 'ccsd')['core_hours']) == {'CCSD'}
    assert forecast('real', 'ccsd')['core_hours']['CCSD'] == pytest.approx(forecast('real')['core_hours']['CCSD'])


def test_amplitudes_of_the_article_take_as_many_bytes_as_they_are_numbers():
    assert amplitudes_bytes(64, 640, True) == 8 * (64 * 640 + 64 * 64 * 640 * 640)
    assert amplitudes_bytes(64, 640, False) == 2 * amplitudes_bytes(64, 640, True)


@pytest.mark.parametrize('texts', [('', ''), ('steps: {}', 'no Cc4s'), ('- not a mapping', '')])
def test_files_without_an_estimate_are_refused(texts):
    with pytest.raises(ValueError, match='without an estimate'):
        forecast_of(*texts, Dimensions(**DIAMOND), 1, 10.0)


@pytest.mark.parametrize('arithmetic', ['real', 'complex'])
def test_input_is_that_of_the_recorded_dry_run(arithmetic):
    import yaml

    text = render_dry_run(
        {**PARAMETERS, 'triples': {'star': True}}, Dimensions(**DIAMOND, real=arithmetic == 'real'), 15
    )
    ours = yaml.safe_load(text)
    theirs = yaml.safe_load((RECORDED_RUNS / f'dry-diamond32-{arithmetic}-triples' / 'cc4s.in').read_text())
    # How often a checkpoint is written does not count.
    del ours[-1]['in']['checkpointAtPercentage']
    assert ours == theirs


def test_no_more_iterations_are_counted_than_the_calculation_allows():
    assert 'maxIterations: 7' in render_dry_run({'ccsd': {'max_iterations': 7}}, Dimensions(**DIAMOND), 15)
