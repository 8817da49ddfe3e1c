"""Protocols: laid over each other key by key, and nothing unknown passes."""

import pytest

from aiida_mlcc.jobs.inputs import merge
from aiida_mlcc.workflows.mlcc_phonon import STAGES, MLCCPhononWorkChain
from aiida_mlcc.workflows.protocol import ProtocolError

PROTOCOLS = ('fast', 'balanced', 'paper')
WORKCHAINS = [*STAGES.values(), MLCCPhononWorkChain]


@pytest.mark.parametrize('workchain', WORKCHAINS, ids=lambda workchain: workchain.__name__)
def test_every_workchain_has_the_three_protocols(workchain):
    assert tuple(workchain.get_available_protocols()) == PROTOCOLS
    assert workchain.get_default_protocol() == 'balanced'


def test_merge_lays_mappings_over_each_other_and_leaves_both_alone():
    below, above = {'a': {'b': 1, 'c': [1, 2]}, 'd': 3}, {'a': {'c': [5]}}
    assert merge(below, above) == {'a': {'b': 1, 'c': [5]}, 'd': 3}
    assert below == {'a': {'b': 1, 'c': [1, 2]}, 'd': 3}


def test_article_settings_are_in_the_paper_protocol():
    """arXiv:2507.06929, Table 1."""
    md = STAGES['dft_md'].get_protocol_inputs('paper')
    assert md['md']['parameters']['n_steps'] == 2000
    assert (md['md']['parameters']['temperature_start_K'], md['md']['parameters']['temperature_end_K']) == (0.0, 500.0)
    assert STAGES['cc_energies'].get_protocol_inputs('paper')['selection']['n'] == 200
    training = STAGES['delta_train'].get_protocol_inputs('paper')
    assert training['seeds'] == [5192, 5391, 5735, 7271, 861]
    assert training['delta']['kind'] == 'mace'
    assert training['base']['training']['epochs'] == 50
    phonons = STAGES['harmonic_phonon'].get_protocol_inputs('paper')
    assert phonons['supercell_matrix'] == [4, 4, 4]
    assert phonons['parameters']['mesh'] == [24, 24, 24]


@pytest.mark.parametrize(
    ('stage', 'overrides', 'named'),
    [
        ('dft_md', {'md': {'parameters': {'n_stepz': 3}}}, 'md.parameters.n_stepz'),
        ('cc_energies', {'selction': {}}, 'selction'),
        ('delta_train', {'base': {'training': {'epoch': 3}}}, 'base.training.epoch'),
        ('vacf', {'spectrum': {'windw': 'hann'}}, 'spectrum.windw'),
    ],
)
def test_unknown_override_is_named_with_its_path(stage, overrides, named):
    with pytest.raises(ProtocolError, match=f'unknown override `{named}`'):
        STAGES[stage].get_protocol_inputs('fast', overrides)


def test_known_port_that_the_protocol_leaves_out_may_be_overridden():
    inputs = STAGES['dft_md'].get_protocol_inputs('fast', {'md': {'metadata': {'options': {'queue_name': 'long'}}}})
    assert inputs['md']['metadata']['options']['queue_name'] == 'long'


def test_unknown_protocol_names_those_there_are():
    with pytest.raises(ProtocolError, match=r"'slow': choose from fast, balanced, paper"):
        MLCCPhononWorkChain.get_protocol_inputs('slow')


def test_master_names_the_stage_of_an_unknown_override(python, crystal):
    with pytest.raises(ProtocolError, match=r'dft_md: unknown override `md.parameters.n_stepz`'):
        MLCCPhononWorkChain.get_builder_from_protocol(
            python, crystal, 'fast', {'dft_md': {'md': {'parameters': {'n_stepz': 3}}}}
        )


def test_scheduler_options_reach_every_job_and_gpu_options_only_the_networks(python, crystal):
    builder = MLCCPhononWorkChain.get_builder_from_protocol(
        python,
        crystal,
        'paper',
        options={'account': 'physics', 'queue_name': 'cpu'},
        train_options={'queue_name': 'gpu'},
    )
    inputs = builder._inputs(prune=True)
    jobs = {
        'md': inputs['dft_md']['md'],
        'correlate': inputs['cc_energies']['correlate'],
        'evaluate': inputs['harmonic_phonon']['evaluate'],
        'vacf': inputs['vacf']['md'],
        'base': inputs['delta_train']['base'],
        'delta': inputs['delta_train']['delta']['mace'],
    }
    queues = {name: job['metadata']['options']['queue_name'] for name, job in jobs.items()}
    assert all(job['metadata']['options']['account'] == 'physics' for job in jobs.values())
    assert queues == {
        'md': 'cpu', 'correlate': 'cpu', 'evaluate': 'cpu', 'vacf': 'cpu', 'base': 'gpu', 'delta': 'gpu'
    }  # fmt: skip
