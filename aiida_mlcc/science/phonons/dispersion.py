"""Phonon dispersion and density of states of one or several phonopy instances, in cm⁻¹, and their spread."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypedDict

import numpy as np
from ase import Atoms
from numpy.typing import ArrayLike, NDArray
from scipy import constants

from aiida_mlcc.science.crystal.cells import CrystalError, StandardPath, multiples_of_standard, standard_path
from aiida_mlcc.science.crystal.symmetry import remembers_crystals
from aiida_mlcc.science.fit.force_constants_basis import symmetry_operations
from aiida_mlcc.science.phonons.mesh_modes import MeshModes, atoms_of_elements, divisions_of, modes_on_mesh
from aiida_mlcc.science.units import CM1_PER_THZ, IMAGINARY_THRESHOLD_CM1

_GAMMA = 1e-8
_WHOLE = 1e-6
_BESIDE_GAMMA = 0.01
"""Of a segment: acoustic modes have no velocity at Γ itself, where it depends on the direction."""


@dataclass(frozen=True)
class BandPath:
    """A path through the Brillouin zone; each segment has both its ends, so neighbours share a point twice.

    :param qpoints: in units of the reciprocal vectors of the primitive cell, shape (n_points, 3).
    :param distances: length of the path so far, 1/Å (with 2π), shape (n_points,); jumps have no length.
    :param labels: (index, label); where a segment goes on from the one before, the shared point is labelled once.
    :param segments: first and last index of every segment.
    :param points: label → q-point of every special point on the path.
    """

    qpoints: NDArray[np.float64]
    distances: NDArray[np.float64]
    labels: tuple[tuple[int, str], ...]
    segments: tuple[tuple[int, int], ...]
    points: dict[str, tuple[float, float, float]]


@dataclass(frozen=True)
class DensityOfStates:
    """Modes per cm⁻¹: `total` and each of `elements` on `frequencies_cm1`, all of shape (n_frequencies,)."""

    frequencies_cm1: NDArray[np.float64]
    total: NDArray[np.float64]
    elements: dict[str, NDArray[np.float64]]


class GivenPath(TypedDict):
    """A path of a person's own: label → q-point in units of the reciprocal vectors, and pairs of labels."""

    points: dict[str, list[float]]
    path: list[list[str]]


def band_path(primitive: Atoms, points: int = 51, symprec: float = 1e-5, given: GivenPath | None = None) -> BandPath:
    """Return the standard path (Hinuma et al., Comp. Mat. Sci. 128, 140) of a primitive cell as it lies, or another.

    :param primitive: the cell whose reciprocal vectors count: that of the phonopy instances, in any orientation.
    :param points: along the longest segment, ends included; the others in proportion, two at least.
    :param symprec: how far atoms may be from their symmetric places, Å.
    :param given: ``points``, label → q-point in units of the reciprocal vectors, and ``path``, pairs of labels.
    :raises CrystalError: where the cell is not primitive: its labels would have no meaning; or the path is none.
    """
    if points < 2:
        raise CrystalError(f'{points} points make no path: take two or more')
    found = _standard_path(primitive, symprec) if given is None else _given_path(given)
    special = {label: np.asarray(point, dtype=float) for label, point in found['point_coords'].items()}
    reciprocal = 2 * np.pi * np.linalg.inv(primitive.cell.array).T
    lengths = [float(np.linalg.norm((special[end] - special[start]) @ reciprocal)) for start, end in found['path']]

    qpoints, distances, labels, segments = [], [], [], []
    n_points, travelled, previous = 0, 0.0, None
    for (start, end), length in zip(found['path'], lengths, strict=True):
        n = max(2, round(1 + (points - 1) * length / max(lengths)))
        along = np.linspace(0, 1, n)[:, None]
        qpoints.append(special[start] * (1 - along) + special[end] * along)
        distances.append(travelled + length * along[:, 0])
        if start != previous:
            labels.append((n_points, start))
        labels.append((n_points + n - 1, end))
        segments.append((n_points, n_points + n - 1))
        n_points, travelled, previous = n_points + n, travelled + length, end
    used = {label for pair in found['path'] for label in pair}
    return BandPath(
        np.concatenate(qpoints),
        np.concatenate(distances),
        tuple(labels),
        tuple(segments),
        {label: tuple(point.tolist()) for label, point in special.items() if label in used},
    )


