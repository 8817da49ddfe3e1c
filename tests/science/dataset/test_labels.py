"""Energies that are not those of the method they are given for."""

from __future__ import annotations

import numpy as np
import pytest
from ase import units

from aiida_mlcc.science.dataset.dataset import read_dataset
from aiida_mlcc.science.dataset.energy_file import DatasetError, LabelSource
from aiida_mlcc.science.dataset.label_units import Units
from tests.published_files import forces_of, structures, write

N = 12


@pytest.fixture
def frames():
    return structures(N)


@pytest.fixture
def energies(frames):
    """Return energies of the base and of another method, of which one says little of the other."""
    springs = 3.0 * np.sum((frames.positions - frames.positions.mean(axis=0)) ** 2, axis=(1, 2))
    return springs - 50.0, 1.1 * springs + 0.005 * np.random.default_rng(5).normal(size=N) - 80.0


def imported(folder, frames, base, other, key='energy', **settings):
    files = write(folder / 'pbe.xyz', frames, base), write(folder / 'hf.xyz', frames, other, key=key)
    files[0].write_text(write(folder / 'pbe.xyz', frames, base, 0 * forces_of(frames) + pulls(frames)).read_text())
    source = LabelSource(files[1], **settings)
    return read_dataset(files[0], 'PBE', {'HF': source}).snapshots.labels['HF'].energies


def pulls(frames):
    return -6.0 * (frames.positions - frames.positions.mean(axis=0))


def test_the_energies_of_the_base_under_another_name_are_refused(tmp_path, frames, energies):
    with pytest.raises(DatasetError, match=r'hf.xyz: the energies of HF are those of PBE, up to a constant$'):
        imported(tmp_path, frames, energies[0], energies[0] - 7.0)


def test_the_energies_of_the_base_in_hartree_are_refused(tmp_path, frames, energies):
    with pytest.raises(DatasetError, match=r'are those of PBE times 0.0367493, as if in Ha'):
        imported(tmp_path, frames, energies[0], energies[0] / units.Hartree)


@pytest.mark.parametrize(('factor', 'unit'), [(1 / units.Hartree, 'Ha'), (1 / 8, 'eV/atom')])
def test_energies_in_another_unit_are_refused_and_converted_on_request(tmp_path, frames, energies, factor, unit):
    with pytest.raises(DatasetError, match=rf'as energies in {unit} would: convert them with --units "HF={unit}"'):
        imported(tmp_path, frames, energies[0], energies[1] * factor)
    found = imported(tmp_path, frames, energies[0], energies[1] * factor, units=Units.parse(unit))
    assert np.allclose(found, energies[1], atol=1e-9)


def test_two_methods_with_one_set_of_energies_are_refused(tmp_path, frames, energies):
    base = write(tmp_path / 'pbe.xyz', frames, energies[0], pulls(frames))
    other = write(tmp_path / 'mp2.xyz', frames, energies[1])
    with pytest.raises(DatasetError, match='the energies of MP2 are those of HF, up to a constant'):
        read_dataset(base, 'PBE', {'HF': other, 'MP2': other})


def test_other_entries_that_look_like_energies_are_named_where_the_energies_are_the_bases(tmp_path, frames, energies):
    base = write(tmp_path / 'pbe.xyz', frames, energies[0], pulls(frames))
    other = write(tmp_path / 'both.xyz', frames, [f'{e} correlated_energy={c}' for e, c in zip(*energies, strict=True)])
    with pytest.raises(
        DatasetError, match=r'those of PBE, up to a constant. The frames also have correlated_energy: na'
    ):
        read_dataset(base, 'PBE', {'HF': other})


def test_an_entry_with_the_name_of_the_method_beside_energy_must_be_chosen(tmp_path, frames, energies):
    base = write(tmp_path / 'pbe.xyz', frames, energies[0], pulls(frames))
    text = [f'{e} ccsd_t_energy={c}' for e, c in zip(*energies, strict=True)]
    other = write(tmp_path / 'both.xyz', frames, text)
    with pytest.raises(DatasetError, match=r'both.xyz: its frames have energy and ccsd_t_energy: say which'):
        read_dataset(base, 'PBE', {'CCSD(T)': other})
    found = read_dataset(base, 'PBE', {'CCSD(T)': LabelSource(other, 'ccsd_t_energy')})
    assert found.snapshots.labels['CCSD(T)'].energies.tolist() == energies[1].tolist()


def test_several_methods_may_be_in_one_file(tmp_path, frames, energies):
    noise = np.random.default_rng(6).normal(size=N)
    text = [f'{e} E_hf={c} E_mp2={c + d}' for e, c, d in zip(*energies, noise, strict=True)]
    file = write(tmp_path / 'all.xyz', frames, text, pulls(frames))
    found = read_dataset(file, 'PBE', {'HF': LabelSource(file, 'E_hf'), 'MP2': LabelSource(file, 'E_mp2')})
    assert found.snapshots.labels['HF'].energies.tolist() == energies[1].tolist()
    assert np.allclose(found.snapshots.labels['MP2'].energies, energies[1] + noise, atol=1e-12)
    assert found.snapshots.labels['MP2'].source['entry'] == 'E_mp2'


def test_frozen_phonons_along_one_harmonic_mode_are_not_refused(tmp_path):
    """Energies of any two methods are in proportion there."""
    frames = structures(1)
    steps = np.linspace(-0.1, 0.1, 9)
    moved = frames.select(np.zeros(9, dtype=int))
    mode = np.zeros((8, 3))
    mode[::2, 0], mode[1::2, 0] = 1.0, -1.0
    object.__setattr__(moved, 'positions', frames.positions[0] + steps[:, None, None] * mode)
    base = write(tmp_path / 'pbe.xyz', moved, 4.0 * steps**2 - 5.0, -steps[:, None, None] * mode)
    found = read_dataset(base, 'PBE', {'HF': write(tmp_path / 'hf.xyz', moved, 4.4 * steps**2 - 9.0)})
    assert found.snapshots.labels['HF'].labelled.all()
    assert 'as along one harmonic mode' in ' '.join(found.report.files['HF'].remarks)
