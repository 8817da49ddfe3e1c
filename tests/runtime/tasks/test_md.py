"""Molecular dynamics: a run that was stopped or killed gives what an uninterrupted one gives."""

from __future__ import annotations

import json
import re
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ase import Atoms, units
from ase.calculators.calculator import Calculator, all_changes

from aiida_mlcc.runtime.md.settings import MD
from aiida_mlcc.runtime.programs import EngineError
from aiida_mlcc.runtime.tasks.md import BlowUp, MolecularDynamics
from aiida_mlcc.science.labels.snapshots import Snapshots
from aiida_mlcc.science.npz import read_npz
from aiida_mlcc.science.settings import SettingsError
from tests.crystals import hessian_of
from tests.runtime.jobs import (
    ENGINE,
    interrupt,
    lithium_hydride,
    output_of,
    run,
    start_process,
    stop_after,
    write_job,
    write_snapshots,
)
from tests.runtime.mace.alloy import cell, random_force_field
from tests.runtime.test_force_field_calculator import springs

PARAMETERS: dict[str, Any] = {
    'ensemble': 'langevin',
    'n_steps': 60,
    'time_step_fs': 2.0,
    'friction_per_ps': 10.0,
    'temperature_start_K': 100.0,
    'temperature_end_K': 300.0,
    'initial_temperature_K': 200.0,
    'equilibration_steps': 0,
    'record_every': 2,
    'record': 'snapshots',
    'max_lag_steps': None,
    'checkpoint_every': 7,
    'dtype': 'float64',
}


def crystal() -> Atoms:
    return cell() * (2, 1, 1)


def job(folder: Path, checkpoint_of: Path | None = None, seed: int = 5, **parameters: Any) -> Path:
    """A run on springs."""
    write_snapshots(folder, 'start.npz', crystal())
    random_force_field(springs()).save(folder / 'force_fields' / 'springs')
    content = {
        'task': 'md',
        'calculator': {'kind': 'force-field', 'path': 'force_fields/springs', 'label': 'PBE'},
        'start': 'start.npz',
        'frame': 0,
        'seed': seed,
        'parameters': {**PARAMETERS, **parameters},
    }
    return write_job(folder, content, checkpoint_of)


def trajectory(folder: Path) -> Snapshots:
    return Snapshots.load(folder / 'trajectory.npz')


def checkpointed_step(folder: Path) -> int:
    path = folder / 'checkpoint' / 'md.npz'
    return read_npz(path)[1]['step'] if path.exists() else 0


@pytest.mark.parametrize('n_checks', [1, 23, 59])
@pytest.mark.parametrize('ensemble', ['langevin', 'nve'])
def test_a_resumed_run_is_the_uninterrupted_one_bit_by_bit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ensemble: str, n_checks: int
) -> None:
    whole = job(tmp_path / 'whole', ensemble=ensemble)
    assert run(whole)['final']
    first = job(tmp_path / 'first', ensemble=ensemble)
    with monkeypatch.context() as patch:
        stop_after(patch, n_checks)
        output = run(first)
    assert (output['final'], output['reason'], output['steps_done']) == (False, 'walltime', n_checks)
    second = job(tmp_path / 'second', checkpoint_of=first, ensemble=ensemble)
    assert run(second) == {**output_of(whole), 'wall_seconds': output_of(second)['wall_seconds']}
    assert (second / 'trajectory.npz').read_bytes() == (whole / 'trajectory.npz').read_bytes()


@pytest.mark.parametrize('record', [pytest.param('snapshots', marks=pytest.mark.nightly), 'vacf'])
def test_a_killed_run_is_resumed_from_its_last_checkpoint_bit_by_bit(tmp_path: Path, record: str) -> None:
    long = {'n_steps': 1500, 'checkpoint_every': 30, 'record': record, 'record_every': 3}
    killed = job(tmp_path / 'killed', **long)
    code = interrupt(killed, lambda: checkpointed_step(killed) >= 30)
    assert code == -signal.SIGKILL
    assert not (killed / 'output.json').exists()
    assert checkpointed_step(killed) < 1500
    resumed = job(tmp_path / 'resumed', checkpoint_of=killed, **long)
    assert run(resumed)['final']
    whole = job(tmp_path / 'whole', **long)
    assert run(whole)['final']
    name = 'vacf.npz' if record == 'vacf' else 'trajectory.npz'
    assert (resumed / name).read_bytes() == (whole / name).read_bytes()