@remembers_crystals
def _standard_path(primitive: Atoms, symprec: float) -> StandardPath:
    found = standard_path(primitive, symprec)
    # seekpath before 2.1 gives the points for its own cell only.
    multiples = multiples_of_standard(primitive, found, symprec)
    if round(abs(np.linalg.det(multiples))) != 1:
        raise CrystalError(
            'the standard path needs a primitive cell, and this one repeats a smaller one: give a `path` of your own, '
            'or another `primitive` cell'
        )
    points = {label: (multiples @ point).tolist() for label, point in found['point_coords'].items()}
    return {**found, 'point_coords': points}


def _given_path(given: GivenPath) -> StandardPath:
    points, path = given.get('points'), given.get('path')
    if not isinstance(points, Mapping) or not path or set(given) != {'points', 'path'}:
        raise CrystalError('a given path has `points` (label → q-point) and `path` (pairs of labels)')
    if wrong := [label for label, point in points.items() if np.shape(point) != (3,)]:
        raise CrystalError(f'the point {wrong[0]} of the path is {points[wrong[0]]!r}: give three numbers')
    for pair in path:
        if len(pair) != 2 or pair[0] == pair[1] or not set(pair) <= set(points):
            raise CrystalError(f'the path goes along {pair!r}: give two labels of its `points`, {", ".join(points)}')
    return {'point_coords': dict(points), 'path': [(start, end) for start, end in path]}


def directions_at_gamma(path: BandPath) -> dict[str, list[float]]:
    """Return from where each Γ among the special points is approached: along the first segment that ends there.

    A point that differs from Γ by whole numbers is Γ, too.
    """
    found: dict[str, list[float]] = {}
    for label, point in path.points.items():
        if not at_gamma(point)[0]:
            continue
        for first, last in path.segments:
            ends = path.qpoints[[first, last]]
            if np.abs(ends - point).max(axis=1).min() < _GAMMA:
                found.setdefault(label, (ends[1] - ends[0]).tolist())
    return found


def at_gamma(qpoints: ArrayLike) -> NDArray[np.bool_]:
    """Tell which wave vectors are Γ, but for a reciprocal lattice vector, shape (n_points,)."""
    points = np.asarray(qpoints, dtype=float).reshape(-1, 3)
    return np.asarray(np.abs(points - np.rint(points)).max(axis=1) < _GAMMA)


