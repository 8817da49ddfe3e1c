import gzip
import io
from pathlib import Path

import numpy as np
import pytest
from ase.build import bulk
from ase.io import read

from aiida_mlcc.science.crystal import supercell
from aiida_mlcc.science.force_constants import ForceConstantsModel
from aiida_mlcc.science.force_constants_fit import FitError, fit_delta
from aiida_mlcc.science.snapshots import Label, Snapshots

CONVENTIONAL = np.array([[-1, 1, 1], [1, -1, 1], [1, 1, -1]])
PUBLISHED = Path(__file__).parents[3] / 'shared' / 'data' / 'mlphonons' / 'c'
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


def test_default_cutoff_goes_as_far_as_the_training_cell_can_tell(springs, diamond):
    truth = springs(diamond, 2.0)
    frames = label(hot_frames(diamond, CONVENTIONAL @ np.diag([2, 2, 1]), 60), truth)
    many = fit_delta(frames, diamond, 'LDA', 'HF').errors
    assert many['undetermined'] == 0
    assert 3.88 < many['cutoff_angstrom'] < 4.36
    few = fit_delta(frames.select(np.arange(12)), diamond, 'LDA', 'HF').errors
    assert few['n_parameters'] * 1.5 <= 12
    smallest = fit_delta(label(hot_frames(diamond, np.eye(3), 12), truth), diamond, 'LDA', 'HF').errors
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
    hashes = [fit_delta(snapshots, diamond, 'LDA', 'HF', cutoff=2.0, seed=4).force_field.content_hash() for _ in range(2)]
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
        fit_delta(snapshots.select([0] * 8), diamond, 'LDA', 'HF', cutoff=2.0)
    with pytest.raises(FitError, match='not negative'):
        fit_delta(snapshots, diamond, 'LDA', 'HF', cutoff=2.0, ridge=[-1.0])


@pytest.mark.skipif(not PUBLISHED.is_dir(), reason='the published diamond data are not beside this repository')
@pytest.mark.parametrize(
    ('method', 'name', 'expected'), [('CCSD(T)', 'ccsdt', 0.179), ('CCSD', 'ccsd', 0.155), ('HF', 'hfe', 0.152)]
)
def test_published_diamond_labels_are_predicted_as_well_as_known(method, name, expected):
    def images(file):
        with gzip.open(PUBLISHED / file, 'rt') as stream:
            return read(io.StringIO(stream.read()), ':', format='extxyz')

    base, other = images('200221forcc.xyz.gz'), images(f'200221forcc_{name}.xyz.gz')
    energies = [np.array([atoms.get_potential_energy() for atoms in frames]) for frames in (base, other)]
    snapshots = Snapshots.from_atoms(base).with_label('PBE', Label(energies[0])).with_label(method, Label(energies[1]))
    primitive = bulk('C', 'diamond', a=base[0].cell[0, 0] / 2)
    errors = fit_delta(snapshots, primitive, 'PBE', method, cutoff=4.0, n_folds=20, seed=0).errors
    assert errors['rank'] == errors['n_parameters'] == 17
    # Folds differ by chance; the published labels carry noise of 0.1 meV/atom.
    assert errors['cv_rmse_mev_atom'] == pytest.approx(expected, abs=0.012)


@pytest.mark.parametrize(('reach', 'far'), [(2.2, False), (2.95, True)])
def test_default_cutoff_goes_beyond_what_a_small_cell_resolves_only_where_energies_ask_for_it(
    springs, rock_salt, reach, far
):
    """The cube of 8 atoms tells nearest neighbours apart (2.01 Å), of the second ones (2.84 Å) only combinations."""
    snapshots = label(hot_frames(rock_salt, CONVENTIONAL, 20), springs(rock_salt, reach), noise=1e-3)
    errors = fit_delta(snapshots, rock_salt, 'LDA', 'HF').errors
    assert (errors['cutoff_angstrom'] > 2.84) == far
    assert errors['cv_rmse_mev_atom'] < 1.0
