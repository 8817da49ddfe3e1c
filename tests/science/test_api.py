"""What `aiida_mlcc.science` exports, and the force fields of a method fitted by it."""

import ast
import importlib
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import aiida_mlcc.science as api
from aiida_mlcc.science.fit.delta import FitError
from aiida_mlcc.science.fit.force_constants import ForceConstants
from aiida_mlcc.science.force_field.phonons import phonopy_of
from aiida_mlcc.science.labels.snapshots import Label
from aiida_mlcc.science.phonons.ensemble import fit_ensemble
from tests.crystals import (
    SPRING,
    heated,
    optical_frequency_cm1,
    rocksalt,
    rocksalt_cube,
    snapshots_of,
    spring_label,
    spring_term,
    springs,
)

SOURCE = Path(api.__file__)


def test_every_exported_name_is_there():
    assert {name: getattr(api, name).__name__ for name in api.__all__} == {name: name for name in api.__all__}


def test_type_checkers_see_what_is_exported():
    """What is imported for them alone is what is imported when it is asked for."""
    tree = ast.parse(SOURCE.read_text())
    (block,) = (node for node in tree.body if isinstance(node, ast.If))
    seen = {alias.name: node.module for node in block.body for alias in node.names}
    assert seen == {name: f'{api.__name__}.{module}' for name, module in api._MODULE_OF.items()}
    assert sorted(seen) == sorted(api.__all__)


def test_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match='fit_everything'):
        api.fit_everything  # noqa: B018


def test_exports_import_neither_aiida_nor_torch_nor_pyscf():
    program = (
        'import sys\nfrom aiida_mlcc.science import *\n'
        'print([name for name in ("aiida", "torch", "mace", "pyscf") if name in sys.modules])'
    )
    done = subprocess.run([sys.executable, '-c', program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == '[]'


def test_the_package_alone_imports_nothing_heavy():
    program = 'import sys\nimport aiida_mlcc.science\nprint([n for n in ("numpy", "ase") if n in sys.modules])'
    done = subprocess.run([sys.executable, '-c', program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == '[]'


@pytest.mark.parametrize('name', api.__all__)
def test_every_export_stands_in_the_reference(name):
    page = (SOURCE.parents[2] / 'docs' / 'reference' / 'python.md').read_text(encoding='utf-8')
    assert f':: aiida_mlcc.science.{name}\n' in page


def _parameters(name: str) -> list[str]:
    found = importlib.import_module('inspect').signature(getattr(api, name)).parameters
    return [parameter for parameter in found if parameter != 'self']


@pytest.mark.parametrize('name', [name for name in api.__all__ if name[0].islower()])
def test_docstring_of_a_function_names_every_parameter(name):
    text = getattr(api, name).__doc__
    missing = [one for one in _parameters(name) if f':param {one}:' not in text and f'`{one}`' not in text]
    assert missing == []


def test_phonons_of_springs_have_their_frequency():
    phonon = phonopy_of(springs(rocksalt()), rocksalt(), 2)
    frequencies = phonon.run_qpoints([[0, 0, 0]]).frequencies[0]
    assert frequencies[3:] * 33.35640951981521 == pytest.approx(optical_frequency_cm1(rocksalt()), rel=1e-5)


def test_an_ensemble_has_the_frequencies_of_the_costly_method_between_its_error_bars():
    primitive, cell = rocksalt(), rocksalt_cube()
    nearest, moved = 1.1 * primitive.get_distance(0, 1, mic=True), heated(cell, 12)
    terms = [spring_term(primitive, nearest, 0.9 * k, 0.1 * k, weaken=0.0) for k in (SPRING, 1.3 * SPRING)]
    cheap, costly = (spring_label(term, cell, moved) for term in terms)
    noise = 1e-4 * np.random.default_rng(1).normal(size=12)
    snapshots = snapshots_of(cell, moved, {'PBE': cheap, 'CCSD(T)': Label(costly.energies + noise)})
    delta = replace(ForceConstants.of(ForceConstants.defaults()), cutoff=nearest, n_folds=4)
    ensemble = fit_ensemble(snapshots, primitive, 'CCSD(T)', seeds=(1, 2), delta=delta)
    path = {'points': {'GAMMA': [0, 0, 0], 'X': [0.5, 0, 0.5]}, 'path': [['GAMMA', 'X']]}
    point = ensemble.bands(2, points=3, path=path).special_points['GAMMA']
    assert point.commensurate
    expected = optical_frequency_cm1(primitive, 1.3 * SPRING)
    assert 0.0 < point.sd_cm1[-1] < 2.0
    assert np.abs(point.frequencies_cm1[3:] - expected).max() < 3 * point.sd_cm1[-1]


def frames(**labels):
    cell = rocksalt_cube()
    return snapshots_of(cell, heated(cell, 4), labels)


def test_labels_without_forces_are_refused_with_what_there_is():
    with pytest.raises(FitError, match=r'no method with forces, only CCSD\(T\)'):
        fit_ensemble(frames(**{'CCSD(T)': Label(np.arange(4.0))}), rocksalt(), 'CCSD(T)')


@pytest.mark.parametrize('seeds', [(), (1, 1)])
def test_seeds_must_differ(seeds):
    with pytest.raises(FitError, match='give one or more, all of them different'):
        fit_ensemble(frames(), rocksalt(), 'CCSD(T)', seeds=seeds)


def test_born_charges_alone_are_refused():
    with pytest.raises(FitError, match='give both or neither'):
        fit_ensemble(frames(), rocksalt(), 'CCSD(T)', born_charges=np.zeros((2, 3, 3)))
