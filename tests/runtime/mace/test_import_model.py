"""A .model of MACE becomes a force field with the same energies, or is refused with what is wrong."""

from __future__ import annotations

import hashlib
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from aiida_mlcc.runtime.force_field_calculator import ForceFieldCalculator
from aiida_mlcc.runtime.mace import import_model as mace_import
from aiida_mlcc.runtime.mace.graphs import neighbour_graph
from aiida_mlcc.runtime.mace.import_model import converted, main
from aiida_mlcc.runtime.mace.model import import_mace
from aiida_mlcc.runtime.mace.training_settings import PARTS
from aiida_mlcc.science.force_field import ForceField, ForceFieldError
from tests.runtime.mace.alloy import TRAINING, labelled, rattled
from tests.runtime.tasks.test_train import main_in, output_of, prepare

R_MAX = 3.6
SHAPE = {
    'r_max': R_MAX,
    'num_channels': 4,
    'max_L': 1,
    'num_interactions': 2,
    'correlation': 2,
    'num_radial_basis': 5,
    'num_cutoff_basis': 6,
    'max_ell': 2,
    'MLP_irreps': '4x0e',
}
E0 = np.array([[-3.0, -2.0, -5.0]])


def trained_model(heads: list[str] | None = None, **changes: Any) -> Any:
    """A model of hydrogen, copper and gold as another program makes it, after some steps on energies of the alloy."""
    modules, o3 = import_mace()
    block = modules.interaction_classes['RealAgnosticResidualInteractionBlock']
    n_heads = len(heads or ['Default'])
    settings = {
        'r_max': R_MAX,
        'num_bessel': 5,
        'num_polynomial_cutoff': 6,
        'max_ell': 2,
        'interaction_cls': block,
        'interaction_cls_first': block,
        'num_interactions': 2,
        'num_elements': 3,
        'hidden_irreps': o3.Irreps('4x0e + 4x1o'),
        'MLP_irreps': o3.Irreps('4x0e'),
        'atomic_energies': np.repeat(E0, n_heads, axis=0) + np.arange(n_heads)[:, None],
        'avg_num_neighbors': 11.0,
        'atomic_numbers': [1, 29, 79],
        'correlation': 2,
        'gate': torch.nn.functional.silu,
        'atomic_inter_scale': [0.7 + head for head in range(n_heads)],
        'atomic_inter_shift': [-0.2 * head for head in range(n_heads)],
        'radial_MLP': [64, 64, 64],
        'heads': heads,
        **changes,
    }
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        model = modules.ScaleShiftMACE(**settings)
    finally:
        torch.set_default_dtype(before)
    optimiser = torch.optim.Adam(model.parameters(), lr=0.01)
    energies = labelled(4).labels['LDA'].energies
    for atoms, energy in zip(rattled(4), energies, strict=True):
        optimiser.zero_grad()
        (energy_of(model, atoms) - float(energy)).square().backward()
        optimiser.step()
    return model


def energy_of(model: Any, atoms: Any, head: int = 0) -> torch.Tensor:
    graph = neighbour_graph(atoms.numbers, atoms.cell.array, atoms.positions, R_MAX)
    data = {**graph.mace_input(model.atomic_numbers), 'head': torch.tensor([head])}
    return model(data, compute_force=False)['energy'][0]


def written(folder: Path, content: Any, name: str = 'tiny.model') -> Path:
    torch.save(content, folder / name)
    return folder / name


@pytest.fixture(scope='module')
def model() -> Any:
    return trained_model()


@pytest.fixture(scope='module')
def path(tmp_path_factory: pytest.TempPathFactory, model: Any) -> Path:
    return written(tmp_path_factory.mktemp('model'), model)


@pytest.fixture(scope='module')
def field(path: Path) -> ForceField:
    return converted(path, 'LDA', licence='MIT', source='a test')


def test_an_imported_model_has_the_energies_that_it_had(model: Any, field: ForceField) -> None:
    calculator = ForceFieldCalculator(field)
    for atoms in rattled(3, seed=5):
        expected = float(energy_of(model, atoms).detach())
        assert calculator.get_potential_energy(atoms) == pytest.approx(expected, abs=1e-10)


def test_the_energies_of_free_atoms_are_its_constants(field: ForceField) -> None:
    assert field.constants == {'H': -3.0, 'Cu': -2.0, 'Au': -5.0}


def test_it_says_where_it_comes_from(field: ForceField, path: Path) -> None:
    assert field.method == 'LDA'
    told = field.terms[0].trained_on['imported']
    assert (told['file'], told['licence'], told['source']) == ('tiny.model', 'MIT', 'a test')
    assert told['sha256'] == hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture(scope='module')
def several() -> Any:
    return trained_model(['first', 'second'])


def test_one_head_of_several_is_kept(tmp_path: Path, several: Any) -> None:
    field = converted(written(tmp_path, several), 'LDA', 'second')
    (atoms,) = rattled(1, seed=7)
    expected = float(energy_of(several, atoms, 1).detach())
    assert ForceFieldCalculator(field).get_potential_energy(atoms) == pytest.approx(expected, abs=1e-9)


def test_a_head_has_to_be_chosen(tmp_path: Path, several: Any) -> None:
    path = written(tmp_path, several)
    with pytest.raises(ForceFieldError, match='several heads: choose one of first, second with --head'):
        converted(path, 'LDA')


