"""A force field as a description: E = Σ_t w_t·E_t(x) + Σ_i c(Z_i), in JSON and safetensors, never pickled."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NotRequired, TypedDict

import numpy as np
from numpy.typing import NDArray

from aiida_mlcc.science.force_field.checks import check_description, check_weights
from aiida_mlcc.science.force_field.kinds import ForceFieldError, kind_of
from aiida_mlcc.science.json_values import Json, Source
from aiida_mlcc.science.npz import write_json

DESCRIPTION_FILE = 'force_field.json'
WEIGHTS_FILE = 'weights.safetensors'
FORMAT = 2
"""Format 1 did not store the method: it was that of the last term."""
_HASH_FORMAT = 1
"""The content hash stands in the sources of stored labels, so it does not follow the format of the file."""


class TrainedOn(TypedDict, total=False):
    """Where a term comes from, as far as it is known.

    ``labels``: what it was fitted to (energies, forces); ``sources``: method → what its labels say of their source;
    ``snapshots`` and ``reference``: content hashes; ``weight_sd``: of the weight of dipoles; ``imported``: the file of
    another program that a network was read from.
    """

    method: str
    minus: str | None
    labels: list[str]
    sources: dict[str, Source]
    snapshots: str
    reference: str
    n_train: int
    n_folds: int
    seed: int
    ridge: float | list[float]
    covariates: dict[str, float]
    weight_sd: float
    start_from: StartedFrom
    imported: dict[str, str]


class StartedFrom(TypedDict):
    """The network that a training started from."""

    content_hash: str
    trained_on: TrainedOn


class Probe(TypedDict):
    """The energy (eV) of one structure: cell and positions in Å."""

    symbols: list[str]
    cell: list[list[float]]
    positions: list[list[float]]
    energy: float


class TermDescription(TypedDict):
    """A term without its weights; ``arrays`` are their names."""

    kind: str
    weight: float
    settings: Json
    arrays: list[str]
    trained_on: TrainedOn
    content_hash: str


class Description(TypedDict):
    """A force field without its weights, as ``force_field.json`` holds it; format 1 has no ``method``."""

    format: int
    method: NotRequired[str]
    units: dict[str, str]
    terms: list[TermDescription]
    constants: dict[str, float]
    base_scale: float
    probe: Probe | None


@dataclass(frozen=True)
class Term:
    """One term of the sum, in eV and Å.

    :param kind: one of :data:`~aiida_mlcc.science.force_field.kinds.KINDS`.
    :param settings: what rebuilds the term besides its arrays, plain JSON (for ``mace`` the architecture, for
        ``readout`` the content hash of its network and the elements, for ``force-constants`` the symbols and cutoff).
    :param arrays: weights by name.
    :param weight: the factor w_t.
    :param trained_on: method, label kinds, seed and content hash of the snapshots; plain JSON.
    """

    kind: str
    settings: Json
    arrays: Mapping[str, NDArray[Any]]
    weight: float = 1.0
    trained_on: TrainedOn = field(default_factory=TrainedOn)

    def __post_init__(self) -> None:
        kind_of(self.kind)

    @property
    def content_hash(self) -> str:
        """SHA-256 of kind, settings and arrays: equal terms give equal energies. The weight does not count."""
        digest = hashlib.sha256(json.dumps([self.kind, self.settings], sort_keys=True).encode())
        for name in sorted(self.arrays):
            array = np.asarray(self.arrays[name], order='C')
            digest.update(f'{name}{array.dtype.str}{array.shape}'.encode())
            digest.update(array.tobytes())
        return digest.hexdigest()


@dataclass(frozen=True)
class ForceField:
    """A weighted sum of terms and one constant per atom of each element.

    :param constants: symbol → eV.
    :param base_scale: for a Δ that was fitted as s·E_base + ΔE: the s by which it rescales the base it is added to.
        The fit used the base method's labels; :func:`add_delta` applies s to the base force field.
    :param probe: ``symbols``, ``cell`` (Å), ``positions`` (Å) and ``energy`` (eV) of one structure, checked on load.
    :param method: what it stands for, such as ``CCSD(T)``; empty where it stands for no method.
    """

    terms: tuple[Term, ...]
    constants: Mapping[str, float] = field(default_factory=dict)
    base_scale: float = 0.0
    probe: Probe | None = None
    method: str = ''

    def content_hash(self) -> str:
        """SHA-256 of all that fixes the energy: terms, weights, constants and the scale of the base. Not the method."""
        parts = [[term.content_hash, term.weight] for term in self.terms]
        content = [_HASH_FORMAT, parts, dict(self.constants), self.base_scale]
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()

    def constant_of(self, symbols: tuple[str, ...] | list[str]) -> float:
        """Sum of the atomic constants of `symbols`, eV.

        :raises ForceFieldError: for an element the force field does not know.
        """
        if unknown := sorted(set(symbols) - set(self.constants)):
            known = ', '.join(sorted(self.constants)) or 'none'
            raise ForceFieldError(f'this force field knows the elements {known}, not {", ".join(unknown)}')
        return float(sum(self.constants[symbol] for symbol in symbols))

    def save(self, folder: Path | str) -> None:
        """Write ``force_field.json`` and ``weights.safetensors`` into `folder`, made if needed."""
        from safetensors.numpy import save_file

        target = Path(folder)
        target.mkdir(parents=True, exist_ok=True)
        weights = {
            f'{i}.{name}': np.array(a, order='C') for i, t in enumerate(self.terms) for name, a in t.arrays.items()
        }
        save_file(weights, target / WEIGHTS_FILE)
        write_json(target / DESCRIPTION_FILE, self.describe())

    def describe(self) -> Description:
        """Everything but the weights, as plain JSON."""
        return {
            'format': FORMAT,
            'method': self.method,
            'units': {'energy': 'eV', 'length': 'Å'},
            'terms': [
                {
                    'kind': term.kind,
                    'weight': term.weight,
                    'settings': dict(term.settings),
                    'arrays': sorted(term.arrays),
                    'trained_on': term.trained_on.copy(),
                    'content_hash': term.content_hash,
                }
                for term in self.terms
            ],
            'constants': dict(self.constants),
            'base_scale': self.base_scale,
            'probe': None if self.probe is None else self.probe.copy(),
        }

    @classmethod
    def load(cls, folder: Path | str) -> ForceField:
        """Read what :meth:`save` wrote. Nothing in the files can run code.

        :raises ForceFieldError: where the format is another, something is missing, a number is not finite or of no sane
            size, or the weights are not those described.
        """
        source = Path(folder)
        return cls.read((source / DESCRIPTION_FILE).read_bytes(), (source / WEIGHTS_FILE).read_bytes())

    @classmethod
    def read(cls, description: str | bytes, weights: bytes) -> ForceField:
        """Read the content of the two files that :meth:`save` writes.

        :raises ForceFieldError: as :meth:`load`.
        """
        from safetensors import SafetensorError
        from safetensors.numpy import load

        try:
            described = json.loads(description)
        except ValueError as error:
            raise ForceFieldError(f'{DESCRIPTION_FILE} is not JSON: {error}') from None
        try:
            arrays = load(weights)
        except (SafetensorError, KeyError) as error:
            raise ForceFieldError(f'{WEIGHTS_FILE} cannot be read: {error}') from None
        return cls.rebuild(described, arrays)

    @classmethod
    def rebuild(cls, description: Description, weights: Mapping[str, NDArray[Any]]) -> ForceField:
        """Put a description and its weights (``INDEX.NAME`` → array) together again.

        :raises ForceFieldError: as :meth:`load`.
        """
        if not isinstance(description, Mapping):
            raise ForceFieldError(
                f'the description of the force field is {type(description).__name__} and not a mapping'
            )
        if description.get('format') not in (1, FORMAT):
            raise ForceFieldError(
                f'force field of format {description.get("format")!r}: this version reads the formats 1 to {FORMAT}'
            )
        check_description(description)
        terms = []
        for number, entry in enumerate(description['terms']):
            missing = [name for name in entry['arrays'] if f'{number}.{name}' not in weights]
            if missing:
                raise ForceFieldError(
                    f'term {number} ({entry["kind"]}) is damaged: its weights {missing[0]!r} are missing'
                )
            arrays = {name: weights[f'{number}.{name}'] for name in entry['arrays']}
            check_weights(f'term {number} ({entry["kind"]})', arrays)
            term = Term(entry['kind'], entry['settings'], arrays, entry['weight'], entry['trained_on'])
            if term.content_hash != entry['content_hash']:
                raise ForceFieldError(f'term {number} ({term.kind}) is damaged: its weights are not those described')
            terms.append(term)
        method = description.get('method') if description['format'] == FORMAT else _method_of_the_last(terms)
        if not isinstance(method, str):
            raise ForceFieldError(f'the method of the force field is {method!r} and not text')
        probe = description.get('probe')
        return cls(tuple(terms), description['constants'], description['base_scale'], probe, method)


def _method_of_the_last(terms: Sequence[Term]) -> str:
    """Return the method of a force field of format 1: a Δ comes after its base."""
    return str(terms[-1].trained_on.get('method', '')) if terms else ''


def add_delta(base: ForceField, delta: ForceField) -> ForceField:
    """Return base + Δ = (1 + s)·base + Δ's own terms, for the method of the Δ; identical terms merge into one weight.

    :param base: what Δ was fitted to be added to.
    :param delta: Δ, with its scale s in ``base_scale``.
    :raises ForceFieldError: where the base itself still needs a base.
    """
    if base.base_scale:
        raise ForceFieldError('a Δ cannot serve as the base of another Δ')
    factor = 1.0 + delta.base_scale
    merged: dict[str, Term] = {}
    for term in (*(replace(t, weight=factor * t.weight) for t in base.terms), *delta.terms):
        key = term.content_hash
        merged[key] = replace(term, weight=merged[key].weight + term.weight) if key in merged else term
    symbols = sorted(set(base.constants) | set(delta.constants))
    constants = {s: factor * base.constants.get(s, 0.0) + delta.constants.get(s, 0.0) for s in symbols}
    return ForceField(tuple(merged.values()), constants, method=delta.method)
