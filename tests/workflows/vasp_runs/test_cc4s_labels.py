"""CCEnergiesWorkChain with VASP and Cc4s: every step through mock-vasp, and a recorded run of Cc4s."""

import pytest
from aiida import orm
from aiida.engine import run_get_node
from ase import Atoms
from ase.units import Hartree

from aiida_mlcc.data.snapshots import SnapshotsData
from aiida_mlcc.science.snapshots import Snapshots
from aiida_mlcc.workflows.cc_energies import CCEnergiesWorkChain
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
