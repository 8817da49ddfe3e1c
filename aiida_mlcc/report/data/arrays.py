"""The curves of a run as arrays: what the page, the printed figures and the CSV files are all made from."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar, cast

import numpy as np
from aiida import orm
from numpy.typing import NDArray

from aiida_mlcc.report.data.outputs import RunOutputs, read_outputs
from aiida_mlcc.report.data.records import OverTemperature, Results
from aiida_mlcc.report.publication.make_figures import Path1D, lay_out
from aiida_mlcc.science.phonons.dispersion import spread

ERROR_BUDGET, MEMBERS = 'error budget', 'members'

T = TypeVar('T')

_ELEMENT, _DIRECTION, _SAMPLING, _VACF = 'element_', 'direction_', 'sampling_sd', 'vacf_'


@dataclass(frozen=True)
class AlongPath:
    """A property of every mode along the path of a dispersion, of one method.

    :param uuid: of the node that holds it.
    :param path: its q-points on one axis.
    :param qpoints: in units of the reciprocal vectors of the primitive cell, shape (n_points, 3).
    :param mean: shape (n_points, n_modes), and so are `low`, `high` (the range over the members) and `sd`: that over
        the members, or of a dispersion that of the error budget, where there is one.
    :param members: name → values of the same shape.
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
class Dispersion(AlongPath):
    """Frequencies, cm⁻¹.

    :param sd_members: where `sd` is that of the error budget, the sd over the members; else None.
    :param undetermined: where the LO–TO splitting of a mode is not determined, of the shape of `mean`; None where it
        is everywhere.
    """

    undetermined: NDArray[np.bool_] | None = None
    sd_members: NDArray[np.float64] | None = None

    @property
    def sd_of(self) -> str:
        """What `sd` is the standard deviation of: :data:`ERROR_BUDGET` or :data:`MEMBERS`."""
        return MEMBERS if self.sd_members is None else ERROR_BUDGET


@dataclass(frozen=True)
class Gruneisen(AlongPath):
    """Grüneisen parameters, without unit; NaN where a mode has no frequency.

    :param lines: which mode of each point the lines go through that follow the eigenvectors, of the shape of `mean`;
        None where that is not known.
    """

    lines: NDArray[np.int64] | None = None

    @property
    def along_lines(self) -> Gruneisen:
        """Return the same with a line instead of a band along the second axis of every array."""
        if self.lines is None:
            return self
        lines = self.lines

        def followed(values: NDArray[np.float64]) -> NDArray[np.float64]:
            return np.take_along_axis(values, lines, axis=1)

        return replace(
            self,
            mean=followed(self.mean),
            low=followed(self.low),
            high=followed(self.high),
            sd=followed(self.sd),
            members={name: followed(values) for name, values in self.members.items()},
        )


@dataclass(frozen=True)
class Curve:
    """A curve of one method with its spread over the members.

    :param x: shape (n,); all other arrays are of that shape.
    :param members: name → curve.
    :param elements: symbol → its part, the mean over the members.
    """

    method: str
    x: NDArray[np.float64]
    mean: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    sd: NDArray[np.float64]
    members: dict[str, NDArray[np.float64]]
    elements: dict[str, NDArray[np.float64]] = field(default_factory=dict)


@dataclass(frozen=True)
class Density(Curve):
    """A density of states, modes per cm⁻¹ of a cell over cm⁻¹.

    :param uuid: of the node that holds it.
    :param resolution: cm⁻¹, of a spectrum from dynamics, None where it is not known.
    :param n_atoms: of that cell, the primitive one in dynamics and any in phonons; None where it is not known.
    :param more: what else the node holds on the same axis: each direction, the error of sampling.
    """

    uuid: str = ''
    resolution: float | None = None
    more: dict[str, NDArray[np.float64]] = field(default_factory=dict)
    n_atoms: int | None = None

    @property
    def frequencies(self) -> NDArray[np.float64]:
        """Return the axis, cm⁻¹."""
        return self.x

    def times(self, factor: float) -> Density:
        """Return the density of states of a cell that is larger by a factor."""

        def scaled(several: Mapping[str, NDArray[np.float64]]) -> dict[str, NDArray[np.float64]]:
            return {name: factor * values for name, values in several.items()}

        return replace(
            self,
            mean=factor * self.mean,
            low=factor * self.low,
            high=factor * self.high,
            sd=factor * self.sd,
            members=scaled(self.members),
            elements=scaled(self.elements),
            more=scaled(self.more),
            n_atoms=None if self.n_atoms is None else round(factor * self.n_atoms),
        )


class Autocorrelation(Curve):
    """The mass-weighted velocity autocorrelation over lag (fs), one at lag zero; a member is a trajectory."""


