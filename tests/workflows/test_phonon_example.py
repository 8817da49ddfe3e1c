"""The example of the how-to runs as it stands in the docs."""

import runpy
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parents[2] / 'docs' / 'examples' / 'phonons_lif.py'


@pytest.mark.nightly
def test_the_example_shows_split_modes_and_thermal_properties(python, monkeypatch, capsys):
    monkeypatch.setattr('sys.argv', [str(EXAMPLE), python.uuid])
    runpy.run_path(str(EXAMPLE), run_name='__main__')
    printed = capsys.readouterr().out
    assert 'at Γ: 3 × T1u, 3 × T1u' in printed
    modes = [float(line.split(':')[1].split('±')[0]) for line in printed.splitlines() if line.startswith('  mode')]
    assert modes[5] > modes[4] + 50
    assert '300 K: F =' in printed
