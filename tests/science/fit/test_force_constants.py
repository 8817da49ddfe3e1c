"""Δ as force constants: recovered where they are known, and as certain as is said."""

from dataclasses import replace

import numpy as np
import pytest
from ase.build import bulk

from aiida_mlcc.science.crystal.cells import map_onto_crystal, supercell
from aiida_mlcc.science.fit.delta import FitError
from aiida_mlcc.science.fit.force_constants import fit_delta
from aiida_mlcc.science.force_field.force_constants import ForceConstantsModel
from aiida_mlcc.science.labels.snapshots import Label, Snapshots
from aiida_mlcc.science.phonons.modes import commensurate_modes
from aiida_mlcc.science.settings import SettingsError
from tests.benchmarks.data import load
from tests.crystals import heated, hessian_of, snapshots_of, spring_label, spring_term, stretched

CONVENTIONAL = np.array([[-1, 1, 1], [1, -1, 1], [1, 1, -1]])
SCALE, PER_ATOM = 0.08, -1.3


def hot_frames(primitive, matrix, n_frames, seed=0, scale=0.06):
    """Frames that drift, are wrapped, and hold their atoms in one odd order."""
    random = np.random.default_rng(seed)
    ideal = supercell(primitive, matrix)[random.permutation(len(primitive) * round(np.linalg.det(matrix)))]
    images = []
    for frame in range(n_frames):
        atoms = ideal.copy()
        atoms.positions += random.normal(scale=scale, size=atoms.positions.shape) + 0.05 * frame
        atoms.wrap()
        images.append(atoms)
    return Snapshots.from_atoms(images)


def label(snapshots, term, noise=0.0, seed=1):
    """LDA energies without order, HF = LDA + SCALE·LDA + springs + PER_ATOM."""
    model = ForceConstantsModel(term)
    random = np.random.default_rng(seed)
    base = -50.0 * snapshots.n_atoms + random.normal(scale=2.0, size=snapshots.n_frames)
    springs = [
        model.bind(snapshots.atoms(frame)).energy_forces(snapshots.positions[frame])[0]
        for frame in range(snapshots.n_frames)
    ]
    other = base + SCALE * base + springs + PER_ATOM * snapshots.n_atoms
    other += random.normal(scale=noise, size=len(other))
    return snapshots.with_label('LDA', Label(base)).with_label('HF', Label(other))


@pytest.mark.parametrize(
    ('crystal', 'matrix', 'cutoff'),
    [
        ('diamond', CONVENTIONAL @ np.diag([2, 2, 1]), 4.0),
        ('rock_salt', 3 * np.eye(3), 4.2),
        ('wurtzite', np.diag([3, 2, 2]), 3.0),
    ],
)
def test_force_constants_are_recovered_from_energies(springs, crystal, matrix, cutoff, request):
    primitive = request.getfixturevalue(crystal)
    truth = springs(primitive, cutoff)
    snapshots = label(hot_frames(primitive, matrix, 60), truth)
    fit = fit_delta(snapshots, primitive, 'LDA', 'HF', cutoff=cutoff, anharmonic=False)
    found = fit.force_field.terms[0]
    assert fit.force_field.base_scale == pytest.approx(SCALE, abs=1e-5)
    assert fit.errors['undetermined'] == 0
    assert fit.errors['cv_rmse_mev_atom'] < 1e-2
    # A supercell as large as the cutoff: every pair is seen on its own.
    large = supercell(primitive, 5)
    compared = [ForceConstantsModel(term).bind(large).force_constants() for term in (truth, found)]
    assert np.allclose(*compared, atol=2e-3)


def test_gradients_of_free_sites_are_recovered(springs, wurtzite):
    from dataclasses import replace

    gradient = np.array([[0, 0, 0.3 if number == 30 else -0.3] for number in wurtzite.numbers])
    truth = springs(wurtzite, 3.0)
    truth = replace(truth, arrays={**truth.arrays, 'first_order': gradient})
    snapshots = label(hot_frames(wurtzite, np.diag([2, 2, 2]), 60), truth)
    found = fit_delta(snapshots, wurtzite, 'LDA', 'HF', cutoff=3.0).force_field.terms[0]
    assert np.allclose(found.arrays['first_order'], gradient, atol=1e-3)


