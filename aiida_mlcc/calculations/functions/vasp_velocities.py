"""A POSCAR with velocities: drawn for the start of a dynamics, or handed over from one segment to the next."""

import io

import numpy as np
from aiida import orm
from aiida.engine import ExitCode, calcfunction
from ase import units
from ase.md.velocitydistribution import MaxwellBoltzmannDistribution, Stationary

from aiida_mlcc.data.snapshots import SnapshotsData
from aiida_mlcc.science.crystal.species_order import species_order
from aiida_mlcc.science.dataset.vasp_files.contcar import parse_contcar, write_poscar
from aiida_mlcc.science.dataset.vasp_files.vasprun import parse_vasprun

_SLACK = 0.6
"""The step that leads to CONTCAR may differ from velocity × time step by this part of it: a step too many or too few
differs by all of it."""

_ROUNDING = 1e-5
"""Å for each atom, beyond what the digits of vasprun.xml leave open."""


@calcfunction
def draw_velocities(start: SnapshotsData, temperature_K: orm.Float, seed: orm.Int, science: orm.Str):
    """Return a POSCAR of the first frame with thermal velocities and no drift."""
    atoms = start.get_ase(0)
    atoms = atoms[species_order(atoms.get_chemical_symbols())]
    MaxwellBoltzmannDistribution(atoms, temperature_K=temperature_K.value, rng=np.random.default_rng(seed.value))
    Stationary(atoms)
    velocities = atoms.get_velocities() * units.fs
    text = write_poscar(atoms.get_chemical_symbols(), atoms.cell.array, atoms.positions, velocities)
    return orm.SinglefileData(io.BytesIO(text.encode()), filename='POSCAR')


@calcfunction
def hand_over_velocities(retrieved: orm.FolderData, time_step_fs: orm.Float, science: orm.Str):
    """Return the CONTCAR of a segment as the POSCAR of the next one, where it follows its last complete step.

    It ends with the reason where CONTCAR lacks velocities or is not one time step after that step.
    """
    text = retrieved.get_object_content('CONTCAR') if 'CONTCAR' in retrieved.list_object_names() else ''
    last = parse_vasprun(retrieved.get_object_content('vasprun.xml', 'rb')).steps[-1]
    try:
        positions, velocities = parse_contcar(text, time_step_fs.value)
    except ValueError as error:
        return ExitCode(400, str(error))
    if velocities is None:
        return ExitCode(400, 'CONTCAR has no velocities, so that the dynamics cannot go on from it')
    fractions = positions - last.fractional
    moved = (fractions - np.rint(fractions)) @ last.cell
    predicted = velocities * time_step_fs.value
    # A start from rest moves by half of what its first velocities say.
    if np.linalg.norm(moved - predicted) > _SLACK * np.linalg.norm(predicted) + _ROUNDING * np.sqrt(len(moved)):
        return ExitCode(
            400,
            'CONTCAR is not one time step after the last complete step in vasprun.xml: the job was killed between the '
            'two, and the step in between is lost',
        )
    return orm.SinglefileData(io.BytesIO(text.encode()), filename='POSCAR')
