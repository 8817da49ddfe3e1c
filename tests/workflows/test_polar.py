"""Polar crystals: force fields with dipoles bring the charges of their own method, others are marked."""

import io
from dataclasses import replace

import numpy as np
import pytest
from aiida import orm
from aiida.engine import run_get_node
from ase import Atoms

from aiida_mlcc.data.force_field import ForceFieldData
from aiida_mlcc.data.snapshots import SnapshotsData
from aiida_mlcc.science.fit.dipole import dipole_beside, dipole_energies_and_forces
from aiida_mlcc.science.force_field import ForceField
from aiida_mlcc.science.force_field.dipole import COULOMB, WEIGHT_SD, dipole_term, polarity_of
from aiida_mlcc.science.phonons.modes import CM1_PER_ROOT_CURVATURE
from aiida_mlcc.workflows.mlcc_phonon import MLCCPhononWorkChain
from aiida_mlcc.workflows.phonons.harmonic_phonon import HarmonicPhononWorkChain
from aiida_mlcc.workflows.training.delta_train import DeltaTrainWorkChain
from tests.crystals import rocksalt, springs
from tests.workflows.data import snapshots_of_springs
from tests.workflows.training.test_delta_train import NETWORK

CHARGE, EPSILON = 1.04, 2.1


def born(charge: float = CHARGE) -> orm.SinglefileData:
    """A BORN file of phonopy."""
    lines = ['# elements: Li F', *(f'{n} 0 0 0 {n} 0 0 0 {n}' for n in (EPSILON, charge, -charge))]
    return orm.SinglefileData(io.BytesIO('\n'.join(lines).encode()), 'BORN')


SMALL = {
    'mesh': [4, 4, 4],
    'band_points': 5,
    'temperatures_K': {'start': 0, 'stop': 300, 'step': 150},
    'dos_spacing_cm1': 10.0,
}


def wide() -> Atoms:
    """LiF so wide that two primitive cells a side are enough for the correction."""
    return rocksalt(6.0)


def polar(primitive: Atoms, weight: float, sd: float = 0.0) -> ForceFieldData:
    """Springs, and the dipoles of charges √weight times 1.04 e."""
    base = springs(primitive)
    charges = CHARGE * np.array([np.eye(3), -np.eye(3)])
    dipoles = dipole_term(primitive, charges, EPSILON * np.eye(3), 1.0, weight, {WEIGHT_SD: sd})
    return ForceFieldData(ForceField((*base.terms, dipoles), base.constants, method='LDA'))


def phonons_of(python, primitive, members, nac=None):
    overrides = {'supercell_matrix': [2, 2, 2], 'parameters': SMALL}
    crystal = orm.StructureData(ase=primitive)
    builder = HarmonicPhononWorkChain.get_builder_from_protocol(
        python, crystal, members, protocol='fast', overrides=overrides, nac=nac
    )
    outputs, node = run_get_node(builder)
    assert node.is_finished_ok, node.exit_message
    return outputs


def test_every_member_has_the_splitting_of_its_own_charges_marked_where_they_may_be_zero(python):
    outputs = phonons_of(python, wide(), {'seed_1': polar(wide(), 1.0), 'seed_2': polar(wide(), 1.3, sd=0.7)})
    gamma = np.array(outputs['special_points']['GAMMA']['members'])
    masses = wide().get_masses()
    strength = 4 * np.pi * COULOMB * CHARGE**2 / EPSILON / wide().get_volume() * (1 / masses).sum()
    expected = strength * CM1_PER_ROOT_CURVATURE**2 * np.array([1.0, 1.3])
    assert gamma[:, 5] ** 2 - gamma[:, 4] ** 2 == pytest.approx(expected, rel=3e-4)
    stored = [outputs['phonopy_data'][name] for name in ('seed_1', 'seed_2')]
    assert [node.base.attributes.get('nac_weight') for node in stored] == [1.0, 1.3]
    assert np.allclose(stored[1].get_phonopy_instance().nac_params['born'][0], np.sqrt(1.3) * CHARGE * np.eye(3))

    told = outputs['special_points'].get_dict()
    assert told['GAMMA']['undetermined'] == [5]
    reason = 'the energies leave the weight of the dipole–dipole term open: 1.30 ± 0.70'
    assert told['long_range']['lo_remark'] == f'seed_2: {reason}'
    marked = outputs['dispersion'].get_array('lo_undetermined')
    assert marked.shape == outputs['dispersion'].get_bands().shape
    assert marked[:, 5].any()
    assert not marked.all()