def test_sigterm_ends_a_run_in_good_order(tmp_path: Path) -> None:
    folder = job(tmp_path, n_steps=10**6, record_every=1)
    assert interrupt(folder, lambda: checkpointed_step(folder) > 0, signal.SIGTERM) == 0
    output = output_of(folder)
    assert output['reason'] == 'signal'
    assert output['steps_done'] == checkpointed_step(folder)
    assert trajectory(folder).n_frames == output['steps_done']


def test_the_time_limit_ends_a_run_before_it_is_over(tmp_path: Path) -> None:
    folder = job(tmp_path, n_steps=10**6, record_every=1000)
    content = json.loads((folder / 'input.json').read_text())
    (folder / 'input.json').write_text(json.dumps({**content, 'max_seconds': 1.0}))
    output = run(folder)
    assert output['reason'] == 'walltime'
    assert output['wall_seconds'] < 1.5


def test_a_checkpoint_of_another_run_is_not_continued(tmp_path: Path) -> None:
    other = job(tmp_path / 'other', seed=6)
    run(other)
    mine = job(tmp_path / 'mine', checkpoint_of=other)
    run(mine)
    fresh = job(tmp_path / 'fresh')
    run(fresh)
    assert (mine / 'trajectory.npz').read_bytes() == (fresh / 'trajectory.npz').read_bytes()


def test_frames_are_those_after_every_so_many_steps_and_carry_labels(tmp_path: Path) -> None:
    every = job(tmp_path / 'every', record_every=1)
    run(every)
    some = job(tmp_path / 'some', record_every=4, equilibration_steps=0)
    run(some)
    all_frames, few = trajectory(every), trajectory(some)
    assert (all_frames.n_frames, few.n_frames) == (60, 15)
    assert np.array_equal(few.positions, all_frames.positions[3::4])
    label = few.labels['ML(PBE)']
    assert label.forces is not None
    assert set(label.source) == {'force_field', 'dtype'}
    assert np.isfinite(label.energies).all()
    assert not np.array_equal(all_frames.positions[0], crystal().positions)


def test_equilibration_is_not_recorded(tmp_path: Path) -> None:
    folder = job(tmp_path, equilibration_steps=11, n_steps=10, record_every=5)
    output = run(folder)
    assert trajectory(folder).n_frames == 2
    assert (output['steps_done'], output['equilibration_steps_done']) == (10, 11)


def test_nve_keeps_its_energy(tmp_path: Path) -> None:
    output = run(job(tmp_path, ensemble='nve', n_steps=2000, time_step_fs=1.0, record_every=500))
    assert abs(output['energy_drift_mev_per_atom_ps']) < 0.05


def test_the_autocorrelation_at_lag_zero_is_twice_the_kinetic_energy(tmp_path: Path) -> None:
    folder = job(tmp_path, record='vacf', record_every=1, n_steps=200, max_lag_steps=50)
    output = run(folder)
    arrays, description = read_npz(folder / 'vacf.npz')
    n_atoms = len(crystal())
    assert arrays['time_fs'].tolist() == [2.0 * k for k in range(51)]
    assert description['counts'] == {'Cu': 6, 'Au': 2}
    at_zero = sum(arrays[f'vacf_{symbol}'][0] for symbol in ('Cu', 'Au'))
    in_ase_units = at_zero / units.fs**2
    expected = (3 * n_atoms - 3) * units.kB * output['mean_temperature_K']
    assert in_ase_units == pytest.approx(expected, rel=1e-5)


