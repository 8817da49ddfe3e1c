"""What shares a result through AiiDA's cache, and what must not."""

import pytest
from aiida import orm
from aiida.engine import run_get_node
from aiida.manage.caching import enable_caching
from aiida.plugins import CalculationFactory

from aiida_mlcc.calculations import reached_files
from aiida_mlcc.calculations import runtime_source as module
from aiida_mlcc.calculations.functions.strained_structure import strained_structure
from aiida_mlcc.calculations.runtime_source import runtime_zip, science_hash
from aiida_mlcc.data.force_field import ForceFieldData
from aiida_mlcc.data.snapshots import SnapshotsData
from aiida_mlcc.science.crystal.cells import supercell
from aiida_mlcc.science.labels.snapshots import Snapshots
from aiida_mlcc.workflows.sampling.dft_md import DFTMDWorkChain
from tests.crystals import rocksalt, springs

MdCalculation = CalculationFactory('mlcc.md')


@pytest.fixture
def run(python):
    """Run a short dynamics with a seed, with caching on."""
    parameters = DFTMDWorkChain.get_protocol_inputs('fast')['md']['parameters']

    def run_once(seed: int) -> orm.CalcJobNode:
        builder = MdCalculation.get_builder()
        builder.code = python
        builder.start = SnapshotsData(Snapshots.from_atoms([supercell(rocksalt(), 2)]))
        builder.force_field = ForceFieldData(springs(rocksalt()))
        builder.seed = seed
        builder.parameters = {**parameters, 'n_steps': 4, 'time_step_fs': 1.0}
        with enable_caching(identifier='aiida.calculations:mlcc.*'):
            _, node = run_get_node(builder)
        assert node.is_finished_ok, node.exit_message
        return node

    return run_once


def test_equal_inputs_share_another_seed_and_a_changed_runtime_do_not(run, monkeypatch):
    first = run(seed=1)
    assert not first.base.caching.is_created_from_cache
    again = run(seed=1)
    assert again.base.caching.get_cache_source() == first.uuid
    assert again.outputs.trajectory.content_hash == first.outputs.trajectory.content_hash

    other_seed = run(seed=2)
    assert not other_seed.base.caching.is_created_from_cache
    assert other_seed.outputs.trajectory.content_hash != first.outputs.trajectory.content_hash

    # A zip archive may be followed by a comment: another runtime to AiiDA, the same to Python.
    changed = runtime_zip('md')[:-2] + b'\x01\x00#'
    monkeypatch.setattr(module, 'runtime_zip', lambda task: changed)
    other_runtime = run(seed=1)
    assert not other_runtime.base.caching.is_created_from_cache
    assert other_runtime.outputs.trajectory.content_hash == first.outputs.trajectory.content_hash


def test_a_calcfunction_is_taken_from_the_cache_unless_code_that_it_runs_has_changed(aiida_profile, monkeypatch):
    structure, strain = orm.StructureData(ase=rocksalt()).store(), orm.Float(0.01).store()

    def run_once(changed: str = '') -> orm.CalcFunctionNode:
        def read(path):
            return path.read_bytes() + (b'# changed' if changed and path.match(changed) else b'')

        monkeypatch.setattr(reached_files, 'read', read)
        module._digest_of.cache_clear()
        with enable_caching(identifier='aiida.calculations:mlcc.*'):
            _, node = strained_structure.run_get_node(structure, strain, science_hash(strained_structure))
        module._digest_of.cache_clear()
        return node

    first = run_once()
    assert run_once('science/dataset/dataset.py').base.caching.get_cache_source() == first.uuid
    assert not run_once('science/phonons/gruneisen.py').base.caching.is_created_from_cache
