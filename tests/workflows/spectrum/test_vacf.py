"""VACFWorkChain: a harmonic crystal's dynamics has the frequencies of its springs."""

import re

import numpy as np
import pytest
from aiida import orm
from aiida.engine import run_get_node

from aiida_mlcc.workflows.spectrum.vacf import VACFWorkChain
from tests.crystals import optical_frequency_cm1, rocksalt

SHORT = {
    'supercell_matrix': [2, 2, 2],
    'md': {
        'parameters': {
            'n_steps': 3000,
            'time_step_fs': 2.0,
            'record_every': 1,
            'equilibration_steps': 20,
            'max_lag_steps': 1000,
            'checkpoint_every': 1000,
        }
    },
}


def builder_of(python, crystal, members, **overrides):
    return VACFWorkChain.get_builder_from_protocol(
        python, crystal, members, protocol='fast', overrides={**SHORT, **overrides}
    )


def test_spectrum_of_a_member_ends_at_the_optical_mode_of_its_springs(python, crystal, members):
    outputs, node = run_get_node(builder_of(python, crystal, members))
    assert node.is_finished_ok, node.exit_message
    vdos = outputs['vdos']
    grid = vdos.get_x()[1]
    curves = {name: curve for name, curve, _ in vdos.get_y()}
    # No two members share their velocities.
    assert {name: run['seed'] for name, run in outputs['sampling']['runs'].items()} == {'seed_1': 5192, 'seed_2': 6192}
    # The optical mode at Γ is the highest of a crystal with springs between nearest neighbours only.
    for name, stiffness in (('seed_1', 3.0), ('seed_2', 3.3)):
        highest = optical_frequency_cm1(rocksalt(), stiffness)
        above = curves[name][grid > highest + 30].max()
        assert above < 0.02 * curves[name].max()
        near = np.trapezoid(curves[name][abs(grid - highest) < 15], grid[abs(grid - highest) < 15])
        assert near > 0.05
    # The centre of mass rests: of the 48 modes of 8 primitive cells, 45 move.
    assert np.trapezoid(curves['mean'], grid) == pytest.approx(45 / 8, rel=0.02)
    assert vdos.base.attributes.get('modes_per_primitive_cell') == pytest.approx(45 / 8)
    assert np.allclose(curves['element_Li'] + curves['element_F'], curves['mean'])
    assert np.allclose(sum(curves[f'direction_{axis}'] for axis in 'xyz'), curves['mean'])
    assert vdos.base.attributes.get('resolution_cm1') == pytest.approx(33356.4 / 2000, rel=0.01)


@pytest.mark.nightly
def test_records_that_fold_back_the_highest_mode_give_no_spectrum(python, crystal, members):
    # Every 40 fs shows up to 417 cm⁻¹, and the optical mode is at 621.
    often = {**SHORT['md']['parameters'], 'record_every': 20}
    _, node = run_get_node(builder_of(python, crystal, {'seed_1': members['seed_1']}, md={'parameters': often}))
    assert node.exit_status == VACFWorkChain.exit_codes.ERROR_NO_DYNAMICS.status
    assert 'the highest harmonic mode is 621 cm⁻¹' in node.exit_message
    assert 'folds the others back: take 13 for `record_every`' in node.exit_message


def test_no_member_is_refused_at_submission(python, crystal):
    with pytest.raises(ValueError, match='no force field given'):
        run_get_node(builder_of(python, crystal, {}))


@pytest.mark.parametrize('n_steps', [0, -5])
def test_dynamics_without_steps_is_refused_at_submission(python, crystal, members, n_steps):
    with pytest.raises(ValueError, match=f'parameters.n_steps` is {n_steps}, but must be at least 1'):
        run_get_node(builder_of(python, crystal, members, md={'parameters': {'n_steps': n_steps}}))


@pytest.mark.nightly
def test_a_harmonic_crystal_has_its_own_harmonic_spectrum_and_no_shift(python, crystal, members):
    builder = builder_of(
        python,
        crystal,
        {'seed_1': members['seed_1']},
        n_trajectories=2,
        md={'parameters': {'equilibration_steps': 500}},
    )
    outputs, node = run_get_node(builder)
    assert node.is_finished_ok, node.exit_message
    assert set(outputs['vacf']) == {'seed_1_trajectory_1', 'seed_1_trajectory_2'}
    assert 'trajectory' not in outputs
    runs = outputs['sampling']['runs']
    assert [runs[name]['seed'] for name in sorted(runs)] == [5192, 5193]
    assert all(run['correlation_time_is_a_lower_bound'] for run in runs.values())
    assert all(abs(run['energy_drift_mev_per_atom_ps']) < 0.01 for run in runs.values())
    vdos, harmonic = outputs['vdos'], outputs['harmonic_dos']
    assert np.array_equal(vdos.get_x()[1], harmonic.get_x()[1])
    curves = {name: curve for name, curve, _ in vdos.get_y()}
    assert np.allclose(curves['sd'], curves['sampling_sd'])
    expected = {name: curve for name, curve, _ in harmonic.get_y()}['mean']
    where = expected > 0.05 * expected.max()
    deviations = (curves['mean'] - expected)[where] / curves['sd'][where]
    assert np.sqrt(np.mean(deviations**2)) < 2
    assert outputs['peaks']['peaks']
    for peak in outputs['peaks']['peaks']:
        assert abs(peak['shift_cm1']) < 3 * peak['error_cm1'] + 0.5
    highest = outputs['peaks']['peaks'][-1]['harmonic_cm1']
    assert highest < optical_frequency_cm1(rocksalt(), 3.0) + 20


