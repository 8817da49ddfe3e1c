"""Table and figure of the half-set study show what was measured, each seed on its own."""

from __future__ import annotations

from typing import Any

import pytest
from plot_half_sets import draw, name_of, table


def entry(method: str, kind: str, test: float, **more: Any) -> dict[str, Any]:
    return {'method': method, 'kind': kind, 'energy_rmse_mev_atom': {'train': test / 2, 'test': test}, **more}


def result() -> dict[str, Any]:
    def of(factor: float) -> list[dict[str, Any]]:
        forces = {'forces_rmse_mev_angstrom': {'train': 20 * factor, 'test': 40 * factor}}
        total = {'sum_energy_rmse_mev_atom': {'train': 7 * factor, 'test': 8 * factor}}
        return [entry('PBE', 'mace', 1.0 * factor, **forces), entry('HF', 'readout', 0.25 * factor, **total)]

    return {'base_method': 'PBE', 'seeds': {'11': of(1.0), '12': of(3.0)}, 'mean': of(2.0)}


def test_the_table_has_a_row_for_each_model_and_a_column_for_each_seed() -> None:
    lines = table(result()).splitlines()
    assert '| model | kind | learnt half | other half | base + Δ | 11 | 12 |' in lines
    assert '| ML(PBE_E,F) | mace | 1 | 2 |  | 1 | 3 |' in lines
    assert '| ΔML(HF) | readout | 0.25 | 0.5 | 16 | 0.25 | 0.75 |' in lines
    assert '| ML(PBE_E,F) | 40 | 80 | 40 | 120 |' in lines


@pytest.mark.parametrize(
    ('method', 'name'), [('PBE', 'ML(PBE_E,F)'), ('PBE(E)', 'ML(PBE_E)'), ('CCSD(T)', 'ΔML(CCSD(T))')]
)
def test_models_have_the_names_of_the_article(method: str, name: str) -> None:
    assert name_of(method, 'PBE') == name


def test_each_seed_is_a_point_of_its_own() -> None:
    energies, forces = draw(result()).axes
    drawn = [sorted(line.get_ydata()) for line in energies.lines if line.get_marker() in 'os']
    assert drawn == [[0.5, 1.5], [1.0, 3.0], [0.125, 0.375], [0.25, 0.75]]
    assert [sorted(line.get_ydata()) for line in forces.lines if line.get_marker() == 'o'] == [[20, 60], [40, 120]]