def test_a_blow_up_names_step_and_temperature_and_keeps_the_frames(tmp_path: Path) -> None:
    folder = job(tmp_path, time_step_fs=33.0, record_every=1, ensemble='nve', n_steps=1000)
    output = run(folder)
    assert output['reason'] == 'error'
    assert 'blew up in step' in output['message']
    assert ' K: ' in output['message']
    assert trajectory(folder).n_frames == output['steps_done'] > 0


@pytest.mark.parametrize(
    ('lowest_cm1', 'advice'),
    [
        (-517.4, 'unstable in this model, its lowest mode is at -517 cm⁻¹'),
        (-0.1, 'smaller time'),
        (None, 'smaller time'),
    ],
)
def test_a_blow_up_of_an_unstable_crystal_says_so(lowest_cm1: float | None, advice: str) -> None:
    assert advice in str(BlowUp(26, 1044.0, 900.0, lowest_cm1))


def test_a_spectrum_that_blows_up_keeps_the_last_frames(tmp_path: Path) -> None:
    folder = job(tmp_path, time_step_fs=33.0, record_every=1, ensemble='nve', n_steps=1000, record='vacf')
    output = run(folder)
    assert 'blew up in step' in output['message']
    assert trajectory(folder).n_frames == min(output['steps_done'], 10) > 0
    assert not (folder / 'vacf.npz').exists()


@pytest.mark.parametrize('keep_trajectory', [False, True])
def test_a_spectrum_that_blows_up_while_it_equilibrates_keeps_the_last_frames(
    tmp_path: Path, keep_trajectory: bool
) -> None:
    folder = job(
        tmp_path, time_step_fs=33.0, equilibration_steps=500, record='vacf', keep_trajectory=keep_trajectory
    )  # fmt: skip
    output = run(folder)
    assert f'blew up in step {output["equilibration_steps_done"] + 1}' in output['message']
    assert output['steps_done'] == 0
    assert trajectory(folder).n_frames == min(output['equilibration_steps_done'], 10) > 0


BLOWING_UP = {'time_step_fs': 33.0, 'ensemble': 'nve', 'n_steps': 1000, 'max_lag_steps': 300}


@pytest.mark.parametrize('keep_trajectory', [False, True])
def test_the_last_frames_are_those_of_the_last_steps_however_rarely_a_spectrum_is_recorded(
    tmp_path: Path, keep_trajectory: bool
) -> None:
    every = job(tmp_path / 'every', record_every=1, **BLOWING_UP)
    run(every)
    rare = job(tmp_path / 'rare', record_every=300, record='vacf', keep_trajectory=keep_trajectory, **BLOWING_UP)
    run(rare)
    kept = min(trajectory(every).n_frames, 10)
    assert trajectory(rare).n_frames == kept > 1
    assert np.array_equal(trajectory(rare).positions, trajectory(every).positions[-kept:])


def test_the_last_frames_before_a_blow_up_are_also_those_of_the_job_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = {**BLOWING_UP, 'record': 'vacf', 'record_every': 1}
    whole = job(tmp_path / 'whole', **settings)
    n_steps = run(whole)['steps_done']
    first = job(tmp_path / 'first', **settings)
    with monkeypatch.context() as patch:
        stop_after(patch, n_steps - 1)
        assert run(first)['steps_done'] == n_steps - 1
    second = job(tmp_path / 'second', checkpoint_of=first, **settings)
    assert 'blew up in step' in run(second)['message']
    assert trajectory(second).n_frames == min(n_steps, 10) > 1
    assert (second / 'trajectory.npz').read_bytes() == (whole / 'trajectory.npz').read_bytes()


