"""MLCCPhononWorkChain from each of its four starting points, for real."""

import json
import re
from dataclasses import replace

import numpy as np
import pytest
from aiida import orm
from aiida.common.links import LinkType
from aiida.engine import run_get_node
from aiida.engine.utils import instantiate_process
from aiida.manage import get_manager
from ase import Atoms
from ase.build import bulk

from aiida_mlcc.data.force_field import ForceFieldData
from aiida_mlcc.data.snapshots import SnapshotsData
from aiida_mlcc.jobs.inputs import merge
from aiida_mlcc.report.data.results import results_of, to_json
from aiida_mlcc.runtime.pyscf.settings import PyscfForces
from aiida_mlcc.science.labels.snapshots import Label, Snapshots
from aiida_mlcc.workflows.common.protocol import ProtocolError
from aiida_mlcc.workflows.mlcc_phonon import MLCCPhononWorkChain
from aiida_mlcc.workflows.sampling.dft_md import DFTMDWorkChain
from tests.crystals import optical_frequency_cm1, rocksalt, springs
from tests.workflows.data import snapshots_of_springs
from tests.workflows.energies import ENGINE, FORCES, helium

QUICK_NETWORK = {'network': {'num_channels': 4, 'MLP_irreps': '4x0e'}, 'training': {'epochs': 2}}
QUICK_PHONONS = {
    'supercell_matrix': [1, 1, 1],
    'parameters': {
        'mesh': [4, 4, 4],
        'band_points': 5,
        'temperatures_K': {'start': 0, 'stop': 300, 'step': 150},
        'dos_spacing_cm1': 10.0,
    },
}


def called(node) -> list[str]:
    return [process.process_label for process in node.called]


def test_from_force_fields_only_phonons_are_computed_and_a_broken_method_is_named(python, crystal):
    stiffness = {'lda': 3.0, 'hf': 3.6}
    force_fields = {s: {'seed_1': ForceFieldData(springs(rocksalt(), k)).store()} for s, k in stiffness.items()}
    diamond = Atoms('LiF', [[0, 0, 0], [0.9, 0.9, 0.9]], cell=3.56 / 2 * (1 - np.eye(3)), pbc=True)
    force_fields['mp2'] = {'seed_1': ForceFieldData(springs(diamond)).store()}
    builder = MLCCPhononWorkChain.get_builder_from_protocol(
        python,
        crystal,
        'fast',
        {'methods': ['HF', 'MP2'], 'vacf_methods': [], 'harmonic_phonon': QUICK_PHONONS},
        force_fields=force_fields,
    )
    outputs, node = run_get_node(builder)
    assert node.exit_status == MLCCPhononWorkChain.exit_codes.ERROR_INCOMPLETE.status
    assert 'harmonic_phonon of MP2' in node.exit_message
    assert called(node) == ['HarmonicPhononWorkChain'] * 3
    assert set(outputs['dispersion']) == {'lda', 'hf'}
    for slug, value in stiffness.items():
        gamma = outputs['special_points'][slug]['GAMMA']
        assert gamma['mean'][5] == pytest.approx(optical_frequency_cm1(rocksalt(), value), rel=1e-4)
        assert outputs['gamma_modes'][slug]['modes'][1]['label'] == 'T1u'
    for name in ('thermal_properties', 'mean_square_displacements', 'group_velocities', 'force_constants'):
        assert set(outputs[name]) == {'lda', 'hf'}
    found = json.loads(to_json(results_of(node)))['methods']['HF']
    assert found['thermal_properties']['entropy_J_K_mol']['mean'][0] == 0
    assert set(found['mean_square_displacements_A2']) == {'temperatures_K', 'Li', 'F'}
    (failed,) = outputs['failures']['failed']
    assert failed['stage'] == 'harmonic_phonon'
    assert len(failed['reason']) > 20


