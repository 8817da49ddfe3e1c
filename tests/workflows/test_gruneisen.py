"""Grüneisen parameters of a network, whose energy follows the volume, against frequencies at two volumes."""

import numpy as np
import pytest
from aiida.engine import run_get_node
from phonopy import Phonopy

from aiida_mlcc.data.force_field import ForceFieldData
from aiida_mlcc.runtime.force_field_calculator import ForceFieldCalculator
from aiida_mlcc.science.crystal.cells import from_phonopy, to_phonopy
from aiida_mlcc.science.phonons.gruneisen import strained
from aiida_mlcc.workflows.phonons.harmonic_phonon import HarmonicPhononWorkChain
from tests.benchmarks.evaluate import untrained
from tests.crystals import rocksalt

STRAIN = 0.004
NETWORK = {'r_max': 2.5, 'num_channels': 2, 'max_L': 0, 'max_ell': 3, 'num_interactions': 2, 'correlation': 3}
NETWORK |= {'num_radial_basis': 6, 'num_cutoff_basis': 5, 'MLP_irreps': '2x0e'}
POINT = [0.3, 0.1, 0.2]


def squares(force_field, strain):
    """ω² at one point of the crystal strained, signed, by phonopy and the force field alone."""
    phonon = Phonopy(to_phonopy(strained(rocksalt(), strain)), np.eye(3, dtype=int) * 2, primitive_matrix='P')
    phonon.generate_displacements(distance=0.01)
    forces, calculator = [], ForceFieldCalculator(force_field)
    for cell in phonon.supercells_with_displacements:
        atoms = from_phonopy(cell)
        atoms.calc = calculator
        forces.append(atoms.get_forces())
    phonon.forces = forces
    phonon.produce_force_constants()
    phonon.symmetrize_force_constants()
    found = phonon.run_qpoints([POINT]).frequencies[0]
    return np.sign(found) * found**2


@pytest.mark.nightly
def test_frequencies_follow_the_volume_as_they_do_in_two_calculations(python, crystal):
    force_field = untrained(NETWORK, ('Li', 'F'), 1, 'LDA')
    path = {'points': {'GAMMA': [0, 0, 0], 'HERE': POINT}, 'path': [['GAMMA', 'HERE']]}
    parameters = {'mesh': [2, 2, 2], 'band_points': 3, 'path': path, 'gruneisen': {'strain': STRAIN}}
    parameters |= {'temperatures_K': {'start': 0, 'stop': 100, 'step': 100}, 'dos_spacing_cm1': 20.0}
    builder = HarmonicPhononWorkChain.get_builder_from_protocol(
        python,
        crystal,
        {'seed_1': ForceFieldData(force_field)},
        protocol='fast',
        overrides={'supercell_matrix': [2, 2, 2], 'parameters': parameters},
    )
    outputs, node = run_get_node(builder)
    assert node.is_finished_ok, node.exit_message
    found = outputs['gruneisen']
    assert found.get_array('members').shape == (1, *outputs['dispersion'].get_bands().shape)
    assert np.isnan(found.get_array('mean')[0, :3]).all()
    at_rest, expanded, compressed = (squares(force_field, strain) for strain in (0.0, STRAIN, -STRAIN))
    expected = -(expanded - compressed) / (2 * at_rest * 6 * STRAIN)
    assert found.get_array('mean')[-1] == pytest.approx(expected, rel=0.02, abs=0.02)
    jobs = [process for process in node.called_descendants if process.process_label == 'EvaluateCalculation']
    assert len(jobs) == 1, 'all volumes are one job'