def test_base_and_delta_add_up_to_the_other_method_on_frames_never_seen(springs, diamond):
    matrix = CONVENTIONAL @ np.diag([2, 1, 1])
    snapshots = label(hot_frames(diamond, matrix, 60), springs(diamond, 2.7))
    field = fit_delta(snapshots.select(np.arange(40)), diamond, 'LDA', 'HF', cutoff=2.7).force_field
    bound = ForceConstantsModel(field.terms[0])
    for frame in range(40, 60):
        atoms = snapshots.atoms(frame)
        base = snapshots.labels['LDA'].energies[frame]
        predicted = (1 + field.base_scale) * base + bound.bind(atoms).energy_forces(atoms.positions)[0]
        predicted += field.constant_of(snapshots.symbols)
        assert predicted == pytest.approx(snapshots.labels['HF'].energies[frame], abs=1e-3)


def test_error_of_the_frames_left_out_is_that_of_the_labels(springs, diamond):
    noise = 0.016
    snapshots = label(hot_frames(diamond, CONVENTIONAL @ np.diag([2, 2, 1]), 200), springs(diamond, 2.7), noise)
    errors = fit_delta(snapshots, diamond, 'LDA', 'HF', cutoff=2.7).errors
    # Seven parameters and a constant from 160 frames add 2.5 % to the noise; 200 residuals know it to 5 %.
    assert errors['cv_rmse_mev_atom'] == pytest.approx(1000 * noise / 32 * np.sqrt(1 + 8 / 160), rel=0.15)
    assert errors['cv_rescaling_mev_atom'] > 2 * errors['cv_rmse_mev_atom']
    assert errors['spread_mev_atom'] == pytest.approx(
        1000 / 32 * np.std(snapshots.labels['HF'].energies - snapshots.labels['LDA'].energies)
    )


def test_what_the_training_cell_leaves_undetermined_is_counted(springs, diamond):
    snapshots = label(hot_frames(diamond, CONVENTIONAL, 60), springs(diamond, 2.0))
    errors = fit_delta(snapshots, diamond, 'LDA', 'HF', cutoff=2.7).errors
    # The folded force constants of the eight-atom cell span four directions; the scale of the base is one more.
    assert (errors['n_parameters'], errors['rank'], errors['undetermined']) == (7, 5, 2)


@pytest.mark.nightly
def test_default_cutoff_goes_as_far_as_the_training_cell_can_tell(springs, diamond):
    truth = springs(diamond, 2.0)
    frames = label(hot_frames(diamond, CONVENTIONAL @ np.diag([2, 2, 1]), 60), truth)
    many = fit_delta(frames, diamond, 'LDA', 'HF', anharmonic=False).errors
    assert many['undetermined'] == 0
    assert 3.88 < many['cutoff_angstrom'] < 4.36
    few = fit_delta(frames.select(np.arange(12)), diamond, 'LDA', 'HF', anharmonic=False).errors
    assert few['n_parameters'] <= 12
    smallest = fit_delta(
        label(hot_frames(diamond, np.eye(3), 12), truth), diamond, 'LDA', 'HF', anharmonic=False
    ).errors
    assert smallest['cutoff_angstrom'] < 2.5


def test_a_frame_that_lacks_a_label_is_left_out(springs, diamond):
    snapshots = label(hot_frames(diamond, CONVENTIONAL, 30), springs(diamond, 2.0))
    energies = snapshots.labels['HF'].energies.copy()
    energies[[3, 7]] = np.nan
    incomplete = snapshots.with_label('HF', Label(energies))
    complete = snapshots.select([frame for frame in range(30) if frame not in (3, 7)])
    one, other = (fit_delta(s, diamond, 'LDA', 'HF', cutoff=2.0) for s in (incomplete, complete))
    assert one.errors == other.errors
    assert one.errors['n_labels'] == 28


