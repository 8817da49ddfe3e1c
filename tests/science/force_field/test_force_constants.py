from dataclasses import replace

import numpy as np
import pytest
from ase.build import bulk

from aiida_mlcc.science.crystal.cells import CrystalError, supercell, to_phonopy
from aiida_mlcc.science.force_field import ForceFieldError, Term
from aiida_mlcc.science.force_field.force_constants import ForceConstantsModel, add_up, force_constants_term
from aiida_mlcc.science.force_field.fourth_order import bonds_within
from aiida_mlcc.science.force_field.kinds import models_of
from tests.crystals import cubic_springs, rocksalt, spring_term
from tests.science.force_field.term_examples import TermExample

SKEWED = [[2, 1, 0], [0, 3, 1], [1, 0, 2]]


def example():
    """Return springs of lithium fluoride."""
    return TermExample((spring_term(rocksalt(), 3.0),), rocksalt(), bulk('LiF', 'zincblende', a=4.03))


def rattled(primitive, matrix, seed=4):
    cell = supercell(primitive, matrix)
    cell.rattle(0.08, seed=seed)
    return cell[np.random.default_rng(seed).permutation(len(cell))]


def with_first_order(term, primitive):
    gradient = np.random.default_rng(3).normal(size=(len(primitive), 3))
    return replace(term, arrays={**term.arrays, 'first_order': gradient - gradient.mean(axis=0)})


@pytest.mark.parametrize('matrix', [1, 2, SKEWED])
@pytest.mark.parametrize('crystal', ['rock_salt', 'wurtzite'])
def test_forces_are_the_finite_differences_of_the_energy(springs, crystal, matrix, request):
    primitive = request.getfixturevalue(crystal)
    model = ForceConstantsModel(with_first_order(springs(primitive, 5.0), primitive))
    atoms = rattled(primitive, matrix)
    bound = model.bind(atoms)
    forces = bound.energy_forces(atoms.positions)[1]
    for atom, axis in ((0, 0), (1, 2), (len(atoms) - 1, 1)):
        step = np.zeros_like(forces)
        step[atom, axis] = 1e-3
        plus, minus = (bound.energy_forces(atoms.positions + s)[0] for s in (step, -step))
        assert forces[atom, axis] == pytest.approx((minus - plus) / 2e-3, abs=1e-8)
    assert np.allclose(forces.sum(axis=0), 0, atol=1e-10)


def test_energy_knows_neither_drift_nor_wrapping_nor_the_order_of_the_atoms(springs, wurtzite):
    model = ForceConstantsModel(springs(wurtzite, 5.0))
    atoms = rattled(wurtzite, [2, 2, 1])
    bound = model.bind(atoms)
    energy, forces = bound.energy_forces(atoms.positions)
    wrapped = atoms.copy()
    wrapped.positions += [1.8, -0.4, 7.7]
    wrapped.wrap()
    for other in (bound, model.bind(wrapped)):
        moved_energy, moved_forces = other.energy_forces(wrapped.positions)
        assert moved_energy == pytest.approx(energy, abs=1e-10)
        assert np.allclose(moved_forces, forces, atol=1e-10)
    order = np.random.default_rng(8).permutation(len(atoms))
    shuffled = model.bind(atoms[order]).energy_forces(atoms.positions[order])
    assert shuffled[0] == pytest.approx(energy, abs=1e-10)
    assert np.allclose(shuffled[1], forces[order], atol=1e-10)


def test_energy_is_the_sum_of_the_springs_one_by_one(springs, rock_salt):
    from ase.neighborlist import neighbor_list

    term = springs(rock_salt, 4.5, along=8.0, across=1.0)
    ideal = supercell(rock_salt, 4)
    displacements = np.random.default_rng(2).normal(scale=0.05, size=ideal.positions.shape)
    i, j, distances = neighbor_list('ijD', ideal, 4.5)
    lengths = np.linalg.norm(distances, axis=1)
    stretch = displacements[j] - displacements[i]
    along = np.einsum('pa,pa->p', stretch, distances / lengths[:, None])
    # Every spring is listed from both of its ends: ½ for the spring, ½ for that.
    expected = 0.25 * np.sum(np.exp(-lengths) * (8.0 * along**2 + np.sum(stretch**2, axis=1)))
    moved = ideal.copy()
    moved.positions += displacements
    bound = ForceConstantsModel(term).bind(moved)
    assert bound.energy_forces(moved.positions)[0] == pytest.approx(expected, rel=1e-10)


def test_a_periodic_displacement_has_the_same_energy_per_cell_in_every_supercell(springs, diamond):
    model = ForceConstantsModel(springs(diamond, 5.2))
    small = rattled(diamond, 1)
    per_cell = model.bind(small).energy_forces(small.positions)[0]
    for matrix in (2, SKEWED):
        large = supercell(small, matrix)
        energy = model.bind(large).energy_forces(large.positions)[0]
        assert energy / (len(large) / 2) == pytest.approx(per_cell, rel=1e-10)


