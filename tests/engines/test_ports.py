"""What is said of a labelling before anything runs: one sentence each."""

import numpy as np
import pytest
from aiida import orm
from aiida.engine import run_get_node
from ase import Atoms

from aiida_mlcc.data.snapshots import SnapshotsData
from aiida_mlcc.science.labels.snapshots import Snapshots
from aiida_mlcc.workflows.labelling.cc_energies import CCEnergiesWorkChain
from aiida_mlcc.workflows.mlcc_phonon import MLCCPhononWorkChain
from tests.campaign import Campaign, helium
from tests.workflows.energies import builder_of


@pytest.fixture
def campaign(aiida_profile, aiida_localhost, tmp_path):
    return Campaign(tmp_path / 'state', aiida_localhost)


def lithium() -> Snapshots:
    return Snapshots.from_atoms([Atoms('Li', cell=3 * np.eye(3), pbc=True)])


def changed(builder, **settings):
    builder.engine = orm.Dict({**builder.engine.get_dict(), **settings})
    return builder


def refused(make_builder, reason):
    """What a builder takes is checked when it takes it, the rest at submission."""
    with pytest.raises(ValueError, match=reason):
        run_get_node(make_builder())


@pytest.mark.parametrize('engine', ['pyscf', 'pyscf+cc4s'])
def test_odd_number_of_electrons(campaign, python, engine):
    builder = builder_of(python, lithium()) if engine == 'pyscf' else campaign.builder(lithium())
    refused(lambda: builder, 'Li has an odd number of electrons')


def test_code_that_is_set_up_for_another_program(campaign):
    builder = campaign.builder(helium(1))
    builder.cc4s.code = campaign.codes['vasp']
    refused(lambda: builder, r'vasp-stand-in@.* was set up for `vasp\.vasp`: Cc4s needs one for `mlcc\.cc4s`')


def test_no_code_for_cc4s(campaign):
    campaign.codes['cc4s'] = None
    refused(lambda: campaign.builder(helium(1)), r'the engine is pyscf\+cc4s, but `cc4s\.code` is missing')


def without_mpi(code: orm.InstalledCode) -> orm.InstalledCode:
    path, plugin = str(code.filepath_executable), code.default_calc_job_plugin
    return orm.InstalledCode(code.computer, path, label='serial', default_calc_job_plugin=plugin, with_mpi=False)


def test_a_job_runs_without_mpi_where_its_code_does(campaign):
    campaign.codes['cc4s'] = without_mpi(campaign.codes['cc4s'])
    builder = CCEnergiesWorkChain.get_builder_from_protocol(
        campaign.codes['integrals'],
        SnapshotsData(helium(1)),
        overrides={'engine': {'name': 'pyscf+cc4s'}},
        cc4s_code=campaign.codes['cc4s'],
    )
    assert builder.cc4s.metadata.options.withmpi is False


def test_mpi_against_what_the_code_says(campaign):
    campaign.codes['cc4s'] = without_mpi(campaign.codes['cc4s'])
    builder = campaign.builder(helium(1))
    builder.cc4s.metadata.options.withmpi = True
    refused(
        lambda: builder, r'`cc4s\.metadata\.options\.withmpi` is True, but the code serial@\S+ has `with_mpi` False'
    )


def test_no_code_for_the_integrals(campaign):
    builder = campaign.builder(helium(1), 'vasp+cc4s')
    del builder['vasp']
    refused(lambda: builder, r'the engine is vasp\+cc4s, but `vasp\.code` is missing')


@pytest.mark.parametrize('engine', ['pyscf', 'pyscf+cc4s'])
def test_mesh_where_there_is_but_the_gamma_point(campaign, python, engine):
    builder = builder_of(python, helium(1)) if engine == 'pyscf' else campaign.builder(helium(1))
    refused(lambda: changed(builder, kpoints=[2, 2, 2]), 'at the Γ point alone: leave out `kpoints`')


def test_mesh_of_the_program_for_gamma(campaign):
    builder = campaign.builder(helium(1), 'vasp+cc4s')
    refused(lambda: changed(builder, hf_kpoints=[3, 3, 3]), r'`vasp\.code` is the program for Γ only')


def test_unknown_engine(campaign):
    builder = campaign.builder(helium(1))
    there_are = r'choose from pyscf, pyscf\+cc4s, vasp\+cc4s'
    refused(lambda: changed(builder, name='psi4'), f"correlation engine: `name` is 'psi4': {there_are}")


@pytest.mark.parametrize(
    ('parts', 'reason'),
    [
        ({'basis_set_correction': {}}, r'`cc4s\.basis_set_correction` needs tensors that PySCF does not write'),
        ({'finite_size_correction': {}}, r'`cc4s\.finite_size_correction` needs tensors that PySCF does not write'),
        ({'triples': {'star': True}}, r'`cc4s\.triples\.star` needs pair energies'),
        ({'quadruples': {}}, r'unknown part `cc4s\.quadruples`'),
        ({'ccsd': {'max_iterations': 0}}, 'must be at least 2'),
    ],
)
def test_parts_of_cc4s_that_cannot_be(campaign, parts, reason):
    builder = campaign.builder(helium(1))
    refused(lambda: changed(builder, cc4s=parts), reason)


def test_settings_of_cc4s_that_are_missing(campaign):
    builder = campaign.builder(helium(1))
    refused(lambda: changed(builder, cc4s=None), '`cc4s` must have a value')


@pytest.mark.parametrize(('engine', 'n_points', 'n_processes'), [('pyscf+cc4s', 100, 210), ('vasp+cc4s', 50, 210)])
def test_more_points_at_a_time_than_a_worker_holds(campaign, engine, n_points, n_processes):
    """By VASP a point is at most a parent, the parent of its integrals and two jobs; by PySCF a parent and a job."""
    builder = campaign.builder(helium(1), engine, batch_size=n_points // 5, max_concurrent=5)
    refused(
        lambda: builder,
        rf'is {n_points} points at a time, up to {n_processes} processes: a daemon worker holds 200',
    )


def test_budget_of_nothing(campaign):
    refused(lambda: campaign.builder(helium(1), max_core_hours=0.0), 'must be above 0 core hours')


def test_snapshots_without_dft_labels_where_a_difference_to_them_is_asked(python, crystal):
    from aiida_mlcc.workflows.training.delta_train import DeltaTrainWorkChain

    builder = DeltaTrainWorkChain.get_builder_from_protocol(python, crystal, SnapshotsData(helium(2)), 'LDA', 'fast')
    refused(lambda: builder, '`snapshots` have no LDA labels')


def test_codes_of_two_computers(campaign, tmp_path):
    """The integrals stay where they are made."""
    elsewhere = orm.Computer(
        label='another of the ports',
        hostname='localhost',
        workdir=str(tmp_path),
        transport_type='core.local',
        scheduler_type='core.direct',
    ).store()
    builder = campaign.builder(helium(1))
    builder.cc4s.code = orm.InstalledCode(
        label='cc4s', computer=elsewhere, filepath_executable='/bin/true', default_calc_job_plugin='mlcc.cc4s'
    ).store()
    refused(lambda: builder, r'`integrals\.code` runs on .* and `cc4s\.code` on another of the ports')


def test_jobs_that_cannot_run_are_refused_before_the_dynamics_that_would_precede_them(python, crystal):
    overrides = {'cc_energies': {'engine': {'name': 'pyscf+cc4s'}}}
    builder = MLCCPhononWorkChain.get_builder_from_protocol(python, crystal, 'fast', overrides)
    refused(lambda: builder, r'cc_energies: the engine is pyscf\+cc4s, but `cc4s\.code` is missing')
