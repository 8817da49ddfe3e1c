"""Protocols: laid over each other key by key, and nothing unknown passes."""

from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from aiida import orm
from aiida.engine import WorkChain

from aiida_mlcc.calculations.ports import settings_port
from aiida_mlcc.jobs.inputs import merge
from aiida_mlcc.science.settings import Choice, Settings, setting
from aiida_mlcc.workflows.common.protocol import ProtocolError, ProtocolMixin
from aiida_mlcc.workflows.mlcc_phonon import STAGES, MLCCPhononWorkChain
from aiida_mlcc.workflows.sampling.dft_md import DFTMDWorkChain

PROTOCOLS = ('fast', 'balanced', 'stringent', 'paper')
WORKCHAINS = [*STAGES.values(), MLCCPhononWorkChain]


@pytest.mark.parametrize('workchain', WORKCHAINS, ids=lambda workchain: workchain.__name__)
def test_every_workchain_has_all_protocols(workchain):
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
        ('cc_energies', {'selection': {'m': 3}}, 'selection.m'),
        ('delta_train', {'base': {'training': {'epoch': 3}}}, 'base.training.epoch'),
        ('vacf', {'spectrum': {'windw': 'hann'}}, 'spectrum.windw'),
    ],
)
def test_unknown_override_is_named_with_its_path(stage, overrides, named):
    with pytest.raises(ProtocolError, match=f'unknown (override|setting) `{named}`'):
        STAGES[stage].get_protocol_inputs('fast', overrides)


def test_known_port_that_the_protocol_leaves_out_may_be_overridden():
    inputs = STAGES['dft_md'].get_protocol_inputs('fast', {'md': {'metadata': {'options': {'queue_name': 'long'}}}})
    assert inputs['md']['metadata']['options']['queue_name'] == 'long'


@pytest.mark.parametrize('workchain', WORKCHAINS, ids=lambda workchain: workchain.__name__)
def test_path_of_the_protocol_file_leads_to_the_protocols(workchain):
    content = yaml.safe_load(workchain.get_protocol_filepath().read_text('utf-8'))
    assert list(content['protocols']) == list(workchain.get_available_protocols())


@pytest.mark.parametrize('kind', [Path, str])
def test_overrides_may_be_the_path_of_a_file(tmp_path, kind):
    (tmp_path / 'mine.yaml').write_text('selection: {n: 7}\n')
    inputs = STAGES['cc_energies'].get_protocol_inputs('paper', kind(tmp_path / 'mine.yaml'))
    assert inputs['selection']['n'] == 7


def test_overrides_of_every_stage_may_be_one_file(python, crystal, tmp_path):
    mine = tmp_path / 'mine.yaml'
    mine.write_text('delta_train: {seeds: [1, 2]}\nharmonic_phonon: {parameters: {mesh: [32, 32, 32]}}\n')
    builder = MLCCPhononWorkChain.get_builder_from_protocol(python, crystal, 'balanced', mine)
    assert builder.delta_train.seeds.get_list() == [1, 2]
    assert builder.harmonic_phonon.parameters.get_dict()['mesh'] == [32, 32, 32]


@pytest.mark.parametrize('text', ['- methods', 'a: [', 'HF', None])
def test_file_without_overrides_is_named(tmp_path, text):
    if text is not None:
        (tmp_path / 'mine.yaml').write_text(text)
    with pytest.raises(ProtocolError, match=r'mine\.yaml (cannot be read as YAML|must be a mapping of inputs)'):
        STAGES['vacf'].get_protocol_inputs(overrides=tmp_path / 'mine.yaml')


def test_unknown_protocol_names_those_there_are():
    with pytest.raises(ProtocolError, match=r"'slow': choose from fast, balanced, stringent, paper"):
        MLCCPhononWorkChain.get_protocol_inputs('slow')