@dataclass(frozen=True)
class Curves:
    """All curves of a run, method → curve, in the order of the table of methods.

    :param harmonic: the harmonic counterpart of `vdos`: at the wave vectors that its supercell holds.
    """

    dispersion: dict[str, Dispersion] = field(default_factory=dict)
    dos: dict[str, Density] = field(default_factory=dict)
    vdos: dict[str, Density] = field(default_factory=dict)
    harmonic: dict[str, Density] = field(default_factory=dict)
    autocorrelation: dict[str, Autocorrelation] = field(default_factory=dict)
    gruneisen: dict[str, Gruneisen] = field(default_factory=dict)

    @property
    def methods(self) -> list[str]:
        """Return the methods that have any curve."""
        return list(dict.fromkeys([*self.dispersion, *self.dos, *self.vdos]))

    def harmonic_of(self, method: str) -> Density | None:
        """Return what a spectrum from dynamics is compared with: of the same supercell, else on the full mesh."""
        return self.harmonic[method] if method in self.harmonic else self.full_mesh(method)

    def full_mesh(self, method: str) -> Density | None:
        """Return the harmonic density of states on the full mesh, of as many atoms as the spectrum from dynamics."""
        found = self.dos.get(method)
        return None if found is None else found.times(self.share_of_cell(method))

    @property
    def has_full_mesh(self) -> bool:
        """Tell whether a spectrum has both harmonic counterparts: of its supercell, and on the full mesh."""
        return any(method in self.harmonic and method in self.dos for method in self.vdos)

    def share_of_cell(self, method: str) -> float:
        """Return the atoms of a spectrum from dynamics over those of the phonons; 1 where either is not known."""
        ours, theirs = (kind[method].n_atoms if method in kind else None for kind in (self.vdos, self.dos))
        return ours / theirs if ours and theirs else 1.0


def curves_of_run(process: orm.ProcessNode) -> Curves:
    """Return the curves a master WorkChain gave, those that there are."""
    return curves_from(read_outputs(process))