def three_acoustic(frequencies_cm1: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the three modes at Γ that are the shifts of the crystal: those closest to zero, ascending."""
    return np.asarray(np.sort(np.argsort(np.abs(frequencies_cm1))[:3]))


def special_points(path: BandPath) -> dict[str, tuple[float, float, float]]:
    """Return the special points on a path, label → q-point, in the order in which the path meets them."""
    return {label: path.points[label] for _, label in path.labels}


def frequencies(phonon: Any, qpoints: ArrayLike, direction: ArrayLike | None = None) -> NDArray[np.float64]:
    """Return phonon frequencies in cm⁻¹, imaginary ones negative, ascending, shape (n_points, n_modes).

    :param phonon: a phonopy instance with force constants.
    :param direction: from where Γ is approached (units of the reciprocal vectors); it matters with Born charges.
    """
    result = phonon.run_qpoints(np.asarray(qpoints, dtype=float).reshape(-1, 3), nac_q_direction=direction)
    # Before phonopy 3 the run returned nothing and the property held the result.
    found = phonon.qpoints if result is None else result
    return np.asarray(found.frequencies, dtype=float) * CM1_PER_THZ


def band_group_velocities(phonon: Any, path: BandPath) -> NDArray[np.float64]:
    """Return ∂ω/∂k of each mode by ascending frequency along a path, km/s, shape (n_points, n_modes, 3).

    Those of the three acoustic modes at Γ are the speeds of sound along the segment, from a point right beside Γ.
    """
    along = []
    for first, last in path.segments:
        points = path.qpoints[first : last + 1]
        direction = points[-1] - points[0]
        found = phonon.run_qpoints(points, True, True, nac_q_direction=direction)
        velocities = np.array(found.group_velocities, dtype=float)
        for index in np.flatnonzero(at_gamma(points)):
            inwards = -direction if index == len(points) - 1 else direction
            beside = phonon.run_qpoints([points[index] + _BESIDE_GAMMA * inwards], True, True)
            here = three_acoustic(np.asarray(found.frequencies[index]))
            there = three_acoustic(np.asarray(beside.frequencies[0]))
            velocities[index, here] = np.asarray(beside.group_velocities)[0, there]
        along.append(velocities)
    # phonopy has THz·Å, of angular frequencies: 100 m/s.
    return np.concatenate(along) * constants.tera * constants.angstrom / constants.kilo


def mesh_breaks_symmetry(primitive: Atoms, mesh: ArrayLike, symprec: float = 1e-5) -> bool:
    """Tell whether some operation of the crystal takes a mesh of q-points to another one."""
    divisions = np.array(divisions_of(mesh), dtype=float)
    for rotation in symmetry_operations(primitive, symprec)[0]:
        # What is n/N of the reciprocal vectors goes to R⁻ᵀ·n/N.
        image = divisions[:, None] * np.linalg.inv(rotation).T / divisions
        if np.abs(image - np.rint(image)).max() > _WHOLE:
            return True
    return False


def frequency_grid(
    phonons: Sequence[Any], mesh: ArrayLike, spacing_cm1: float = 1.0, sigma_cm1: float | None = None
) -> NDArray[np.float64]:
    """Return one grid (cm⁻¹) that holds the modes of all `phonons` on a mesh, with 5 % of room at each end.

    :param sigma_cm1: width of the Gaussians, of which the room holds four at least.
    """
    ranges = []
    for phonon in phonons:
        found = _mesh_frequencies(phonon, mesh)
        ranges.append((found.min(), found.max()))
    lowest, highest = min(low for low, _ in ranges), max(high for _, high in ranges)
    room = max(0.05 * (highest - min(lowest, 0.0)), 4 * (sigma_cm1 or 0.0)) + spacing_cm1
    start = np.floor((min(lowest, 0.0) - room) / spacing_cm1)
    stop = np.ceil((highest + room) / spacing_cm1)
    return np.arange(start, stop + 1) * spacing_cm1


def density_of_states(
    phonon: Any, mesh: ArrayLike, frequency_points_cm1: ArrayLike, sigma_cm1: float | None = None
) -> DensityOfStates:
    """Return the density of states, total and by element; it integrates to 3·n_atoms modes of the primitive cell.

    :param phonon: a phonopy instance with force constants.
    :param mesh: three numbers of divisions, Γ among the points.
    :param frequency_points_cm1: an even grid, cm⁻¹.
    :param sigma_cm1: width of a Gaussian; by default the linear tetrahedron method, which adds no width and takes about
        fifteen times longer.
    :raises ValueError: where the grid is not even.
    """
    points = np.asarray(frequency_points_cm1, dtype=float)
    steps = np.diff(points)
    if len(points) < 2 or np.ptp(steps) > 1e-6 * abs(steps).max() or steps[0] <= 0:
        raise ValueError('the density of states is computed on an even, ascending grid of frequencies')
    atoms = atoms_of_elements(phonon)
    if sigma_cm1 is None:
        by_atom = _by_tetrahedra(phonon, mesh, points)
        elements = {symbol: by_atom[numbers].sum(axis=0) for symbol, numbers in atoms.items()}
    else:
        elements = _by_gaussians(modes_on_mesh(phonon, mesh), atoms, points, sigma_cm1)
    return DensityOfStates(points, np.sum(list(elements.values()), axis=0), elements)


def _by_gaussians(
    modes: MeshModes, atoms: Mapping[str, NDArray[np.int64]], points: NDArray[np.float64], sigma_cm1: float
) -> dict[str, NDArray[np.float64]]:
    elements = {symbol: np.zeros(len(points)) for symbol in atoms}
    height = 1 / (np.sqrt(2 * np.pi) * sigma_cm1)
    for weight, frequencies_cm1, shares in zip(modes.weights, modes.frequencies_cm1, modes.shares, strict=True):
        away = (points - frequencies_cm1[:, None]) / sigma_cm1
        gaussians = weight * height * np.exp(-(away**2) / 2)
        for symbol, numbers in atoms.items():
            elements[symbol] += shares[numbers].sum(axis=0) @ gaussians
    return elements


def _by_tetrahedra(phonon: Any, mesh: ArrayLike, points: NDArray[np.float64]) -> NDArray[np.float64]:
    phonon.run_mesh(divisions_of(mesh), with_eigenvectors=True, is_mesh_symmetry=False, is_gamma_center=True)
    phonon.run_projected_dos(
        freq_min=points[0] / CM1_PER_THZ,
        freq_max=points[-1] / CM1_PER_THZ,
        freq_pitch=np.diff(points).mean() / CM1_PER_THZ,
        use_tetrahedron_method=True,
    )
    # phonopy may add a point at the end of the grid by rounding.
    return np.asarray(phonon.projected_dos.projected_dos)[:, : len(points)] / CM1_PER_THZ


def spread(members: ArrayLike) -> dict[str, NDArray[np.float64]]:
    """Return ``mean``, ``min``, ``max`` and ``sd`` over the first axis; sd is the sample's, 0 for a single member."""
    values = np.asarray(members, dtype=float)
    if len(values) == 0:
        raise ValueError('no members to take a spread of')
    single = len(values) == 1
    return {
        'mean': values.mean(axis=0),
        'min': values.min(axis=0),
        'max': values.max(axis=0),
        'sd': np.zeros(values.shape[1:]) if single else values.std(axis=0, ddof=1),
    }


class ImaginaryMode(TypedDict):
    """A mode below zero: ``qpoint`` in units of the reciprocal vectors, ``mode`` counted from 0."""

    qpoint: list[float]
    mode: int
    frequency_cm1: float


def imaginary_modes(
    qpoints: ArrayLike, frequencies_cm1: ArrayLike, threshold_cm1: float = IMAGINARY_THRESHOLD_CM1
) -> list[ImaginaryMode]:
    """Return the modes below −`threshold_cm1`, the worst first; the three acoustic modes at Γ do not count.

    :param qpoints: shape (n_points, 3).
    :param frequencies_cm1: of one member, shape (n_points, n_modes).
    :returns: ``qpoint``, ``mode`` (counted from 0) and ``frequency_cm1`` of each.
    """
    points = np.asarray(qpoints, dtype=float).reshape(-1, 3)
    values = np.array(frequencies_cm1, dtype=float)
    for index in np.flatnonzero(at_gamma(points)):
        values[index, three_acoustic(values[index])] = 0.0
    found: list[ImaginaryMode] = [
        {'qpoint': points[index].tolist(), 'mode': int(mode), 'frequency_cm1': float(values[index, mode])}
        for index, mode in np.argwhere(values < -threshold_cm1)
    ]
    return sorted(found, key=lambda entry: entry['frequency_cm1'])


def _mesh_frequencies(phonon: Any, mesh: ArrayLike) -> NDArray[np.float64]:
    phonon.run_mesh(divisions_of(mesh), is_gamma_center=True)
    return np.asarray(phonon.mesh.frequencies, dtype=float) * CM1_PER_THZ
