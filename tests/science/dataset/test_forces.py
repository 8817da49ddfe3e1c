"""Forces in files are judged by the energies beside them: those of springs whose work is known."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ase import units

from aiida_mlcc.science.dataset.dataset import Dataset, read_dataset
from aiida_mlcc.science.dataset.energy_file import DatasetError, LabelSource
from aiida_mlcc.science.dataset.forces import check_base, own_forces
from aiida_mlcc.science.dataset.label_units import Units
from aiida_mlcc.science.labels.extxyz import to_plain_extxyz, write_text
from aiida_mlcc.science.labels.snapshots import Label, Snapshots
from tests.crystals import heated, rocksalt, rocksalt_cube, snapshots_of, spring_label, spring_term, stretched

N_FRAMES = 24
BOND = 2.2


def labelled(n_frames: int = N_FRAMES, cubic: float = -12.0) -> Snapshots:
    """Return LiF that heats up with labels of PBE and two methods: springs of their own, and one cubic term for all."""
    cell, primitive = rocksalt_cube(), rocksalt()
    moved = heated(cell, n_frames)
    energies, forces = stretched(cell, moved, BOND, cubic)
    labels = {}
    for method, along, across in (('PBE', 8.0, 1.0), ('MP2', 8.6, 1.05), ('CCSD(T)', 9.2, 0.9)):
        found = spring_label(spring_term(primitive, 3.0, along, across), cell, moved)
        labels[method] = Label(found.energies + energies - 100.0, found.forces + forces)
    return snapshots_of(cell, moved, labels)


@pytest.fixture(scope='module')
def frames() -> Snapshots:
    return labelled()


def judged(frames: Snapshots, forces: np.ndarray, method: str = 'CCSD(T)', others: tuple[str, ...] = ()):
    """Return what is found of `forces` beside the energies of a method."""
    bare = {name: replace(frames.labels[name], forces=None) for name in (method, *others)}
    known = replace(frames, labels={'PBE': frames.labels['PBE'], **bare})
    return own_forces(known, 'PBE', method, forces)


def imported(folder: Path, frames: Snapshots, forces: np.ndarray, units: Units | None = None) -> Dataset:
    """Import the energies of CCSD(T) with these forces beside them, as text with eight decimals."""
    write_text(folder / 'pbe.xyz', to_plain_extxyz(frames, 'PBE'))
    changed = frames.with_label('CCSD(T)', replace(frames.labels['CCSD(T)'], forces=forces))
    write_text(folder / 'cc.xyz', to_plain_extxyz(changed, 'CCSD(T)'))
    source = LabelSource(folder / 'cc.xyz', units=units or Units())
    return read_dataset(folder / 'pbe.xyz', 'PBE', {'CCSD(T)': source})


@pytest.mark.parametrize('method', ['MP2', 'CCSD(T)'])
def test_the_forces_of_a_method_are_its_own(frames, method):
    found = judged(frames, frames.labels[method].forces, method)
    assert (found.whose, found.remarks) == ('own', ())
    assert np.array_equal(found.forces, frames.labels[method].forces)


@pytest.mark.parametrize('decimals', [3, 4, 5, 8])
def test_forces_of_the_base_are_recognised_with_any_number_of_decimals(frames, decimals):
    assert judged(frames, frames.labels['PBE'].forces.round(decimals)).whose == 'base'


@pytest.mark.parametrize('noise', [1e-4, 3e-3, 2e-2])
def test_forces_of_the_base_from_another_run_are_recognised_by_their_work(frames, noise):
    shape = frames.positions.shape
    found = judged(frames, frames.labels['PBE'].forces + noise * np.random.default_rng(1).normal(size=shape))
    assert found.whose == 'refused'
    assert np.isnan(found.forces).all()
    assert 'the work that the energies of PBE ask for' in found.remarks[0]


def test_forces_of_another_method_than_the_base_are_named(frames):
    found = judged(frames, frames.labels['MP2'].forces.round(3), others=('MP2',))
    assert found.whose == 'refused'
    assert 'the work that the energies of MP2 ask for, and not those of CCSD(T)' in found.remarks[0]


def test_of_frames_half_copied_from_another_run_the_methods_own_are_kept(frames):
    forces = frames.labels['CCSD(T)'].forces.copy()
    half = np.arange(0, N_FRAMES, 2)
    forces[half] = frames.labels['PBE'].forces[half] + 1e-4 * np.random.default_rng(1).normal(size=(len(half), 8, 3))
    found = judged(frames, forces)
    assert found.whose == 'own and base'
    assert np.isnan(found.forces[half]).all()
    assert np.isfinite(found.forces[1::2]).all()
    assert f'the forces of {len(half)} frames' in found.remarks[0]


@pytest.mark.parametrize(
    ('factor', 'unit', 'named'),
    [
        (units.Bohr / units.Hartree, 'Ha/bohr', '--units "CCSD(T)=eV,Ha/bohr"'),
        (2 * units.Bohr / units.Hartree, 'Ry/bohr', '--units "CCSD(T)=eV,Ry/bohr"'),
        (-1.0, '-eV/A', 'the forces are gradients, of the opposite sign'),
    ],
)
def test_forces_in_another_unit_are_named_and_converted_on_request(tmp_path, frames, factor, unit, named):
    forces = factor * frames.labels['CCSD(T)'].forces
    found = imported(tmp_path, frames, forces)
    account = found.report.files['CCSD(T)']
    assert account.forces == 'refused'
    assert found.snapshots.labels['CCSD(T)'].forces is None
    assert named in account.remarks[0]
    converted = imported(tmp_path, frames, forces, Units.parse(f'eV,{unit}')).snapshots.labels['CCSD(T)']
    assert np.allclose(converted.forces, frames.labels['CCSD(T)'].forces, atol=1e-12)
    assert converted.source['units'] == str(Units.parse(f'eV,{unit}'))


def test_a_base_with_energies_in_hartree_is_refused_with_the_unit(frames):
    label = frames.labels['PBE']
    wrong = frames.with_label('PBE', Label(label.energies / units.Hartree, label.forces))
    with pytest.raises(DatasetError, match=r'pbe.xyz: .* as Ha and eV/Å would. .* --units "PBE=Ha,eV/Å"'):
        check_base(wrong, 'PBE', 'pbe.xyz')


def test_a_base_with_energies_per_atom_is_refused_with_the_unit(frames):
    label = frames.labels['PBE']
    wrong = frames.with_label('PBE', Label(label.energies / 8, label.forces))
    with pytest.raises(DatasetError, match=r'--units "PBE=eV/atom,eV/Å"'):
        check_base(wrong, 'PBE', 'pbe.xyz')


def test_a_base_in_atomic_units_throughout_is_refused(frames):
    label = frames.labels['PBE']
    wrong = Label(label.energies / units.Hartree, label.forces * units.Bohr / units.Hartree)
    with pytest.raises(DatasetError, match=r'--units "PBE=Ha,Ha/bohr"'):
        check_base(labelled(cubic=0.0).with_label('PBE', wrong), 'PBE', 'pbe.xyz')


def test_forces_of_other_frames_are_refused(frames):
    label = frames.labels['PBE']
    shuffled = frames.with_label('PBE', Label(label.energies, label.forces[np.random.default_rng(2).permutation(24)]))
    with pytest.raises(DatasetError, match='do not follow the work of the forces'):
        check_base(shuffled, 'PBE', 'pbe.xyz')


@pytest.mark.parametrize('cubic', [0.0, -12.0, -40.0])
def test_an_anharmonic_base_passes_without_a_word(cubic):
    assert check_base(labelled(cubic=cubic), 'PBE', 'pbe.xyz') == []


def test_a_base_of_quartic_energies_is_not_refused():
    """Between two frames of a quartic well the mean force gives twice the work, on the average: the worst there is."""
    cell = rocksalt_cube()
    moved = heated(cell, 40)
    quartic = Label(np.sum(moved**4, axis=(1, 2)), -4 * moved**3)
    remarks = check_base(snapshots_of(cell, moved, {'PBE': quartic}), 'PBE', 'pbe.xyz')
    assert all('1 is expected of a crystal that is nearly harmonic' in remark for remark in remarks)


def test_forces_that_nearly_equal_the_bases_are_not_refused_where_energies_are_noise(frames):
    """A method that differs by a thousandth, its energies known to ten times that: nothing tells the two apart."""
    base = frames.labels['PBE']
    energies = base.energies + 1e-3 * (frames.labels['MP2'].energies - base.energies)
    forces = base.forces + 1e-3 * (frames.labels['MP2'].forces - base.forces)
    noisy = energies + 1e-2 * np.random.default_rng(3).normal(size=N_FRAMES)
    found = judged(frames.with_label('MP2', Label(noisy)), forces, 'MP2')
    assert found.whose == 'own'
    assert 'do not tell whether the forces are those of MP2 or of PBE' in found.remarks[0]


def test_too_few_frames_are_said_and_not_refused():
    few = labelled(6)
    forces = few.labels['PBE'].forces + 0.01 * np.random.default_rng(1).normal(size=few.positions.shape)
    found = judged(few, forces)
    assert found.whose == 'own'
    assert 'too few frames' in found.remarks[0]
    assert 'too few frames' in check_base(few, 'PBE', 'pbe.xyz')[0]


def test_energies_of_the_demo_speak_for_their_forces():
    from tests.benchmarks.data import load, load_frozen

    for name in ('lif8', 'diamond8'):
        for snapshots in (load(None, name)[0], load_frozen(name)):
            assert check_base(snapshots, 'LDA', name) == []
