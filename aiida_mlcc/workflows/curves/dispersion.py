"""Dispersion, density of states and special points of one method, with their spread over the members."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NotRequired, TypedDict

import numpy as np
from aiida import orm
from aiida.engine import calcfunction
from aiida_phonopy.data.phonopy import PhonopyData
from numpy.typing import NDArray
from phonopy import Phonopy

from aiida_mlcc.calculations.functions.curves import curve_with_spread
from aiida_mlcc.calculations.functions.phonopy_instance import PhonopyInstances
from aiida_mlcc.science.crystal.cells import from_phonopy
from aiida_mlcc.science.phonons.branches import branches_of, path_matrices, point_matrices
from aiida_mlcc.science.phonons.dispersion import (
    BandPath,
    ImaginaryMode,
    band_group_velocities,
    band_path,
    density_of_states,
    directions_at_gamma,
    frequency_grid,
    imaginary_modes,
    special_points,
    spread,
)
from aiida_mlcc.science.phonons.gamma_modes import GammaMode, gamma_frequencies, gamma_sets, infrared_active
from aiida_mlcc.science.phonons.nac import moved_modes, without_correction
from aiida_mlcc.workflows.curve_table import Arguments, Curve, Output, Phonons


@calcfunction
def phonon_curves(parameters: orm.Dict, science: orm.Str, **members: PhonopyData) -> dict[str, orm.Data]:
    """Return ``dispersion``, ``dos`` and ``special_points`` in cm⁻¹, and more about the same modes.

    Residual forces of the undisplaced cell are subtracted, and the translational and permutation symmetry of the
    force constants is enforced: ``force_constants`` says how far they were from it. Modes of the members are matched
    branch by branch (:mod:`aiida_mlcc.science.phonons.branches`). Where the charges of a member are not those of its
    forces, the modes that depend on them are marked: ``lo_undetermined`` of the dispersion (1 where a mode is, of its
    shape), ``undetermined`` of a special point (a list of modes), and ``lo_remark`` says why. ``lo_missing`` says that
    a polar crystal has no charges.
    """
    settings = parameters.get_dict()
    instances = PhonopyInstances()
    phonons, violations, remarks = {}, {}, {}
    for name, node in sorted(members.items()):
        phonons[name], violations[name] = instances.with_violation(node)
        if remark := node.base.attributes.get('lo_remark', ''):
            remarks[name] = remark
    first = next(iter(phonons.values()))
    primitive = from_phonopy(first.primitive)
    path = band_path(primitive, settings['band_points'], first.symmetry.tolerance, settings.get('path'))
    matrices = [path_matrices(phonon, path) for phonon in phonons.values()]
    branches = branches_of(matrices)
    orders = [branches.order(of_member) for of_member in matrices]
    bands = np.array([branches.frequencies_cm1(of_member) for of_member in matrices])
    dispersion = _dispersion(path, primitive.cell.array, bands, list(phonons))
    modes_at_gamma = _gamma_modes(phonons)
    special = _special_points(path, phonons, bands, remarks)
    if remarks:
        uncorrected = _uncorrected(phonons, lambda phonon: path_matrices(phonon, path))
        moved = moved_modes(branches, np.mean(matrices, axis=0), uncorrected)
        dispersion.set_array('lo_undetermined', moved.astype(np.int8))
        dispersion.base.attributes.set('lo_remark', _told_of(remarks))
    is_split = any(phonon.nac_params is not None for phonon in phonons.values())
    long_range = {
        'lo_remark': _told_of(remarks),
        'lo_missing': not is_split and any(entry['infrared'] for entry in modes_at_gamma),
    }
    return {
        'dispersion': dispersion,
        'dos': _density_of_states(phonons, settings['mesh'], settings['dos_spacing_cm1'], settings['dos_width_cm1']),
        'special_points': orm.Dict({**special, 'long_range': long_range}),
        'group_velocities': _group_velocities(path, phonons, orders),
        'gamma_modes': orm.Dict({'modes': modes_at_gamma}),
        'force_constants': orm.Dict(violations),
    }


def _dispersion(
    path: BandPath, cell: NDArray[np.float64], bands: NDArray[np.float64], names: list[str]
) -> orm.BandsData:
    over_members = spread(bands)
    node = orm.BandsData()
    node.set_cell(cell)
    node.set_kpoints(path.qpoints)
    node.labels = [(index, label) for index, label in path.labels]
    node.set_bands(over_members['mean'], units='cm^-1')
    node.set_array('members', bands)
    node.set_array('distances', path.distances)
    for name in ('min', 'max', 'sd'):
        node.set_array(name, over_members[name])
    node.base.attributes.set('members', names)
    node.base.attributes.set('segments', [list(segment) for segment in path.segments])
    return node


def _density_of_states(phonons: dict[str, Phonopy], mesh: Sequence[int], spacing: float, width: float) -> orm.XyData:
    grid = frequency_grid(list(phonons.values()), mesh, spacing, width)
    found = {name: density_of_states(phonon, mesh, grid, width) for name, phonon in phonons.items()}
    totals = {name: dos.total for name, dos in found.items()}
    return curve_with_spread(grid, totals, {name: dos.elements for name, dos in found.items()})


def _uncorrected(
    phonons: dict[str, Phonopy], matrices_of: Callable[[Any], NDArray[np.complex128]]
) -> NDArray[np.complex128]:
    """Return the mean of the members' dynamical matrices without the non-analytical correction."""
    found = []
    for phonon in phonons.values():
        charges: Any = without_correction(phonon)
        found.append(matrices_of(phonon))
        phonon.nac_params = charges
    return np.asarray(np.mean(found, axis=0))


