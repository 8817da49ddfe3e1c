import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk

from aiida_mlcc.science.labels.methods import UnknownMethod
from aiida_mlcc.science.labels.snapshots import Label, Snapshots, SnapshotsError, concatenate

SOURCE = {'engine': 'pyscf', 'basis': 'gth-szv'}


def frames(n=4, seed=0):
    random = np.random.default_rng(seed)
    return Snapshots(('Li', 'H'), np.array([np.eye(3) * 4] * n), random.normal(size=(n, 2, 3)))


def labelled(n=4, seed=0, missing=()):
    random = np.random.default_rng(seed + 100)
    energies, forces = random.normal(size=n), random.normal(size=(n, 2, 3))
    energies[list(missing)] = np.nan
    return (
        frames(n, seed)
        .with_label('CCSD(T)', Label(energies, None, SOURCE, {'hf': energies + 1, 'triples': energies * 0.1}))
        .with_label('LDA', Label(energies * 0.9, forces, {'engine': 'vasp'}))
    )


def test_a_file_gives_everything_back_and_equal_snapshots_give_equal_bytes(tmp_path):
    snapshots = labelled(missing=[2])
    snapshots.save(tmp_path / 'one.npz')
    found = Snapshots.load(tmp_path / 'one.npz')
    found.save(tmp_path / 'two.npz')
    assert (tmp_path / 'one.npz').read_bytes() == (tmp_path / 'two.npz').read_bytes()
    assert found.content_hash() == snapshots.content_hash()
    assert found.methods == ('LDA', 'CCSD(T)')
    assert found.labels['CCSD(T)'].source == SOURCE
    assert np.array_equal(
        found.labels['CCSD(T)'].contributions['triples'], snapshots.labels['CCSD(T)'].energies * 0.1, equal_nan=True
    )


def test_a_file_with_pickles_is_refused(tmp_path):
    np.savez(tmp_path / 'x.npz', positions=np.array([{}], dtype=object))
    with pytest.raises(ValueError, match='allow_pickle'):
        Snapshots.load(tmp_path / 'x.npz')


@pytest.mark.parametrize(
    'change',
    [
        lambda s: s.select([1, 0, 2, 3]),
        lambda s: Snapshots(('H', 'Li'), s.cells, s.positions, s.labels),
        lambda s: Snapshots(s.symbols, s.cells, s.positions + 1e-12, s.labels),
        lambda s: s.with_label('LDA', Label(s.labels['LDA'].energies, None, {'engine': 'vasp'})),
        lambda s: s.with_label('CCSD(T)', Label(s.labels['CCSD(T)'].energies, None, {**SOURCE, 'basis': 'gth-dzvp'})),
        lambda s: s.without_labels(),
    ],
)
def test_whatever_counts_changes_the_hash(change):
    snapshots = labelled()
    assert change(snapshots).content_hash() != snapshots.content_hash()


def test_the_hash_does_not_depend_on_the_order_in_which_labels_were_added():
    one = labelled()
    other = frames().with_label('LDA', one.labels['LDA']).with_label('CCSD(T)', one.labels['CCSD(T)'])
    assert one.content_hash() == other.content_hash()


def test_selected_frames_take_their_labels_along():
    snapshots = labelled()
    chosen = snapshots.select([3, 1])
    assert np.array_equal(chosen.positions, snapshots.positions[[3, 1]])
    for method in snapshots.methods:
        assert np.array_equal(chosen.labels[method].energies, snapshots.labels[method].energies[[3, 1]])
    assert np.array_equal(chosen.labels['LDA'].forces[0], snapshots.labels['LDA'].forces[3])
    assert chosen.labels['CCSD(T)'].contributions['hf'][1] == snapshots.labels['CCSD(T)'].contributions['hf'][1]


def test_frames_labelled_by_all_of_several_methods_are_named():
    assert np.array_equal(labelled(missing=[1]).labelled_by('LDA', 'CCSD(T)'), [0, 2, 3])
    with pytest.raises(SnapshotsError, match='no HF labels here, only LDA'):
        labelled().labelled_by('HF')


