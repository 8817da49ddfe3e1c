"""Every kind of Δ: it learns the labels of a toy crystal, tells the same of its errors, and adds to the base."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from aiida_mlcc.runtime.__main__ import main
from aiida_mlcc.runtime.delta_kinds import BASE, DELTA, Kind, kinds_for
from aiida_mlcc.runtime.force_field_calculator import ForceFieldCalculator
from aiida_mlcc.science.force_field import ForceField, add_delta
from aiida_mlcc.science.settings import Settings
from aiida_mlcc.science.snapshots import Snapshots
from tests.runtime.alloy import NETWORK, TRAINING, cell, labelled

N_FRAMES = 24
SMALL = {'network': NETWORK, 'training': {**TRAINING, 'epochs': 40}}
"""Settings of networks that a test has time for."""

every_kind = pytest.mark.parametrize('kind', kinds_for(DELTA).values(), ids=lambda kind: kind.name)


def settings_of(kind: Kind) -> dict[str, Any]:
    return {name: SMALL.get(name, group.defaults()) for name, group in kind.settings.items()}


def run(task: str, **content: Any) -> tuple[Path, dict[str, Any]]:
    """Run a task in a folder of its own, on frames of the alloy, and return the folder and what it says."""
    folder = Path(mkdtemp())
    labelled(N_FRAMES).save(folder / 'snapshots.npz')
    if 'base' in content:
        base().save(folder / content['base'])
    job = {'task': task, 'max_seconds': None, 'snapshots': 'snapshots.npz', 'seed': 1, 'device': 'cpu', **content}
    (folder / 'input.json').write_text(json.dumps(job))
    assert main([task], folder) == 0, (folder / 'output.json').read_text()
    return folder, json.loads((folder / 'output.json').read_text())


@cache
def base() -> ForceField:
    (kind,) = kinds_for(BASE).values()
    folder, _ = run('train', target={'method': 'LDA', 'minus': None, 'forces': True}, **settings_of(kind))
    return ForceField.load(folder / 'force_field')


@cache
def learnt(name: str) -> tuple[ForceField, dict[str, Any]]:
    """Return the Δ of a kind between the two methods of the alloy, and its errors."""
    kind = kinds_for(DELTA)[name]
    if kind.is_trained:
        target = {'method': 'HF', 'minus': 'LDA', 'forces': False}
        folder, output = run('train', target=target, **settings_of(kind))
        return ForceField.load(folder / 'force_field'), output['errors']
    content: dict[str, Any] = {'kind': name, 'base_method': 'LDA', 'methods': ['HF'], **settings_of(kind)}
    if kind.needs_crystal:
        crystal = cell()
        lattice = {'cell': crystal.cell.tolist(), 'positions': crystal.positions.tolist()}
        content['primitive'] = {'symbols': crystal.get_chemical_symbols(), **lattice}
    if kind.needs_network:
        content['base'] = 'base'
    folder, output = run('fit', **content)
    return ForceField.load(folder / 'delta_hf'), output['errors']['HF']


def energies(force_field: ForceField, snapshots: Snapshots) -> NDArray[np.float64]:
    calculator = ForceFieldCalculator(force_field)
    return np.array([calculator.get_potential_energy(snapshots.atoms(i)) for i in range(snapshots.n_frames)])


@every_kind
@pytest.mark.nightly
def test_base_and_delta_reproduce_the_labels_better_than_the_base(kind: Kind) -> None:
    snapshots = labelled(N_FRAMES)
    labels = snapshots.labels['HF'].energies
    alone, total = (energies(one, snapshots) for one in (base(), add_delta(base(), learnt(kind.name)[0])))
    # A constant that the base lacks would be no merit of the shape.
    assert np.std(total - labels) < np.std(alone - labels)
    assert abs(np.mean(total - labels)) < abs(np.mean(alone - labels))


@every_kind
def test_errors_tell_the_spread_and_what_rescaling_would_do(kind: Kind) -> None:
    errors = learnt(kind.name)[1]
    for name in ('spread_mev_atom', kind.held_out, kind.rescaling):
        assert errors[name] > 0


@every_kind
def test_the_delta_stands_for_its_method(kind: Kind) -> None:
    delta = learnt(kind.name)[0]
    assert (delta.method, add_delta(base(), delta).method) == ('HF', 'HF')


@every_kind
def test_what_is_fitted_has_one_group_of_settings_and_a_fitter_that_can_be_imported(kind: Kind) -> None:
    assert all(issubclass(group, Settings) for group in kind.settings.values())
    if kind.is_trained:
        assert set(kind.settings) == {'network', 'training'}
    else:
        assert set(kind.settings) == {'parameters'}
        assert callable(kind.load_fitter())


def test_names_and_slugs_are_unique() -> None:
    slugs = [kind.slug for kind in kinds_for(DELTA).values()]
    assert len(set(slugs)) == len(slugs)
    assert all(slug.isidentifier() for slug in slugs)