def _told_of(remarks: Mapping[str, str]) -> str:
    """Return the reasons, each with the members that share it."""
    shared: dict[str, list[str]] = {}
    for name, remark in remarks.items():
        shared.setdefault(remark, []).append(name)
    return '; '.join(f'{", ".join(names)}: {remark}' for remark, names in shared.items())


class SpecialPoint(TypedDict):
    """The modes at a special point, one number a mode (cm⁻¹); ``direction``: from where Γ is approached."""

    qpoint: list[float]
    members: list[list[float]]
    mean: list[float]
    min: list[float]
    max: list[float]
    sd: list[float]
    direction: NotRequired[list[float]]
    undetermined: NotRequired[list[int]]


def _special_points(
    path: BandPath, phonons: dict[str, Phonopy], bands: NDArray[np.float64], remarks: Mapping[str, str]
) -> dict[str, SpecialPoint | dict[str, ImaginaryMode]]:
    qpoints = special_points(path)
    polar = any(phonon.nac_params is not None for phonon in phonons.values())
    directions = directions_at_gamma(path) if polar else {}
    matrices = [point_matrices(phonon, qpoints, directions) for phonon in phonons.values()]
    branches = branches_of(matrices)
    members = np.array([branches.frequencies_cm1(of_member) for of_member in matrices])
    content: dict[str, SpecialPoint | dict[str, ImaginaryMode]] = {}
    moved = None
    if remarks:
        uncorrected = _uncorrected(phonons, lambda phonon: point_matrices(phonon, qpoints, directions))
        moved = moved_modes(branches, np.mean(matrices, axis=0), uncorrected)
    for number, (label, qpoint) in enumerate(qpoints.items()):
        over_members = spread(members[:, number])
        point: SpecialPoint = {
            'qpoint': list(qpoint),
            'members': members[:, number].tolist(),
            'mean': over_members['mean'].tolist(),
            'min': over_members['min'].tolist(),
            'max': over_members['max'].tolist(),
            'sd': over_members['sd'].tolist(),
        }
        if label in directions:
            point['direction'] = directions[label]
        if moved is not None:
            point['undetermined'] = np.flatnonzero(moved[number]).tolist()
        content[label] = point
    flagged: dict[str, ImaginaryMode] = {}
    for name, frequencies_cm1 in zip(phonons, bands, strict=True):
        if worst := imaginary_modes(path.qpoints, frequencies_cm1)[:1]:
            flagged[name] = worst[0]
    return {**content, 'imaginary': flagged}


