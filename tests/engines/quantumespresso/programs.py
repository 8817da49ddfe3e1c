"""pw.x and ph.x of this computer, and families of pseudopotentials made from PySCF's tables."""

from __future__ import annotations

import re
import shutil
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from aiida import orm

from aiida_mlcc.engines.quantumespresso.gth_upf import read_gth, to_upf


def code_of(program: str, computer: orm.Computer) -> orm.InstalledCode:
    """Return pw.x or ph.x, where it and the plugin are installed."""
    pytest.importorskip('aiida_quantumespresso')
    if (path := shutil.which(program)) is None:
        pytest.skip(f'{program} is not installed')
    return orm.InstalledCode(
        label=program.removesuffix('.x'),
        computer=computer,
        filepath_executable=path,
        default_calc_job_plugin=f'quantumespresso.{program.removesuffix(".x")}',
        prepend_text='export OMP_NUM_THREADS=1',
    ).store()


def table(name: str) -> str:
    """Return a table of PySCF."""
    found = find_spec('pyscf')
    assert found is not None
    assert found.origin is not None
    return (Path(found.origin).parent / 'pbc' / 'gto' / 'pseudo' / f'{name}.dat').read_text()


def family_of(name: str, elements: list[str], folder: Path, label: str | None = None) -> Any:
    """Return a family of aiida-pseudo with the potentials of a table; ``Mg:2`` names the valence electrons."""
    pytest.importorskip('aiida_pseudo')
    from aiida_pseudo.data.pseudo.upf import UpfData
    from aiida_pseudo.groups.family import PseudoPotentialFamily

    for asked in elements:
        element, _, electrons = asked.partition(':')
        potential = read_gth(table(name), element, int(electrons) if electrons else None)
        (folder / f'{element}.upf').write_text(to_upf(potential))
    return PseudoPotentialFamily.create_from_folder(folder, label or name, pseudo_type=UpfData)


def energy_by_hand(text: str) -> float:
    """Return the energy that pw.x prints, Ry."""
    return float(re.findall(r'^!\s+total energy\s+=\s+(\S+) Ry', text, re.MULTILINE)[-1])


def forces_by_hand(text: str, n_atoms: int) -> list[list[float]]:
    """Return the forces that pw.x prints, Ry/bohr."""
    rows = re.findall(r'atom\s+\d+ type\s+\d+\s+force =\s+(\S+)\s+(\S+)\s+(\S+)', text)[:n_atoms]
    return [[float(word) for word in row] for row in rows]