def test_master_names_the_stage_of_an_unknown_override(python, crystal):
    with pytest.raises(ProtocolError, match=r'dft_md: unknown setting `md.parameters.n_stepz`'):
        MLCCPhononWorkChain.get_builder_from_protocol(
            python, crystal, 'fast', {'sampling': {'kind': 'md'}, 'dft_md': {'md': {'parameters': {'n_stepz': 3}}}}
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


@dataclass(frozen=True)
class Edge(Settings):
    TITLE = 'edge'
    width: float = setting('How wide.', default=1.0, above=0)


@dataclass(frozen=True)
class Square(Settings):
    TITLE = 'square'
    side: float = setting('How long.', default=2.0, above=0)
    edge: Edge | None = setting('Drawn if given.', default=None)
    colour: str = setting('Of the paper.', default='white', required=False, written=False)


@dataclass(frozen=True)
class Circle(Settings):
    TITLE = 'circle'
    radius: float = setting('How far.', default=3.0, above=0)


SHAPES = Choice('shape', 'kind', {'square': Square, 'circle': Circle})


class DrawingWorkChain(ProtocolMixin, WorkChain):
    """A WorkChain with a group of settings of each sort."""

    SETTINGS = {'page.paper': Square, 'shape': SHAPES, 'frame': Edge}

    @classmethod
    def define(cls, spec):
        super().define(spec)
        spec.input('copies', valid_type=orm.Int, serializer=orm.to_aiida_type)
        settings_port(spec, 'page.paper', Square, help='On what.')
        settings_port(spec, 'shape', SHAPES, help='What.')
        settings_port(spec, 'frame', Edge, help='Around it.', required=False)

    @classmethod
    def protocol_content(cls):
        return {
            'default_protocol': 'plain',
            'default_inputs': {'copies': 1, 'shape': {'kind': 'square'}, 'page': {'paper': {'side': 21.0}}},
            'protocols': {
                'plain': {'description': '.'},
                'round': {'description': '.', 'shape': {'kind': 'circle', 'radius': 9.0}},
            },
        }


def test_inputs_are_the_defaults_of_the_groups_under_the_protocol_under_the_overrides():
    assert DrawingWorkChain.get_protocol_inputs() == {
        'copies': 1,
        'page': {'paper': {'side': 21.0, 'edge': None}},
        'shape': {'kind': 'square', 'side': 2.0, 'edge': None},
    }
    assert DrawingWorkChain.get_protocol_inputs('round')['shape'] == {'kind': 'circle', 'radius': 9.0}
    asked = {'page': {'paper': {'edge': {}, 'colour': 'red'}}, 'shape': {'kind': 'circle'}, 'frame': {}}
    assert DrawingWorkChain.get_protocol_inputs('plain', asked) == {
        'copies': 1,
        'page': {'paper': {'side': 21.0, 'edge': {'width': 1.0}, 'colour': 'red'}},
        'shape': {'kind': 'circle', 'radius': 3.0},
        'frame': {'width': 1.0},
    }


@pytest.mark.parametrize(
    ('overrides', 'reason'),
    [
        ({'shape': {'kind': 'circel'}}, "`shape.kind` is 'circel': choose from square, circle"),
        ({'shape': {'radius': 1.0}}, 'unknown setting `shape.radius`: choose from side, edge, colour'),
        ({'page': {'paper': {'side': -1}}}, '`page.paper.side` is -1, but must be above 0'),
        ({'page': {'paper': {'edge': {'width': 0}}}}, '`page.paper.edge.width` is 0, but must be above 0'),
        ({'page': {'paper': {'sides': 1}}}, 'unknown setting `page.paper.sides`: choose from side, edge, colour'),
        ({'frame': 3}, '`frame` is 3: give a mapping of settings'),
        ({'fram': {}}, 'unknown override `fram`: choose from'),
    ],
)
def test_a_setting_that_is_not_allowed_is_named_with_its_path_and_what_is(overrides, reason):
    with pytest.raises(ProtocolError) as error:
        DrawingWorkChain.get_protocol_inputs('plain', overrides)
    assert str(error.value).startswith(reason)


def test_a_settings_port_refuses_at_submission(aiida_profile):
    builder = DrawingWorkChain.get_builder()
    with pytest.raises(ValueError, match=r'square: `side` is -1, but must be above 0'):
        builder.page.paper = {'side': -1, 'edge': None}


@pytest.mark.parametrize('protocol', ['fast', 'balanced'])
def test_what_protocols_hold_for_each_engine_is_not_an_override(protocol):
    with pytest.raises(ProtocolError, match='unknown override `engines`'):
        DFTMDWorkChain.get_protocol_inputs(protocol, {'engines': {'vasp': {'engine': {'encut': 300.0}}}})