def _group_velocities(path: BandPath, phonons: dict[str, Phonopy], orders: list[NDArray[np.int64]]) -> orm.ArrayData:
    """Return the vectors of the ``members`` (km/s) and the spread of their lengths."""
    members = np.array(
        [
            np.take_along_axis(band_group_velocities(phonon, path), order[..., None], axis=1)
            for phonon, order in zip(phonons.values(), orders, strict=True)
        ]
    )
    node = orm.ArrayData({'members': members, **spread(np.linalg.norm(members, axis=-1))})
    node.base.attributes.set_many({'members': list(phonons), 'units': 'km/s'})
    return node


def _gamma_modes(phonons: dict[str, Phonopy]) -> list[GammaMode]:
    """Return the irreducible representations at Γ of the mean of the members, and the frequencies of each.

    ``infrared`` says which of them Born charges split into TO and LO.
    """
    mean = next(iter(phonons.values()))
    before = mean.force_constants
    mean.force_constants = np.mean(np.array([phonon.force_constants for phonon in phonons.values()]), axis=0)
    sets = gamma_sets(mean)
    mean.force_constants = before
    members = np.array([gamma_frequencies(sets, phonon) for phonon in phonons.values()])
    active = infrared_active(sets, mean)
    modes: list[GammaMode] = []
    counted = 0
    for number, entry in enumerate(sets):
        n_equal, values = entry.vectors.shape[1], members[:, number]
        over_members = {name: float(value) for name, value in spread(values).items()}
        modes.append(
            {
                'label': entry.label,
                'infrared': active[number],
                'modes': list(range(counted, counted + n_equal)),
                'members': values.tolist(),
                'mean': over_members['mean'],
                'min': over_members['min'],
                'max': over_members['max'],
                'sd': over_members['sd'],
            }
        )
        counted += n_equal
    return modes


def _arguments(phonons: Phonons) -> Arguments:
    return {'parameters': phonons.inputs['parameters'], **phonons.members}


def _told(made: Mapping[str, orm.Data]) -> list[str]:
    special = made['special_points'].get_dict()
    flagged = special['imaginary']
    worst = ', '.join(f'{name} {mode["frequency_cm1"]:.0f} cm⁻¹' for name, mode in sorted(flagged.items()))
    lines = [f'imaginary modes besides the acoustic ones, the lowest of each member: {worst}'] if flagged else []
    if special['long_range']['lo_missing']:
        lines.append('no Born charges: the infrared active modes at Γ are TO, and LO is missing')
    if remark := special['long_range']['lo_remark']:
        lines.append(f'LO branches are not determined between commensurate wave vectors: {remark}')
    return lines


CURVE = Curve(
    stage='harmonic_phonon',
    step='draw_curves',
    calculate=phonon_curves,
    outputs={
        'dispersion': Output(
            orm.BandsData, 'Mean over members, cm⁻¹; members, min, max, sd, matched branch by branch.'
        ),
        'dos': Output(orm.XyData, 'Density of states over frequency, modes per cm⁻¹: total and of each element.'),
        'special_points': Output(orm.Dict, 'Frequencies at the special points, cm⁻¹.'),
        'group_velocities': Output(
            orm.ArrayData,
            'Group velocities along the dispersion, km/s: vectors of `members`; mean, min, max and sd of '
            'their lengths.',
        ),
        'gamma_modes': Output(
            orm.Dict, '`modes` at Γ: irreducible `label`, `modes` and frequencies (cm⁻¹) with their spread.'
        ),
        'force_constants': Output(
            orm.Dict, 'Member → by how much its force constants violated the symmetry before it was enforced, eV/Å².'
        ),
    },
    arguments=_arguments,
    told=_told,
)
