"""Standard errors of energies, from the file to the fit."""

from __future__ import annotations

import numpy as np
import pytest
from ase import units

from aiida_mlcc.science.dataset.dataset import read_dataset
from aiida_mlcc.science.dataset.energy_file import DatasetError, LabelSource
from aiida_mlcc.science.dataset.label_units import Units
from aiida_mlcc.science.fit.delta_features import energy_weights
from aiida_mlcc.science.labels.extxyz import from_extxyz, to_extxyz
from aiida_mlcc.science.labels.merging import merge_labels
from aiida_mlcc.science.labels.snapshots import Label, Snapshots, concatenate
from tests.published_files import forces_of, structures, write

N = 6
ENERGIES = [-50.1, -49.5, -49.2, -48.7, -48.0, -47.9]


@pytest.fixture
def frames() -> Snapshots:
    return structures(N)


def imported(folder, frames, text, **settings):
    base = write(folder / 'pbe.xyz', frames, np.linspace(-9, -8, N), forces_of(frames))
    source = LabelSource(write(folder / 'hf.xyz', frames, text), **settings)
    return read_dataset(base, 'PBE', {'HF': source}).snapshots


def test_one_number_is_the_error_of_every_energy_in_the_unit_of_the_file(tmp_path, frames):
    assert imported(tmp_path, frames, ENERGIES, sigma=0.01).labels['HF'].sigma.tolist() == [0.01] * N
    in_hartree = imported(tmp_path, frames, ENERGIES, sigma=0.01, units=Units('Ha')).labels['HF'].sigma
    assert in_hartree == pytest.approx([0.01 * units.Hartree] * N)


def test_an_entry_holds_the_error_of_each_energy(tmp_path, frames):
    text = [f'{energy} dmc_error={0.01 * (n + 1)}' for n, energy in enumerate(ENERGIES)]
    found = imported(tmp_path, frames, text, sigma='dmc_error').labels['HF'].sigma
    assert found == pytest.approx(0.01 * np.arange(1, N + 1))
    assert imported(tmp_path, frames, text).labels['HF'].sigma is None


@pytest.mark.parametrize(('sigma', 'sentence'), [('nothing', 'no frame has a standard error'), (-0.1, 'must be posit')])
def test_an_error_that_is_none_is_refused(tmp_path, frames, sigma, sentence):
    with pytest.raises(DatasetError, match=sentence):
        imported(tmp_path, frames, ENERGIES, sigma=sigma)


def test_errors_go_with_their_labels(frames):
    sigma = np.array([0.1, np.nan, 0.3, 0.4, 0.5, 0.6])
    labelled = frames.with_label('HF', Label(np.array(ENERGIES), sigma=sigma))
    assert np.array_equal(labelled.select([2, 0]).labels['HF'].sigma, [0.3, 0.1])
    again = Snapshots.from_arrays(labelled.describe(), labelled.to_arrays())
    text = from_extxyz(to_extxyz(labelled))
    merged = merge_labels(frames, [labelled])
    joined = concatenate([labelled.select([0, 1]), frames.select([2])])
    for found in (again, text, merged):
        assert np.array_equal(found.labels['HF'].sigma, sigma, equal_nan=True)
    assert np.array_equal(joined.labels['HF'].sigma, [0.1, np.nan, np.nan], equal_nan=True)


def test_errors_change_the_hash_of_snapshots_and_their_absence_does_not(frames):
    plain = frames.with_label('HF', Label(np.array(ENERGIES)))
    assert 'sigma_hf' not in plain.to_arrays()
    assert frames.with_label('HF', Label(np.array(ENERGIES), sigma=np.ones(N))).content_hash() != plain.content_hash()


def test_a_fit_weighs_by_the_inverse_variance_of_both_labels():
    base = Label(np.zeros(3), sigma=np.array([0.3, 0.3, 0.3]))
    other = Label(np.zeros(3), sigma=np.array([0.4, np.nan, 1.2]))
    weights = energy_weights(base, other)
    variances = 0.09 + np.array([0.16, 0.64, 1.44])
    assert weights == pytest.approx((1 / variances) / np.mean(1 / variances))
    assert energy_weights(Label(np.zeros(3)), Label(np.zeros(3))) is None
    one = energy_weights(Label(np.zeros(3)), Label(np.zeros(3), sigma=np.full(3, 0.01)))
    assert one == pytest.approx(np.ones(3))
