"""HarmonicPhononWorkChain with VASP as its engine, through mock-vasp with the forces of springs."""

import numpy as np
import pytest
from aiida import orm
from aiida.engine import run_get_node
from phonopy import Phonopy

from aiida_mlcc.science.crystal.cells import from_phonopy, primitive_cell, to_phonopy
from aiida_mlcc.science.force_field.force_constants import ForceConstantsModel
from aiida_mlcc.workflows.phonons.harmonic_phonon import HarmonicPhononWorkChain
from tests.crystals import optical_frequency_cm1, rocksalt, springs
from tests.vasp_outputs import poscar, single_point_outputs
from tests.workflows.vasp_runs.settings import ELECTRONS, ENGINE

TAGS = {**ELECTRONS, 'IBRION': -1, 'NSW': 0}
SMALL = {
    'supercell_matrix': [1, 1, 1],
    'parameters': {
        'mesh': [4, 4, 4],
        'band_points': 5,
        'dos_spacing_cm1': 5.0,
        'temperatures_K': {'start': 0, 'stop': 300, 'step': 100},
    },
}


def register(registry, skip=()):
    """Answer the displaced cells with the forces of springs."""
    phonon = Phonopy(to_phonopy(primitive_cell(rocksalt())), np.eye(3, dtype=int), primitive_matrix='P')
    phonon.generate_displacements(distance=0.01)
    bound = ForceConstantsModel(springs(rocksalt()).terms[0]).bind(from_phonopy(phonon.supercell))
    for number, cell in enumerate([phonon.supercell, *phonon.supercells_with_displacements]):
        atoms = from_phonopy(cell)
        energy, forces = bound.energy_forces(atoms.positions)
        if number not in skip:
            outputs = single_point_outputs(atoms, energy, forces, nelm=9)
            registry.add(f'cell-{number}', TAGS, poscar(atoms), [1, 1, 1], outputs)


def phonons(where, engine=ENGINE, **parameters):
    structure = orm.StructureData(ase=rocksalt())
    overrides = {**SMALL, 'parameters': {**SMALL['parameters'], **parameters}}
    builder = HarmonicPhononWorkChain.get_builder_from_protocol(
        where['code'],
        structure,
        engine=engine,
        protocol='fast',
        overrides=overrides,
        options=where['options'].get_dict(),
    )
    return run_get_node(builder)


def test_forces_by_vasp_make_a_reference_dispersion(where, registry):
    register(registry)
    outputs, node = phonons(where)
    assert node.is_finished_ok, node.exit_message
    gamma = outputs['special_points']['GAMMA']
    assert gamma['mean'][3:] == pytest.approx([optical_frequency_cm1(rocksalt())] * 3, rel=1e-3)
    assert set(outputs['phonopy_data']) == {'engine'}


@pytest.mark.nightly
def test_a_displaced_cell_without_forces_is_named(where, registry):
    register(registry, skip=(2,))
    _, node = phonons(where)
    assert node.exit_status == HarmonicPhononWorkChain.exit_codes.ERROR_NO_FORCES.status


def test_options_of_vasp_are_laid_over_those_of_all_jobs(where):
    builder = HarmonicPhononWorkChain.get_builder_from_protocol(
        where['code'],
        orm.StructureData(ase=rocksalt()),
        engine=ENGINE,
        overrides={'vasp': {'options': {'resources': {'num_machines': 2}, 'withmpi': True}}},
        options={'resources': {'num_machines': 1, 'num_mpiprocs_per_machine': 4}, 'queue_name': 'long'},
    )
    assert builder.vasp.options.get_dict() == {
        'resources': {'num_machines': 2, 'num_mpiprocs_per_machine': 4},
        'queue_name': 'long',
        'withmpi': True,
    }


def test_vasp_relaxes_no_cell_here(where):
    with pytest.raises(ValueError, match='does not relax the cell'):
        phonons(where, relax='cell')
