"""A ``.model`` of MACE as a force field: ``python -m aiida_mlcc.runtime.mace.import_model FILE FOLDER --unpickle …``.

PyTorch stores such a model as a pickle, and unpickling runs whatever code its author put into it. This is the only
module that does so. ``aiida-mlcc model import`` runs it in a separate process, when a person has asked for it; a call
of :func:`converted` unpickles in your own process. What is written (JSON and safetensors) cannot run code. A model
whose architecture is not one of :class:`~aiida_mlcc.runtime.mace.model.Architecture` is refused, and so is one whose
energies the converted network does not give to 1e-10 eV per atom.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
import warnings
from collections.abc import Sequence
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ase import Atoms
from ase.data import chemical_symbols, covalent_radii
from numpy.typing import NDArray

from aiida_mlcc.runtime.mace.graphs import neighbour_graph
from aiida_mlcc.runtime.mace.model import KIND, Architecture, build, import_mace, model_of, packed
from aiida_mlcc.science.force_field import ForceField, ForceFieldError, Term
from aiida_mlcc.science.force_field.sum import Probe
from aiida_mlcc.science.json_values import Json
from aiida_mlcc.science.settings import SettingsError

_MODEL = 'ScaleShiftMACE'
_TOLERANCE = 1e-10
_INTERACTION = 'RealAgnosticResidualInteractionBlock'
_EXPECTED: dict[str, str | bool | list[int] | None] = {
    'radial_type': 'bessel',
    'distance_transform': None,
    'pair_repulsion': False,
    'apply_cutoff': True,
    'radial_MLP': [64, 64, 64],
    'edge_irreps': None,
    'use_so3': False,
    'use_agnostic_product': False,
    'use_last_readout_only': False,
    'use_embedding_readout': False,
    'use_edge_irreps_first': False,
    'embedding_specs': None,
}
"""What a model must have besides the settings of an architecture, as MACE names it."""


def converted(path: Path, method: str, head: str | None = None, **about: str) -> ForceField:
    """Return the model in a file as a force field with a probe. This unpickles the file in the process that calls it.

    :param method: whose energies it learnt.
    :param head: of a model with several, the one to keep.
    :param about: what else to tell of it under ``imported``: ``licence``, ``source``.
    :raises ForceFieldError: for a file that holds no such model, an architecture that the package does not have, or
        energies that come out otherwise.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ForceFieldError(f'{path.name} cannot be read: {error.strerror}') from None
    # Before the code in the file runs, which could change the file.
    sha256 = hashlib.sha256(content).hexdigest()
    model = _unpickled(content, path.name)
    number, single = _single_head(model, head)
    term = _term(single)
    symbols = [chemical_symbols[number] for number in term.settings['atomic_numbers']]
    constants = np.asarray(single.atomic_energies_fn.atomic_energies.detach().cpu(), dtype=float).ravel()
    imported = {'file': path.name, 'sha256': sha256, **about}
    if head is not None:
        imported['head'] = head
    term = replace(term, trained_on={'method': method, 'imported': imported})
    field = ForceField((term,), dict(zip(symbols, constants.tolist(), strict=True)), method=method)
    return _checked(field, model, number)


def _unpickled(content: bytes, name: str) -> Any:
    modules, _ = import_mace()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            model = torch.load(BytesIO(content), map_location='cpu', weights_only=False)
    except Exception as error:  # A pickle may raise anything.  # noqa: BLE001
        raise ForceFieldError(f'{name} cannot be read as a model of PyTorch: {error}') from None
    if type(model) is not getattr(modules, _MODEL):
        found = f'{type(model).__module__}.{type(model).__qualname__}'
        raise ForceFieldError(
            f'{name} holds {found}, not mace.modules.models.{_MODEL}: only such models can be imported'
        )
    return model.double().eval().requires_grad_(False)


def _single_head(model: Any, head: str | None) -> tuple[int, Any]:
    """Return the number of a head, and the model with that one alone.

    :raises ForceFieldError: where the choice is missing or wrong.
    """
    heads = list(getattr(model, 'heads', ['Default']))
    if head is not None and head not in heads:
        raise ForceFieldError(f'the model has no head {head!r}: choose from {", ".join(heads)}')
    if len(heads) == 1:
        return 0, model
    if head is None:
        raise ForceFieldError(f'the model has several heads: choose one of {", ".join(heads)} with --head')
    from mace.tools.scripts_utils import remove_pt_head

    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        single = remove_pt_head(model, head)
    finally:
        torch.set_default_dtype(before)
    return heads.index(head), single.double().eval().requires_grad_(False)


def _term(model: Any) -> Term:
    """Return the network as a term, its constants left out.

    :raises ForceFieldError: naming what the package's networks do not have.
    """
    architecture = _architecture(model)
    expected = build(architecture, 'float64').state_dict()
    given = model.state_dict()
    if different := sorted(set(expected) ^ set(given)):
        raise ForceFieldError(f'the model is not of this version of MACE: {different[0]!r} is only in one of the two')
    arrays: dict[str, NDArray[Any]] = {}
    for name, tensor in expected.items():
        found = torch.zeros_like(tensor) if name.startswith('atomic_energies_fn.') else given[name]
        if found.numel() != tensor.numel():
            raise ForceFieldError(
                f'the model is not of this version of MACE: {name!r} has the shape {tuple(found.shape)} and not '
                f'{tuple(tensor.shape)}'
            )
        arrays.update(packed(name, found.detach().reshape(tensor.shape).to(tensor.dtype).numpy()))
    return Term(KIND, architecture.settings(), arrays)


