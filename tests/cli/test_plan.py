"""How many jobs a run takes, counted by hand."""

import numpy as np
import pytest
from aiida import orm
from ase.build import bulk
from phonopy import Phonopy

from aiida_mlcc.cli.plan import plan
from aiida_mlcc.cli.plan_details import _n_displacements
from aiida_mlcc.jobs.inputs import merge
from aiida_mlcc.science.crystal.cells import to_phonopy
from aiida_mlcc.workflows.mlcc_phonon import MLCCPhononWorkChain

RANDOM = {'kind': 'random', 'n': 10}
DRAWS = {'thermal_structures': {'parameters': {'n_structures': 24}}}
VASP = {'name': 'vasp', 'potential_mapping': {'C': 'C'}}


@pytest.fixture
def codes(aiida_profile):
    """Return codes of Python, Cc4s and VASP that nobody runs."""
    label = 'planned'
    if not orm.QueryBuilder().append(orm.Computer, filters={'label': label}).count():
        computer = orm.Computer(label, 'localhost', transport_type='core.local', scheduler_type='core.direct').store()
        for name, plugin in (('python', None), ('cc4s', 'mlcc.cc4s'), ('vasp', 'vasp.vasp')):
            code = {'computer': computer, 'filepath_executable': '/bin/true', 'default_calc_job_plugin': plugin}
            orm.InstalledCode(label=name, **code).store()
    return {name: orm.load_code(f'{name}@{label}') for name in ('python', 'cc4s', 'vasp')}


@pytest.fixture
def plan_of(codes):
    """Return a function that gives the number of jobs and the words of each stage."""

    def make(**overrides) -> dict[str, tuple[int, str]]:
        builder = MLCCPhononWorkChain.get_builder_from_protocol(
            codes['python'],
            orm.StructureData(ase=bulk('C', 'diamond', 3.56, cubic=True)),
            'fast',
            overrides if 'sampling' in overrides else merge(DRAWS, overrides),
            cc4s_code=codes['cc4s'],
            vasp_code=codes['vasp'],
        )
        return {stage: (n_jobs, what) for stage, n_jobs, what in plan(builder)}

    return make


@pytest.fixture
def jobs_of(plan_of):
    """Return a function that gives the number of jobs of each stage."""
    return lambda **overrides: {stage: n_jobs for stage, (n_jobs, _) in plan_of(**overrides).items()}


def test_each_member_has_as_many_trajectories_as_are_asked_for(jobs_of):
    found = jobs_of(methods=['HF', 'CCSD'], vacf_methods=['HF', 'CCSD'], vacf={'n_trajectories': 3})
    n_members = jobs_of(methods=['HF', 'CCSD'], vacf_methods=['HF'])['vacf']
    assert found['vacf'] == n_members * 2 * 3


def test_pyscf_labels_a_batch_in_one_job(jobs_of):
    assert jobs_of(cc_energies={'selection': RANDOM, 'batch_size': 4})['cc_energies'] == 3


def test_cc4s_takes_a_job_for_each_point_that_needs_it_beside_the_batches_of_integrals(jobs_of):
    """HF of twenty snapshots, all methods of ten of these: 3 + 3 jobs for integrals, ten of Cc4s."""
    selection = {**RANDOM, 'seed': 1, 'per_method': {'HF': {'kind': 'random', 'n': 20, 'seed': 1}}}
    labelling = {'engine': {'name': 'pyscf+cc4s'}, 'selection': selection, 'batch_size': 4}
    assert jobs_of(cc_energies=labelling)['cc_energies'] == 3 + 3 + 10


@pytest.mark.parametrize(('mesh', 'n_steps'), [([1, 1, 1], 7), ([2, 2, 2], 9)])
def test_vasp_takes_a_job_for_each_step_of_a_point(jobs_of, mesh, n_steps):
    """DFT, Hartree-Fock, virtual orbitals, pair energies, natural orbitals, their energies, and the integrals.

    On a mesh of its own DFT and Hartree-Fock come once more.
    """
    engine = {'name': 'vasp+cc4s', 'hf_kpoints': mesh, 'potential_mapping': {'C': 'C_GW'}}
    labelling = {'engine': engine, 'selection': RANDOM, 'batch_size': 4}
    assert jobs_of(cc_energies=labelling)['cc_energies'] == 10 * (n_steps + 1)


@pytest.mark.parametrize(('methods', 'is_said'), [(['MP2', 'CCSD'], True), (['HF', 'CCSD'], False)])
def test_plan_says_that_mp2_lacks_the_finite_size_correction_that_ccsd_has(plan_of, methods, is_said):
    engine = {'name': 'vasp+cc4s', 'potential_mapping': {'C': 'C_GW'}}
    _, what = plan_of(methods=methods, cc_energies={'engine': engine, 'selection': RANDOM})['cc_energies']
    assert ('a comparison of MP2 with them is not free of that' in what) == is_said


def test_dynamics_by_vasp_is_counted_in_segments(jobs_of):
    parameters = {'n_steps': 90, 'equilibration_steps': 20}
    dynamics = {'engine': VASP, 'md': {'parameters': parameters}}
    by_dynamics = {'sampling': {'kind': 'md'}, 'cc_energies': {'selection': RANDOM}}
    assert jobs_of(dft_md=dynamics, **by_dynamics)['dft_md'] == 1
    assert jobs_of(dft_md={**dynamics, 'vasp': {'segment_steps': 50}}, **by_dynamics)['dft_md'] == 3


def test_new_structures_take_a_job_each_by_vasp_and_one_by_pyscf(jobs_of):
    """Diamond: one frequency at Γ and three at X, where each is twofold, and two structures at rest."""
    labelling = {'selection': {'kind': 'frozen-phonon', 'second_amplitude': None}, 'batch_size': 100}
    assert jobs_of(cc_energies=labelling)['cc_energies'] == 1 + 1
    assert jobs_of(dft_md={'engine': VASP}, cc_energies=labelling)['cc_energies'] == 1 + 3 + 2 + 1


@pytest.mark.parametrize(
    ('crystal', 'matrix'),
    [
        (bulk('LiF', 'rocksalt', a=4.03), [2, 2, 4]),
        (bulk('ZnO', 'wurtzite', a=3.25, c=5.207), [2, 2, 2]),
        (bulk('C', 'diamond', a=3.56), [[-2, 2, 2], [2, -2, 2], [2, 2, -2]]),
    ],
    ids=['rocksalt', 'wurtzite', 'diamond'],
)
def test_displaced_cells_are_as_many_as_phonopy_makes_in_the_whole_supercell(aiida_profile, crystal, matrix):
    whole = np.diag(matrix) if np.ndim(matrix) == 1 else matrix
    phonon = Phonopy(to_phonopy(crystal), whole, primitive_matrix='P')
    phonon.generate_displacements(distance=0.01)
    phonons = {'parameters': orm.Dict({'displacement_angstrom': 0.01}), 'supercell_matrix': orm.List(matrix)}
    assert _n_displacements(crystal, phonons, 1e-5) == len(phonon.displacements)
