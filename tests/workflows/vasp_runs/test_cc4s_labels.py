"""CCEnergiesWorkChain with VASP and Cc4s: every step through mock-vasp, and a recorded run of Cc4s."""

import pytest
from aiida import orm
from aiida.engine import run_get_node
from ase import Atoms
from ase.units import Hartree

from aiida_mlcc.data.snapshots import SnapshotsData
from aiida_mlcc.engines.table import correlation_engine
from aiida_mlcc.science.labels.snapshots import Snapshots
from aiida_mlcc.workflows.labelling.cc_energies import CCEnergiesWorkChain
from aiida_mlcc.workflows.labelling.forecast import describe_campaign, hours_of_campaign, refuse_below_one_point
from tests.campaign import Campaign
from tests.cc4s_records import write_tensors
from tests.workflows.vasp_runs.test_integrals import ALONE, ATOMS, ENERGIES, STEPS, register

ENGINE = {**ALONE, 'name': 'vasp+cc4s', 'cc4s': {'ccsd': {}, 'triples': {}}}
METHODS = ['HF', 'MP2', 'CCSD', 'CCSD(T)']
OPTIONS = {'withmpi': False, 'resources': {'num_machines': 1}}


@pytest.fixture
def builder_of(vasp, where, aiida_localhost, tmp_path):
    campaign = Campaign(tmp_path / 'state', aiida_localhost)

    def build(atoms=ATOMS, **engine):
        builder = CCEnergiesWorkChain.get_builder()
        builder.snapshots = SnapshotsData(Snapshots.from_atoms([atoms]))
        builder.methods, builder.selection, builder.symprec = METHODS, {'kind': 'all'}, 1e-5
        builder.engine = {**ENGINE, **engine}
        builder.vasp = where
        builder.cc4s = {'code': campaign.codes['cc4s'], 'metadata': {'options': OPTIONS}}
        return builder

    return build


@pytest.mark.nightly
def test_each_energy_is_of_vasp_and_cc4s_together(builder_of, registry):
    register(registry, *[step for step in STEPS if not step.startswith('mesh')])
    write_tensors(registry.folder / 'dump' / 'out')
    outputs, node = run_get_node(builder_of())
    assert node.is_finished_ok, node.exit_message
    labels = outputs['snapshots'].get_snapshots().labels
    hf = ENERGIES['hartree_fock']
    assert labels['HF'].energies[0] == pytest.approx(hf)
    assert labels['MP2'].energies[0] == pytest.approx(hf - 0.4 * Hartree)
    assert labels['CCSD'].energies[0] == pytest.approx(hf - 0.35 * Hartree)
    assert labels['CCSD(T)'].energies[0] == pytest.approx(hf - 0.37 * Hartree)
    assert labels['CCSD(T)'].source['engine'] == 'vasp+cc4s'
    assert outputs['cost']['n_jobs'] == 8
    assert outputs['cost']['forecasts'][0]['core_hours_to_come'] == pytest.approx(3.0), 'by the dry run of Cc4s'
    jobs = [job for job in node.called_descendants if isinstance(job, orm.CalcJobNode)]
    dump = next(job for job in jobs if job.label == 'dump')
    assert dump.outputs.remote_folder.is_empty, 'the tensors go when the energies are in'


def test_odd_number_of_electrons_is_refused_at_submission(builder_of):
    lithium = Atoms('Li', positions=[[0, 0, 0]], cell=[4, 4, 4], pbc=True)
    with pytest.raises(ValueError, match='1 valence electrons: closed shells'):
        run_get_node(builder_of(lithium))


def test_mesh_without_a_program_for_it_is_refused_at_submission(builder_of):
    with pytest.raises(ValueError, match=r'give `vasp\.code_kpoints`'):
        run_get_node(builder_of(hf_kpoints=[2, 2, 2]))


def test_budget_below_one_point_ends_before_a_step_of_vasp(builder_of):
    builder = builder_of()
    builder.max_core_hours = 2.5
    outputs, node = run_get_node(builder)
    assert node.exit_status == CCEnergiesWorkChain.exit_codes.ERROR_TOO_EXPENSIVE.status, node.exit_message
    assert 'one point is forecast to take 3 core hours, more than the 2.5 of `max_core_hours`' in node.exit_message
    (job,) = [job for job in node.called_descendants if isinstance(job, orm.CalcJobNode)]
    assert job.base.links.get_incoming(node_class=orm.WorkChainNode).one().link_label == 'forecast'
    # LiF, 4 Å: four pairs of electrons, three natural orbitals each, and the plane waves below 200 eV in 64 Å³.
    dimensions = job.inputs.dimensions.get_dict()
    volume, wave_number = 64.0, (200.0 / 3.80998) ** 0.5
    n_fields = round(volume * wave_number**3 / (6 * 3.14159265**2))
    assert dimensions == {'n_occupied': 4, 'n_virtual': 12, 'n_fields': n_fields, 'real': True}
    assert {entry['snapshot'] for entry in outputs['failures']['failed']} == {0}


def test_faster_cores_bring_a_point_below_the_budget(builder_of):
    builder = builder_of()
    cell = ATOMS.copy()
    process, job = correlation_engine(builder.engine).forecast(
        {'engine': builder.engine, 'cc4s': {**builder.cc4s, 'gflops_per_core': orm.Float(20.0)}}, cell, METHODS
    )
    outputs, node = run_get_node(process, **job)
    assert node.is_finished_ok, node.exit_message
    found = outputs['forecast'].get_dict()
    assert found['core_hours'] == pytest.approx({'CCSD': 0.5, 'CCSD(T)': 1.5})
    groups = {('HF', 'MP2', 'CCSD', 'CCSD(T)'): [0, 1], ('HF', 'MP2'): [2]}
    assert refuse_below_one_point(found, groups, orm.Float(1.4)) is not None
    assert refuse_below_one_point(found, groups, orm.Float(1.6)) is None
    assert hours_of_campaign(found, groups) == pytest.approx(3.0)
    assert 'MORE than the 2.9' in describe_campaign(found, groups, orm.Float(2.9))