def test_a_head_that_is_not_there_is_refused(path: Path) -> None:
    with pytest.raises(ForceFieldError, match="no head 'PBE': choose from Default"):
        converted(path, 'LDA', 'PBE')


@pytest.mark.parametrize(
    ('changes', 'sentence'),
    [
        ({'pair_repulsion': True}, 'pair_repulsion = True'),
        pytest.param({'radial_MLP': [32, 32]}, r'radial_MLP = \[32, 32\]', marks=pytest.mark.nightly),
        pytest.param({'distance_transform': 'Agnesi'}, 'distance_transform = Agnesi', marks=pytest.mark.nightly),
    ],
    ids=['repulsion', 'radial network', 'transform'],
)
def test_an_architecture_that_the_package_lacks_is_refused(tmp_path: Path, changes: Any, sentence: str) -> None:
    with pytest.raises(ForceFieldError, match=sentence):
        converted(written(tmp_path, trained_model(**changes)), 'LDA')


def test_a_file_of_another_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ForceFieldError, match=r'holds torch\.nn\.modules\.linear\.Linear, not mace'):
        converted(written(tmp_path, torch.nn.Linear(1, 1)), 'LDA')


def test_a_file_that_is_no_model_is_refused_in_a_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / 'no.model').write_bytes(pickle.dumps(3)[:-1])
    assert main([str(tmp_path / 'no.model'), str(tmp_path / 'folder'), '--unpickle', '--method', 'LDA']) == 1
    assert 'no.model cannot be read as a model of PyTorch' in capsys.readouterr().err
    assert not (tmp_path / 'folder').exists()


def test_nothing_is_read_without_the_flag(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([str(tmp_path / 'missing.model'), str(tmp_path / 'folder'), '--method', 'LDA'])
    assert ended.value.code == 2
    assert 'missing.model is a Python pickle: reading it runs the code in it' in capsys.readouterr().err


class Replacing:
    """A model whose pickle replaces its own file while it is read."""

    def __init__(self, model: Any, path: Path) -> None:
        self.model, self.path = model, path

    def __reduce__(self) -> Any:
        return _model_of_a_replaced_file, (self.model, self.path)


def _model_of_a_replaced_file(model: Any, path: Path) -> Any:
    path.write_bytes(b'something else')
    return model


def test_the_hash_is_of_the_file_before_its_code_ran(tmp_path: Path, model: Any) -> None:
    path = written(tmp_path, Replacing(model, tmp_path / 'tiny.model'))
    expected = hashlib.sha256(path.read_bytes()).hexdigest()
    imported = converted(path, 'LDA').terms[0].trained_on['imported']
    assert path.read_bytes() == b'something else'
    assert imported['sha256'] == expected


def test_energies_that_come_out_otherwise_are_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    right = mace_import.packed
    monkeypatch.setattr(
        mace_import, 'packed', lambda name, array: right(name, array * 1.01 if 'readouts' in name else array)
    )
    with pytest.raises(ForceFieldError, match='a version of MACE that computes something else'):
        converted(path, 'LDA')


@pytest.fixture(scope='module')
def tuned(tmp_path_factory: pytest.TempPathFactory, field: ForceField) -> Path:
    """A training that starts from the imported network and leaves its products as they are."""
    folder = tmp_path_factory.mktemp('tuned')
    field.save(folder / 'start')
    training = {**TRAINING, 'epochs': 2, 'frozen': ['products', 'embedding'], 'ema_decay': None}
    assert main_in(prepare(folder, labelled(10), network=SHAPE, training=training, start_from='start')) == 0
    return folder


def test_a_training_goes_on_from_a_network(tuned: Path, field: ForceField) -> None:
    """Parts that are not trained are as they were, and what is trained is not."""
    (before,), (after,) = field.terms, ForceField.load(tuned / 'force_field').terms
    changed = {
        name.split('.')[0] for name in before.arrays if not np.array_equal(before.arrays[name], after.arrays[name])
    }
    assert changed == {'interactions', 'readouts', 'scale_shift'}


def test_every_trainable_weight_belongs_to_one_part(model: Any) -> None:
    trainable = [name for name, weight in model.named_parameters() if weight.requires_grad]
    assert trainable
    owners = {name: [part for part, start in PARTS.items() if name.startswith(start)] for name in trainable}
    assert {name: parts for name, parts in owners.items() if len(parts) != 1} == {}
    assert {part for parts in owners.values() for part in parts} == set(PARTS)


def test_the_units_of_the_network_stay(tuned: Path, field: ForceField) -> None:
    after = ForceField.load(tuned / 'force_field')
    for name in ('scale', 'avg_num_neighbors', 'atomic_numbers'):
        assert after.terms[0].settings[name] == field.terms[0].settings[name]
    assert after.constants == field.constants
    assert after.terms[0].trained_on['start_from']['content_hash'] == field.terms[0].content_hash


def test_a_network_without_an_element_of_the_frames_is_refused(tmp_path: Path, field: ForceField) -> None:
    snapshots = labelled(10)
    other = type(snapshots)(('Ag', *snapshots.symbols[1:]), snapshots.cells, snapshots.positions, snapshots.labels)
    field.save(tmp_path / 'start')
    assert main_in(prepare(tmp_path, other, network=SHAPE, start_from='start')) == 1
    assert 'knows the elements H, Cu, Au, not Ag' in output_of(tmp_path)['message']