def test_charges_of_another_cell_and_a_mesh_without_symmetry_are_refused_before_anything_runs(python, crystal):
    force_fields = {'hf': {'seed_1': ForceFieldData(springs(rocksalt())).store()}}
    for changed, reason in (
        ({'nac': orm.ArrayData({'born_charges': np.zeros((3, 3, 3)), 'dielectric': 2 * np.eye(3)})}, 'of 3 atoms'),
        ({'parameters': {'mesh': [4, 4, 3]}}, 'breaks the symmetry'),
    ):
        overrides = {'methods': ['HF'], 'vacf_methods': [], 'harmonic_phonon': changed}
        builder = MLCCPhononWorkChain.get_builder_from_protocol(
            python, crystal, 'fast', overrides, force_fields=force_fields
        )
        with pytest.raises(ValueError, match=reason):
            run_get_node(builder)


def test_labelling_over_its_budget_ends_there_with_what_is_labelled(python):
    overrides = {
        'methods': ['HF'],
        'vacf_methods': [],
        'cc_energies': {'engine': ENGINE, 'selection': {'kind': 'random', 'n': 4}, 'max_core_hours': 1e-6},
    }
    frames = helium(4)
    snapshots = frames.with_label('LDA', Label(np.arange(4.0), np.zeros((4, 2, 3)), {'engine': 'elsewhere'}))
    builder = MLCCPhononWorkChain.get_builder_from_protocol(
        python, orm.StructureData(ase=frames.atoms(0)), 'fast', overrides, snapshots=SnapshotsData(snapshots)
    )
    outputs, node = run_get_node(builder)
    assert node.exit_status == MLCCPhononWorkChain.exit_codes.ERROR_TOO_EXPENSIVE.status
    assert called(node) == ['CCEnergiesWorkChain']
    assert outputs['snapshots'].get_snapshots().labels['HF'].labelled.sum() == 1
    assert len(outputs['failures']['failed']) >= 2


@pytest.mark.nightly
def test_the_learning_curve_of_rounds_that_ended_on_the_budget_is_kept(python, crystal):
    """The step alone, after a labelling that has ended."""
    snapshots, curve = SnapshotsData(snapshots_of_springs()).store(), orm.Dict({'rounds': []}).store()
    overrides = {'methods': ['HF'], 'vacf_methods': [], 'cc_energies': {'selection': {'kind': 'random', 'n': 5}}}
    builder = MLCCPhononWorkChain.get_builder_from_protocol(python, crystal, 'fast', overrides, snapshots=snapshots)
    labelling = orm.WorkChainNode()
    labelling.set_process_state('finished')
    labelling.set_exit_status(411)
    labelling.store()
    for label, node in (('snapshots', snapshots), ('learning_curve', curve)):
        node.base.links.add_incoming(labelling, link_type=LinkType.RETURN, link_label=label)
    process = instantiate_process(get_manager().get_runner(), builder)
    process.begin()
    process.ctx.cc_energies = labelling
    assert process.collect_energies().status == 411
    assert process.outputs['learning_curve'].uuid == curve.uuid


@pytest.mark.nightly
def test_labels_asked_for_by_name_are_added_to_those_that_there_are(python, crystal):
    """One HF energy of twelve snapshots is not a reason to leave the others out."""
    content = snapshots_of_springs()
    builder = MLCCPhononWorkChain.get_builder_from_protocol(
        python,
        crystal,
        'fast',
        {'methods': ['HF'], 'cc_energies': {'selection': {'kind': 'random', 'n': 3}}},
        snapshots=SnapshotsData(content.with_label('HF', Label(np.arange(12.0), None, {'engine': 'elsewhere'}))),
    )
    assert builder.cc_energies.selection['n'] == 3


@pytest.mark.nightly
def test_from_labelled_snapshots_no_energy_is_computed(python, crystal):
    snapshots = SnapshotsData(snapshots_of_springs(methods={'HF': 3.6}))
    builder = MLCCPhononWorkChain.get_builder_from_protocol(
        python,
        crystal,
        'fast',
        {
            'methods': ['HF'],
            'vacf_methods': ['HF'],
            'delta_train': {'seeds': [3]},
            'harmonic_phonon': QUICK_PHONONS,
            'vacf': {
                'supercell_matrix': [2, 2, 2],
                'md': {'parameters': {'n_steps': 40, 'equilibration_steps': 5, 'max_lag_steps': 20}},
            },
        },
        snapshots=snapshots,
    )
    outputs, node = run_get_node(builder)
    assert node.is_finished_ok, node.exit_message
    assert set(called(node)) == {'DeltaTrainWorkChain', 'HarmonicPhononWorkChain', 'VACFWorkChain'}
    assert set(outputs['dispersion']) == {'lda', 'hf'}
    assert set(outputs['vdos']) == {'hf'}
    assert set(outputs['delta_ml']['hf']) == {'seed_3'}
    assert outputs['failures']['failed'] == []


