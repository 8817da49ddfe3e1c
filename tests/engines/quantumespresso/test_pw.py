"""The engine against pw.x and ph.x run by hand, and against other programs."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest
from aiida import orm
from aiida.engine import run_get_node
from ase import Atoms
from ase.build import bulk
from ase.units import Bohr, Hartree, Rydberg
from phonopy import Phonopy
from phonopy.structure.atoms import PhonopyAtoms

from aiida_mlcc.calculations.functions.born_charges import born_of
from aiida_mlcc.calculations.functions.replace_hartree_fock import replace_hartree_fock
from aiida_mlcc.calculations.runtime_source import science_hash
from aiida_mlcc.data.snapshots import SnapshotsData
from aiida_mlcc.engines.quantumespresso.born import QuantumEspressoBornWorkChain
from aiida_mlcc.engines.quantumespresso.engine import QuantumEspressoEngine
from aiida_mlcc.engines.quantumespresso.settings import QuantumEspressoForces
from aiida_mlcc.report.provenance.label_jobs import LabelJobs
from aiida_mlcc.science.labels.snapshots import Snapshots
from aiida_mlcc.science.units import CM1_PER_THZ
from aiida_mlcc.workflows.labelling.cc_energies import CCEnergiesWorkChain
from aiida_mlcc.workflows.sampling.reference import ReferenceWorkChain
from tests.engines.quantumespresso.programs import code_of, energy_by_hand, family_of, forces_by_hand

pytestmark = pytest.mark.nightly

BY_HAND = """&control
 calculation='scf', prefix='x', outdir='tmp', pseudo_dir='.', tprnfor=.true.
/
&system
 ibrav=0, nat={n_atoms}, ntyp=2, ecutwfc={ecutwfc}, input_dft='{functional}', occupations='fixed'{further}
/
&electrons
 conv_thr=1e-10
