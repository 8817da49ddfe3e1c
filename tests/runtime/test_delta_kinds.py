"""Every kind of Δ: it learns the labels of a toy crystal, tells the same of its errors, and adds to the base."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import numpy as np
import pytest
from ase import Atoms
from numpy.typing import NDArray

from aiida_mlcc.runtime.__main__ import main
from aiida_mlcc.runtime.delta_kinds import BASE, DELTA, Kind, kinds_for
from aiida_mlcc.runtime.force_field_calculator import ForceFieldCalculator
from aiida_mlcc.science.force_field import ForceField, add_delta
from aiida_mlcc.science.labels.snapshots import Snapshots
from aiida_mlcc.science.settings import Settings
from tests.runtime.mace.alloy import NETWORK, TRAINING, cell, labelled, random_force_field, small_cell

N_FRAMES = 24
SMALL = {'network': NETWORK, 'training': {**TRAINING, 'epochs': 40}}
"""Settings of networks that a nightly test has time for."""
TINY = {'network': NETWORK, 'training': {**TRAINING, 'epochs': 1}, 'parameters': {'cutoff': 2.8, 'anharmonic': False}}
"""Settings of a Δ that is fitted at once."""

every_kind = pytest.mark.parametrize('kind', kinds_for(DELTA).values(), ids=lambda kind: kind.name)


def settings_of(kind: Kind, given: dict[str, Any] = SMALL) -> dict[str, Any]:
    """The defaults of a kind, changed where it has the settings that are given."""
    return {
        name: {**group.defaults(), **{key: value for key, value in given.get(name, {}).items() if key in group.rules()}}
        for name, group in kind.settings.items()
    }


def crystal_of(kind: Kind, quickly: bool) -> Callable[[], Atoms]:
    return small_cell if quickly and kind.needs_crystal else cell


def run(task: str, crystal: Callable[[], Atoms] = cell, **content: Any) -> tuple[Path, dict[str, Any]]:
    """Run a task in a folder of its own, on frames of an alloy, and return the folder and what it says."""
    folder = Path(mkdtemp())
    labelled(N_FRAMES, crystal=crystal).save(folder / 'snapshots.npz')
    if 'base' in content:
        content.pop('force_field').save(folder / content['base'])
    job = {'task': task, 'max_seconds': None, 'snapshots': 'snapshots.npz', 'seed': 1, 'device': 'cpu', **content}
    (folder / 'input.json').write_text(json.dumps(job))
    assert main([task], folder) == 0, (folder / 'output.json').read_text()
    return folder, json.loads((folder / 'output.json').read_text())


@cache
def base() -> ForceField:
    kind = kinds_for(BASE)['mace']
    folder, _ = run('train', target={'method': 'LDA', 'minus': None, 'forces': True}, **settings_of(kind))
    return ForceField.load(folder / 'force_field')


def untrained_base() -> ForceField:
    return replace(random_force_field(), method='LDA')


@cache
def learnt(name: str, quickly: bool = False) -> tuple[ForceField, dict[str, Any]]:
    """Return the Δ of a kind between the two methods of the alloy, and its errors."""
    kind = kinds_for(DELTA)[name]
    settings = settings_of(kind, TINY if quickly else SMALL)
    if kind.is_trained:
        target = {'method': 'HF', 'minus': 'LDA', 'forces': False}
        folder, output = run('train', target=target, **settings)
        return ForceField.load(folder / 'force_field'), output['errors']
    content: dict[str, Any] = {'kind': name, 'base_method': 'LDA', 'methods': ['HF'], **settings}
    if kind.needs_crystal:
        atoms = crystal_of(kind, quickly)()
        lattice = {'cell': atoms.cell.tolist(), 'positions': atoms.positions.tolist()}
        content['primitive'] = {'symbols': atoms.get_chemical_symbols(), **lattice}
    if kind.needs_network:
        content |= {'base': 'base', 'force_field': untrained_base() if quickly else base()}
    folder, output = run('fit', crystal_of(kind, quickly), **content)
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
def test_errors_tell_the_spread_of_the_labels_and_what_rescaling_would_leave(kind: Kind) -> None:
    """Most of the spread of this Δ is a multiple of the energy of the base, as a straight line through it shows."""
    errors = learnt(kind.name, quickly=True)[1]
    frames = labelled(N_FRAMES, crystal=crystal_of(kind, quickly=True))
    labels = frames.labels
    base_energies, difference = labels['LDA'].energies, labels['HF'].energies - labels['LDA'].energies
    spread = 1000 * np.std(difference) / frames.n_atoms
    left = spread * np.sqrt(1 - np.corrcoef(base_energies, difference)[0, 1] ** 2)
    assert errors['spread_mev_atom'] == pytest.approx(spread, rel=0.05)
    # Of a few frames held out, which the best line through all of them does not know.
    assert 0.5 * left < errors[kind.rescaling] < 2 * left < spread
    assert errors[kind.held_out] > 0


@every_kind
def test_the_delta_stands_for_its_method(kind: Kind) -> None:
    delta = learnt(kind.name, quickly=True)[0]
    assert (delta.method, add_delta(untrained_base(), delta).method) == ('HF', 'HF')


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
