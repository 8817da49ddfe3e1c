"""The engine `command` with a program that is a few lines of Python."""

from __future__ import annotations

import json
import sys
from typing import Any

import numpy as np
import pytest
from aiida import orm
from aiida.engine import run_get_node

from aiida_mlcc.calculations.command import task_of
from aiida_mlcc.calculations.command_settings import CommandEnergies
from aiida_mlcc.data.snapshots import SnapshotsData
from aiida_mlcc.engines.command import CommandEngine
from aiida_mlcc.workflows.labelling.cc_energies import CCEnergiesWorkChain
from tests.workflows.energies import helium, labelled_frames

SCRIPT = """
import json, sys
constant = json.load(open('settings.json'))['settings']['constant']
frames = open('snapshots.extxyz').read().split('2\\nProperties')[1:]
with open('labels.extxyz', 'w') as labels:
    for frame in frames:
        distance = float(frame.split()[-1])
        said = 'reason="too far apart"' if distance > 2.45 else f'energy_dmc={constant * distance} sigma_dmc=0.01'
        labels.write('2\\n' + said + ' Properties' + frame)
"""


@pytest.fixture
def program(aiida_localhost) -> orm.InstalledCode:
    return orm.InstalledCode(label='any', computer=aiida_localhost, filepath_executable=sys.executable).store()


def engine_of(script: str, **settings: Any) -> dict[str, Any]:
    return {
        'name': 'command',
        'program': 'a script',
        'arguments': ['script.py'],
        'files': {'script.py': script},
        'settings': settings,
    }


def builder_of(python, program, script: str):
    overrides = {'methods': ['DMC'], 'selection': {'kind': 'all'}, 'engine': engine_of(script, constant=-2.0)}
    return CCEnergiesWorkChain.get_builder_from_protocol(
        python, SnapshotsData(helium(2)), 'fast', overrides, command_code=program
    )


def test_energies_of_a_program_are_labels_with_errors_and_source(python, program) -> None:
    outputs, node = run_get_node(builder_of(python, program, SCRIPT))
    assert node.is_finished_ok, node.exit_message
    assert labelled_frames(outputs) == {'DMC': [0]}
    label = outputs['snapshots'].get_snapshots().labels['DMC']
    assert np.isclose(label.energies[0], -2.0 * 2.4)
    assert label.sigma is not None
    assert label.sigma[0] == 0.01
    assert label.source == CommandEngine(engine_of(SCRIPT, constant=-2.0)).source()
    (failure,) = outputs['failures']['failed']
    assert failure['snapshot'] == 1
    assert failure['reason'] == 'too far apart'


def test_program_that_dies_says_its_last_words(python, program) -> None:
    _, node = run_get_node(builder_of(python, program, 'raise SystemExit("no licence")'))
    assert 'wrote no labels.extxyz; the last that it said is: no licence' in node.exit_message


def test_another_script_is_another_source() -> None:
    assert CommandEngine(engine_of('a')).source() != CommandEngine(engine_of('b')).source()


@pytest.mark.parametrize(
    ('changed', 'reason'),
    [
        ({'files': {'../x': ''}}, 'not a plain file name'),
        ({'files': {'_aiidasubmit.sh': ''}}, 'not a plain file name'),
        ({'files': {'snapshots.extxyz': ''}}, 'is a file of the engine itself'),
        ({'files': {'x.py': 1}}, 'the content of x.py is not text'),
        ({'arguments': [1]}, 'put numbers in quotation marks'),
    ],
)
def test_settings_that_would_spoil_the_folder_are_refused(changed: dict[str, Any], reason: str) -> None:
    assert reason in (CommandEnergies.refuse({**engine_of(''), **changed}) or '')


def test_program_is_told_the_methods_and_what_their_energies_are_called() -> None:
    task = json.loads(json.dumps(task_of(['CCSD(T)'], engine_of('', cutoff=3)['settings'])))
    assert task == {'methods': {'CCSD(T)': 'ccsd_t'}, 'settings': {'cutoff': 3}}


def test_method_that_an_engine_lacks_is_refused_with_those_it_has(python) -> None:
    overrides = {'methods': ['RPA'], 'selection': {'kind': 'all'}}
    builder = CCEnergiesWorkChain.get_builder_from_protocol(python, SnapshotsData(helium(2)), 'fast', overrides)
    ports = CCEnergiesWorkChain.spec().inputs
    found = ports.validate(ports.pre_process(ports.serialize(builder._inputs(prune=True))))
    assert found is not None
    assert 'the engine pyscf has no RPA, only HF, MP2, CCSD, CCSD(T)' in found.message
