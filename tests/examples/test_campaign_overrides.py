"""The overrides that the documentation gives for a cluster: they fit the inputs, and each job is where it should be."""

from pathlib import Path

import pytest
import yaml
from aiida import orm
from ase.build import bulk

from aiida_mlcc.workflows.mlcc_phonon import MLCCPhononWorkChain

OVERRIDES = Path(__file__).parents[2] / 'docs' / 'howto' / 'cluster' / 'campaign.yaml'


@pytest.fixture
def builder(aiida_profile, aiida_localhost):
    plugins = {'python': None, 'cc4s_code': 'mlcc.cc4s', 'vasp_code': 'vasp.vasp'}
    codes = {
        name: orm.InstalledCode(
            label=name, computer=aiida_localhost, filepath_executable='/bin/true', default_calc_job_plugin=plugin
        ).store()
        for name, plugin in plugins.items()
    }
    return MLCCPhononWorkChain.get_builder_from_protocol(
        codes.pop('python'),
        orm.StructureData(ase=bulk('C', 'diamond', 3.561, cubic=True)),
        'paper',
        yaml.safe_load(OVERRIDES.read_text()),
        options={'queue_name': 'any', 'qos': 'long'},
        train_options={'queue_name': 'gpu'},
        **codes,
    )


def test_labels_run_on_cpu_nodes_and_training_on_gpu_nodes(builder) -> None:
    assert builder.dft_md.vasp.code.label == 'vasp_code'
    assert builder.dft_md.vasp.options['queue_name'] == 'cpu'
    assert builder.cc_energies.cc4s.code.label == 'cc4s_code'
    assert builder.cc_energies.cc4s.metadata.options.queue_name == 'cpu'
    assert builder.delta_train.base.metadata.options.queue_name == 'gpu'


def test_options_of_all_jobs_reach_all_and_give_way_to_a_job_s_own(builder) -> None:
    cc4s, vasp = builder.cc_energies.cc4s.metadata.options, builder.cc_energies.vasp.options
    assert (cc4s.qos, cc4s.queue_name, cc4s.max_wallclock_seconds) == ('long', 'cpu', 86400)
    assert (vasp['qos'], vasp['queue_name']) == ('long', 'cpu')
    assert builder.delta_train.base.device.value == 'cuda'


def test_engine_has_what_the_table_of_engines_says_where_nothing_else_is_asked(builder) -> None:
    engine = builder.cc_energies.engine.get_dict()
    assert engine['name'] == 'vasp+cc4s'
    assert engine['potential_mapping'] == {'C': 'C_GW'}
    assert engine['cc4s']['finite_size_correction'] == {}
    assert 'basis' not in engine
    assert builder.cc_energies.max_core_hours.value == 800000.0
