"""MACE networks rebuilt from plain data: an architecture in JSON and a state dict in arrays, never a pickle.

MACE: Batatia et al., NeurIPS 2022 (arXiv:2206.07697); its ``ScaleShiftMACE`` gives E = shift·n + scale·Σ_i ε_i(x).
The atomic energies E0 of the network are zero: constants per element belong to the force field, which adds them in
float64, so that a float32 network never has to carry them.
"""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from aiida_mlcc.runtime.mace.graphs import DTYPES
from aiida_mlcc.runtime.mace.training_settings import Network
from aiida_mlcc.science.force_field import ForceFieldError, Term, TrainedOn
from aiida_mlcc.science.json_values import StoredSettings
from aiida_mlcc.science.settings import SettingsError, setting

KIND = 'mace'

_INDEX = ':index'
_VALUES = ':values'
_SPARSE_SIZE = 1000
_SPARSE_SHARE = 0.25
_UNSAFE_LOADING = 'TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD'


@dataclass(frozen=True, kw_only=True)
class Architecture(Network):
    """What fixes a network up to its weights: its settings and what it takes from the data."""

    atomic_numbers: list[int] = setting('The elements that it knows.')
    avg_num_neighbors: float = setting('Mean number of neighbours of an atom within `r_max`.', above=0)
    scale: float = setting("What one unit of the network's output is worth.", default=1.0, unit='eV', required=False)
    shift: float = setting('Added for each atom.', default=0.0, unit='eV per atom', required=False)
    use_reduced_cg: bool = setting(
        'Whether linearly dependent products are left out, as in all but older networks.', default=True, required=False
    )

    def __post_init__(self) -> None:
        object.__setattr__(self, 'atomic_numbers', [int(number) for number in self.atomic_numbers])
        super().__post_init__()

    @classmethod
    def from_settings(cls, settings: StoredSettings) -> Architecture:
        """Rebuild what :meth:`settings` gave.

        :raises ForceFieldError: naming a setting that is unknown, missing or not allowed.
        """
        try:
            return cls.of(settings)
        except SettingsError as error:
            raise ForceFieldError(str(error)) from None

    def settings(self) -> StoredSettings:
        """Return the architecture as plain JSON."""
        return self.to_dict()


def build(architecture: Architecture, dtype: str = 'float64', seed: int = 0) -> torch.nn.Module:
    """Make the network on the CPU, its weights drawn from `seed`. Torch's global state is left as it was."""
    modules, o3 = import_mace()
    hidden = (architecture.num_channels * o3.Irreps.spherical_harmonics(architecture.max_L)).sort()[0].simplify()
    interaction = modules.interaction_classes['RealAgnosticResidualInteractionBlock']
    with _construction(DTYPES[dtype], seed):
        model: torch.nn.Module = modules.ScaleShiftMACE(
            r_max=architecture.r_max,
            num_bessel=architecture.num_radial_basis,
            num_polynomial_cutoff=architecture.num_cutoff_basis,
            max_ell=architecture.max_ell,
            interaction_cls=interaction,
            interaction_cls_first=interaction,
            num_interactions=architecture.num_interactions,
            num_elements=len(architecture.atomic_numbers),
            hidden_irreps=hidden,
            MLP_irreps=o3.Irreps(architecture.MLP_irreps),
            atomic_energies=np.zeros(len(architecture.atomic_numbers)),
            avg_num_neighbors=architecture.avg_num_neighbors,
            atomic_numbers=list(architecture.atomic_numbers),
            correlation=architecture.correlation,
            use_reduced_cg=architecture.use_reduced_cg,
            gate=modules.gate_dict['silu'],
            atomic_inter_scale=architecture.scale,
            atomic_inter_shift=architecture.shift,
        )
    return model


def term_of(
    architecture: Architecture,
    parameters: Mapping[str, torch.Tensor],
    weight: float = 1.0,
    trained_on: TrainedOn | None = None,
    start: Term | None = None,
) -> Term:
    """Return the network with these trained `parameters` (by name) as a term, in float64 throughout.

    What is not a parameter (Clebsch–Gordan coefficients, cutoffs, the scale) is taken from a network built in float64,
    so that training in float32 costs no precision there. It is stored all the same: other versions of MACE may
    choose another basis of the coupled products, in which the weights would mean something else.

    :param start: the network that the training started from, with its own basis of products.
    """
    model = build(architecture, 'float64') if start is None else model_of(start)
    model.scale_shift.shift.fill_(architecture.shift)  # type: ignore[union-attr, operator]
    trainable = dict(model.named_parameters())
    if set(trainable) != set(parameters):
        raise ForceFieldError('these parameters are of another network')
    with torch.no_grad():
        for name, parameter in trainable.items():
            parameter.copy_(parameters[name])
    arrays: dict[str, NDArray[Any]] = {}
    for name, tensor in model.state_dict().items():
        arrays.update(packed(name, tensor.numpy()))
    return Term(KIND, architecture.settings(), arrays, weight, trained_on or {})