@pytest.mark.nightly
def test_a_dynamics_that_cannot_be_trusted_is_left_out_with_its_numbers(python, crystal, members):
    member = {'seed_1': members['seed_1']}
    short = {'n_steps': 60, 'max_lag_steps': 20, 'keep_trajectory': True, 'record_every': 4}
    builder = builder_of(
        python, crystal, member, md={'parameters': short}, limits={'temperature': 1e-9, 'energy_drift': 1e-9}
    )
    outputs, node = run_get_node(builder)
    assert node.exit_status == VACFWorkChain.exit_codes.ERROR_UNRELIABLE_DYNAMICS.status
    assert 'its energy drifts by' in node.exit_message or 'its mean temperature is' in node.exit_message
    assert set(outputs['vacf']) == {'seed_1'}
    assert outputs['trajectory']['seed_1'].n_frames == 15


@pytest.mark.parametrize('equilibration_steps', [pytest.param(0, marks=pytest.mark.nightly), 500])
def test_a_dynamics_that_blows_up_says_when_and_keeps_the_frames_before(python, crystal, members, equilibration_steps):
    builder = builder_of(
        python,
        crystal,
        {'seed_1': members['seed_1']},
        md={'parameters': {'time_step_fs': 30.0, 'equilibration_steps': equilibration_steps}},
    )
    outputs, node = run_get_node(builder)
    assert node.exit_status == VACFWorkChain.exit_codes.ERROR_NO_DYNAMICS.status
    assert 'blew up in step' in node.exit_message
    assert ' K: ' in node.exit_message
    step = int(re.search(r'in step (\d+)', node.exit_message)[1])
    assert outputs['trajectory']['seed_1'].n_frames == min(step - 1, 10)


@pytest.mark.parametrize(
    ('parameters', 'spectrum', 'reason'),
    [
        ({'max_lag_steps': 1600}, {}, '3000 steps are too short for a longest lag of 1600 steps, which resolves 10.4'),
        ({}, {'resolution_cm1': 5.0}, 'take at least 3336 for `max_lag_steps` and 6672 for `n_steps`'),
        ({'record_every': 20}, {'highest_cm1': 800.0}, 'shows modes up to 417'),
        ({'temperature_end_K': 40.0}, {}, 'a spectrum belongs to one temperature'),
        ({'record': 'snapshots'}, {}, 'a spectrum needs `vacf`'),
    ],
)
def test_dynamics_that_cannot_give_the_spectrum_is_refused_at_submission(
    python, crystal, members, parameters, spectrum, reason
):
    builder = builder_of(
        python, crystal, members, md={'parameters': {**SHORT['md']['parameters'], **parameters}}, spectrum=spectrum
    )
    with pytest.raises(ValueError, match=reason):
        run_get_node(builder)


@pytest.mark.nightly
def test_what_the_spectrum_lacks_and_why_no_peaks_are_compared_is_reported(python, members):
    moved = rocksalt()
    moved.positions[1, 0] += 0.02
    builder = builder_of(
        python,
        orm.StructureData(ase=moved),
        {'seed_1': members['seed_1']},
        md={'parameters': {'n_steps': 400, 'max_lag_steps': 100, 'equilibration_steps': 200}},
        spectrum={'highest_cm1': 300.0},
    )
    outputs, node = run_get_node(builder)
    assert node.is_finished_ok, node.exit_message
    assert 'peaks' not in outputs
    # Two springs along x of 3 eV/Å² and four across of a tenth of it pull back by 7.2 eV/Å².
    assert outputs['sampling']['runs']['seed_1']['residual_force_eV_A'] == pytest.approx(0.02 * 7.2, rel=1e-3)
    told = ' '.join(entry.message for entry in orm.Log.collection.get_logs_for(node))
    assert 'no peaks are compared: the harmonic modes are of a structure with forces of up to 0.14 eV/Å' in told
    frequencies = outputs['vacf']['seed_1'].get_array('harmonic_frequencies_cm1')
    assert f'`highest_cm1` cuts off {100 * np.mean(frequencies > 300):.1f} % of the modes' in told
