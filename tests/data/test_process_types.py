"""Process types of older nodes, and that none is written anywhere else."""

import ast
from importlib.metadata import entry_points
from pathlib import Path

import aiida_mlcc
from aiida_mlcc.data import process_types as module
from aiida_mlcc.data.process_types import entry_point_of, process_types

POINT = 'aiida.calculations:mlcc.label_point'
OLD_POINT = 'aiida_mlcc.calculations.functions.label_point.label_point'
REMOVED: set[str] = set()
"""Processes that older nodes have and this version does not."""


def test_a_process_is_found_under_its_entry_point_and_its_old_type():
    assert process_types(POINT, 'aiida.calculations:mlcc.md') == [POINT, 'aiida.calculations:mlcc.md', OLD_POINT]


def test_an_old_type_is_that_of_its_entry_point_and_others_stay():
    assert entry_point_of(OLD_POINT) == POINT
    for other in (POINT, 'aiida.calculations:vasp.vasp', None):
        assert entry_point_of(other) == other


def test_readouts_of_older_runs_are_found_as_the_fits_that_they_are():
    assert 'aiida.calculations:mlcc.readout' in process_types('aiida.calculations:mlcc.fit')
    assert entry_point_of('aiida.calculations:mlcc.readout') == 'aiida.calculations:mlcc.fit'


def test_old_types_belong_to_entry_points_of_this_version():
    for group, table in (('aiida.calculations', module._CALCULATIONS), ('aiida.workflows', module._WORKFLOWS)):
        names = {entry_point.name for entry_point in entry_points(group=group)}
        assert set(table.values()) <= names | REMOVED


def test_the_table_is_the_only_place_with_old_types():
    package = Path(aiida_mlcc.__file__).parent
    examples = package.parent / 'docs' / 'examples'
    old = {*module._CALCULATIONS, *module._WORKFLOWS}
    for path in {*package.rglob('*.py'), *examples.glob('*.py')} - {Path(module.__file__)}:
        constants = {n.value for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.Constant)}
        assert not constants & old, path