def test_parts_join_and_what_one_lacks_is_nan():
    first, second = (
        labelled(3, seed=1),
        frames(2, seed=2).with_label('LDA', Label(np.ones(2), None, {'engine': 'vasp'})),
    )
    joined = concatenate([first, second])
    assert joined.n_frames == 5
    assert np.array_equal(joined.labels['CCSD(T)'].labelled, [True] * 3 + [False] * 2)
    assert np.isnan(joined.labels['LDA'].forces[3:]).all()
    assert np.array_equal(joined.labels['LDA'].forces[:3], first.labels['LDA'].forces)
    assert np.isnan(joined.labels['CCSD(T)'].contributions['triples'][3:]).all()


def test_labels_of_different_sources_are_never_mixed():
    other = labelled(seed=3)
    other = other.with_label('CCSD(T)', Label(other.labels['CCSD(T)'].energies, None, {**SOURCE, 'basis': 'gth-dzvp'}))
    with pytest.raises(SnapshotsError, match=r'CCSD\(T\) labels come from different sources'):
        concatenate([labelled(), other])


def test_parts_of_other_atoms_do_not_join():
    with pytest.raises(SnapshotsError, match='part 1 holds other species'):
        concatenate([frames(), Snapshots(('H', 'Li'), frames().cells, frames().positions)])
    with pytest.raises(SnapshotsError, match='nothing to join'):
        concatenate([])


@pytest.mark.parametrize(
    ('make', 'sentence'),
    [
        (lambda: Snapshots(('C',), np.zeros((1, 3, 3)), np.zeros((1, 1, 3))), 'no volume'),
        (lambda: Snapshots(('C',), np.eye(3)[None], np.full((1, 1, 3), np.nan)), 'NaN'),
        (lambda: Snapshots(('C', 'C'), np.eye(3)[None], np.zeros((1, 1, 3))), 'do not fit 1 frames of 2 atoms'),
        (lambda: frames(3).with_label('HF', Label(np.zeros(2))), 'HF: .* energies for 3 frames'),
        (lambda: frames(3).with_label('HF', Label(np.zeros(3), np.zeros((3, 1, 3)))), 'HF: forces'),
    ],
)
def test_what_does_not_fit_together_is_refused(make, sentence):
    with pytest.raises(SnapshotsError, match=sentence):
        make()


def test_a_name_that_no_method_can_have_is_refused():
    with pytest.raises(UnknownMethod, match='B3,LYP'):
        frames().with_label('B3,LYP', Label(np.zeros(4)))


def test_names_that_would_be_stored_alike_are_refused():
    with pytest.raises(SnapshotsError, match="'r2SCAN' and 'R2scan' differ too little"):
        frames().with_label('r2SCAN', Label(np.zeros(4))).with_label('R2scan', Label(np.zeros(4)))


def test_methods_of_any_name_keep_name_and_kind_in_a_file(tmp_path):
    snapshots = (
        frames()
        .with_label('RPA', Label(np.arange(4.0)))
        .with_label('PBEsol', Label(np.ones(4), np.zeros((4, 2, 3))))
        .with_label('LDA', Label(np.zeros(4), np.ones((4, 2, 3)), kind='costly'))
    )
    snapshots.save(tmp_path / 'any.npz')
    found = Snapshots.load(tmp_path / 'any.npz')
    assert found.methods == ('PBEsol', 'LDA', 'RPA')
    assert found.base_methods == ('PBEsol',)
    assert found.kinds == {'PBEsol': 'dft', 'LDA': 'costly', 'RPA': 'costly'}
    assert found.content_hash() == snapshots.content_hash()


def test_methods_of_the_table_are_described_as_before_there_were_others():
    assert set(labelled().describe()) == {'symbols', 'sources'}


def test_structures_come_from_ase_and_go_back():
    images = [bulk('LiH', 'rocksalt', a=a) for a in (4.0, 4.1)]
    snapshots = Snapshots.from_atoms(images)
    for frame, atoms in enumerate(images):
        assert snapshots.atoms(frame) == atoms


def test_images_that_are_no_frames_of_one_crystal_are_refused():
    crystal = bulk('LiH', 'rocksalt', a=4.0)
    with pytest.raises(SnapshotsError, match='frame 1 holds other species'):
        Snapshots.from_atoms([crystal, crystal[::-1]])
    with pytest.raises(SnapshotsError, match='frame 0 is not a crystal'):
        Snapshots.from_atoms([Atoms('LiH', positions=np.eye(3)[:2])])
    with pytest.raises(SnapshotsError, match='no frames'):
        Snapshots.from_atoms([])