def test_frames_whose_atoms_sit_on_other_sites_are_mapped_on_their_own(springs, diamond):
    snapshots = hot_frames(diamond, CONVENTIONAL, 30)
    moved = snapshots.positions.copy()
    moved[10:] = moved[10:, np.random.default_rng(3).permutation(8)]
    mixed = label(Snapshots(snapshots.symbols, snapshots.cells, moved), springs(diamond, 2.0))
    assert fit_delta(mixed, diamond, 'LDA', 'HF', cutoff=2.0).errors['cv_rmse_mev_atom'] < 1e-2


def test_the_same_seed_gives_the_same_force_field(springs, diamond):
    snapshots = label(hot_frames(diamond, CONVENTIONAL, 20), springs(diamond, 2.0), noise=0.01)
    hashes = [
        fit_delta(snapshots, diamond, 'LDA', 'HF', cutoff=2.0, seed=4).force_field.content_hash() for _ in range(2)
    ]
    assert hashes[0] == hashes[1]


def test_the_probe_is_an_energy_of_the_delta(springs, diamond):
    snapshots = label(hot_frames(diamond, CONVENTIONAL, 20), springs(diamond, 2.0))
    field = fit_delta(snapshots, diamond, 'LDA', 'HF', cutoff=2.0).force_field
    delta = snapshots.labels['HF'].energies[0] - (1 + field.base_scale) * snapshots.labels['LDA'].energies[0]
    assert field.probe['energy'] == pytest.approx(delta, abs=1e-3)


def test_what_cannot_be_fitted_is_refused(springs, diamond):
    snapshots = label(hot_frames(diamond, CONVENTIONAL, 20), springs(diamond, 2.0))
    with pytest.raises(FitError, match='3 frames carry both HF and LDA'):
        fit_delta(snapshots.select([0, 1, 2]), diamond, 'LDA', 'HF')
    with pytest.raises(FitError, match='no motion'):
        fit_delta(snapshots.select([0] * 10), diamond, 'LDA', 'HF', cutoff=2.0)
    with pytest.raises(SettingsError, match='give one or more numbers above 0'):
        fit_delta(snapshots, diamond, 'LDA', 'HF', cutoff=2.0, ridge=[0.0])


def test_each_of_few_labels_is_left_out_on_its_own(springs, diamond):
    snapshots = label(hot_frames(diamond, CONVENTIONAL, 4), springs(diamond, 2.0))
    fits = [fit_delta(snapshots, diamond, 'LDA', 'HF', cutoff=2.0, n_folds=n).errors for n in (4, 10)]
    assert fits[0]['cv_rmse_mev_atom'] == fits[1]['cv_rmse_mev_atom']


def test_a_cutoff_with_more_parameters_than_labels_says_how_many_labels_it_takes(springs, diamond):
    snapshots = label(hot_frames(diamond, CONVENTIONAL @ np.diag([2, 2, 1]), 12), springs(diamond, 2.0))
    # Sixteen force constants, the scale of the base and a constant.
    with pytest.raises(FitError, match='12 labels of HF for 18 parameters within 4 Å: at least 18 labels'):
        fit_delta(snapshots, diamond, 'LDA', 'HF', cutoff=4.0)


@pytest.mark.parametrize(('method', 'harmonic'), [('CCSD(T)', 0.179), ('CCSD', 0.155), ('HF', 0.152)])
def test_published_diamond_labels_are_predicted_better_than_by_second_order_alone(published_data, method, harmonic):
    snapshots, primitive = load(published_data, 'diamond')
    second, all_orders = (
        fit_delta(snapshots, primitive, 'PBE', method, cutoff=4.0, anharmonic=anharmonic, n_folds=20).errors
        for anharmonic in (False, True)
    )
    # Folds differ by chance; the published labels carry noise of 0.1 meV/atom.
    assert second['cv_rmse_mev_atom'] == pytest.approx(harmonic, abs=0.012)
    assert second['rank'] == second['n_parameters'] == 17
    assert all_orders['cv_rmse_mev_atom'] < harmonic - 0.01
    assert all_orders['third_order_cutoff_angstrom'] is not None