def test_folded_force_constants_give_phonopy_the_frequencies_of_a_larger_cell(springs, diamond):
    from phonopy import Phonopy

    model = ForceConstantsModel(springs(diamond, 3.0))
    frequencies = []
    for size in (3, 4):
        phonon = Phonopy(to_phonopy(diamond), size * np.eye(3), primitive_matrix='P')
        phonon.force_constants = model.bind(supercell(diamond, size)).force_constants()
        phonon.run_qpoints([[0.1, 0.37, 0.2], [0.5, 0, 0.5]])
        frequencies.append(phonon.get_qpoints_dict()['frequencies'])
    assert np.allclose(*frequencies, atol=1e-8)


def test_a_step_of_512_atoms_takes_milliseconds(springs, diamond):
    import time

    atoms = rattled(diamond, [[-4, 4, 4], [4, -4, 4], [4, 4, -4]])
    bound = ForceConstantsModel(springs(diamond, 5.0)).bind(atoms)
    durations = []
    for _ in range(10):
        start = time.perf_counter()
        bound.energy_forces(atoms.positions)
        durations.append(time.perf_counter() - start)
    assert len(atoms) == 512
    assert min(durations) < 0.01


def test_another_crystal_is_refused(springs, diamond, rock_salt):
    model = ForceConstantsModel(springs(diamond, 3.0))
    with pytest.raises(CrystalError):
        model.bind(supercell(rock_salt, 2))


def test_force_constants_that_are_no_energy_surface_are_refused(springs, rock_salt):
    term = springs(rock_salt, 3.0)
    lopsided, held = term.arrays['fc'].copy(), term.arrays['fc'].copy()
    lopsided[0, 0, 1] += 0.5
    held[-1] += np.eye(3)
    for blocks, sentence in ((lopsided, 'reversed'), (held, 'acoustic sum rule')):
        with pytest.raises(ForceFieldError, match=sentence):
            ForceConstantsModel(replace(term, arrays={**term.arrays, 'fc': blocks}))
    outside = {**term.arrays, 'pairs': term.arrays['pairs'] + 1}
    with pytest.raises(ForceFieldError, match='does not have'):
        ForceConstantsModel(replace(term, arrays=outside))
    short = {**term.arrays, 'fc': term.arrays['fc'][:-1]}
    with pytest.raises(ForceFieldError, match='do not fit together'):
        ForceConstantsModel(replace(term, arrays=short))
    with pytest.raises(ForceFieldError, match='holds no force constants'):
        ForceConstantsModel(Term('mace', {}, {}))


def anharmonic(springs, primitive, reach, seed):
    """Return springs with third and fourth order; which pairs, triplets and bonds there are depends on `reach` (Å)."""
    term = springs(primitive, reach)
    triplets, third = cubic_springs(primitive, reach, 0.7)
    bonds = bonds_within(primitive, reach)
    coefficients = np.random.default_rng(seed).uniform(0.1, 1.0, (bonds.n_kinds, 3))
    arrays = (term.arrays[name] for name in ('pairs', 'lattice_vectors', 'fc'))
    return force_constants_term(
        primitive, *arrays, reach, third_order=(triplets, third), fourth_order=(bonds, coefficients)
    )


def test_terms_of_one_crystal_add_up_to_one_of_the_same_energy_and_forces(springs, rock_salt):
    terms = [
        replace(anharmonic(springs, rock_salt, 2.2, 1), weight=1.3),
        replace(anharmonic(springs, rock_salt, 3.1, 2), weight=-0.4),
        replace(with_first_order(springs(rock_salt, 4.5), rock_salt), weight=0.5),
    ]
    (total,) = add_up(terms)
    atoms = rattled(rock_salt, 2)
    each = [ForceConstantsModel(term).bind(atoms).energy_forces(atoms.positions) for term in terms]
    energy, forces = ForceConstantsModel(total).bind(atoms).energy_forces(atoms.positions)
    assert energy == pytest.approx(sum(t.weight * e for t, (e, _) in zip(terms, each, strict=True)), abs=1e-10)
    assert np.allclose(forces, sum(t.weight * f for t, (_, f) in zip(terms, each, strict=True)), atol=1e-10)


def test_terms_of_two_crystals_stay_apart(springs, rock_salt, diamond):
    terms = [springs(rock_salt, 3.0), springs(diamond, 3.0), springs(rock_salt, 4.0)]
    assert len(add_up(terms)) == 2


def test_a_force_field_evaluates_the_force_constants_of_a_crystal_in_one_pass(springs, rock_salt):
    assert len(models_of([springs(rock_salt, 3.0), springs(rock_salt, 4.0)])) == 1