def shifted(term: Term, shift: float) -> Term:
    """Return the network with another `shift`, eV per atom."""
    arrays = {**term.arrays, 'scale_shift.shift': np.array(shift)}
    return replace(term, settings={**term.settings, 'shift': shift}, arrays=arrays)


def model_of(term: Term, device: str = 'cpu', dtype: str = 'float64') -> torch.nn.Module:
    """Rebuild the network of a term, ready to be evaluated and not to be trained.

    :raises ForceFieldError: where the arrays are not exactly those that the architecture has.
    """
    if term.kind != KIND:
        raise ForceFieldError(f'a term of kind {term.kind!r} is not a MACE network')
    model = build(Architecture.from_settings(term.settings), dtype)
    expected = model.state_dict()
    state = {name: torch.from_numpy(array) for name, array in _unpack(term.arrays, expected).items()}
    if set(state) != set(expected):
        wrong = sorted(set(state) ^ set(expected))[0]
        raise ForceFieldError(f'the weights of this MACE network do not fit its architecture: see {wrong!r}')
    for name, tensor in state.items():
        if tensor.shape != expected[name].shape:
            raise ForceFieldError(
                f'the weights of this MACE network do not fit its architecture: {name!r} has the shape '
                f'{tuple(tensor.shape)} and not {tuple(expected[name].shape)}'
            )
        if not torch.isfinite(tensor).all():
            raise ForceFieldError(f'the weights of this MACE network hold NaN or infinity: see {name!r}')
    model.load_state_dict(state, strict=True)
    return model.requires_grad_(False).eval().to(device)


def packed(name: str, array: NDArray[Any]) -> dict[str, NDArray[Any]]:
    """Store coupling coefficients, of which one in two hundred is not zero, by their non-zero entries."""
    filled = np.flatnonzero(array)
    if array.size < _SPARSE_SIZE or len(filled) > _SPARSE_SHARE * array.size:
        return {name: array.copy()}
    return {f'{name}{_INDEX}': filled.astype(np.int64), f'{name}{_VALUES}': array.ravel()[filled]}


def _unpack(arrays: Mapping[str, NDArray[Any]], expected: Mapping[str, torch.Tensor]) -> dict[str, NDArray[Any]]:
    state = {}
    for name, array in arrays.items():
        if name.endswith(_VALUES):
            continue
        if not name.endswith(_INDEX):
            state[name] = np.array(array)
            continue
        full = name.removesuffix(_INDEX)
        if full not in expected or f'{full}{_VALUES}' not in arrays:
            raise ForceFieldError(f'the weights of this MACE network do not fit its architecture: see {full!r}')
        values = arrays[f'{full}{_VALUES}']
        dense = np.zeros(expected[full].numel(), dtype=values.dtype)
        if len(values) != len(array) or (len(array) and not 0 <= array.min() <= array.max() < dense.size):
            raise ForceFieldError(f'the weights of this MACE network do not fit its architecture: see {full!r}')
        dense[array] = values
        state[full] = dense.reshape(tuple(expected[full].shape))
    return state


@contextmanager
def _construction(dtype: torch.dtype, seed: int) -> Iterator[None]:
    """Set for a while what MACE and e3nn take from global state, and give it back.

    They make tensors in torch's default type and draw weights from its generator. Compiling to TorchScript is
    switched off: it takes longer than it saves in a training of minutes, and changes its code after the first calls.
    """
    import e3nn

    defaults = dict(e3nn.get_optimization_defaults())
    before = torch.get_default_dtype()
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.simplefilter('ignore')
        torch.manual_seed(seed)
        torch.set_default_dtype(dtype)
        e3nn.set_optimization_defaults(jit_script_fx=False)
        try:
            yield
        finally:
            e3nn.set_optimization_defaults(**defaults)
            torch.set_default_dtype(before)


def import_mace() -> tuple[Any, Any]:
    """Import MACE's modules and e3nn's o3: mace first, without which e3nn cannot load its own tables on torch ≥ 2.6.

    MACE achieves that by switching off torch's refusal to unpickle, for the whole process: switched on again here.
    What it prints about accelerators goes to stderr, since stdout is for results.
    """
    before = os.environ.get(_UNSAFE_LOADING)
    with warnings.catch_warnings(), redirect_stdout(sys.stderr):
        warnings.simplefilter('ignore')
        import mace  # noqa: F401
        from e3nn import o3
        from mace import modules
    if before is None:
        os.environ.pop(_UNSAFE_LOADING, None)
    return modules, o3
