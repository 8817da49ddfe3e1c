"""The curves of a run as arrays: what the page, the printed figures and the CSV files are all made from."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from aiida import orm
from numpy.typing import NDArray

from aiida_mlcc.report.figures import Path1D, path_of
from aiida_mlcc.report.outputs import by_method

_ELEMENT = 'element_'


@dataclass(frozen=True)
class Dispersion:
    """The dispersion of one method.

    :param uuid: of the node that holds it.
    :param path: its q-points on one axis.
    :param qpoints: in units of the reciprocal vectors of the primitive cell, shape (n_points, 3).
    :param mean: cm⁻¹, shape (n_points, n_modes), and so are `low`, `high` (the range over the members) and `sd`.
    :param members: name → frequencies of the same shape.
    :param labels: index of a q-point and its label, as the node has it.
    """

    method: str
    uuid: str
    path: Path1D
    qpoints: NDArray[np.float64]
    mean: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    sd: NDArray[np.float64]
    members: dict[str, NDArray[np.float64]]
    labels: tuple[tuple[int, str], ...] = ()


@dataclass(frozen=True)
class Density:
    """A density of states of one method, modes per cm⁻¹ of the primitive cell.

    :param frequencies: cm⁻¹, shape (n,); all other arrays are of that shape.
    :param members: name → curve.
    :param elements: symbol → its part, the mean over the members.
    :param resolution: cm⁻¹, of a spectrum from dynamics, None where it is not known.
    """

    method: str
    uuid: str
    frequencies: NDArray[np.float64]
    mean: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    sd: NDArray[np.float64]
    members: dict[str, NDArray[np.float64]]
    elements: dict[str, NDArray[np.float64]]
    resolution: float | None = None


@dataclass(frozen=True)
class Curves:
    """All curves of a run, method → curve, in the order of the table of methods."""

    dispersion: dict[str, Dispersion] = field(default_factory=dict)
    dos: dict[str, Density] = field(default_factory=dict)
    vdos: dict[str, Density] = field(default_factory=dict)

    @property
    def methods(self) -> list[str]:
        """Return the methods that have any curve."""
        return list(dict.fromkeys([*self.dispersion, *self.dos, *self.vdos]))


def curves_of_run(process: orm.ProcessNode) -> Curves:
    """Return the curves a master WorkChain gave, those that there are."""
    dispersion = {method: _dispersion(method, node) for method, node in by_method(process, 'dispersion').items()}
    names = {method: list(curve.members) for method, curve in dispersion.items()}
    densities = {
        kind: {method: _density(method, node, names.get(method, ())) for method, node in found.items()}
        for kind in ('dos', 'vdos')
        if (found := by_method(process, kind))
    }
    return Curves(dispersion, densities.get('dos', {}), densities.get('vdos', {}))


def _dispersion(method: str, node: orm.BandsData) -> Dispersion:
    mean = np.asarray(node.get_bands(), dtype=float)
    arrays = node.get_arraynames()
    every = np.asarray(node.get_array('members'), dtype=float) if 'members' in arrays else mean[None]
    names = _names(node.base.attributes.get('members', None), len(every))
    # A reference dispersion of an engine may come without a spread.
    low, high, sd = (
        np.asarray(node.get_array(name), dtype=float) if name in arrays else default
        for name, default in (('min', mean), ('max', mean), ('sd', np.zeros_like(mean)))
    )
    qpoints = np.asarray(node.get_kpoints(), dtype=float)
    members = dict(zip(names, every, strict=True))
    labels = tuple((int(index), str(label)) for index, label in sorted(node.labels or []))
    return Dispersion(method, node.uuid, path_of(node), qpoints, mean, low, high, sd, members, labels)


def _names(names: Any, n_members: int) -> list[str]:
    if isinstance(names, list) and len(names) == n_members:
        return [str(name) for name in names]
    return [f'member {number + 1}' for number in range(n_members)]


def _density(method: str, node: orm.XyData, members: Iterable[str]) -> Density:
    values = {name: np.asarray(array, dtype=float) for name, array, _ in node.get_y()}
    known = [name for name in members if name in values]
    parts = known or [name for name in node.base.attributes.get('members', None) or () if name in values]
    mean = values['mean']
    return Density(
        method,
        node.uuid,
        np.asarray(node.get_x()[1], dtype=float),
        mean,
        values.get('min', mean),
        values.get('max', mean),
        values.get('sd', np.zeros_like(mean)),
        {name: values[name] for name in parts},
        {name.removeprefix(_ELEMENT): array for name, array in values.items() if name.startswith(_ELEMENT)},
        node.base.attributes.get('resolution_cm1', None),
    )