/
ATOMIC_SPECIES
{species}
CELL_PARAMETERS angstrom
{cell}
ATOMIC_POSITIONS angstrom
{positions}
K_POINTS automatic
{kpoints} 0 0 0
"""


def by_hand(
    atoms: Atoms, folder: Path, ecutwfc: float, functional: str = 'PBE', kpoints: str = '1 1 1', further: str = ''
) -> str:
    """Run pw.x on a text that the engine had no part in."""
    species = '\n'.join(f'{symbol} 1.0 {symbol}.upf' for symbol in dict.fromkeys(atoms.get_chemical_symbols()))
    cell = '\n'.join(' '.join(f'{x:.12f}' for x in row) for row in atoms.cell.array)
    positions = '\n'.join(f'{atom.symbol} ' + ' '.join(f'{x:.12f}' for x in atom.position) for atom in atoms)
    text = BY_HAND.format(
        n_atoms=len(atoms),
        ecutwfc=ecutwfc,
        functional=functional,
        further=further,
        species=species,
        cell=cell,
        positions=positions,
        kpoints=kpoints,
    )
    (folder / 'by_hand.in').write_text(text)
    done = subprocess.run(['pw.x', '-in', 'by_hand.in'], cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout


def test_energies_and_forces_of_boron_nitride_are_those_of_pw_by_hand(aiida_localhost, tmp_path) -> None:
    code = code_of('pw.x', aiida_localhost)
    family = family_of('gth-pbe', ['B', 'N'], tmp_path, 'boron-nitride')
    atoms = bulk('BN', 'zincblende', a=3.62, cubic=True)
    atoms.rattle(0.05, seed=1)
    settings = {**QuantumEspressoForces.defaults(), 'pseudo_family': family.label, 'ecutwfc': 70.0}
    inputs = {'engine': orm.Dict(settings), 'quantumespresso': {'code': code}}
    process, given = QuantumEspressoEngine(settings).labels(inputs, SnapshotsData(Snapshots.from_atoms([atoms])))
    outputs, node = run_get_node(process, **given)
    assert node.is_finished_ok, node.exit_message
    label = outputs['snapshots'].get_snapshots().labels['PBE']
    printed = by_hand(atoms, tmp_path, 70.0)
    assert label.energies[0] / Rydberg == pytest.approx(energy_by_hand(printed), abs=1e-6)
    assert label.forces is not None
    assert np.allclose(label.forces[0] * Bohr / Rydberg, forces_by_hand(printed, 8), atol=1e-4)
    assert set(label.source['pseudopotentials']) == {'B', 'N'}
    assert label.source['version'].startswith('Quantum ESPRESSO ')


def test_hartree_fock_with_k_points_is_that_of_pw_by_hand(aiida_localhost, tmp_path) -> None:
    code = code_of('pw.x', aiida_localhost)
    family = family_of('gth-hf-rev', ['Li', 'H'], tmp_path, 'lithium-hydride-hf')
    atoms = bulk('LiH', 'rocksalt', a=4.017)
    atoms.rattle(0.05, seed=1)
    settings = {
        **QuantumEspressoForces.defaults(),
        'method': 'HF',
        'pseudo_family': family.label,
        'ecutwfc': 40.0,
        'kpoints': [2, 2, 2],
    }
    inputs = {'engine': orm.Dict(settings), 'quantumespresso': {'code': code}}
    process, given = QuantumEspressoEngine(settings).labels(inputs, SnapshotsData(Snapshots.from_atoms([atoms])))
    outputs, node = run_get_node(process, **given)
    assert node.is_finished_ok, node.exit_message
    label = outputs['snapshots'].get_snapshots().labels['HF']
    printed = by_hand(atoms, tmp_path, 40.0, 'HF', '2 2 2', ', nqx1=2, nqx2=2, nqx3=2')
    assert label.energies[0] / Rydberg == pytest.approx(energy_by_hand(printed), abs=1e-6)
    assert label.forces is not None
    assert np.allclose(label.forces[0] * Bohr / Rydberg, forces_by_hand(printed, 2), atol=1e-4)
    assert label.source['kpoints'] == [2, 2, 2]


DISCARDED = 0.05
"""The exponent in bohr⁻² below which the sum leaves out functions of the basis."""


def correlation_by_pyscf(atoms: Atoms, basis: str, pseudo: str) -> dict[str, float]:
    """Return the correlation energies at Γ by plain PySCF, eV."""
    from pyscf import cc, mp
    from pyscf.pbc import gto, scf

    cell = gto.Cell()
    cell.atom = list(zip(atoms.get_chemical_symbols(), atoms.positions, strict=True))
    cell.a, cell.unit, cell.verbose = atoms.cell.array, 'Angstrom', 0
    cell.basis, cell.pseudo, cell.exp_to_discard = basis, pseudo, DISCARDED
    cell.build()
    orbitals = scf.RHF(cell).density_fit().run(conv_tol=1e-10)
    return {name: float(one(orbitals).kernel()[0]) * Hartree for name, one in {'MP2': mp.MP2, 'CCSD': cc.CCSD}.items()}


def test_correlation_of_pyscf_goes_onto_hartree_fock_of_pw_with_k_points(python, aiida_localhost, tmp_path) -> None:
    """As `docs/howto/quantum_espresso.md` shows it."""
    code, pseudo = code_of('pw.x', aiida_localhost), 'gth-hf-rev'
    family = family_of(pseudo, ['Li', 'H'], tmp_path, 'lithium-hydride-sum')
    frames = [bulk('LiH', 'rocksalt', a=4.017) for _ in range(2)]
    for seed, atoms in enumerate(frames):
        atoms.rattle(0.05, seed=seed)
    overrides = {
        'methods': ['MP2', 'CCSD'],
        'selection': {'kind': 'all', 'per_method': {}},
        'engine': {'name': 'pyscf', 'basis': 'gth-szv', 'pseudo': pseudo, 'exp_to_discard': DISCARDED},
    }
    snapshots = SnapshotsData(Snapshots.from_atoms(frames)).store()
    outputs, node = run_get_node(CCEnergiesWorkChain.get_builder_from_protocol(python, snapshots, 'fast', overrides))
    assert node.is_finished_ok, node.exit_message
    correlated = outputs['snapshots']
    settings = {
        **QuantumEspressoForces.defaults(),
        'method': 'HF',
        'pseudo_family': family.label,
        'ecutwfc': 30.0,
        'kpoints': [2, 2, 2],
    }
    inputs = {'engine': orm.Dict(settings), 'quantumespresso': {'code': code}}
    process, given = QuantumEspressoEngine(settings).labels(inputs, correlated)
    outputs, node = run_get_node(process, **given)
    assert node.is_finished_ok, node.exit_message
    science = science_hash(replace_hartree_fock)
    labelled = replace_hartree_fock(correlated, outputs['snapshots'], science).store()
    found = labelled.get_snapshots().labels
    for frame, atoms in enumerate(frames):
        hartree_fock = (
            energy_by_hand(by_hand(atoms, tmp_path, 30.0, 'HF', '2 2 2', ', nqx1=2, nqx2=2, nqx3=2')) * Rydberg
        )
        assert found['HF'].energies[frame] == pytest.approx(hartree_fock, abs=1e-4)
        for method, correlation in correlation_by_pyscf(atoms, 'gth-szv', pseudo).items():
            assert found[method].energies[frame] == pytest.approx(hartree_fock + correlation, abs=1e-3), method
    assert found['CCSD'].source['engine'] == 'pyscf'
    assert found['CCSD'].source['hf_source']['kpoints'] == [2, 2, 2]
    jobs = LabelJobs(labelled)
    names = [(jobs.of('CCSD', n).process_label, jobs.hartree_fock_of('CCSD', n).process_label) for n in range(2)]
    assert names == [('CorrelateCalculation', 'PwCalculation')] * 2


MATDYN = {
    'X': [310.4331, 310.4331, 400.7595, 788.5220, 788.5220, 971.3341],
    'L': [266.6539, 266.6539, 501.3655, 748.4402, 748.4402, 1006.4909],
    'GAMMA': [568.1994, 568.1994, 1045.3502],
}
"""Frequencies of LiH in cm⁻¹ by DFPT on a 4×4×4 grid: ``matdyn.x`` from ``lih_lda.fc``; at Γ the optical ones."""

LDA = {
    **QuantumEspressoForces.defaults(),
    'method': 'LDA',
    'functional': 'PZ',
    'ecutwfc': 80.0,
    'conv_thr': 1e-11,
    'kpoints': [2, 2, 2],
    'kpoints_shift': [1, 1, 1],
}


CHARGE, DIELECTRIC = 0.9405173, 3.9637824
"""Born charge and ε∞ of LiH on the 4×4×4 mesh, by the same program with other files (head of ``lih_lda.fc``)."""


@pytest.fixture
def lithium_hydride(aiida_localhost, tmp_path):
    """The crystal, settings and pw.x."""
    pw = code_of('pw.x', aiida_localhost)
    family = family_of('gth-pade', ['Li', 'H'], tmp_path, f'lithium-hydride-{tmp_path.name}')
    crystal = orm.StructureData(ase=bulk('LiH', 'rocksalt', a=4.017)).store()
    return crystal, {**LDA, 'pseudo_family': family.label}, pw


def test_born_charges_of_lithium_hydride_are_those_of_ph_by_hand(lithium_hydride, aiida_localhost) -> None:
    crystal, settings, pw = lithium_hydride
    charges, node = run_get_node(
        QuantumEspressoBornWorkChain,
        structure=crystal,
        symprec=1e-5,
        engine=orm.Dict(settings),
        meshes=[[4, 4, 4], [6, 6, 6]],
        quantumespresso={'code': pw, 'ph_code': code_of('ph.x', aiida_localhost)},
    )
    assert node.is_finished_ok, node.exit_message
    coarse, fine = born_of(charges['other'], crystal, 1e-5), born_of(charges['nac'], crystal, 1e-5)
    assert coarse.charges[0, 0, 0] == pytest.approx(CHARGE, abs=1e-4)
    assert coarse.dielectric[0, 0] == pytest.approx(DIELECTRIC, abs=1e-4)
    # LiH is far from converged on the coarse mesh.
    assert fine.charges[0, 0, 0] == pytest.approx(1.0141, abs=2e-3)
    assert fine.dielectric[0, 0] == pytest.approx(4.473, abs=2e-2)
    assert 'k mesh' in charges['born_charges'].base.attributes.get('report')


@pytest.mark.parametrize(
    ('name', 'elements', 'lattice', 'cutoff', 'expected'),
    [
        ('LiF', ['Li', 'F'], 3.93, 140.0, (1.038365, 2.135696)),
        ('MgO', ['Mg:2', 'O'], 4.21, 120.0, (1.970425, 3.165829)),
    ],
)
def test_born_charges_of_salts_are_those_of_ph_by_hand(
    aiida_localhost, tmp_path, name, elements, lattice, cutoff, expected
) -> None:
    """Z* and ε∞ on the shifted 6×6×6 mesh, by ph.x with other files of the same potentials."""
    pw = code_of('pw.x', aiida_localhost)
    family = family_of('gth-pade', elements, tmp_path, f'{name}-{tmp_path.name}')
    crystal = orm.StructureData(ase=bulk(name, 'rocksalt', a=lattice)).store()
    charges, node = run_get_node(
        QuantumEspressoBornWorkChain,
        structure=crystal,
        symprec=1e-5,
        engine=orm.Dict({**LDA, 'pseudo_family': family.label, 'ecutwfc': cutoff}),
        meshes=[[2, 2, 2], [6, 6, 6]],
        quantumespresso={'code': pw, 'ph_code': code_of('ph.x', aiida_localhost)},
    )
    assert node.is_finished_ok, node.exit_message
    found = born_of(charges['nac'], crystal, 1e-5)
    assert (found.charges[0, 0, 0], found.dielectric[0, 0]) == pytest.approx(expected, abs=1e-3)


def test_frequencies_of_lithium_hydride_are_those_of_dfpt(lithium_hydride) -> None:
    """The shifted 2×2×2 mesh of a cell of 2×2×2 is the 4×4×4 mesh of the primitive cell."""
    crystal, settings, pw = lithium_hydride
    builder = ReferenceWorkChain.get_builder_from_protocol(
        pw, crystal, engine=settings, overrides={'supercell_matrix': [2, 2, 2]}
    )
    outputs, node = run_get_node(builder)
    assert node.is_finished_ok, node.exit_message
    found = frequencies(crystal.get_ase(), outputs['snapshots'].get_snapshots())
    for label, expected in MATDYN.items():
        assert np.allclose(found[label][-3:], expected[-3:], atol=2.0), label


def frequencies(crystal: Atoms, snapshots: Snapshots) -> dict[str, list[float]]:
    """Return the frequencies at Γ, reached along x, X and L, in cm⁻¹, by phonopy alone."""
    cell = PhonopyAtoms(
        symbols=crystal.symbols, cell=crystal.cell.array, scaled_positions=crystal.get_scaled_positions()
    )
    phonons = Phonopy(cell, 2 * np.eye(3, dtype=int), primitive_matrix=np.eye(3))
    moved, forces = snapshots.positions, snapshots.labels['LDA'].forces
    assert forces is not None
    phonons.dataset = {'displacements': moved[1:] - moved[0], 'forces': forces[1:] - forces[0]}
    phonons.produce_force_constants(fc_calculator='symfc')
    phonons.nac_params = {
        'born': np.array([CHARGE, -CHARGE])[:, None, None] * np.eye(3),
        'dielectric': DIELECTRIC * np.eye(3),
        'factor': Hartree * Bohr,
        'method': 'gonze',
    }
    points = {'X': [0.5, 0, 0.5], 'L': [0.5, 0.5, 0.5]}
    found = {label: phonons.get_frequencies(point) for label, point in points.items()}
    phonons.run_qpoints([[0, 0, 0]], nac_q_direction=[0.5, 0, 0.5])
    found['GAMMA'] = phonons.get_qpoints_dict()['frequencies'][0]
    return {label: (np.sort(values) * CM1_PER_THZ).tolist() for label, values in found.items()}
