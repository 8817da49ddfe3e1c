"""``aiida-mlcc model distill`` and ``model errors`` on stored nodes."""

from importlib import import_module
from types import SimpleNamespace
from typing import Any

import pytest
from aiida import orm
from aiida.common.links import LinkType

from aiida_mlcc.data.force_field import ForceFieldData
from aiida_mlcc.data.snapshots import SnapshotsData
from tests.cli.conftest import last_line
from tests.crystals import rocksalt, springs
from tests.workflows.data import snapshots_of_springs

# The package has the command of this name.
LAUNCH = import_module('aiida_mlcc.cli.launch')

THERMAL = {'free_energy_kJ_mol': 34.2, 'entropy_J_K_mol': 4.9, 'heat_capacity_J_K_mol': 12.7}
ERRORS = {
    'n_valid': 16,
    'valid_energy_rmse_mev_atom': 0.3,
    'valid_forces_rmse_mev_angstrom': 41.2,
    'valid_hot_forces_rmse_mev_angstrom': 60.1,
    'phonons': {
        'kelvin': 300.0,
        'frequencies_mae_cm1': 3.1,
        'base': {'highest_cm1': 1305.0, **THERMAL},
        'reference': {'highest_cm1': 1310.0, **THERMAL},
        'commensurate': [{'qpoint': [0.5, 0.0, 0.5], 'base_cm1': [780.0, 1190.5], 'reference_cm1': [782.0, 1200.0]}],
    },
}


@pytest.fixture(scope='module')
def code(aiida_profile):
    computer = orm.Computer('distilled', 'localhost', transport_type='core.local', scheduler_type='core.direct')
    return orm.InstalledCode(label='python', computer=computer.store(), filepath_executable='/usr/bin/python').store()


@pytest.fixture
def teacher(aiida_profile) -> ForceFieldData:
    return ForceFieldData(springs(rocksalt(), method='CCSD(T)')).store()


@pytest.fixture
def submitted(monkeypatch) -> list[Any]:
    """The builders that would have been submitted."""
    builders: list[Any] = []

    def submit(builder: Any) -> SimpleNamespace:
        builders.append(builder)
        return SimpleNamespace(pk=4711)

    monkeypatch.setattr(LAUNCH, 'submit_checked', submit)
    return builders


def test_a_run_is_submitted_with_teacher_frames_and_settings(command, code, teacher, crystal, submitted):
    frames = SnapshotsData(snapshots_of_springs(2)).store()
    words = (
        '--snapshots',
        frames.pk,
        '--structure',
        crystal.pk,
        '--code',
        code.uuid,
        '--set',
        'train.training.epochs=7',
    )
    done = command('model', 'distill', teacher.pk, *words)
    assert done.exit_code == 0, done.output
    assert last_line(done).endswith('aiida-mlcc model errors 4711')
    (builder,) = submitted
    assert (builder.force_field.uuid, builder.snapshots.uuid) == (teacher.uuid, frames.uuid)
    assert builder.train.training.get_dict()['epochs'] == 7


def test_snapshots_without_a_crystal_need_one(command, code, teacher, submitted):
    frames = SnapshotsData(snapshots_of_springs(2)).store()
    done = command('model', 'distill', teacher.pk, '--snapshots', frames.pk, '--code', code.uuid)
    assert done.exit_code == 2
    assert 'The snapshots do not contain their crystal: give it with --structure' in done.output
    assert submitted == []


def ended(network: ForceFieldData | None = None) -> orm.WorkChainNode:
    """A run of a distillation."""
    node = orm.WorkChainNode(process_type='aiida.workflows:mlcc.distill')
    node.set_process_state('finished')
    node.set_exit_status(0 if network is not None else 311)
    node.set_exit_message('' if network is not None else 'The network was not trained: out of memory')
    node.store()
    if network is not None:
        for data, label in ((network, 'force_field'), (orm.Dict({'errors': ERRORS}), 'summary')):
            data.store().base.links.add_incoming(node, LinkType.RETURN, label)
    return node


def test_errors_of_a_network_are_told_with_those_of_its_teacher(command, aiida_profile):
    network = ForceFieldData(springs(rocksalt(), method='ML(CCSD(T))')).say_origin('distilled', 'mace', 5)
    ended(network)
    done = command('model', 'errors', network.uuid)
    assert done.exit_code == 0, done.output
    assert 'ML(CCSD(T)) distilled, seed 5' in done.output
    assert 'On 16 frames held out, against ML(CCSD(T)): energies 0.300 meV/atom, forces 41.2 meV/Å, 60.1' in done.output
    assert '3.1 cm⁻¹ off on average, highest 1305 (1310) cm⁻¹' in done.output
    assert '0.5 0 0.5: -9.5, 1190.5 (1200.0)' in done.output


def test_a_run_without_a_network_gives_its_reason(command, aiida_profile):
    done = command('model', 'errors', ended().pk)
    assert done.exit_code == 1
    assert 'has no network: The network was not trained: out of memory' in done.output


def test_another_run_has_no_such_errors(command, aiida_profile):
    other = orm.WorkChainNode(process_type='aiida.workflows:mlcc.vacf').store()
    done = command('model', 'errors', other.pk)
    assert done.exit_code == 2
    assert 'is not a run of `aiida-mlcc model distill`' in done.output
