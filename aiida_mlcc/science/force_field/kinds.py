"""The kinds of term that a force field may hold: one table, and nobody else compares kinds by name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

if TYPE_CHECKING:
    from aiida_mlcc.science.force_field.sum import Term

EnergyForces = tuple[float, NDArray[np.float64]]


class ForceFieldError(ValueError):
    """A force field that cannot be read, combined or applied."""


class BoundModel(Protocol):
    """Energies and forces of one supercell, for any number of steps."""

    def energy_forces(self, positions: NDArray[np.float64]) -> EnergyForces:
        """Return the energy (eV) and the forces (eV/Å, shape (n_atoms, 3)) at `positions` (Å), wrapped or not."""


class Model(Protocol):
    """An energy surface, ready to be bound to any structure that it is made for."""

    def bind(self, atoms: Atoms) -> BoundModel:
        """Prepare for the lattice, the elements and the order of `atoms`.

        :raises ValueError: where `atoms` are another crystal, or strained where the model is of one cell.
        """


@dataclass(frozen=True)
class TermKind:
    """What the package asks of a kind of term.

    :param name: what :attr:`Term.kind` says.
    :param model: ``module:attribute`` of what evaluates it, imported when a force field has such a term. It is called
        with one term and gives a :class:`Model` of its energy, the weight left out. Where it is `shared`, it is called
        with the terms of all kinds that name it, the device and the dtype, and its model gives Σ_t w_t·E_t.
    :param shared: whether terms are evaluated together, as a network and its readouts are in one pass.
    :param one_crystal: whether it knows the sites of one crystal: it refuses another one and a strained cell.
    :param adds_up: ``module:attribute`` of what turns terms of this kind into fewer of the same energy; empty where
        each stands for itself.
    :param needs: the setting with the content hash of another term of the same model, without which it has no energy;
        empty where it stands alone.
    :param polar: whether it is the dipole–dipole energy of Born charges, from which the non-analytical correction
        follows.
    :param gives_features: whether it is a network, whose features a readout may read.
    :param cites: the programs to cite where it is used, as :mod:`aiida_mlcc.report.page.provenance` names them.
    """

    name: str
    model: str
    shared: bool = False
    one_crystal: bool = False
    adds_up: str = ''
    needs: str = ''
    polar: bool = False
    gives_features: bool = False
    cites: tuple[str, ...] = ()


_NETWORKS = 'aiida_mlcc.runtime.mace.summed:MaceSum'

KINDS = {
    kind.name: kind
    for kind in (
        TermKind('mace', _NETWORKS, shared=True, gives_features=True, cites=('mace',)),
        TermKind('readout', _NETWORKS, shared=True, needs='trunk', cites=('mace',)),
        TermKind(
            'force-constants',
            'aiida_mlcc.science.force_field.force_constants:ForceConstantsModel',
            one_crystal=True,
            adds_up='aiida_mlcc.science.force_field.force_constants:add_up',
            cites=('symfc',),
        ),
        TermKind('dipole', 'aiida_mlcc.science.force_field.dipole:DipoleModel', one_crystal=True, polar=True),
    )
}
"""Name → kind. It is also the white list of what may be read, since a description may come from anybody's archive."""


def kind_of(name: str) -> TermKind:
    """Return a kind by its name.

    :raises ForceFieldError: for a name that the table does not have.
    """
    if name not in KINDS:
        raise ForceFieldError(f'unknown kind of term {name!r}: choose from {", ".join(KINDS)}')
    return KINDS[name]


def models_of(terms: Sequence[Term], device: str = 'cpu', dtype: str = 'float64') -> list[Model]:
    """Return models whose energies add up to Σ_t w_t·E_t.

    Those that evaluate several terms together come first, in the order of the table; the others follow in the order of
    the terms. Terms that can be summed, as force constants of one crystal, have one model.

    :param device: ``cpu`` or ``cuda``, and `dtype` (``float64`` or ``float32``): of what is shared.
    :raises ForceFieldError: where a term stands without the one that it needs, or is damaged.
    """
    refuse_incomplete(terms)
    members: dict[str, list[Term]] = {kind.model: [] for kind in KINDS.values() if kind.shared}
    alone: list[Term] = []
    for term in _added_up(terms):
        kind = KINDS[term.kind]
        (members[kind.model] if kind.shared else alone).append(term)
    together = [_made(model, of_model, device, dtype) for model, of_model in members.items() if of_model]
    return together + [_Weighted(term.weight, _made(KINDS[term.kind].model, term)) for term in alone]


def _made(path: str, *parts: Any) -> Model:
    """Make a model of the terms in `parts`.

    :raises ForceFieldError: also where a setting or an array of a term is missing.
    """
    try:
        made: Model = _load(path)(*parts)
    except KeyError as error:
        raise ForceFieldError(f'a term of the force field lacks {error}') from None
    return made


def _added_up(terms: Sequence[Term]) -> list[Term]:
    """Return terms of the same energy, those of a kind that adds up in the place of its first."""
    found: list[Term] = []
    for name in dict.fromkeys(term.kind for term in terms):
        alike = [term for term in terms if term.kind == name]
        adds_up = KINDS[name].adds_up
        found += _load(adds_up)(alike) if adds_up and len(alike) > 1 else alike
    return found


def refuse_incomplete(terms: Sequence[Term]) -> None:
    """Check that what a term needs stands beside it.

    :raises ForceFieldError: where it is missing.
    """
    present = {(KINDS[term.kind].model, term.content_hash) for term in terms if not KINDS[term.kind].needs}
    for term in terms:
        kind = KINDS[term.kind]
        if kind.needs and (kind.model, term.settings[kind.needs]) not in present:
            raise ForceFieldError(
                f'a {term.kind} for {term.trained_on.get("method", "a method")} needs the term '
                f'{str(term.settings[kind.needs])[:12]}…, which is not part of this force field: add the Δ to the very '
                'base that it was fitted on'
            )


def _load(path: str) -> Callable[..., Any]:
    module, _, attribute = path.partition(':')
    return getattr(import_module(module), attribute)


class _Weighted:
    """w·E of a model."""

    def __init__(self, weight: float, model: Model) -> None:
        self._weight = weight
        self._model = model

    def bind(self, atoms: Atoms) -> BoundModel:
        return _BoundWeighted(self._weight, self._model.bind(atoms))


class _BoundWeighted:
    def __init__(self, weight: float, bound: BoundModel) -> None:
        self._weight = weight
        self._bound = bound

    def energy_forces(self, positions: NDArray[np.float64]) -> EnergyForces:
        energy, forces = self._bound.energy_forces(positions)
        return self._weight * energy, self._weight * forces
