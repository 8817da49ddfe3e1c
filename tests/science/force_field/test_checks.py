"""A force field whose files are not what they should be is refused in a sentence when it is read."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from aiida_mlcc.science.force_field import ForceField, ForceFieldError, Term
from aiida_mlcc.science.force_field.kinds import models_of
from tests.crystals import rocksalt, springs

Change = Callable[[dict[str, Any]], object]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    springs(rocksalt(), method='HF').save(tmp_path)
    return tmp_path


def term_of(content: dict[str, Any]) -> dict[str, Any]:
    return content['terms'][0]


@pytest.mark.parametrize(
    ('change', 'told'),
    [
        (lambda c: c.pop('terms'), "lacks 'terms'"),
        (lambda c: c.pop('constants'), "lacks 'constants'"),
        (lambda c: c.update(terms='none'), "'terms' .* is 'none' and not a list"),
        (lambda c: c.update(terms=[], constants={}), 'is empty: it has no terms and no constants'),
        (lambda c: term_of(c).update(arrays=[]), 'is empty: it has no weights'),
        (lambda c: term_of(c).pop('settings'), "term 0 .* lacks 'settings'"),
        (lambda c: term_of(c).update(weight='1.0'), r"weight of term 0 .* is '1\.0' and not a number"),
        (lambda c: term_of(c).pop('weight'), 'weight of term 0 .* is None and not a number'),
        (lambda c: term_of(c).update(weight=float('nan')), 'is nan: a finite number'),
        (lambda c: term_of(c).update(weight=1e30), 'is 1e[+]30: a finite number of at most 1e[+]06'),
        (lambda c: c.update(base_scale=True), 'base_scale .* is True and not a number'),
        (lambda c: c.update(base_scale=float('inf')), 'base_scale .* is inf'),
        (lambda c: c['constants'].update(Na='a lot'), "constant of Na .* is 'a lot' and not a number"),
        (lambda c: c['constants'].update(Xx=1.0), "'Xx', which is not a chemical element"),
        (lambda c: c.update(method=None), 'method .* is None and not text'),
        (lambda c: c.update(probe={'symbols': ['Na']}), "probe .* lacks 'cell'"),
    ],
)
def test_a_description_with_something_missing_or_senseless_is_refused(folder: Path, change: Change, told: str) -> None:
    path = folder / 'force_field.json'
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))
    with pytest.raises(ForceFieldError, match=told):
        ForceField.load(folder)


@pytest.mark.parametrize('number', [np.nan, np.inf, -1e20])
def test_weights_that_are_not_numbers_of_a_sane_size_are_refused(folder: Path, number: float) -> None:
    (term,) = springs(rocksalt()).terms
    constants = np.array(term.arrays['fc'])
    constants[0, 0, 0] = number
    ForceField((replace(term, arrays={**term.arrays, 'fc': constants}),), {'Na': 0.0}).save(folder)
    with pytest.raises(ForceFieldError, match=r"'fc' of term 0 .* not finite or larger"):
        ForceField.load(folder)


def test_a_term_whose_arrays_are_all_empty_is_refused(folder: Path) -> None:
    ForceField((Term('mace', {}, {'weights': np.zeros(0)}),), {'Na': 0.0}).save(folder)
    with pytest.raises(ForceFieldError, match='is empty'):
        ForceField.load(folder)


@pytest.mark.parametrize(
    ('name', 'content', 'told'),
    [
        ('force_field.json', b'{"format"', 'is not JSON'),
        ('force_field.json', b'[]', 'is list and not a mapping'),
        ('weights.safetensors', b'', 'cannot be read'),
        ('weights.safetensors', b'\x10\x00\x00\x00\x00\x00\x00\x00{"cut', 'cannot be read'),
    ],
)
def test_a_file_that_was_cut_off_is_named(folder: Path, name: str, content: bytes, told: str) -> None:
    (folder / name).write_bytes(content)
    with pytest.raises(ForceFieldError, match=told):
        ForceField.load(folder)


def test_weights_that_are_described_but_not_there_are_named(folder: Path) -> None:
    description = json.loads((folder / 'force_field.json').read_text())
    with pytest.raises(ForceFieldError, match="its weights 'cell' are missing"):
        ForceField.rebuild(description, {})


def test_a_term_without_one_of_its_settings_is_refused_when_it_is_used() -> None:
    (term,) = springs(rocksalt()).terms
    settings = {key: value for key, value in term.settings.items() if key != 'cutoff'}
    with pytest.raises(ForceFieldError, match="lacks 'cutoff'"):
        models_of([replace(term, settings=settings)])
