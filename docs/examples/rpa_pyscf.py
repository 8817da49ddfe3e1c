"""Energies of direct RPA with PySCF at the Γ point, as a program of the engine ``command``.

It reads ``snapshots.extxyz`` and ``settings.json`` in its folder and appends a frame to ``labels.extxyz`` for each
snapshot, with the energy in eV: E_EXX + E_c(RPA), on the orbitals of a density functional.
"""

import json
from importlib.metadata import version
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.io import read, write
from ase.units import Hartree
from pyscf.pbc import gto, scf
from pyscf.pbc.dft import KRKS
from pyscf.pbc.gw.krpa import KRPA

task = json.loads(Path('settings.json').read_text())
settings = task['settings']


def rpa_energy(atoms: Atoms) -> float:
    """Return the total energy in eV per cell."""
    cell = gto.Cell()
    cell.atom = list(zip(atoms.get_chemical_symbols(), atoms.positions, strict=True))
    cell.a, cell.unit = atoms.cell.array, 'Angstrom'
    cell.basis, cell.pseudo = settings['basis'], settings['pseudo']
    cell.exp_to_discard = settings['exp_to_discard']
    cell.verbose = 0
    cell.build()
    orbitals = KRKS(cell, cell.make_kpts([1, 1, 1])).rs_density_fit()
    orbitals.xc, orbitals.exxdiv, orbitals.conv_tol = settings['xc'], None, 1e-9
    orbitals.with_df.build(j_only=False)
    orbitals.kernel()
    if not orbitals.converged:
        raise RuntimeError(f'{settings["xc"]} did not converge')
    # Exact exchange of these orbitals, with the Ewald correction for the missing G = 0.
    exact = scf.KRHF(cell, orbitals.kpts, exxdiv='ewald')
    exact.with_df = orbitals.with_df
    exchange = exact.energy_tot(orbitals.make_rdm1())
    rpa = KRPA(orbitals)
    rpa.kernel(nw=settings['frequencies'], with_e_hf=exchange)
    return float(np.real(rpa.e_tot)) * Hartree


for number, atoms in enumerate(read('snapshots.extxyz', ':')):
    try:
        said = {'energy_rpa': rpa_energy(atoms)}
    except RuntimeError as error:
        said = {'reason': str(error)}
    atoms.info = {**said, 'version': f'PySCF {version("pyscf")}'}
    write('labels.extxyz', atoms, format='extxyz', append=number > 0)
