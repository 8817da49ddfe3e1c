"""DeltaTrainWorkChain with real networks and fits, on snapshots labelled by springs."""

import numpy as np
import pytest
from aiida.engine import run_get_node

from aiida_mlcc.data.snapshots import SnapshotsData
from aiida_mlcc.science.labels.snapshots import Snapshots
from aiida_mlcc.workflows.training.delta_train import DeltaTrainWorkChain
from tests.workflows.data import snapshots_of_springs

NETWORK = {'network': {'num_channels': 4, 'MLP_irreps': '4x0e'}, 'training': {'epochs': 2}}
QUICK = {
    'methods': ['HF', 'CCSD(T)'],
    'seeds': [1, 2],
    'base': {'kind': 'mace', **NETWORK},
}


def builder_of(python, crystal, snapshots, **overrides):
    return DeltaTrainWorkChain.get_builder_from_protocol(
        python, crystal, SnapshotsData(snapshots), 'LDA', 'fast', {**QUICK, **overrides}
    )


def test_every_method_has_a_member_a_seed_whose_delta_is_the_difference_of_the_springs(python, crystal):
    snapshots = snapshots_of_springs(methods={'HF': 3.6, 'CCSD(T)': 3.3})
    outputs, node = run_get_node(builder_of(python, crystal, snapshots))
    assert node.is_finished_ok, node.exit_message
    assert set(outputs['base']) == {'seed_1', 'seed_2'}
    assert {slug: set(members) for slug, members in outputs['delta_ml'].items()} == {
        'hf': {'seed_1', 'seed_2'},
        'ccsd_t': {'seed_1', 'seed_2'},
    }
    assert outputs['base']['seed_1'].content_hash != outputs['base']['seed_2'].content_hash

    base = outputs['base']['seed_1'].get_calculator()
    total = outputs['delta_ml']['hf']['seed_1'].get_calculator()
    frames = snapshots.select([0, 1, 2])
    difference = []
    for frame in range(frames.n_frames):
        atoms = frames.atoms(frame)
        difference.append(total.get_potential_energy(atoms) - base.get_potential_energy(atoms))
    # Δ learnt from springs of another stiffness is that of the springs, whatever the base makes of them: the part
    # that the fit gave to E_LDA is applied to the base, whose energies differ from the labels.
    scale = outputs['delta_ml']['hf']['seed_1'].get_force_field().terms[0].weight - 1
    learnt = np.array([base.get_potential_energy(frames.atoms(i)) for i in range(3)])
    labels = frames.labels['HF'].energies - (1 + scale) * frames.labels['LDA'].energies
    assert np.allclose(np.array(difference) - scale * learnt, labels, atol=1e-4)

    errors = outputs['errors'].get_dict()
    assert set(errors) == {'LDA', 'HF', 'CCSD(T)'}
    assert errors['HF']['seed_1']['cv_rmse_mev_atom'] < 0.01 * errors['HF']['seed_1']['spread_mev_atom']
    trained_on = outputs['delta_ml']['hf']['seed_1'].get_force_field().terms[-1].trained_on
    assert trained_on['method'] == 'HF'
    assert trained_on['snapshots'] == snapshots.content_hash()

    total = outputs['delta_ml']['ccsd_t']['seed_2']
    links = {link.link_label: link.node for link in total.creator.base.links.get_incoming().all()}
    roles = {name: links[name].base.attributes.get('label') for name in ('base', 'delta')}
    assert roles == {'base': 'ML(LDA), seed 2', 'delta': 'Δ(CCSD(T) − LDA), seed 1'}
    assert total.base.extras.get('mlcc')['label'] == 'ML(CCSD(T)), seed 2'


@pytest.mark.nightly
def test_a_base_of_force_constants_is_that_of_the_springs_and_every_seed_draws_its_own_frames(python, crystal):
    snapshots = snapshots_of_springs(methods={'HF': 3.6})
    builder = DeltaTrainWorkChain.get_builder_from_protocol(
        python, crystal, SnapshotsData(snapshots), 'LDA', 'fast', {'methods': ['HF'], 'seeds': [1, 2]}
    )
    outputs, node = run_get_node(builder)
    assert node.is_finished_ok, node.exit_message
    for seed in ('seed_1', 'seed_2'):
        (term,) = outputs['base'][seed].get_force_field().terms
        assert term.kind == 'force-constants'
        told = outputs['errors']['LDA'][seed]
        assert told['valid_forces_rmse_mev_angstrom'] < 1.0
        assert 'remark' not in told
        total = outputs['delta_ml']['hf'][seed].get_calculator()
        atoms = snapshots.atoms(0)
        energies = {m: snapshots.labels[m].energies for m in ('LDA', 'HF')}
        assert total.get_potential_energy(atoms) == pytest.approx(energies['HF'][0], abs=2e-3)
    drawn = [outputs['errors']['LDA'][seed]['n_train'] for seed in ('seed_1', 'seed_2')]
    assert all(2 <= n < snapshots.n_frames for n in drawn)


