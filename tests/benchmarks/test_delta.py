"""The benchmark of Δ in small, on the project's own data: what it prints, and that more energies help."""

from __future__ import annotations

import json
from itertools import product
from typing import Any

import pytest

from tests.benchmarks import delta

pytestmark = pytest.mark.nightly


@pytest.fixture(scope='module')
def printed() -> dict[str, Any]:
    with pytest.MonkeyPatch.context() as patch:
        lines: list[str] = []
        options = ['--crystal', 'lif8', '--kinds', 'force-constants', '--draws', '1', '--sizes', '12', '24']
        patch.setattr('sys.argv', ['delta', *options])
        patch.setattr('sys.stdout.write', lines.append)
        delta.main()
    return json.loads(''.join(lines))


def test_one_json_object_tells_errors_and_frequencies_of_every_method(printed) -> None:
    methods = printed['kinds']['force-constants']
    assert list(methods) == ['HF', 'MP2', 'CCSD', 'CCSD(T)']
    for entry in methods.values():
        assert entry['cv_meV_atom'] < entry['blocked_cv_meV_atom'] < 1.0
        assert set(entry['frequencies_cm1']) == set(printed['base_cm1']) == set(entry['shift_sd_cm1'])


def test_the_learning_curve_has_every_number_of_energies_and_way_to_choose_them(printed) -> None:
    found = {(entry['n'], entry['selection'], entry['covariates']) for entry in printed['learning_curve']}
    assert found == set(product((12, 24), ('random', 'optimal'), (False, True)))


def test_twice_as_many_energies_are_more_certain(printed) -> None:
    stated = {}
    for entry in printed['learning_curve']:
        stated.setdefault(entry['n'], []).append(sum(entry['stated_sd_cm1'].values()))
    assert sum(stated[24]) < sum(stated[12])
