"""DFTMDWorkChain with real PySCF, on two helium atoms."""

import numpy as np
import pytest
from aiida import orm
from aiida.engine import run_get_node
from ase import Atoms

from aiida_mlcc.workflows.dft_md import DFTMDWorkChain

STEPS = 3


@pytest.fixture
def helium(aiida_profile):
    atoms = Atoms('He2', [[0, 0, 0], [0, 0, 2.4]], cell=[2.6, 2.6, 5.2], pbc=True)
    return orm.StructureData(ase=atoms).store()


def builder_of(python, structure, protocol='fast', **overrides):
    settings = {
        'engine': {'basis': 'gth-dzv', 'exp_to_discard': None},
        'md': {'parameters': {'n_steps': STEPS, 'checkpoint_every': 1}},
    }
    return DFTMDWorkChain.get_builder_from_protocol(python, structure, protocol, {**settings, **overrides})


def test_every_step_is_a_snapshot_with_energy_and_forces_and_a_source(python, helium):
    outputs, node = run_get_node(builder_of(python, helium))
    assert node.is_finished_ok, node.exit_message
    snapshots = outputs['snapshots'].get_snapshots()
    label = snapshots.labels['LDA']
    assert snapshots.n_frames == STEPS
    assert label.labelled.all()
    assert label.forces.shape == (STEPS, 2, 3)
    assert np.abs(label.forces.sum(axis=1)).max() < 1e-6
    assert np.ptp(snapshots.positions[:, 1, 2]) > 1e-4
    assert label.source['basis'] == 'gth-dzv'
    assert {link.link_label for link in node.base.links.get_outgoing()} >= {'build_supercell', 'md', 'snapshots'}


@pytest.mark.parametrize(
    ('overrides', 'reason'),
    [
        ({'supercell_matrix': [0, 1, 1]}, 'supercell|matrix'),
        ({'engine': {'method': 'B3LYP'}}, "`engine.method` is 'B3LYP': choose from LDA, PBE, HF"),
        ({'md': {'parameters': {'n_steps': 0}}}, 'parameters.n_steps` is 0, but must be at least 1'),
        ({'md': {'parameters': {'time_step_fs': -1.0}}}, 'must be above 0'),
    ],
)
def test_bad_input_is_refused_at_submission(python, helium, overrides, reason):
    with pytest.raises(ValueError, match=reason):
        run_get_node(builder_of(python, helium, **overrides))


def test_molecule_is_refused_at_submission(python):
    molecule = orm.StructureData(ase=Atoms('He2', [[0, 0, 0], [0, 0, 3]], cell=[9, 9, 9], pbc=False))
    with pytest.raises(ValueError, match='periodic in 0 directions'):
        run_get_node(builder_of(python, molecule))