def test_forces_that_are_no_numbers_are_told_with_the_last_temperature_that_is_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    healthy = MolecularDynamics.forces_at

    def broken(self: MolecularDynamics, positions: np.ndarray) -> np.ndarray:
        forces = healthy(self, positions)
        return forces * np.nan if hasattr(self, 'state') and self.state.step == 6 else forces

    monkeypatch.setattr(MolecularDynamics, 'forces_at', broken)
    folder = job(tmp_path, record='vacf', ensemble='nve', max_lag_steps=20)
    output = run(folder)
    assert 'nan' not in output['message']
    found = re.search(r'blew up in step 7, from (\d+) K to no number', output['message'])
    assert found is not None
    # Springs at rest take up half of the 200 K of the first velocities, or less.
    assert 30 < float(found[1]) < 400
    assert trajectory(folder).n_frames == 6


def with_primitive(folder: Path, unit: Atoms) -> Path:
    content = json.loads((folder / 'input.json').read_text())
    content['primitive'] = {
        'symbols': unit.get_chemical_symbols(), 'cell': unit.cell.tolist(), 'positions': unit.positions.tolist()
    }  # fmt: skip
    (folder / 'input.json').write_text(json.dumps(content))
    return folder


def test_a_spectrum_outlives_its_harmonic_modes_and_says_why_there_are_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise EngineError('a force on the crystal at rest is not a number')

    monkeypatch.setattr('aiida_mlcc.runtime.tasks.md.modes_at_rest', fail)
    folder = with_primitive(job(tmp_path, record='vacf', n_steps=20, max_lag_steps=10), cell())
    output = run(folder)
    assert output['final']
    arrays, description = read_npz(folder / 'vacf.npz')
    assert 'vacf_Cu' in arrays
    assert 'harmonic_frequencies_cm1' not in arrays
    for told in (output, description):
        assert 'a force on the crystal at rest is not a number' in told['no_harmonic_modes_because']


def test_a_primitive_cell_of_another_crystal_is_noticed_before_the_first_step(tmp_path: Path) -> None:
    other = cell()
    other.set_cell(1.1 * other.cell, scale_atoms=True)
    folder = with_primitive(job(tmp_path, record='vacf', n_steps=20, max_lag_steps=10), other)
    output = run(folder)
    assert 'the start is not a supercell of `primitive`' in output['message']
    assert 'steps_done' not in output
    assert not (folder / 'checkpoint' / 'md.npz').exists()


def test_records_that_would_fold_a_mode_back_are_noticed_before_the_first_step(tmp_path: Path) -> None:
    folder = with_primitive(job(tmp_path, record='vacf', n_steps=400, record_every=100), cell())
    output = run(folder)
    assert 'and folds the others back: take ' in output['message']
    assert not (folder / 'checkpoint' / 'md.npz').exists()


def test_the_frames_beside_a_spectrum_are_kept_on_request(tmp_path: Path) -> None:
    settings = {'record': 'vacf', 'record_every': 4, 'n_steps': 60, 'max_lag_steps': 20}
    kept = job(tmp_path / 'kept', keep_trajectory=True, **settings)
    run(kept)
    assert trajectory(kept).n_frames == 15
    plain = job(tmp_path / 'plain', **settings)
    run(plain)
    assert not (plain / 'trajectory.npz').exists()
    assert (plain / 'vacf.npz').read_bytes() == (kept / 'vacf.npz').read_bytes()


def test_the_production_may_be_coupled_more_weakly() -> None:
    parameters = MD.of({**PARAMETERS, 'equilibration_steps': 3, 'production_friction_per_ps': 0.1})
    assert [parameters.friction(step) for step in (0, 2, 3, 9)] == [10.0, 10.0, 0.1, 0.1]
    assert MD.of(PARAMETERS).friction(9) == 10.0


