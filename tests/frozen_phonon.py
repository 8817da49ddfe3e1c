"""The transverse optical mode of LiF at Γ from the engine itself: no force field, no phonopy.

``python -m tests.frozen_phonon`` prints the frequencies in cm⁻¹ as one JSON object.
"""

from __future__ import annotations

import json

import numpy as np
from ase import Atoms, units
from scipy import constants

from aiida_mlcc.cli.demo import LATTICE_CONSTANT
from aiida_mlcc.runtime.correlated_energies import correlated_energies
from aiida_mlcc.runtime.pyscf_engine import density_functional, density_functional_forces
from aiida_mlcc.runtime.pyscf_settings import PyscfCorrelation, PyscfForces, PyscfSettings
from aiida_mlcc.science.methods import compose_energy
from aiida_mlcc.workflows.cc_energies import CCEnergiesWorkChain
from aiida_mlcc.workflows.dft_md import DFTMDWorkChain
from tests.crystals import rocksalt_cube

AMPLITUDE = 0.04
"""Å of relative displacement: about 25 meV a cell, where the quartic term is still a fraction of a percent."""


def settings(workchain: type, kind: type[PyscfSettings]) -> PyscfSettings:
    """Return the demo's settings of the engine."""
    return kind.of(workchain.get_protocol_inputs('fast')['engine'])


def displaced(amplitude: float) -> Atoms:
    """Return 8 atoms, Li against F along x by `amplitude` (Å), with the centre of mass at rest."""
    atoms = rocksalt_cube(LATTICE_CONSTANT)
    masses = atoms.get_masses()
    lithium = np.array(atoms.get_chemical_symbols()) == 'Li'
    share = np.where(lithium, masses[~lithium][0], -masses[lithium][0]) / (masses[~lithium][0] + masses[lithium][0])
    atoms.positions[:, 0] += amplitude * share
    return atoms


def frequency_cm1(curvature: float) -> float:
    """Return the frequency of a curvature d²E/du² in eV/Å² of one pair of ions."""
    masses = rocksalt_cube().get_masses()[:2]
    omega = np.sqrt(curvature * constants.e / constants.angstrom**2 / (np.prod(masses) / masses.sum() * constants.u))
    return float(omega / (2 * np.pi * constants.c * 100))


def from_energies(energies: tuple[float, float]) -> float:
    """Return the frequency (cm⁻¹) of the energies (eV) of 8 atoms at rest and displaced."""
    return frequency_cm1(2 * (energies[1] - energies[0]) / 4 / AMPLITUDE**2)


def lda() -> tuple[float, float]:
    """Return the frequency from energies and that from forces."""
    engine = settings(DFTMDWorkChain, PyscfForces)
    found = [density_functional(displaced(u), engine, 'LDA') for u in (0.0, AMPLITUDE)]
    energies = [mean_field.e_tot * units.Hartree for mean_field in found]
    pull = density_functional_forces(found[1])[:, 0] - density_functional_forces(found[0])[:, 0]
    restoring = np.abs(pull).mean()
    return from_energies((energies[0], energies[1])), frequency_cm1(restoring / AMPLITUDE)


def wave_function(*methods: str) -> dict[str, float]:
    """Return the frequency of each method, from energies."""
    engine = settings(CCEnergiesWorkChain, PyscfCorrelation)
    found = [correlated_energies(displaced(u), engine, methods).contributions for u in (0.0, AMPLITUDE)]
    return {method: from_energies(tuple(float(compose_energy(method, c)) for c in found)) for method in methods}


def main() -> None:
    """Print all of them."""
    by_energies, by_forces = lda()
    found = wave_function('HF', 'MP2', 'CCSD', 'CCSD(T)')
    print(json.dumps({'LDA': by_energies, 'LDA from forces': by_forces, **found}))


if __name__ == '__main__':
    main()