@pytest.mark.parametrize(('reach', 'far'), [(2.2, False), (2.95, True)])
def test_default_cutoff_goes_beyond_what_a_small_cell_resolves_only_where_energies_ask_for_it(
    springs, rock_salt, reach, far
):
    """The cube of 8 atoms tells nearest neighbours apart (2.01 Å), of the second ones (2.84 Å) only combinations."""
    snapshots = label(hot_frames(rock_salt, CONVENTIONAL, 20), springs(rock_salt, reach), noise=1e-3)
    errors = fit_delta(snapshots, rock_salt, 'LDA', 'HF', anharmonic=False).errors
    assert (errors['cutoff_angstrom'] > 2.84) == far
    assert errors['cv_rmse_mev_atom'] < 1.0


DIAMOND = bulk('C', 'diamond', a=3.56)
CUBE = supercell(DIAMOND, CONVENTIONAL)
BASE = spring_term(DIAMOND, 2.7, along=40.0, across=5.0)
OTHER = spring_term(DIAMOND, 2.0, along=3.0, across=-1.5)


def springs_of_diamond(n_frames, noise=0.0, cell=CUBE, other=OTHER, cubic=0.0, seed=0, forces=False):
    """PBE = springs, HF = PBE + others (and cubic ones between neighbours) with noise in eV per cell."""
    moved, random = heated(cell, n_frames, seed), np.random.default_rng([seed, 1])
    base, more = spring_label(BASE, cell, moved), spring_label(other, cell, moved)
    energies, pulls = stretched(cell, moved, 1.7, cubic)
    label = Label(
        base.energies + more.energies + energies + noise * random.normal(size=n_frames),
        base.forces + more.forces + pulls if forces else None,
    )
    return snapshots_of(cell, moved, {'PBE': base, 'HF': label})


def curvature_shifts(fit, cell):
    """Return the change of ω² of each mode of the base by Δ as fitted and as drawn, and what it truly is."""
    modes = commensurate_modes(hessian_of(BASE, cell), DIAMOND, map_onto_crystal(DIAMOND, cell))
    roots = np.repeat(np.sqrt(cell.get_masses()), 3)

    def along_modes(hessian):
        vectors = [mode.vectors.reshape(len(mode.vectors), -1) / roots for mode in modes]
        return np.array([np.mean(np.sum((v @ hessian) * v, axis=1)) for v in vectors])

    size, samples = 3 * len(cell), fit.samples
    blocks = samples.folded(cell).transpose(0, 1, 3, 2, 4).reshape(-1, size, size)
    slopes = np.array([along_modes(hessian) for hessian in (*blocks, hessian_of(BASE, cell))])
    return samples.parameters @ slopes, samples.bootstrap @ slopes, along_modes(hessian_of(OTHER, cell))


def predicted(field, snapshots, base_method):
    """Return the energy of the base by its labels and of Δ by its force field."""
    found = (1 + field.base_scale) * snapshots.labels[base_method].energies + field.constant_of(snapshots.symbols)
    bound = ForceConstantsModel(field.terms[0]).bind(snapshots.atoms(0))
    return found + [bound.energy_forces(positions)[0] for positions in snapshots.positions]


@pytest.mark.parametrize(('n_frames', 'cutoff', 'sampling'), [(12, 2.7, 'posterior'), (40, 2.0, 'bootstrap')])
@pytest.mark.nightly
def test_the_samples_scatter_about_the_truth_as_far_as_the_fit_is_wrong(n_frames, cutoff, sampling):
    deviations = []
    for seed in range(40):
        snapshots = springs_of_diamond(n_frames, noise=0.003, seed=seed)
        fit = fit_delta(snapshots, DIAMOND, 'PBE', 'HF', cutoff=cutoff, anharmonic=False, seed=seed)
        assert fit.errors['sampling'] == sampling
        found, drawn, truth = curvature_shifts(fit, CUBE)
        deviations.append((found - truth) / drawn.std(axis=0, ddof=1))
    # Four modes of forty runs, correlated within each; errors neither too small nor of no use.
    assert np.mean(np.abs(deviations) < 1.96) > 0.85
    assert np.sqrt(np.mean(np.square(deviations))) > 0.7