BY_DYNAMICS = {
    'sampling': {'kind': 'md'},
    'dft_md': {
        'md': {'parameters': {'n_steps': 16, 'record_every': 1, 'time_step_fs': 1.0, 'initial_temperature_K': 300.0}}
    },
    'delta_train': {'base': {'kind': 'mace', **QUICK_NETWORK}},
}
BY_DRAWS = {
    'thermal_structures': {'parameters': {'n_structures': 16, 'n_first': 3, 'temperature_start_K': 20.0}},
    'delta_train': {'base': {'kind': 'force-constants'}},
}
DRAWN = ['ReferenceWorkChain', 'ThermalStructuresWorkChain', 'CCEnergiesWorkChain', 'DeltaTrainWorkChain']


@pytest.mark.parametrize(
    ('methods', 'sampling', 'stages'),
    [
        (['HF'], BY_DRAWS, DRAWN),
        pytest.param(
            ['HF', 'MP2'],
            BY_DYNAMICS,
            ['DFTMDWorkChain', 'CCEnergiesWorkChain', 'DeltaTrainWorkChain'],
            marks=pytest.mark.nightly,
        ),
    ],
    ids=['thermal', 'md'],
)
def test_from_a_structure_every_stage_runs(python, methods, sampling, stages):
    structure = orm.StructureData(ase=helium(1).atoms(0))
    builder = MLCCPhononWorkChain.get_builder_from_protocol(
        python,
        structure,
        'fast',
        merge(
            {
                'methods': methods,
                'vacf_methods': [],
                'dft_md': {'engine': FORCES, 'supercell_matrix': [1, 1, 1]},
                'cc_energies': {'engine': ENGINE, 'selection': {'kind': 'random', 'n': 12}, 'batch_size': 8},
                'delta_train': {'seeds': [3], 'delta': {'force_constants': {'parameters': {'n_folds': 4}}}},
                'harmonic_phonon': QUICK_PHONONS,
            },
            sampling,
        ),
    )
    outputs, node = run_get_node(builder)
    assert 'dispersion' in outputs, node.exit_message
    # Whether so few energies of helium support more than a rescaled base is not asked here.
    assert node.is_finished_ok or 'better than the rescaled energy' in node.exit_message, node.exit_message
    assert called(node)[: len(stages)] == stages
    assert ('displacements' in outputs) == (stages == DRAWN)
    snapshots = outputs['snapshots'].get_snapshots()
    assert snapshots.n_frames == 16
    assert len(snapshots.labelled_by('LDA', *methods)) == 12
    assert node.outputs.snapshots.uuid == outputs['snapshots'].uuid, 'the labelled set, also in the graph'
    assert set(outputs['dispersion']) == {'lda', *map(str.lower, methods)}


@pytest.mark.parametrize(
    ('methods', 'reason'),
    [(['HF', 'MP2'], '`cc_energies` is missing'), (['CCSDTQ'], '`snapshots` have no CCSDTQ labels')],
)
def test_inputs_that_cannot_reach_the_end_are_refused_at_submission(python, crystal, methods, reason):
    snapshots = SnapshotsData(snapshots_of_springs(methods={'HF': 3.6}))
    builder = MLCCPhononWorkChain.get_builder_from_protocol(
        python, crystal, 'fast', {'methods': ['HF'], 'vacf_methods': []}, snapshots=snapshots
    )
    inputs = {**builder._inputs(prune=True), 'methods': orm.List(methods)}
    with pytest.raises(ValueError, match=reason):
        run_get_node(MLCCPhononWorkChain, **inputs)