def _architecture(model: Any) -> Architecture:
    from mace.tools.scripts_utils import extract_config_mace_model

    config: Json = extract_config_mace_model(model)
    for name, wanted in _EXPECTED.items():
        found = config.get(name, wanted)
        if found != wanted and not (wanted is None and str(found) == 'None'):
            raise ForceFieldError(f'the model has {name} = {found}, and the networks of this package {wanted}')
    for name in ('interaction_cls', 'interaction_cls_first'):
        if (found := config[name].__name__) != _INTERACTION:
            raise ForceFieldError(f'the model has {name} = {found}, and the networks of this package {_INTERACTION}')
    n_channels, highest = _channels(config['hidden_irreps'])
    correlation = config['correlation']
    try:
        return Architecture.of(
            {
                'r_max': float(config['r_max']),
                'num_channels': n_channels,
                'max_L': highest,
                'max_ell': int(config['max_ell']),
                'num_interactions': int(config['num_interactions']),
                'correlation': int(correlation),
                'num_radial_basis': int(config['num_bessel']),
                'num_cutoff_basis': int(config['num_polynomial_cutoff']),
                'MLP_irreps': str(config['MLP_irreps']),
                'atomic_numbers': [int(number) for number in model.atomic_numbers],
                'avg_num_neighbors': float(config['avg_num_neighbors']),
                'scale': float(np.asarray(config['atomic_inter_scale']).ravel()[0]),
                'shift': float(np.asarray(config['atomic_inter_shift']).ravel()[0]),
                'use_reduced_cg': bool(config['use_reduced_cg']),
            }
        )
    except SettingsError as error:
        raise ForceFieldError(f'the model has an architecture that this package does not: {error}') from None


def _channels(irreps: Any) -> tuple[int, int]:
    """Return how many channels hidden irreps have, and their highest angular momentum."""
    found = [(multiplicity, irrep.l, irrep.p) for multiplicity, irrep in irreps]
    counts = {multiplicity for multiplicity, _, _ in found}
    if len(counts) != 1 or [pair[1:] for pair in found] != [(degree, (-1) ** degree) for degree in range(len(found))]:
        raise ForceFieldError(f'the model has the hidden irreps {irreps}: this package has N×0e + N×1o + … only')
    return counts.pop(), len(found) - 1


def _checked(field: ForceField, model: Any, head: int) -> ForceField:
    """Compare with the energies that a head of the model gives, and keep one as the probe.

    :raises ForceFieldError: where they differ.
    """
    network = model_of(field.terms[0])
    for seed in range(3):
        atoms = _random_crystal(field.terms[0].settings['atomic_numbers'], seed)
        elements = torch.tensor(field.terms[0].settings['atomic_numbers'])
        graph = neighbour_graph(atoms.numbers, atoms.cell.array, atoms.positions, float(model.r_max))
        data = graph.mace_input(model.atomic_numbers)
        data['head'] = torch.tensor([head])
        expected = float(model(data, compute_force=False)['energy'][0])
        own = float(network(graph.mace_input(elements), compute_force=False)['interaction_energy'][0])
        energy = own + field.constant_of(atoms.get_chemical_symbols())
        if not abs(energy - expected) <= _TOLERANCE * len(atoms) * max(1.0, abs(expected) / len(atoms)):
            raise ForceFieldError(
                f'the converted network gives {energy:.9f} eV where the model gives {expected:.9f} eV: it was made '
                'with a version of MACE that computes something else'
            )
    probe: Probe = {
        'symbols': atoms.get_chemical_symbols(),
        'cell': atoms.cell.array.tolist(),
        'positions': atoms.positions.tolist(),
        'energy': energy,
    }
    return replace(field, probe=probe)


def _random_crystal(elements: Sequence[int], seed: int) -> Atoms:
    """Return eight atoms of up to eight elements, at distances of bonds."""
    random = np.random.default_rng(seed)
    numbers = random.permutation(np.resize(random.permutation(list(elements)), 8))
    edge = 2.4 * float(np.mean(covalent_radii[numbers]))
    sites = edge * np.array([[i, j, k] for i in range(2) for j in range(2) for k in range(2)], dtype=float)
    return Atoms(numbers, positions=sites + random.normal(scale=0.1, size=(8, 3)), cell=2 * edge * np.eye(3), pbc=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Convert a file into a folder; a sentence on stderr and exit code 1 where that fails, 2 without ``--unpickle``."""
    parser = argparse.ArgumentParser(description='Convert a .model of MACE. This unpickles it.')
    parser.add_argument('file', type=Path)
    parser.add_argument('folder', type=Path, help='of the force field')
    parser.add_argument('--unpickle', action='store_true', help='allow FILE to run its code while it is read')
    parser.add_argument('--method', required=True)
    parser.add_argument('--head')
    parser.add_argument('--licence')
    parser.add_argument('--source')
    options = parser.parse_args(arguments)
    if not options.unpickle:
        parser.error(
            f'{options.file.name} is a Python pickle: reading it runs the code in it. Allow that with --unpickle.'
        )
    about = {name: value for name in ('licence', 'source') if (value := getattr(options, name)) is not None}
    try:
        field = converted(options.file, options.method, options.head, **about)
    except (ForceFieldError, ImportError) as error:
        sys.stderr.write(f'{error}\n')
        return 1
    field.save(options.folder)
    return 0


if __name__ == '__main__':
    sys.exit(main())