@pytest.mark.parametrize('n_frames', [12, 40, 120])
@pytest.mark.nightly
def test_the_noise_of_the_labels_is_found_whatever_their_number(n_frames):
    found = [
        fit_delta(springs_of_diamond(n_frames, noise=0.003, seed=seed), DIAMOND, 'PBE', 'HF', anharmonic=False).errors[
            'label_noise_mev_cell'
        ]
        for seed in range(12)
    ]
    assert np.sqrt(np.mean(np.square(found))) == pytest.approx(3.0, rel=0.3)


@pytest.mark.nightly
def test_forces_do_not_disturb_the_noise_of_the_energies():
    found = [
        fit_delta(
            springs_of_diamond(8, noise=0.003, seed=seed, forces=True),
            *(DIAMOND, 'PBE', 'HF'),
            anharmonic=False,
            n_folds=4,
        ).errors['label_noise_mev_cell']
        for seed in range(12)
    ]
    assert np.sqrt(np.mean(np.square(found))) == pytest.approx(3.0, rel=0.35)


@pytest.mark.parametrize(('cubic', 'chosen'), [(0.0, False), (-30.0, True)])
def test_third_order_is_taken_where_the_labels_speak_for_it(cubic, chosen):
    errors = fit_delta(springs_of_diamond(60, noise=0.003, cubic=cubic), DIAMOND, 'PBE', 'HF', cutoff=2.0).errors
    assert (errors['third_order_cutoff_angstrom'] is not None) == chosen
    assert errors['blocked_cv_rmse_mev_atom'] < 3 * 3.0 / 8


def test_a_crystal_with_third_order_is_predicted_in_another_supercell():
    fit = fit_delta(springs_of_diamond(120, cubic=-30.0), DIAMOND, 'PBE', 'HF', cutoff=2.0)
    larger = supercell(DIAMOND, CONVENTIONAL @ np.diag([2, 1, 1]))
    unseen = springs_of_diamond(10, cell=larger, cubic=-30.0, seed=5)
    found = predicted(fit.force_field, unseen, 'PBE')
    truth = unseen.labels['HF'].energies
    assert np.std(found - truth) < 0.02 * np.std(truth - unseen.labels['PBE'].energies)


@pytest.mark.parametrize('cutoff', [pytest.param(None, marks=pytest.mark.nightly), 2.7])
def test_forces_of_four_frames_do_where_energies_would_take_dozens(cutoff):
    cell, other = supercell(DIAMOND, CONVENTIONAL @ np.diag([2, 2, 1])), spring_term(DIAMOND, 2.7, 3.0, -1.5)
    few = springs_of_diamond(4, cell=cell, other=other, forces=True)
    unseen = springs_of_diamond(10, cell=cell, other=other, seed=3)
    truth, wrong = unseen.labels['HF'].energies, []
    blind = few.with_label('HF', Label(few.labels['HF'].energies))
    for snapshots, own_cutoff in ((few, cutoff), (blind, None)):
        fit = fit_delta(snapshots, DIAMOND, 'PBE', 'HF', cutoff=own_cutoff, anharmonic=False, n_folds=4)
        wrong.append(np.std(predicted(fit.force_field, unseen, 'PBE') - truth))
    assert wrong[0] < 0.05 * wrong[1]


def with_cheaper_methods(n_frames, n_labels, seed):
    """CCSD(T) − PBE = 0.4·(HF − PBE) + 0.33·(MP2 − PBE) + springs, on a few frames; HF and MP2 have cubic parts."""
    moved, random = heated(CUBE, n_frames, seed), np.random.default_rng([seed, 1])
    base = spring_label(BASE, CUBE, moved)
    parts = ((4.0, 1.0, -40.0), (-2.0, 1.5, 20.0), (1.0, -0.3, 0.0))
    hf, mp2, own = (
        spring_label(spring_term(DIAMOND, 2.0, along, across), CUBE, moved).energies
        + stretched(CUBE, moved, 1.7, cubic)[0]
        for along, across, cubic in parts
    )
    exact = base.energies + 0.4 * hf + 0.33 * mp2 + own
    costly = np.full(n_frames, np.nan)
    chosen = random.permutation(n_frames)[:n_labels]
    costly[chosen] = (exact + 0.001 * random.normal(size=n_frames))[chosen]
    labels = {'PBE': base, 'HF': Label(base.energies + hf), 'MP2': Label(base.energies + mp2), 'CCSD(T)': Label(costly)}
    return snapshots_of(CUBE, moved, labels), exact