@pytest.mark.parametrize(
    ('selection', 'reason'),
    [
        ({'kind': 'random', 'n': 99}, '99 frames asked for, of 40'),
        ({'kind': 'every', 'n': 41}, '41 frames asked for, of 40'),
    ],
)
def test_selection_that_the_dynamics_cannot_serve_is_refused_before_it_runs(python, crystal, selection, reason):
    builder = MLCCPhononWorkChain.get_builder_from_protocol(
        python,
        crystal,
        'fast',
        {
            'sampling': {'kind': 'md'},
            'cc_energies': {'selection': selection},
            'dft_md': {'md': {'parameters': {'n_steps': 40, 'record_every': 1}}},
        },
    )
    with pytest.raises(ValueError, match=f'cc_energies.selection: {reason}'):
        run_get_node(builder)


@pytest.mark.parametrize(
    ('labelling', 'reason'),
    [
        ({'selection': {'kind': 'random', 'n': 99}}, 'cc_energies.selection: 99 frames asked for, of 12'),
        (
            {'selection': {'kind': 'all', 'per_method': {'MP2': {'kind': 'random', 'n': 13}}}},
            'per_method.MP2: 13',
        ),
        ({'selection': {'kind': 'frozen-phonon'}}, 'the LDA labels come from an unknown source, not from one of'),
    ],
)
def test_labelling_that_the_snapshots_cannot_serve_is_refused_at_submission(python, crystal, labelling, reason):
    builder = MLCCPhononWorkChain.get_builder_from_protocol(
        python, crystal, 'fast', {'cc_energies': labelling}, snapshots=SnapshotsData(snapshots_of_springs())
    )
    with pytest.raises(ValueError, match=re.escape(reason)):
        run_get_node(builder)


def test_override_of_what_the_master_sets_for_all_stages_is_refused(python, crystal):
    with pytest.raises(ProtocolError, match=r'`delta_train\.methods` has no effect'):
        MLCCPhononWorkChain.get_builder_from_protocol(python, crystal, 'fast', {'delta_train': {'methods': ['HF']}})


@pytest.mark.parametrize(
    ('kind', 'overrides', 'named'),
    [
        ('thermal', {'dft_md': {'md': {'parameters': {'n_steps': 40}}}}, r'`dft_md\.md` has no effect'),
        ('md', {'thermal_structures': {'parameters': {'n_structures': 9}}}, r'`thermal_structures\.parameters` has no'),
    ],
)
def test_override_of_the_other_sampling_is_refused(python, crystal, kind, overrides, named):
    with pytest.raises(ProtocolError, match=named):
        MLCCPhononWorkChain.get_builder_from_protocol(
            python, crystal, 'fast', {'sampling': {'kind': kind}, **overrides}
        )


def test_displacements_of_another_crystal_are_refused_at_submission(python, crystal):
    other = SnapshotsData(helium(3))
    builder = MLCCPhononWorkChain.get_builder_from_protocol(python, crystal, 'fast', displacements=other)
    with pytest.raises(ValueError, match='`displacements` do not fit the structure'):
        run_get_node(builder)


def source_of_lda(**changed) -> dict:
    """Return what the LDA labels of the protocol `fast` say of their source."""
    engine = DFTMDWorkChain.get_protocol_inputs('fast')['engine']
    return PyscfForces.of({**engine, **changed}).source('LDA')


def displaced(cell: Atoms, source: dict, method: str = 'LDA') -> SnapshotsData:
    label = Label(np.zeros(2), np.zeros((2, len(cell), 3)), source)
    return SnapshotsData(Snapshots.from_atoms([cell] * 2).with_label(method, label))


def refused(builder) -> str:
    """Return why the inputs of a builder are refused, or nothing."""
    ports = builder.process_class.spec().inputs
    found = ports.validate(ports.pre_process(ports.serialize(builder._inputs(prune=True))))
    return '' if found is None else found.message


