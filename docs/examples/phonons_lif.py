"""Phonons of LiF with LO–TO splitting, from trained force fields or from an engine.

Run it with ``verdi run docs/examples/phonons_lif.py CODE [FORCE_FIELD …]``, where CODE is a Python with the packages of
the ``runtime`` extra and each FORCE_FIELD the UUID of a member. Without members the forces are those of springs, which
need neither: it shows what comes out.
"""

import io
import sys

import numpy as np
from aiida import orm
from aiida.engine import run_get_node
from aiida.plugins import DataFactory, WorkflowFactory
from ase.build import bulk

from aiida_mlcc.science.force_field import ForceField
from aiida_mlcc.science.force_field.force_constants import force_constants_term

ForceFieldData = DataFactory('mlcc.force_field')
HarmonicPhononWorkChain = WorkflowFactory('mlcc.harmonic_phonon')

BORN = """# elements: Li F
1.96 0 0 0 1.96 0 0 0 1.96
1.04 0 0 0 1.04 0 0 0 1.04
-1.04 0 0 0 -1.04 0 0 0 -1.04
"""


def springs(crystal, stiffness):
    """Return springs along the six bonds of the crystal, eV/Å²: stable, and of no other merit."""
    pairs, vectors, blocks = [], [], []
    onsite = np.zeros((2, 3, 3))
    for n in np.ndindex(3, 3, 3):
        vector = np.array(n) - 1
        bond = crystal.positions[1] - crystal.positions[0] + vector @ crystal.cell.array
        if np.linalg.norm(bond) > 2.1:
            continue
        along = np.outer(bond, bond) / (bond @ bond)
        block = stiffness * (0.9 * along + 0.1 * np.eye(3))
        pairs += [[0, 1], [1, 0]]
        vectors += [vector, -vector]
        blocks += [-block, -block]
        onsite += block
    pairs += [[0, 0], [1, 1]]
    vectors += [np.zeros(3, dtype=int)] * 2
    term = force_constants_term(
        crystal, np.array(pairs), np.array(vectors), np.array([*blocks, *onsite]), 2.1, trained_on={'method': 'LDA'}
    )
    return ForceField((term,), {'Li': 0.0, 'F': 0.0}, method='LDA')


code, uuids = orm.load_code(sys.argv[1]), sys.argv[2:]
crystal = bulk('LiF', 'rocksalt', a=4.03)
if uuids:
    members = {f'member_{number}': orm.load_node(uuid) for number, uuid in enumerate(uuids)}
else:
    members = {f'member_{number}': ForceFieldData(springs(crystal, 3.0 + 0.2 * number)) for number in range(2)}

builder = HarmonicPhononWorkChain.get_builder_from_protocol(
    code,
    orm.StructureData(ase=crystal),
    members,
    protocol='fast',
    nac=orm.SinglefileData(io.BytesIO(BORN.encode()), 'BORN'),
    overrides={'supercell_matrix': [2, 2, 2], 'parameters': {'temperatures_K': {'start': 0, 'stop': 300, 'step': 50}}},
)
outputs, node = run_get_node(builder)
if not node.is_finished_ok:
    sys.exit(f'{node.exit_message} See `verdi process report {node.pk}`.')

gamma = outputs['special_points']['GAMMA']
print('Γ, approached along', gamma['direction'])
for mode, (mean, sd) in enumerate(zip(gamma['mean'], gamma['sd'], strict=True)):
    print(f'  mode {mode + 1}: {mean:7.1f} ± {sd:.1f} cm⁻¹')
print('at Γ:', ', '.join(f'{len(entry["modes"])} × {entry["label"]}' for entry in outputs['gamma_modes']['modes']))

thermal, moved = outputs['thermal_properties'], outputs['mean_square_displacements']
for number, temperature in enumerate(thermal.get_array('temperatures_K')):
    energy = thermal.get_array('free_energy_kJ_mol_mean')[number]
    lithium = moved.get_array('Li_mean')[number]
    print(f'{temperature:5.0f} K: F = {energy:6.2f} kJ/mol, ⟨u²⟩ of Li = {lithium:.4f} Å²')