@pytest.mark.nightly
def test_without_dipoles_in_the_force_field_lo_is_marked_and_without_charges_it_is_missed(python):
    member = {'seed_1': ForceFieldData(springs(wide()))}
    told = phonons_of(python, wide(), member, born())['special_points'].get_dict()
    assert 'has no dipole–dipole term' in told['long_range']['lo_remark']
    assert told['GAMMA']['undetermined'] == [5]
    told = phonons_of(python, wide(), member)['special_points'].get_dict()
    assert told['long_range'] == {'lo_remark': '', 'lo_missing': True}


def test_a_supercell_too_small_for_the_correction_is_refused(python, members):
    for given in ((members, born()), ({'seed_1': polar(rocksalt(), 1.0)}, None)):
        with pytest.raises(ValueError, match=r'a shortest period of 8\.0 Å, and has 5\.7 Å'):
            phonons_of(python, rocksalt(), *given)


def test_the_master_refuses_it_before_anything_runs(python, crystal):
    overrides = {'methods': ['HF'], 'vacf_methods': [], 'harmonic_phonon': {'supercell_matrix': [2, 2, 2]}}
    builder = MLCCPhononWorkChain.get_builder_from_protocol(python, crystal, 'fast', overrides, nac=born())
    assert 'nac' in builder.delta_train
    with pytest.raises(ValueError, match='harmonic_phonon: with Born charges the supercell needs'):
        run_get_node(builder)


def test_two_meshes_that_disagree_are_remarked(python, crystal):
    from aiida_mlcc.calculations.functions.born_charges import born_charges

    primitive = orm.StructureData(ase=rocksalt())
    report = {}
    for name, charge in (('close', 1.01 * CHARGE), ('apart', 1.1 * CHARGE)):
        found = born_charges(born(), primitive, orm.Float(1e-5), orm.Str('x'), born(charge))
        report[name] = found.base.attributes.get('report')
    assert report['close'].endswith('differs by 2.0 %.')
    assert 'differs by 17.4 %, more than 3 %' in report['apart']


@pytest.mark.parametrize(
    ('base', 'kinds'),
    [
        ({'kind': 'force-constants'}, ['force-constants', 'dipole']),
        pytest.param(
            {'kind': 'force-constants+mace', **NETWORK},
            ['mace', 'force-constants', 'dipole'],
            marks=pytest.mark.nightly,
        ),
    ],
    ids=['force-constants', 'force-constants+mace'],
)
def test_base_and_delta_are_fitted_to_what_the_dipoles_leave(python, crystal, base, kinds):
    """The base holds the dipoles of the charges given once; the energies of HF make them 1.4 times as strong."""
    snapshots = snapshots_of_springs(methods={'HF': 3.6})
    charges = CHARGE * np.array([np.eye(3), -np.eye(3)])
    dipole = dipole_beside(rocksalt(), charges, EPSILON * np.eye(3), snapshots.atoms(0))
    energies, forces = dipole_energies_and_forces(dipole, snapshots)
    lda, hf = (snapshots.labels[method] for method in ('LDA', 'HF'))
    snapshots = snapshots.with_label('LDA', replace(lda, energies=lda.energies + energies, forces=lda.forces + forces))
    snapshots = snapshots.with_label('HF', replace(hf, energies=hf.energies + 1.4 * energies))
    overrides = {
        'methods': ['HF'],
        'seeds': [1],
        'base': base,
    }
    builder = DeltaTrainWorkChain.get_builder_from_protocol(
        python,
        crystal,
        SnapshotsData(snapshots),
        'LDA',
        'fast',
        overrides,
        nac=born(),
    )
    outputs, node = run_get_node(builder)
    assert node.is_finished_ok, node.exit_message
    fitted = outputs['base']['seed_1'].get_force_field()
    assert [term.kind for term in fitted.terms] == kinds
    assert fitted.terms[-1].weight == 1.0
    assert np.allclose(polarity_of(fitted, rocksalt()).charges, charges)
    total = polarity_of(outputs['delta_ml']['hf']['seed_1'].get_force_field(), rocksalt())
    told = outputs['errors']['HF']['seed_1']['long_range']
    assert total.weight == pytest.approx(told['weight'])
    assert told['weight'] == pytest.approx(1.4, abs=0.05)
    samples = outputs['samples']['hf']
    assert {'born_charges', 'dielectric', 'eta', 'multiples'} <= set(samples.get_arraynames())
    assert 'born_charges' in outputs