@pytest.mark.nightly
def test_energies_of_cheaper_methods_help_a_few_of_a_costly_one():
    for seed in range(3):
        snapshots, exact = with_cheaper_methods(80, 12, seed)
        wrong = []
        for covariates in (True, False):
            fit = fit_delta(snapshots, DIAMOND, 'PBE', 'CCSD(T)', covariates=covariates, n_folds=4)
            assert set(fit.errors['covariates']) == ({'HF', 'MP2'} if covariates else set())
            assert fit.errors['n_labels'] == 12
            wrong.append(np.std(predicted(fit.force_field, snapshots, 'PBE') - exact))
        assert wrong[0] < 0.25 * wrong[1]


def test_cheaper_methods_on_hardly_more_frames_are_no_covariates():
    snapshots, _ = with_cheaper_methods(16, 14, seed=0)
    errors = fit_delta(snapshots, DIAMOND, 'PBE', 'CCSD(T)', anharmonic=False).errors
    assert errors['covariates'] == {}


def test_a_cheaper_method_that_lacks_one_of_the_frames_is_no_covariate():
    snapshots, _ = with_cheaper_methods(40, 12, seed=0)
    lacking = snapshots.labels['MP2'].energies.copy()
    lacking[snapshots.labelled_by('CCSD(T)')[0]] = np.nan
    incomplete = snapshots.with_label('MP2', Label(lacking))
    errors = fit_delta(incomplete, DIAMOND, 'PBE', 'CCSD(T)', anharmonic=False).errors
    assert set(errors['covariates']) == {'HF'}


def test_a_wrong_energy_among_many_is_named(springs, diamond):
    snapshots = label(hot_frames(diamond, CONVENTIONAL, 40), springs(diamond, 2.7), noise=0.002)
    energies = snapshots.labels['HF'].energies.copy()
    energies[17] += 0.1
    wrong = snapshots.with_label('HF', Label(energies))
    found = [fit_delta(one, diamond, 'LDA', 'HF').errors['suspicious_labels'] for one in (snapshots, wrong)]
    assert found[0] == []
    assert [entry['frame'] for entry in found[1]] == [17]


def test_a_wrong_energy_is_left_out_on_request(springs, diamond):
    snapshots = label(hot_frames(diamond, CONVENTIONAL, 40), springs(diamond, 2.7), noise=0.002)
    wrong = snapshots.labels['HF'].energies.copy()
    wrong[17] += 0.1
    found = fit_delta(snapshots.with_label('HF', Label(wrong)), diamond, 'LDA', 'HF', leave_out_suspicious=True)
    assert [(entry['frame'], entry['left_out']) for entry in found.errors['suspicious_labels']] == [(17, True)]
    without = fit_delta(snapshots.select(np.delete(np.arange(40), 17)), diamond, 'LDA', 'HF')
    assert found.force_field.content_hash() == without.force_field.content_hash()


def test_the_standard_error_that_labels_state_is_the_noise_of_their_spread(diamond, springs):
    """Labels without noise leave nothing to the fit: its error is what they state, in proportion."""
    snapshots = label(hot_frames(diamond, CONVENTIONAL, 25), springs(diamond, 2.0))
    spreads = {}
    for sigma in (0.0, 0.02, 0.04):
        stated = replace(snapshots.labels['HF'], sigma=np.full(25, sigma) if sigma else None)
        fit = fit_delta(snapshots.with_label('HF', stated), diamond, 'LDA', 'HF', cutoff=2.0, anharmonic=False)
        drawn = (fit.samples.bootstrap, fit.samples.label_noise)
        spreads[sigma] = np.array([np.std(values, axis=0, ddof=1)[:-1] for values in drawn])
        assert fit.errors['label_noise_mev_cell'] == pytest.approx(1000 * sigma, abs=1e-3)
    assert spreads[0.04] == pytest.approx(2 * spreads[0.02], rel=1e-6)
    assert spreads[0.02][0] == pytest.approx(spreads[0.02][1], rel=0.4)
    assert (spreads[0.0] < 1e-3 * spreads[0.02]).all()