def test_the_harmonic_modes_beside_a_spectrum_are_those_of_the_hessian(tmp_path: Path) -> None:
    folder = with_primitive(job(tmp_path, record='vacf', n_steps=20, max_lag_steps=10), cell())
    assert run(folder)['final']
    arrays, description = read_npz(folder / 'vacf.npz')
    hessian = hessian_of(springs(), crystal())
    root = np.repeat(np.sqrt(crystal().get_masses()), 3)
    squares = np.sort(np.linalg.eigvalsh(hessian / np.outer(root, root)))
    expected = np.sort(np.delete(squares, np.argsort(np.abs(squares))[:3]))
    found = arrays['harmonic_frequencies_cm1']
    assert len(found) == 3 * len(crystal()) - 3
    assert np.allclose(np.sign(found) * found**2 / found[-1] ** 2, expected / expected[-1], atol=1e-6)
    assert set(description['harmonic_elements']) == {'Cu', 'Au'}
    assert description['residual_force_eV_A'] < 1e-6


def test_the_temperature_goes_linearly_from_start_to_end() -> None:
    parameters = MD.of({**PARAMETERS, 'equilibration_steps': 3, 'n_steps': 4})
    assert [parameters.target_temperature(step) for step in range(7)] == [100, 100, 100, 125, 175, 225, 275]


@pytest.mark.parametrize(
    ('change', 'named'),
    [({'enseble': 'nve'}, 'enseble'), ({'n_steps': 0}, 'n_steps'), ({'record': 'film'}, 'film')],
)
def test_senseless_parameters_are_named(change: dict[str, Any], named: str) -> None:
    with pytest.raises(SettingsError, match=named):
        MD.of({**PARAMETERS, **change})


def test_a_frame_that_is_not_there_is_refused(tmp_path: Path) -> None:
    folder = job(tmp_path)
    content = json.loads((folder / 'input.json').read_text())
    (folder / 'input.json').write_text(json.dumps({**content, 'frame': 3}))
    assert 'frame 3' in run(folder)['message']


def dft_job(folder: Path, checkpoint_of: Path | None = None) -> Path:
    """A few steps of real DFT on the cheapest crystal."""
    write_snapshots(folder, 'start.npz', lithium_hydride())
    content = {
        'task': 'md',
        'calculator': {'kind': 'pyscf', 'method': 'LDA', **ENGINE, 'ke_cutoff': 60.0},
        'start': 'start.npz',
        'frame': 0,
        'seed': 5,
        'parameters': {**PARAMETERS, 'n_steps': 4, 'record_every': 1, 'time_step_fs': 1.0},
    }
    return write_job(folder, content, checkpoint_of)


@pytest.mark.nightly
def test_a_resumed_dft_run_is_the_uninterrupted_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = dft_job(tmp_path / 'whole')
    assert run(whole)['final']
    first = dft_job(tmp_path / 'first')
    with monkeypatch.context() as patch:
        stop_after(patch, 2)
        assert run(first)['steps_done'] == 2
    second = dft_job(tmp_path / 'second', checkpoint_of=first)
    assert run(second)['final']
    assert np.allclose(trajectory(second).positions, trajectory(whole).positions, rtol=0, atol=1e-6)
    assert np.allclose(
        trajectory(second).labels['LDA'].energies, trajectory(whole).labels['LDA'].energies, rtol=0, atol=1e-6
    )


def test_an_scf_that_fails_ends_the_dynamics_with_a_sentence(tmp_path: Path) -> None:
    folder = dft_job(tmp_path)
    content = json.loads((folder / 'input.json').read_text())
    content['calculator']['max_cycle'] = 1
    (folder / 'input.json').write_text(json.dumps(content))
    assert run(folder)['message'] == 'the dynamics cannot start: LDA did not converge within 1 cycles'


def test_the_task_runs_from_the_command_line(tmp_path: Path) -> None:
    folder = job(tmp_path)
    assert start_process(folder).wait(60) == 0
    assert output_of(folder)['final']


