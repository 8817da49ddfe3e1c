"""Force constants from reference displacements, on crystals of springs that are known in closed form."""

import numpy as np
import pytest
from ase.build import bulk

from aiida_mlcc.science.crystal.cells import CrystalError, map_onto_crystal, supercell
from aiida_mlcc.science.design.thermal_structures import ThermalStructures, draw_structures
from aiida_mlcc.science.fit.base_model import BaseForceConstants, fit_base, fitter
from aiida_mlcc.science.fit.delta import FitInput
from aiida_mlcc.science.fit.harmonic_model import HarmonicModel
from aiida_mlcc.science.fit.mapped_frames import mapped_frames
from aiida_mlcc.science.fit.reference import fit_reference, reference_model
from aiida_mlcc.science.force_field.evaluate import energies_and_forces
from aiida_mlcc.science.force_field.force_constants import ForceConstantsModel
from aiida_mlcc.science.labels.displacements import Displacements, displaced_cells
from aiida_mlcc.science.labels.snapshots import Label, Snapshots, SnapshotsError, concatenate
from aiida_mlcc.science.phonons.modes import frequency_of
from tests.crystals import spring_term

SILICON, CUBE = bulk('Si', 'diamond', a=5.43), bulk('Si', 'diamond', a=5.43, cubic=True)
L = (0.5, 0.5, 0.5)
X = (0.5, 0.0, 0.5)


def labelled(frames, term, **source):
    energies, forces = energies_and_forces((term,), frames)
    return frames.with_label('LDA', Label(energies, forces, source))


def frequencies(term, qpoint):
    model = HarmonicModel(ForceConstantsModel(term), map_onto_crystal(SILICON, CUBE))
    return [frequency_of(value) for value in np.linalg.eigvalsh(model.dynamical_matrix(np.array(qpoint)))]


def reference_of(term, matrix=1, distance=0.02):
    return labelled(displaced_cells(CUBE, matrix, Displacements(distance=distance)), term)


@pytest.fixture(scope='module')
def near():
    """Springs that the cube of eight atoms resolves."""
    return spring_term(SILICON, 2.6)


@pytest.fixture(scope='module')
def far():
    """Springs to 7.6 Å, longer than any cell of eight atoms can tell apart."""
    return spring_term(SILICON, 7.6, weaken=0.8)


def test_one_displacement_gives_every_mode_of_its_cell(near):
    model = reference_model(reference_of(near), SILICON, 'LDA', CUBE)
    found = [frequency_of(v) for v in np.linalg.eigvalsh(model.dynamical_matrix(np.array(X)))]
    assert found == pytest.approx(frequencies(near, X), abs=1e-3)


@pytest.mark.nightly
def test_a_displacement_in_a_large_cell_makes_the_base_right_where_the_frames_do_not_reach(far):
    """L is not among the wave vectors of the 32 atoms, which alone put it off by several cm⁻¹."""
    cell = supercell(CUBE, [2, 2, 1])
    reference = reference_of(far, [2, 2, 4])
    model = HarmonicModel(ForceConstantsModel(far), map_onto_crystal(SILICON, cell))
    temperatures = ThermalStructures().temperatures(1)
    frames = labelled(draw_structures(model, cell, temperatures, 'classical', 1).snapshots, far)
    truth = np.array(frequencies(far, L))
    alone, together = (fit_base(frames, SILICON, 'LDA', reference=r).terms[0] for r in (None, reference))
    assert np.abs(np.array(frequencies(alone, L)) - truth).max() > 3.0
    assert np.abs(np.array(frequencies(together, L)) - truth).max() < 1.0
    assert np.abs(np.array(frequencies(together, X)) - frequencies(far, X)).max() < 0.1


def test_residual_forces_of_the_cell_at_rest_are_subtracted(near):
    """Forces that every frame has, as of a mesh, leave the force constants alone."""
    reference = reference_of(near)
    label = reference.labels['LDA']
    shaken = np.random.default_rng(1).normal(0, 0.05, label.forces[0].shape)
    noisy = reference.with_label('LDA', Label(label.energies, label.forces + shaken, label.source))
    clean, same = (fit_reference(r, SILICON, 'LDA').term.arrays['fc'] for r in (reference, noisy))
    assert same == pytest.approx(clean, abs=1e-8)
    without_rest = fit_reference(noisy.select([1]), SILICON, 'LDA').term.arrays['fc']
    assert np.abs(without_rest - clean).max() > 0.1


