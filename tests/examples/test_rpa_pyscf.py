"""The example of the engine `command` with real PySCF, against the plasmon formula of RPA."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from aiida import orm
from aiida.engine import run_get_node
from ase.units import Hartree

from aiida_mlcc.data.snapshots import SnapshotsData
from aiida_mlcc.workflows.labelling.cc_energies import CCEnergiesWorkChain
from tests.workflows.energies import helium

SCRIPT = Path(__file__).parents[2] / 'docs' / 'examples' / 'rpa_pyscf.py'
SETTINGS = {'basis': 'gth-dzv', 'pseudo': 'gth-pbe', 'xc': 'pbe', 'exp_to_discard': 0.05, 'frequencies': 40}


def plasmon_formula(atoms) -> float:
    """Exact exchange and ½ Σ (Ω − A), with Ω² the eigenvalues of d (d + 4 K) for d the orbital energy differences.

    F. Furche, J. Chem. Phys. 129, 114105 (2008), without an integral over frequencies.
    """
    from pyscf.pbc import dft, gto, scf

    cell = gto.Cell()
    cell.atom = list(zip(atoms.get_chemical_symbols(), atoms.positions, strict=True))
    cell.a, cell.unit, cell.verbose = atoms.cell.array, 'Angstrom', 0
    cell.basis, cell.pseudo, cell.exp_to_discard = SETTINGS['basis'], SETTINGS['pseudo'], SETTINGS['exp_to_discard']
    cell.build()
    orbitals = dft.RKS(cell).density_fit()
    orbitals.xc, orbitals.exxdiv, orbitals.conv_tol = 'pbe', None, 1e-9
    orbitals.kernel()
    n_occupied = cell.nelectron // 2
    occupied, virtual = orbitals.mo_coeff[:, :n_occupied], orbitals.mo_coeff[:, n_occupied:]
    gaps = (orbitals.mo_energy[None, n_occupied:] - orbitals.mo_energy[:n_occupied, None]).ravel()
    coulomb = orbitals.with_df.ao2mo([occupied, virtual, occupied, virtual], compact=False)
    coulomb = coulomb.reshape(len(gaps), len(gaps))
    root = np.sqrt(gaps)
    squares = np.linalg.eigvalsh(np.diag(gaps**2) + 4 * root[:, None] * coulomb * root)
    correlation = 0.5 * (np.sqrt(squares).sum() - gaps.sum() - 2 * np.trace(coulomb))
    exact = scf.RHF(cell, exxdiv='ewald').density_fit()
    return float(exact.energy_tot(orbitals.make_rdm1()) + correlation) * Hartree


@pytest.mark.nightly
def test_energies_of_the_example_are_those_of_the_plasmon_formula(python, aiida_localhost) -> None:
    program = orm.InstalledCode(label='python', computer=aiida_localhost, filepath_executable=sys.executable).store()
    engine = {
        'name': 'command',
        'program': 'PySCF, RPA@PBE',
        'arguments': [SCRIPT.name],
        'files': {SCRIPT.name: SCRIPT.read_text()},
        'settings': SETTINGS,
    }
    builder = CCEnergiesWorkChain.get_builder_from_protocol(
        python,
        SnapshotsData(helium(2)),
        'fast',
        {'methods': ['RPA'], 'selection': {'kind': 'all'}, 'engine': engine},
        command_code=program,
    )
    outputs, node = run_get_node(builder)
    assert node.is_finished_ok, node.exit_message
    found = outputs['snapshots'].get_snapshots()
    assert found.labels['RPA'].source['version'].startswith('PySCF ')
    assert np.allclose(found.labels['RPA'].energies, [plasmon_formula(found.atoms(n)) for n in range(2)], atol=1e-4)
