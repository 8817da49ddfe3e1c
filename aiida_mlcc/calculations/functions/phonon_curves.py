"""Dispersion, density of states and special points of one method, with their spread over the members."""

from typing import Any

import numpy as np
from aiida import orm
from aiida.engine import calcfunction
from aiida_phonopy.data.phonopy import PhonopyData
from numpy.typing import NDArray

from aiida_mlcc.calculations.functions.curves import curve_with_spread
from aiida_mlcc.calculations.functions.phonopy_instance import phonopy_and_violation
from aiida_mlcc.science.branches import branches_of, matched_frequencies, path_matrices, point_matrices
from aiida_mlcc.science.crystal import from_phonopy
from aiida_mlcc.science.dispersion import (
    BandPath,
    band_group_velocities,
    band_path,
    density_of_states,
    directions_at_gamma,
    frequency_grid,
    gamma_labels,
    imaginary_modes,
    special_points,
    spread,
)


@calcfunction
def phonon_curves(
    parameters: orm.Dict, science: orm.Str, nac: orm.ArrayData | None = None, **members: PhonopyData
) -> dict[str, orm.Data]:
    """Return ``dispersion``, ``dos`` and ``special_points`` in cm⁻¹, and more about the same modes.

    Residual forces of the undisplaced cell are subtracted, and the translational and permutation symmetry of the
    force constants is enforced: ``force_constants`` says how far they were from it. Modes of the members are matched
    branch by branch (:mod:`aiida_mlcc.science.branches`).
    """
    settings = parameters.get_dict()
    phonons, violations = {}, {}
    for name, node in sorted(members.items()):
        phonons[name], violations[name] = phonopy_and_violation(node, nac)
    primitive = from_phonopy(next(iter(phonons.values())).primitive)
    path = band_path(primitive, settings['band_points'], given=settings.get('path'))
    matrices = [path_matrices(phonon, path) for phonon in phonons.values()]
    branches = branches_of(matrices)
    orders = [branches.order(of_member) for of_member in matrices]
    bands = np.array([branches.frequencies_cm1(of_member) for of_member in matrices])
    return {
        'dispersion': _dispersion(path, primitive.cell.array, bands, list(phonons)),
        'dos': _density_of_states(phonons, settings),
        'special_points': orm.Dict(_special_points(path, phonons, bands, nac is not None)),
        'group_velocities': _group_velocities(path, phonons, orders),
        'gamma_modes': orm.Dict({'modes': _gamma_modes(phonons)}),
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


def _density_of_states(phonons: dict[str, Any], settings: dict[str, Any]) -> orm.XyData:
    grid = frequency_grid(list(phonons.values()), settings['mesh'], settings['dos_spacing_cm1'])
    found = {
        name: density_of_states(phonon, settings['mesh'], grid, settings['dos_width_cm1'])
        for name, phonon in phonons.items()
    }
    totals = {name: dos.total for name, dos in found.items()}
    return curve_with_spread(grid, totals, {name: dos.elements for name, dos in found.items()})


def _special_points(path: BandPath, phonons: dict[str, Any], bands: NDArray[np.float64], polar: bool) -> dict[str, Any]:
    qpoints = special_points(path)
    directions = directions_at_gamma(path) if polar else {}
    members = matched_frequencies([point_matrices(phonon, qpoints, directions) for phonon in phonons.values()])
    content: dict[str, Any] = {}
    for number, (label, qpoint) in enumerate(qpoints.items()):
        over_members = {name: values.tolist() for name, values in spread(members[:, number]).items()}
        content[label] = {'qpoint': list(qpoint), 'members': members[:, number].tolist(), **over_members}
        if label in directions:
            content[label]['direction'] = directions[label]
    flagged = {}
    for name, frequencies_cm1 in zip(phonons, bands, strict=True):
        if worst := imaginary_modes(path.qpoints, frequencies_cm1)[:1]:
            flagged[name] = worst[0]
    return {**content, 'imaginary': flagged}


def _group_velocities(path: BandPath, phonons: dict[str, Any], orders: list[NDArray[np.int64]]) -> orm.ArrayData:
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


def _gamma_modes(phonons: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the irreducible representations at Γ of the mean of the members, and the frequencies of each."""
    gamma = {'GAMMA': [0.0, 0.0, 0.0]}
    members = matched_frequencies([point_matrices(phonon, gamma, {}) for phonon in phonons.values()])[:, 0]
    mean = next(iter(phonons.values()))
    before = mean.force_constants
    mean.force_constants = np.mean([phonon.force_constants for phonon in phonons.values()], axis=0)
    modes = gamma_labels(mean)
    mean.force_constants = before
    for entry in modes:
        values = members[:, entry['modes']].mean(axis=1)
        entry.update(members=values.tolist(), **{name: float(value) for name, value in spread(values).items()})
        del entry['frequency_cm1']
    return modes
