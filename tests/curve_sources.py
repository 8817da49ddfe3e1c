"""What curves are calculated from, small: forces of a Lennard-Jones crystal, and a dynamics whose modes are made up."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
from aiida import orm
from aiida_phonopy.data.phonopy import PhonopyData
from aiida_phonopy.data.preprocess import PreProcessData
from ase import Atoms
from ase.build import bulk
from ase.calculators.lj import LennardJones
from scipy import constants

from aiida_mlcc.science.dynamics.settings import SpectrumSettings
from aiida_mlcc.science.phonons.settings import PhononSettings
from aiida_mlcc.workflows.common.draw_curve import draw
from aiida_mlcc.workflows.curve_table import Dynamics, Phonons, curves_of

STRAIN = 0.005
N_ATOMS = 12
MODES = np.linspace(150, 1430, 3 * N_ATOMS - 3)
"""40 cm⁻¹ apart, of which the lag resolves 17."""
LAGS_FS = 2.0 * np.arange(1001)


def argon_forces(epsilon: float = 0.0104, strain: float = 0.0) -> PhonopyData:
    """Return the forces of displaced cells of argon, by a Lennard-Jones potential (eV)."""
    atoms = bulk('Ar', 'fcc', a=5.3 * (1 + strain))
    preprocess = PreProcessData(structure=orm.StructureData(ase=atoms), supercell_matrix=[2, 2, 2])
    preprocess.set_displacements(distance=0.01)
    data = PhonopyData(preprocess_data=preprocess.store())
    phonon = preprocess.get_phonopy_instance()
    phonon.generate_displacements(distance=0.01)
    forces = []
    for cell in phonon.supercells_with_displacements:
        image = Atoms(cell.symbols, cell=cell.cell, scaled_positions=cell.scaled_positions, pbc=True)
        image.calc = LennardJones(sigma=3.4, epsilon=epsilon, rc=5.5, smooth=True)
        forces.append(image.get_forces())
    data.set_forces(np.array(forces))
    data.set_residual_forces(np.zeros_like(forces[0]))
    return data.store()


def phonons(**changed: Any) -> Phonons:
    """Return argon by two members, at three volumes."""
    settings = {
        **PhononSettings.defaults(),
        'mesh': [4, 4, 4],
        'band_points': 5,
        'dos_spacing_cm1': 2.0,
        'temperatures_K': {'start': 0, 'stop': 100, 'step': 20},
        'gruneisen': {'strain': STRAIN},
    }
    inputs = {'parameters': orm.Dict(settings), 'force_fields': {}}
    strains = {'at_rest': 0.0, 'expanded': STRAIN, 'compressed': -STRAIN}
    depths = {'seed_1': 0.0104, 'seed_2': 0.0110}
    volumes = {
        volume: {name: argon_forces(epsilon, strain) for name, epsilon in depths.items()}
        for volume, strain in strains.items()
    }
    given = {'inputs': inputs, 'primitive': orm.StructureData(ase=bulk('Ar', 'fcc', a=5.3)), 'volumes': volumes}
    return Phonons(**{**given, **changed})


def autocorrelation(
    energies: Any = None, modes: Any = MODES, residual_force: float = 0.0, harmonic: bool = True, **described: Any
) -> orm.ArrayData:
    """Return the autocorrelation of a carbon crystal with these modes (cm⁻¹), as a job leaves it."""
    energies = np.ones(len(modes)) if energies is None else energies
    phases = 2e-13 * np.pi * constants.c * modes[:, None] * LAGS_FS
    series = energies @ np.cos(phases) / 3
    arrays = {
        'time_fs': LAGS_FS,
        'vacf_C': 3 * series,
        'vacf_C_xyz': np.array([series] * 3),
        'blocks': np.array([[3 * series]] * 2),
    }
    if harmonic:
        weights = np.full((1, 3, len(modes)), 1 / 3)
        arrays |= {'harmonic_frequencies_cm1': modes, 'harmonic_weights': weights}
        described |= {'harmonic_elements': ['C'], 'residual_force_eV_A': residual_force}
    node = orm.ArrayData(arrays)
    told = {'n_atoms': N_ATOMS, 'elements': ['C'], 'time_step_fs': 2.0, 'integrator_step_fs': 1e-3, 'n_steps': 2000}
    told |= {'seed': 1, 'steps_of_a_block': 1000, 'mean_temperature_K': 300.0, 'energy_drift_mev_per_atom_ps': 0.0}
    node.base.attributes.set_many({**told, **described})
    return node


def dynamics() -> Dynamics:
    """Return a dynamics of two members."""
    inputs = {'spectrum': orm.Dict(SpectrumSettings.defaults())}
    runs = {f'seed_{n}': autocorrelation() for n in (1, 2)}
    return Dynamics(inputs, orm.StructureData(ase=bulk('C')), runs)


def drawn(stage: str, source: Phonons | Dynamics) -> tuple[dict[str, dict[str, orm.Data]], list[str]]:
    """Calculate every curve of a stage; return entry → output → node, and what was reported."""
    reported: list[str] = []
    process: Any = SimpleNamespace(out_many=lambda made: None, report=reported.append)
    found = {}
    for name in curves_of(stage):
        found[name] = draw(process, name, source)
        source = replace(source, made={**source.made, **found[name]})
    return found, reported