def test_what_other_terms_explain_is_left_to_them(near):
    fitted = fit_reference(reference_of(near), SILICON, 'LDA', terms=(near,))
    assert np.abs(fitted.term.arrays['fc']).max() < 1e-8


def test_a_cell_that_lacks_wave_vectors_of_the_training_cell_is_a_remark(near):
    cell = supercell(CUBE, [2, 1, 1])
    remark = fit_reference(reference_of(near), SILICON, 'LDA', frames_cell=cell).errors['remark']
    assert remark.startswith('the cell of the reference displacements lacks 4 wave vectors of the training cell')
    held = fit_reference(reference_of(near, [2, 1, 1]), SILICON, 'LDA', frames_cell=CUBE)
    assert 'remark' not in held.errors


@pytest.mark.parametrize(
    ('change', 'error', 'reason'),
    [
        (lambda r: r.without_labels(), SnapshotsError, 'have no LDA forces; their labels: none'),
        (lambda r: r.select([0]), SnapshotsError, 'hold the crystal at rest and nothing displaced'),
        (
            lambda r: Snapshots(r.symbols, 1.01 * r.cells, 1.01 * r.positions, r.labels),
            CrystalError,
            'differs from the nearest supercell of this primitive cell by a strain of 0.01',
        ),
        (
            lambda r: Snapshots(r.symbols, r.cells, r.positions[0] + 15 * (r.positions - r.positions[0]), r.labels),
            CrystalError,
            r'moves an atom by 0.2\d Å, more than 0.24 Å',
        ),
    ],
)
def test_what_is_no_reference_is_a_sentence(near, change, error, reason):
    with pytest.raises(error, match=reason):
        fit_reference(change(reference_of(near)), SILICON, 'LDA')


BOND = 2.36
"""Å, a little more than the bonds of silicon."""


def bonds():
    """Return which atoms of the cube are bonded, with every image that is, as pairs (i, j)."""
    from ase.neighborlist import neighbor_list

    return neighbor_list('ij', CUBE, BOND)


def with_anharmonic_bonds(reference, cubic, fifth):
    """Add to the forces on each end of a bond −c·|d|²·d − e·|d|⁴·d, d what the bond is changed by."""
    label = reference.labels['LDA']
    moved, forces = reference.positions - reference.positions[0], label.forces.copy()
    for i, j in zip(*bonds(), strict=True):
        change = moved[:, i] - moved[:, j]
        squared = np.sum(change**2, axis=1, keepdims=True)
        forces[:, i] -= (cubic + fifth * squared) * squared * change
    return reference.with_label('LDA', Label(label.energies, forces, label.source))


def two_lengths(term, cubic, fifth=0.0, distance=0.08):
    settings = Displacements(distance=distance, second_amplitude=0.5)
    return with_anharmonic_bonds(labelled(displaced_cells(CUBE, 1, settings), term), cubic, fifth)


def test_two_lengths_of_a_displacement_give_the_harmonic_force_constants(near):
    """Both lengths alone are off by what the bonds resist more and more."""
    truth = np.array(frequencies(near, X))
    reference = two_lengths(near, cubic=10.0)
    found = np.array(frequencies(fit_reference(reference, SILICON, 'LDA').term, X))
    assert found == pytest.approx(truth, abs=1e-3)
    longest = reference.select([0, *np.flatnonzero(farthest(reference) > 0.06)])
    shortest = reference.select([0, *np.flatnonzero((farthest(reference) < 0.06) & (farthest(reference) > 0))])
    off = [np.array(frequencies(fit_reference(one, SILICON, 'LDA').term, X)) - truth for one in (longest, shortest)]
    assert off[1].max() > 1.0
    assert off[0].max() > 3 * off[1].max()


def farthest(reference):
    return np.linalg.norm(reference.positions - reference.positions[0], axis=2).max(axis=1)


def test_what_two_lengths_cannot_tell_is_in_the_error(near):
    """The error stands for a fifth order e that is a third of the third order c, as the two lengths show it.

    From s(1) = a + c + e and s(1/2) = a + c/4 + e/16 they show c + 5e/4, so e is c/1.75.
    """
    distance, cubic = 0.08, 10.0
    reference = two_lengths(near, cubic, cubic / 1.75 / distance**2, distance)
    fitted = fit_reference(reference, SILICON, 'LDA')
    model = HarmonicModel(ForceConstantsModel(near), map_onto_crystal(SILICON, CUBE))
    modes = [mode for mode in model.modes() if mode.frequency_cm1 > 1]
    stated = fitted.mode_errors(modes, model.site_map)
    found = HarmonicModel(ForceConstantsModel(fitted.term), model.site_map).modes()
    optical, wrong = (max(mode.frequency_cm1 for mode in some) for some in (modes, found))
    highest = max(range(len(modes)), key=lambda index: modes[index].frequency_cm1)
    assert stated[highest]['standard_error_cm1'] == pytest.approx(optical - wrong, rel=0.02)
    assert abs(optical - wrong) > 0.2


