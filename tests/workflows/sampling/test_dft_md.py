"""DFTMDWorkChain with real PySCF, on two helium atoms."""

import numpy as np
import pytest
from aiida import orm
from aiida.engine import run_get_node
from ase import Atoms, units
from ase.build import bulk

from aiida_mlcc.calculations.functions.choose_time_step import choose_time_step
from aiida_mlcc.data.snapshots import SnapshotsData
from aiida_mlcc.science.crystal.cells import supercell
from aiida_mlcc.science.force_field.evaluate import energies_and_forces
from aiida_mlcc.science.labels.displacements import Displacements, displaced_cells
from aiida_mlcc.science.labels.snapshots import Label, Snapshots
from aiida_mlcc.workflows.sampling.dft_md import DFTMDWorkChain
from tests.crystals import hessian_of, rocksalt, rocksalt_cube, spring_term
from tests.workflows.energies import FORCES

STEPS = 3


@pytest.fixture
def helium(aiida_profile):
    atoms = Atoms('He2', [[0, 0, 0], [0, 0, 2.4]], cell=[2.6, 2.6, 5.2], pbc=True)
    return orm.StructureData(ase=atoms).store()


def builder_of(python, structure, protocol='fast', **overrides):
    settings = {
        'engine': FORCES,
        'md': {'parameters': {'n_steps': STEPS, 'checkpoint_every': 1, 'record_every': 1, 'time_step_fs': 2.0}},
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


def test_the_supercell_of_a_protocol_counts_in_conventional_cells(python, aiida_profile):
    primitive, cube = (orm.StructureData(ase=bulk('NaF', 'rocksalt', a=4.63, cubic=cubic)) for cubic in (False, True))
    matrix = DFTMDWorkChain.get_builder_from_protocol(python, primitive, 'paper').supercell_matrix.get_list()
    assert supercell(primitive.get_ase(), matrix).cell.cellpar() == pytest.approx([9.26, 9.26, 4.63, 90, 90, 90])
    assert DFTMDWorkChain.get_builder_from_protocol(python, cube, 'paper').supercell_matrix.get_list() == [2, 2, 1]


def test_a_supercell_that_is_asked_for_counts_in_cells_of_the_structure(python, aiida_profile):
    primitive = orm.StructureData(ase=bulk('NaF', 'rocksalt', a=4.63))
    builder = DFTMDWorkChain.get_builder_from_protocol(python, primitive, 'paper', {'supercell_matrix': [2, 2, 2]})
    assert builder.supercell_matrix.get_list() == [2, 2, 2]


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


def test_without_displacements_a_time_step_must_be_given(python, helium):
    with pytest.raises(ValueError, match=r'`md\.parameters\.time_step_fs` is null, and there are no `reference`'):
        run_get_node(builder_of(python, helium, md={'parameters': {'time_step_fs': None}}))


def test_the_time_step_follows_from_the_stiffest_mode(aiida_profile):
    """Springs of LiF: its modes are those of phonopy; the stiffest turns by 0.35 rad at most, and by more than 0.3."""
    crystal, term = rocksalt_cube(), spring_term(rocksalt(), 3.0)
    displaced = displaced_cells(crystal, 1, Displacements())
    energies, forces = energies_and_forces((term,), displaced)
    parameters = choose_time_step(
        SnapshotsData(displaced.with_label('LDA', Label(energies, forces))),
        orm.StructureData(ase=crystal),
        SnapshotsData(Snapshots.from_atoms([crystal])),
        orm.Dict({'time_step_fs': None, 'n_steps': 7}),
        orm.Float(1e-5),
        orm.Str(''),
    ).get_dict()
    masses = np.repeat(crystal.get_masses(), 3)
    stiffest = np.sqrt(np.linalg.eigvalsh(hessian_of(term, crystal) / np.sqrt(np.outer(masses, masses))).max())
    assert 0.3 < stiffest * parameters['time_step_fs'] * units.fs <= 0.35
    assert parameters['n_steps'] == 7
