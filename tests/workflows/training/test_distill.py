"""DistillWorkChain: a small network learns from springs."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from aiida import orm
from aiida.common import AttributeDict
from aiida.engine import run_get_node
from ase.build import bulk

from aiida_mlcc.data.force_field import ForceFieldData
from aiida_mlcc.data.snapshots import SnapshotsData
from aiida_mlcc.science.crystal.cells import supercell
from aiida_mlcc.science.labels.snapshots import Snapshots
from aiida_mlcc.workflows.training.distill import DistillWorkChain
from tests.crystals import optical_frequency_cm1, rocksalt, springs
from tests.workflows.data import snapshots_of_springs
from tests.workflows.test_polar import polar

TINY = {
    'seed': 1,
    'train': {
        'network': {'num_channels': 4, 'MLP_irreps': '4x0e', 'r_max': 3.0},
        'training': {'epochs': 2, 'hessian_epochs': 1},
    },
}


def inputs_of(force_field: ForceFieldData, snapshots: Snapshots, **given: Any) -> dict[str, Any]:
    return {
        'structure': orm.StructureData(ase=rocksalt()),
        'snapshots': SnapshotsData(snapshots),
        'force_field': force_field,
        'protocol': 'fast',
        'overrides': TINY,
        **given,
    }


def test_a_network_learns_what_the_teacher_says_and_is_judged_by_it(python):
    frames = snapshots_of_springs(10)
    teacher = ForceFieldData(springs(rocksalt()))
    builder = DistillWorkChain.get_builder_from_protocol(python, **inputs_of(teacher, frames.without_labels()))
    outputs, node = run_get_node(builder)
    assert node.is_finished_ok, node.exit_message

    labelled = outputs['snapshots'].get_snapshots()
    assert labelled.methods == ('ML(LDA)',)
    assert labelled.labels['ML(LDA)'].energies == pytest.approx(frames.labels['LDA'].energies, abs=1e-9)
    assert labelled.labels['ML(LDA)'].forces == pytest.approx(frames.labels['LDA'].forces, abs=1e-9)

    network = outputs['force_field']
    assert (network.method, network.label) == ('ML(LDA)', 'ML(LDA) distilled, seed 1')
    (term,) = network.get_force_field().terms
    assert term.trained_on['sources'] == {'ML(LDA)': {'force_field': teacher.content_hash, 'dtype': 'float64'}}

    errors = outputs['summary']['errors']
    assert errors['n_valid'] == 1
    gamma = errors['phonons']['commensurate'][0]
    assert gamma['reference_cm1'][3:] == pytest.approx([optical_frequency_cm1(rocksalt())] * 3, rel=1e-3)
    assert 'before_fine_tuning' in errors


@pytest.fixture
def code(aiida_profile):
    computer = orm.Computer('distilling', 'localhost', transport_type='core.local', scheduler_type='core.direct')
    return orm.InstalledCode(computer=computer, filepath_executable='/usr/bin/python')


def test_atoms_are_displaced_in_the_cell_of_the_frames(code):
    builder = DistillWorkChain.get_builder_from_protocol(
        code, **inputs_of(ForceFieldData(springs(rocksalt())), snapshots_of_springs(2))
    )
    cell = supercell(rocksalt(), builder.supercell_matrix.get_list()).cell.array
    assert cell == pytest.approx(4.03 * np.eye(3))


def refusal(code: orm.AbstractCode, **given: Any) -> str:
    """Return why inputs are refused at submission."""
    builder = DistillWorkChain.get_builder_from_protocol(code, **given)
    ports = DistillWorkChain.spec().inputs
    wrong = ports.validate(ports.pre_process(ports.serialize(builder._inputs(prune=True))))
    assert wrong is not None
    return wrong.message


def test_a_delta_without_its_base_is_refused(code):
    delta = ForceFieldData(springs(rocksalt(), method='HF')).say_origin('delta', 'force-constants', 1, 'LDA')
    with pytest.raises(ValueError, match='the force field is a Δ without its base: give their sum'):
        DistillWorkChain.get_builder_from_protocol(code, **inputs_of(delta, snapshots_of_springs(2)))


def test_elements_that_the_teacher_lacks_are_refused(code):
    teacher = ForceFieldData(springs(bulk('LiH', 'rocksalt', a=4.03)))
    assert 'the force field is for H, Li, not for F' in refusal(code, **inputs_of(teacher, snapshots_of_springs(2)))


def test_frames_of_another_crystal_are_refused(code):
    given = inputs_of(ForceFieldData(springs(rocksalt())), snapshots_of_springs(2))
    given |= {'structure': orm.StructureData(ase=bulk('LiF', 'zincblende', a=4.03))}
    assert 'the snapshots do not fit the structure' in refusal(code, **given)


def process(failures: list[dict[str, Any]] | None = None, message: str | None = None) -> Any:
    """A job of labels that has ended, well unless it has a message."""
    labels = AttributeDict({'teacher': 'the labels'})
    outputs = AttributeDict({'summary': {'failures': failures or []}, 'evaluated': labels})
    return SimpleNamespace(is_finished_ok=message is None, exit_message=message, outputs=outputs)


LOST = [{'calculator': 'teacher', 'snapshot': 1, 'reason': 'an atom is 1.40 Å from its site'}]


@pytest.mark.parametrize(
    ('frames', 'displacements', 'reason'),
    [
        ({}, {}, None),
        ({'failures': LOST}, {}, None),
        ({}, {'failures': LOST}, 'does not label the displacements: an atom is 1.40 Å'),
        ({'message': 'the node broke'}, {}, 'does not label the frames: the node broke'),
    ],
    ids=['complete', 'a frame', 'a displacement', 'no job'],
)
def test_frames_may_lack_labels_and_displacements_may_not(frames, displacements, reason):
    given: dict[str, Any] = {}
    chain = SimpleNamespace(
        ctx={'frames': process(**frames), 'displacements': process(**displacements)},
        exit_codes=DistillWorkChain.exit_codes,
        out=given.__setitem__,
        report=lambda _: None,
    )
    chain.ctx = AttributeDict(chain.ctx)
    ended = DistillWorkChain.collect_labels(chain)
    assert (reason is None) == (ended is None)
    assert reason is None or reason in ended.message
    assert reason is not None or given == {'snapshots': 'the labels'}


def test_dipoles_of_the_teacher_are_recognised(aiida_profile):
    teachers = [ForceFieldData(springs(rocksalt())), polar(rocksalt(), 1.0)]
    chains = [SimpleNamespace(inputs=SimpleNamespace(force_field=teacher)) for teacher in teachers]
    assert [DistillWorkChain.is_polar(chain) for chain in chains] == [False, True]