class SpringsAsEngine(Calculator):
    """Springs that pass for an engine, since they are bound to no crystal; with forces that scatter (eV/Å)."""

    implemented_properties = ['energy', 'forces']

    def __init__(self, springs: Any, scatter: float) -> None:
        super().__init__()
        self.springs, self.scatter, self.random = springs, scatter, np.random.default_rng(2)
        self.label_method, self.label_source = springs.label_method, springs.label_source

    def calculate(self, atoms: Any = None, properties: Any = None, system_changes: Any = None) -> None:
        super().calculate(atoms, properties, system_changes)
        self.springs.calculate(atoms, ['energy', 'forces'], all_changes)
        forces = self.springs.results['forces']
        scattered = self.random.normal(0, self.scatter, forces.shape) if self.scatter else 0.0
        self.results = {'energy': self.springs.results['energy'], 'forces': forces + scattered}


@pytest.fixture
def run_as_engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return what runs the job with springs that pass for an engine, and gives its output."""
    from aiida_mlcc.runtime.tasks import md

    build_force_field = md.build_calculator

    def run_it(scatter: float = 0.0, **parameters: Any) -> dict[str, Any]:
        monkeypatch.setattr(md, 'build_calculator', lambda *given: SpringsAsEngine(build_force_field(*given), scatter))
        return run(job(tmp_path / f'{scatter}{parameters}', **parameters))

    return run_it


def test_a_dft_run_whose_time_step_is_too_long_ends_in_the_first_step_with_a_better_one(run_as_engine: Any) -> None:
    message = run_as_engine(time_step_fs=33.0)['message']
    assert message.startswith('a time step of 33 fs is too long: the vibrations of this crystal turn by 2.0 rad in it')
    better = float(re.search(r'set `time_step_fs` to ([\d.]+) or less', message).group(1))  # type: ignore[union-attr]
    assert better == pytest.approx(33 * 0.25 / 2.0, rel=0.05)
    output = run_as_engine(time_step_fs=better)
    assert output['final'], output


def test_a_dft_run_that_becomes_hotter_than_its_thermostat_ends_without_frames(run_as_engine: Any) -> None:
    """Forces that scatter by 3 eV/Å heat faster than the friction cools."""
    output = run_as_engine(scatter=3.0, n_steps=200)
    assert 'take a smaller `time_step_fs`, or forces that are converged better' in output['message']
    assert int(re.search(r'at (\d+) K on average', output['message']).group(1)) > 400  # type: ignore[union-attr]
    assert 'trajectory' not in output


def test_a_dft_run_starts_hotter_than_its_thermostat_and_goes_on(run_as_engine: Any) -> None:
    assert run_as_engine(n_steps=40, initial_temperature_K=300.0, temperature_end_K=100.0)['final']


@pytest.mark.parametrize('damage', ['state', 'frames'])
def test_a_damaged_checkpoint_is_set_aside_and_the_run_begins_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: str
) -> None:
    """It ends like one that was never stopped."""
    whole = run(job(tmp_path / 'whole'))
    with monkeypatch.context() as stopping:
        stop_after(stopping, 20)
        run(job(tmp_path / 'first'))
    checkpoint = tmp_path / 'first' / 'checkpoint'
    path = checkpoint / {'state': 'md.npz', 'frames': 'frames.bin'}[damage]
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    again = run(job(tmp_path / 'second', checkpoint_of=tmp_path / 'first'))
    assert again['final']
    assert 'md.npz of the checkpoint is damaged and was set aside' in again['remarks'][0]
    assert again['mean_temperature_K'] == whole['mean_temperature_K']


def test_a_damaged_evaluation_is_made_again(tmp_path: Path) -> None:
    from tests.runtime.tasks.test_evaluate import force_field_job

    first = force_field_job(tmp_path / 'first')
    assert run(first)['final']
    second = force_field_job(tmp_path / 'second')
    (second / 'checkpoint').mkdir()
    (kept,) = (first / 'checkpoint').glob('evaluated_soft.npz')
    (second / 'checkpoint' / kept.name).write_bytes(kept.read_bytes()[:200])
    output = run(second)
    assert output['final']
    assert output['n_evaluated'] == json.loads((first / 'output.json').read_text())['n_evaluated']
    assert 'evaluated_soft.npz of the checkpoint is damaged' in output['remarks'][0]