def frozen_modes(model, amplitudes):
    """Return the cube at rest, and each of its modes frozen in with each amplitude (Å·√amu)."""
    roots = np.sqrt(CUBE.get_masses())[:, None]
    patterns = [mode.vectors[0] / roots for mode in model.modes() if mode.frequency_cm1 > 1]
    moved = [np.zeros((8, 3)), *(amplitude * pattern for pattern in patterns for amplitude in amplitudes)]
    n_frames = len(moved)
    return Snapshots(
        tuple(CUBE.get_chemical_symbols()),
        np.repeat(CUBE.cell.array[None], n_frames, axis=0),
        CUBE.positions + np.array(moved),
        {},
    )


def test_energies_of_frozen_phonons_that_contradict_the_forces_are_in_the_error(near):
    """The energies are those of springs 4 % stiffer and of a quartic part: each mode is 2 % higher."""
    model = HarmonicModel(ForceConstantsModel(near), map_onto_crystal(SILICON, CUBE))
    fitted = fit_reference(reference_of(near), SILICON, 'LDA')
    frames = frozen_modes(model, (0.2, 0.4))
    groups = mapped_frames(frames, SILICON)
    energies = energies_and_forces((near,), frames)[0]
    quartic = np.linalg.norm(groups[0].displacements, axis=(1, 2)) ** 4
    asked = fitted.asked_by_energies(groups, 0.04 * energies + 0.3 * quartic)
    modes = [mode for mode in model.modes() if mode.frequency_cm1 > 1]
    for entry in fitted.mode_errors(modes, model.site_map, asked):
        assert entry['energy_shift_cm1'] == pytest.approx(0.02 * entry['frequency_cm1'], rel=1e-3)
    assert 'energy_shift_cm1' not in fitted.mode_errors(modes, model.site_map)[0]


def test_a_base_says_that_energies_contradict_its_forces(near):
    """The energies of the frames that HF labels as well are 4 % of the springs' too high; the forces are right."""
    model = HarmonicModel(ForceConstantsModel(near), map_onto_crystal(SILICON, CUBE))
    temperatures = ThermalStructures().temperatures(1)
    warm = labelled(draw_structures(model, CUBE, temperatures, 'classical', 1).snapshots, near)
    given = {'base_method': 'LDA', 'primitive': SILICON, 'reference': reference_of(near), 'seed': 1}
    settings = BaseForceConstants.of(BaseForceConstants.defaults())

    def reference_errors(stiffer):
        frozen = labelled(frozen_modes(model, (0.2, 0.4)), near)
        label = frozen.labels['LDA']
        wrong = Label(stiffer * label.energies, label.forces, label.source)
        frozen = frozen.with_label('LDA', wrong).with_label('HF', Label(label.energies))
        everything = concatenate([warm, frozen])
        return fitter(FitInput(everything, settings=settings, **given))('LDA').errors['reference']

    for mode in reference_errors(1.04)['modes']:
        assert mode['energy_shift_cm1'] == pytest.approx(0.02 * mode['frequency_cm1'], rel=0.05)
    assert 'higher than by the forces' in reference_errors(1.04)['remark']
    assert 'remark' not in reference_errors(1.0)


def test_energies_of_one_amplitude_ask_for_nothing(near):
    model = HarmonicModel(ForceConstantsModel(near), map_onto_crystal(SILICON, CUBE))
    frames = frozen_modes(model, (0.4,))
    fitted = fit_reference(reference_of(near), SILICON, 'LDA')
    assert fitted.asked_by_energies(mapped_frames(frames, SILICON), np.ones(frames.n_frames)) is None


def test_force_constants_of_two_lengths_that_agree_have_no_error_from_them(near):
    fitted = fit_reference(two_lengths(near, cubic=0.0), SILICON, 'LDA')
    assert np.abs(fitted.covariance).max() < 1e-12
    assert fitted.errors['n_displacements'] == 2