@pytest.mark.parametrize(
    ('method', 'source', 'reason'),
    [
        ('PBE', {}, '`displacements` have no LDA forces, which the base is fitted to; they have forces of PBE'),
        ('LDA', source_of_lda(basis='gth-dzvp'), "the same DFT settings: basis is 'gth-dzvp' and 'gth-szv'"),
        ('LDA', source_of_lda(), ''),
        ('LDA', {'engine': 'imported', 'file': 'phonopy_params.yaml'}, ''),
    ],
)
def test_displacements_are_refused_where_they_say_that_they_are_of_another_dft(python, crystal, method, source, reason):
    given = displaced(crystal.get_ase(), source, method)
    found = refused(MLCCPhononWorkChain.get_builder_from_protocol(python, crystal, 'fast', displacements=given))
    assert reason in found if reason else not found, found


@pytest.mark.parametrize(('basis', 'reason'), [('gth-szv', ''), ('gth-dzvp', "basis is 'gth-dzvp' and 'gth-szv'")])
def test_displacements_are_compared_with_the_snapshots(python, crystal, basis, reason):
    frames = snapshots_of_springs(methods={'HF': 3.6})
    label = replace(frames.labels['LDA'], source=source_of_lda())
    builder = MLCCPhononWorkChain.get_builder_from_protocol(
        python,
        crystal,
        'fast',
        {'methods': ['HF'], 'vacf_methods': [], 'delta_train': {'base': {'kind': 'force-constants'}}},
        snapshots=SnapshotsData(frames.with_label('LDA', label)),
        displacements=displaced(frames.atoms(0), source_of_lda(basis=basis)),
    )
    found = refused(builder)
    assert reason in found if reason else not found, found


def test_displacements_to_be_made_need_an_engine(python, crystal):
    frames = snapshots_of_springs(methods={'HF': 3.6})
    made = MLCCPhononWorkChain.get_builder_from_protocol(python, crystal, 'fast', {'vacf_methods': []})
    builder = MLCCPhononWorkChain.get_builder_from_protocol(
        python, crystal, 'fast', {'methods': ['HF'], 'vacf_methods': []}, snapshots=SnapshotsData(frames)
    )
    inputs = {**builder._inputs(prune=True), 'reference': made._inputs(prune=True)['reference']}
    with pytest.raises(ValueError, match='`reference` uses the engine and the cell of `dft_md`, which is missing'):
        run_get_node(MLCCPhononWorkChain, **inputs)


def test_a_method_that_delta_leads_to_is_no_base(python, crystal):
    overrides = {'dft_md': {'engine': {'method': 'HF'}}}
    builder = MLCCPhononWorkChain.get_builder_from_protocol(python, crystal, 'fast', overrides)
    with pytest.raises(ValueError, match='choose a density functional for the base'):
        run_get_node(builder)


def test_a_training_cell_of_one_atom_is_refused(python):
    argon = orm.StructureData(ase=bulk('Ar', 'fcc', a=5.3))
    one_cell = {'dft_md': {'supercell_matrix': [1, 1, 1]}}
    builder = MLCCPhononWorkChain.get_builder_from_protocol(python, argon, 'fast', one_cell)
    with pytest.raises(ValueError, match='a cell of one atom, which has no vibrations'):
        run_get_node(builder)


def test_the_control_of_any_functional_is_called_by_its_name(python, crystal):
    """The step alone: PBEsol is not in the table of methods."""
    frames = snapshots_of_springs(methods={'HF': 3.6})
    named = replace(frames, labels={'PBEsol': replace(frames.labels['LDA'], kind='dft'), 'HF': frames.labels['HF']})
    builder = MLCCPhononWorkChain.get_builder_from_protocol(
        python, crystal, 'fast', {'methods': ['HF'], 'vacf_methods': []}, snapshots=SnapshotsData(named)
    )
    process = instantiate_process(get_manager().get_runner(), builder)
    process.begin()
    process.ctx.errors = orm.Dict({'pbesol': {}})
    assert process.method_named('pbesol_e') == 'PBEsol(E)'
    assert 'training_errors' not in process.evidence_of('pbesol_e')
    assert 'training_errors' in process.evidence_of('pbesol')
