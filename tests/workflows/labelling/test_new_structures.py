"""Selections that look at the phonons of the crystal: frozen phonons, and the snapshots that say most."""

from dataclasses import replace

import numpy as np
import pytest
from aiida import orm
from aiida.engine import run_get_node
from ase import Atoms
from ase.build import bulk

from aiida_mlcc.runtime.calculators import energy_and_forces
from aiida_mlcc.runtime.pyscf.calculator import PyscfCalculator
from aiida_mlcc.runtime.pyscf.settings import PyscfForces
from aiida_mlcc.science.design.choose_snapshots import select
from aiida_mlcc.science.labels.snapshots import Label, Snapshots
from aiida_mlcc.workflows.labelling.cc_energies import CCEnergiesWorkChain
from tests.workflows.energies import builder_of, labelled_frames

LIH = bulk('LiH', 'rocksalt', a=4.0)
ENGINE = {'basis': 'gth-szv', 'exp_to_discard': 0.05}
DESIGN = {'kind': 'frozen-phonon', 'references': 2, 'second_amplitude': None, 'seed': 1}


@pytest.fixture
def lih(aiida_profile) -> orm.StructureData:
    """LiH, two atoms."""
    return orm.StructureData(ase=LIH).store()


def rattled() -> list[Atoms]:
    frames = [LIH.copy() for _ in range(4)]
    for seed, atoms in enumerate(frames):
        atoms.rattle(0.04, seed=seed)
    return frames


def calculator() -> PyscfCalculator:
    return PyscfCalculator(PyscfForces(**ENGINE, conv_tol=1e-9, ke_cutoff=60.0))


@pytest.fixture(scope='module')
def vibrating() -> Snapshots:
    """Frames of LiH with LDA energies and forces of PySCF, as a dynamics leaves them."""
    pyscf = calculator()
    energies, forces = zip(*(energy_and_forces(pyscf, atoms) for atoms in rattled()), strict=True)
    label = Label(np.array(energies), np.array(forces), pyscf.label_source)
    return Snapshots.from_atoms(rattled()).with_label('LDA', label)


@pytest.fixture
def pulled_back() -> Snapshots:
    """The same frames with forces towards the sites, under the name of PySCF."""
    frames = Snapshots.from_atoms(rattled())
    forces = 3.0 * (LIH.positions - frames.positions)
    label = Label(np.sum(forces**2, axis=(1, 2)) / 6.0, forces, calculator().label_source)
    return frames.with_label('LDA', label)


def of_lih(python, structure, snapshots, **overrides):
    builder = builder_of(python, snapshots, **{'methods': ['HF'], 'engine': ENGINE, 'selection': DESIGN, **overrides})
    builder.structure = structure
    return builder


@pytest.mark.nightly
def test_frozen_phonons_are_labelled_by_dft_like_the_snapshots_and_alone_by_the_costly_method(python, lih, vibrating):
    outputs, node = run_get_node(of_lih(python, lih, vibrating))
    assert node.is_finished_ok, node.exit_message
    snapshots = outputs['snapshots'].get_snapshots()
    assert np.array_equal(snapshots.positions[:4], vibrating.positions), 'the snapshots stay, the new ones follow'
    lda, hf = snapshots.labels['LDA'], snapshots.labels['HF']
    assert snapshots.n_frames == 4 + 2 + 1, 'two references and the only optical mode'
    assert hf.labelled.tolist() == [False] * 4 + [True] * 3
    assert lda.labelled.all()
    assert np.isfinite(lda.forces).all()
    assert dict(lda.source) == dict(vibrating.labels['LDA'].source)
    # Half the work against the final force is the energy of a spring; the rest is not harmonic.
    moved = snapshots.positions[6] - snapshots.positions[4]
    moved -= moved.mean(axis=0)
    assert lda.energies[6] - lda.energies[4] == pytest.approx(-0.5 * np.sum(lda.forces[6] * moved), rel=0.15)
    jobs = [process for process in node.called_descendants if process.process_label == 'EvaluateCalculation']
    assert [job.inputs.snapshots.n_frames for job in jobs] == [3], 'one DFT job for all of them'


@pytest.mark.nightly
def test_optimal_frames_are_those_of_the_science(python, lih, vibrating):
    selection = {'kind': 'optimal', 'n': 2, 'seed': 4, 'qpoints': [[0, 0, 0]]}
    outputs, node = run_get_node(of_lih(python, lih, vibrating, selection=selection))
    assert node.is_finished_ok, node.exit_message
    assert labelled_frames(outputs)['HF'] == select(vibrating, selection, LIH).tolist()


@pytest.mark.nightly
def test_selection_that_these_forces_do_not_allow_ends_with_the_reason(python, lih, pulled_back):
    """At X nothing is known of a cell that holds Γ alone."""
    selection = {'kind': 'optimal', 'n': 2, 'seed': 4, 'qpoints': [[0.5, 0, 0.5]]}
    _, node = run_get_node(of_lih(python, lih, pulled_back, selection=selection))
    assert node.exit_status == CCEnergiesWorkChain.exit_codes.ERROR_NO_SELECTION.status
    assert 'is not commensurate with the training cell' in node.exit_message


def test_new_structures_of_snapshots_from_elsewhere_are_refused(python, lih, pulled_back):
    from_elsewhere = pulled_back.with_label('LDA', replace(pulled_back.labels['LDA'], source={'engine': 'cp2k'}))
    with pytest.raises(ValueError, match='the LDA labels come from cp2k, not from one of pyscf, vasp'):
        run_get_node(of_lih(python, lih, from_elsewhere))


def test_new_structures_are_not_labelled_with_other_settings(python, lih, pulled_back):
    builder = of_lih(python, lih, pulled_back)
    like = {'name': 'pyscf', 'method': 'LDA', 'exxdiv': 'ewald', 'max_cycle': 9, 'max_memory_mb': None, **ENGINE}
    builder.base_engine = {**like, 'pseudo': None, 'conv_tol': 1e-9, 'ke_cutoff': 80.0}
    with pytest.raises(ValueError, match=r'is 80\.0, but the snapshots are labelled with 60\.0'):
        run_get_node(builder)


def test_two_different_designs_are_refused(python, lih, pulled_back):
    selection = {**DESIGN, 'per_method': {'HF': {**DESIGN, 'references': 3}}}
    with pytest.raises(ValueError, match="the selections of kind 'frozen-phonon' differ"):
        run_get_node(of_lih(python, lih, pulled_back, methods=['HF', 'MP2'], selection=selection))
