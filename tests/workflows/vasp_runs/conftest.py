"""Fixtures for the WorkChains that run VASP: a code that replays made-up outputs, and a potential family of stubs."""

import shutil
import sys
from pathlib import Path

import pytest
from aiida import orm

from tests.vasp_outputs import POTCAR, Registry
from tests.workflows.vasp_runs.settings import FAMILY, ZVAL


@pytest.fixture
def registry(tmp_path):
    """The cases that the code knows."""
    return Registry(tmp_path / 'vasp_cases')


@pytest.fixture(scope='session')
def potentials(aiida_profile, tmp_path_factory):
    """A family of potentials that hold nothing."""
    from aiida_vasp.data.potcar import PotcarData, PotcarGroup

    folder = tmp_path_factory.mktemp('potentials')
    group = PotcarGroup(label=FAMILY).store()
    for element, zval in ZVAL.items():
        path = folder / FAMILY / element / 'POTCAR'
        path.parent.mkdir(parents=True)
        path.write_text(POTCAR.format(element=element, zval=zval))
        node, _ = PotcarData.get_or_create_from_file(str(path))
        group.add_nodes(node)
    return group


@pytest.fixture
def vasp(potentials, registry, aiida_localhost, warm_python, tmp_path):
    """`mock-vasp` as a code."""
    mock = shutil.which('mock-vasp', path=str(Path(sys.executable).parent))
    program = tmp_path / 'vasp'
    program.write_text(f'#!/bin/sh\nexec {warm_python.executable} {mock} "$@"\n')
    program.chmod(0o755)
    return orm.InstalledCode(
        label='vasp',
        computer=aiida_localhost,
        filepath_executable=str(program),
        default_calc_job_plugin='vasp.vasp',
        prepend_text=f'export MOCK_VASP_REG_BASE={registry.folder} OMP_NUM_THREADS=1',
    ).store()


@pytest.fixture
def where(vasp):
    """The namespace `vasp`."""
    return {'code': vasp, 'options': orm.Dict({'resources': {'num_machines': 1}, 'withmpi': False})}