def curves_from(outputs: RunOutputs) -> Curves:
    """Return the curves of a run whose outputs are read."""
    named = outputs.by_method
    errors = named['band_errors']
    dispersion = {method: _dispersion(method, node, errors.get(method)) for method, node in named['dispersion'].items()}
    names = {method: list(curve.members) for method, curve in dispersion.items()}
    in_phonons = {method: curve.mean.shape[1] // 3 for method, curve in dispersion.items()}
    densities = {
        kind: {
            method: _density(
                method, node, names.get(method, ()), in_phonons.get(method) if kind == 'dos' else _atoms_of(node)
            )
            for method, node in found.items()
        }
        for kind in ('dos', 'vdos', 'harmonic_dos')
        if (found := named[kind])
    }
    return Curves(
        dispersion,
        densities.get('dos', {}),
        densities.get('vdos', {}),
        densities.get('harmonic_dos', {}),
        _found(_autocorrelation, named['vdos']),
        _found(lambda method, node: _gruneisen(dispersion.get(method), node), named['gruneisen']),
    )


def over_temperature(results: Results, kind: str) -> dict[str, dict[str, Curve]]:
    """Return quantity → method → its curve over temperature (K).

    :param kind: ``thermal_properties`` or ``mean_square_displacements_A2`` of the results.
    """
    found: dict[str, dict[str, Curve]] = {}
    for method, entry in results['methods'].items():
        content = cast(OverTemperature, entry.get(kind, {}))
        for quantity, values in content.items():
            if isinstance(values, list):
                continue
            spreads = (values['mean'], values['min'], values['max'], values['sd'])
            mean, low, high, sd = (np.asarray(values, dtype=float) for values in spreads)
            members = {name: np.asarray(curve, dtype=float) for name, curve in values['members'].items()}
            temperatures = np.asarray(content['temperatures_K'], dtype=float)
            curve = Curve(method, temperatures, mean, low, high, sd, members)
            found.setdefault(quantity, {})[method] = curve
    return found


def _found(read: Callable[[str, orm.Data], T | None], nodes: Mapping[str, orm.Data]) -> dict[str, T]:
    curves = {method: read(method, node) for method, node in nodes.items()}
    return {method: curve for method, curve in curves.items() if curve is not None}


def path_of(bands: orm.BandsData) -> Path1D:
    """Lay the q-points of `bands` out on one axis.

    Two neighbouring q-points that both carry a label and differ are the ends of two segments.
    """
    qpoints = np.asarray(bands.get_kpoints())
    reciprocal = 2 * np.pi * np.linalg.inv(np.asarray(bands.cell)).T
    steps = np.linalg.norm(np.diff(qpoints @ reciprocal, axis=0), axis=1)
    labels = dict(bands.labels or [])
    breaks = [i + 1 for i in range(len(steps)) if i in labels and i + 1 in labels]
    for start in breaks:
        steps[start - 1] = 0.0
    return lay_out(np.concatenate([[0.0], np.cumsum(steps)]), sorted(labels.items()), breaks)


def _dispersion(method: str, node: orm.BandsData, errors: orm.ArrayData | None) -> Dispersion:
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
    marked = np.asarray(node.get_array('lo_undetermined'), dtype=bool) if 'lo_undetermined' in arrays else None
    over_members = None
    if errors is not None and errors.get_array('sd').shape == mean.shape:
        over_members, sd = sd, np.asarray(errors.get_array('sd'), dtype=float)
    path = path_of(node)
    return Dispersion(method, node.uuid, path, qpoints, mean, low, high, sd, members, labels, marked, over_members)


def _names(names: Any, n_members: int) -> list[str]:
    if isinstance(names, list) and len(names) == n_members:
        return [str(name) for name in names]
    return [f'member {number + 1}' for number in range(n_members)]


def _gruneisen(curve: Dispersion | None, node: orm.ArrayData) -> Gruneisen | None:
    """Return what a node holds on the path of a dispersion, None where its points are others."""
    qpoints = np.asarray(node.get_array('qpoints'), dtype=float)
    if curve is None or qpoints.shape != curve.qpoints.shape or not np.allclose(qpoints, curve.qpoints):
        return None
    mean, low, high, sd, every = (
        np.asarray(node.get_array(name), dtype=float) for name in ('mean', 'min', 'max', 'sd', 'members')
    )
    names = _names(node.base.attributes.get('members', None), len(every))
    members = dict(zip(names, every, strict=True))
    lines = np.asarray(node.get_array('lines'), dtype=np.int64) if 'lines' in node.get_arraynames() else None
    return Gruneisen(curve.method, node.uuid, curve.path, qpoints, mean, low, high, sd, members, curve.labels, lines)


def _autocorrelation(method: str, node: orm.XyData) -> Autocorrelation | None:
    """Return the autocorrelations that a spectrum was made from, None where this database does not hold them."""
    links = [] if node.creator is None else node.creator.base.links.get_incoming().all()
    inputs = {link.link_label: link.node for link in links if isinstance(link.node, orm.ArrayData)}
    runs = {name: run for name, run in sorted(inputs.items()) if 'time_fs' in run.get_arraynames()}
    lags = [np.asarray(run.get_array('time_fs'), dtype=float) for run in runs.values()]
    if not runs or any(not np.array_equal(lag, lags[0]) for lag in lags):
        return None
    parts = [_shares(run) for run in runs.values()]
    totals = [np.sum(list(of_run.values()), axis=0) for of_run in parts]
    found = spread(totals)
    return Autocorrelation(
        method,
        lags[0],
        found['mean'],
        found['min'],
        found['max'],
        found['sd'],
        dict(zip(runs, totals, strict=True)),
        {symbol: np.mean([of_run[symbol] for of_run in parts], axis=0) for symbol in parts[0]},
    )


def _shares(run: orm.ArrayData) -> dict[str, NDArray[np.float64]]:
    """Return the autocorrelation of each element in units of that of all at lag zero."""
    names = [name for name in run.get_arraynames() if name.startswith(_VACF) and not name.endswith('_xyz')]
    parts = {name.removeprefix(_VACF): np.asarray(run.get_array(name), dtype=float) for name in names}
    total = sum(part[0] for part in parts.values())
    return {symbol: part / total for symbol, part in parts.items()}


def _atoms_of(spectrum: orm.XyData) -> int | None:
    """Return the atoms of the primitive cell in dynamics, None where the node does not tell."""
    n_modes = spectrum.base.attributes.get('modes_per_primitive_cell', None)
    # Of 3n modes a cell lacks the share that it has in the three that rest: at most all of them.
    return None if n_modes is None else int(n_modes / 3 + 1e-6) + 1


def _density(method: str, node: orm.XyData, members: Iterable[str], n_atoms: int | None) -> Density:
    values = {name: np.asarray(array, dtype=float) for name, array, _ in node.get_y()}
    known = [name for name in members if name in values]
    parts = known or [name for name in node.base.attributes.get('members', None) or () if name in values]
    mean = values['mean']
    return Density(
        method,
        np.asarray(node.get_x()[1], dtype=float),
        mean,
        values.get('min', mean),
        values.get('max', mean),
        values.get('sd', np.zeros_like(mean)),
        {name: values[name] for name in parts},
        {name.removeprefix(_ELEMENT): array for name, array in values.items() if name.startswith(_ELEMENT)},
        node.uuid,
        node.base.attributes.get('resolution_cm1', None),
        {name: array for name, array in values.items() if name.startswith(_DIRECTION) or name == _SAMPLING},
        n_atoms,
    )
