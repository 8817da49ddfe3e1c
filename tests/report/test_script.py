"""The script of the page: units of the figures, and the motion of an atom; run by Node.js where it is there."""

import json
import math
import re
import shutil
import subprocess
from pathlib import Path

import pytest

import aiida_mlcc.report.page

SCRIPT = Path(aiida_mlcc.report.page.__file__).parent / 'templates' / 'report.js'
FIGURE = {
    'data': [
        {
            'x': [0.0, 1.0],
            'y': [100.0, None],
            'meta': {'role': 'line'},
            'customdata': [[1, '0 0 0', 5.0], [None, None, None]],
            'hovertemplate': '%{y:.1f} cm⁻¹',
        },
        {'x': [2.0], 'y': [100.0], 'xaxis': 'x2', 'meta': {'role': 'line'}, 'hovertemplate': ''},
    ],
    'layout': {
        'meta': {'powers': {'y': 1, 'x2': -1}, 'told': [2]},
        'xaxis': {'title': {'text': 'wave vector'}},
        'yaxis': {'title': {'text': 'frequency (cm⁻¹)'}, 'range': [0, 200]},
        'xaxis2': {'title': {'text': 'modes per cm⁻¹'}},
    },
}


def evaluated(expression):
    """Return the value of an expression with the functions of the script that need no page."""
    node = shutil.which('node')
    if node is None:
        pytest.skip('no Node.js')
    text = SCRIPT.read_text()
    parts = [re.search(r'  const UNITS = .*?\n  };\n', text, re.DOTALL)]
    parts += [re.search(rf'  function {name}\(.*?\n  }}\n', text, re.DOTALL) for name in ('inUnit', 'displacement')]
    code = ''.join(part.group() for part in parts) + f'console.log(JSON.stringify({expression}))'
    return json.loads(subprocess.run([node, '-e', code], capture_output=True, text=True, check=True).stdout)


@pytest.mark.parametrize(('unit', 'per_cm1', 'name'), [('THz', 0.0299792458, 'THz'), ('meV', 0.123984198, 'meV')])
def test_frequencies_of_a_figure_are_shown_in_another_unit(unit, per_cm1, name):
    found = evaluated(f'inUnit({json.dumps(FIGURE)}, UNITS[{unit!r}])')
    branch, density = found['data']
    assert branch['x'] == [0.0, 1.0]
    assert branch['y'] == [pytest.approx(100 * per_cm1), None]
    assert branch['customdata'][0][2] == pytest.approx(5 * per_cm1)
    assert branch['hovertemplate'].endswith(name)
    assert density['x'] == [pytest.approx(2 / per_cm1)]
    assert found['layout']['yaxis']['title']['text'] == f'frequency ({name})'
    assert found['layout']['yaxis']['range'] == [0, pytest.approx(200 * per_cm1)]
    assert found['layout']['xaxis2']['title']['text'] == f'modes per {name}'


def test_a_figure_without_frequencies_stays_as_it_is():
    figure = {'data': [{'x': [1], 'y': [2], 'meta': {}}], 'layout': {}}
    assert evaluated(f'inUnit({json.dumps(figure)}, UNITS.THz)') == figure


def test_atoms_half_a_wave_apart_move_against_one_another():
    here, there = (evaluated(f'displacement([1, 0, 0, 0, 0.5, 0], [0.5, 0, 0], [{x}, 0, 0], 0.3)') for x in (0, 1))
    assert here == [pytest.approx(math.cos(0.3)), pytest.approx(0.5 * math.sin(0.3)), pytest.approx(0, abs=1e-12)]
    assert there == pytest.approx([-x for x in here])