def test_a_readout_of_a_base_without_a_network_is_refused_at_submission(python, crystal):
    snapshots = snapshots_of_springs(methods={'HF': 3.6, 'CCSD(T)': 3.3})
    with pytest.raises(ValueError, match='a base of kind force-constants has none'):
        run_get_node(
            builder_of(python, crystal, snapshots, base={'kind': 'force-constants'}, delta={'kind': 'readout'})
        )


@pytest.mark.nightly
def test_readouts_read_the_network_of_their_own_member(python, crystal):
    snapshots = snapshots_of_springs(methods={'HF': 3.6, 'CCSD(T)': 3.3})
    outputs, node = run_get_node(builder_of(python, crystal, snapshots, delta={'kind': 'readout'}))
    assert node.is_finished_ok, node.exit_message
    for seed in ('seed_1', 'seed_2'):
        (network,) = outputs['base'][seed].get_force_field().terms
        for slug in ('hf', 'ccsd_t'):
            terms = outputs['delta_ml'][slug][seed].get_force_field().terms
            assert [term.kind for term in terms] == ['mace', 'readout']
            assert terms[1].settings['trunk'] == network.content_hash
    jobs = [process for process in node.called_descendants if process.process_label == 'FitCalculation']
    assert len(jobs) == 2, 'one job a member serves all methods'


@pytest.mark.nightly
def test_alternative_that_fails_is_named_and_fails_nothing(python, crystal):
    """A network of two epochs learns nothing that rescaling does not."""
    snapshots = snapshots_of_springs(methods={'HF': 3.6})
    quick = {'compare': ['mace'], 'mace': {**NETWORK, 'training': {'epochs': 1}}}
    outputs, node = run_get_node(builder_of(python, crystal, snapshots, methods=['HF'], seeds=[1], delta=quick))
    assert node.is_finished_ok, node.exit_message
    assert 'alternatives' not in outputs
    (failed,) = outputs['failures']['failed']
    assert failed['what'] == 'delta_mace_hf_seed_1'
    assert failed['optional']
    assert 'rescaling' in failed['reason']


@pytest.mark.nightly
def test_network_that_is_no_better_than_rescaling_is_no_member(python, crystal):
    snapshots = snapshots_of_springs(methods={'HF': 3.6})
    quick = {'kind': 'mace', 'mace': {**NETWORK, 'training': {'epochs': 1}}}
    outputs, node = run_get_node(builder_of(python, crystal, snapshots, methods=['HF'], seeds=[1], delta=quick))
    assert node.exit_status == DeltaTrainWorkChain.exit_codes.ERROR_MEMBERS_MISSING.status
    assert set(outputs['base']) == {'seed_1'}
    assert 'delta_ml' not in outputs
    assert 'rescaling' in outputs['failures']['failed'][0]['reason']


def test_labels_that_are_missing_are_named_at_submission(python, crystal):
    snapshots = snapshots_of_springs(methods={'HF': 3.6})
    with pytest.raises(ValueError, match=r'`snapshots` have no CCSD\(T\) labels; their methods: LDA, HF'):
        run_get_node(builder_of(python, crystal, snapshots))


def test_snapshots_of_another_crystal_are_refused_at_submission(python, crystal):
    snapshots = snapshots_of_springs(methods={'HF': 3.6, 'CCSD(T)': 3.3})
    strained = Snapshots(snapshots.symbols, 1.02 * snapshots.cells, 1.02 * snapshots.positions, snapshots.labels)
    with pytest.raises(ValueError, match='the snapshots do not fit the structure'):
        run_get_node(builder_of(python, crystal, strained))


@pytest.mark.parametrize(
    ('delta', 'reason'),
    [
        ({'kind': 'linear'}, "unknown kind of Δ 'linear'"),
        ({'compare': ['linear']}, "unknown kind of Δ 'linear' to compare with"),
        ({'compare': ['force-constants']}, 'which is also in `delta.compare`'),
        ({'compare': ['mace', 'mace']}, 'given twice'),
    ],
)
def test_kinds_of_delta_that_make_no_sense_are_refused(python, crystal, delta, reason):
    snapshots = snapshots_of_springs(methods={'HF': 3.6, 'CCSD(T)': 3.3})
    with pytest.raises(ValueError, match=reason):
        run_get_node(builder_of(python, crystal, snapshots, delta=delta))


def test_no_member_trained_ends_with_the_reason_and_keeps_nothing_half(python, crystal):
    """Three frames are too few to hold any out."""
    snapshots = snapshots_of_springs(n_frames=3, methods={'HF': 3.6, 'CCSD(T)': 3.3})
    outputs, node = run_get_node(builder_of(python, crystal, snapshots, seeds=[1], delta={'kind': 'readout'}))
    assert node.exit_status == DeltaTrainWorkChain.exit_codes.ERROR_NO_MEMBER.status
    assert 'frames' in node.exit_message
    assert 'base' not in outputs
    assert 'delta_ml' not in outputs
    base, readout = outputs['failures']['failed']
    assert base['what'] == 'base_lda_seed_1'
    assert readout['reason'] == 'its starting point base_lda_seed_1 failed'
