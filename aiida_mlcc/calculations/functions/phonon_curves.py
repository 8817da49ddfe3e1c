"""Dispersion, density of states and special points of one method, with their spread over the members."""

from typing import Any

import numpy as np
from aiida import orm
from aiida.engine import calcfunction
from aiida_phonopy.data.phonopy import PhonopyData
from numpy.typing import NDArray

from aiida_mlcc.calculations.functions.curves import curve_with_spread
from aiida_mlcc.science.crystal import from_phonopy
from aiida_mlcc.science.dispersion import (
    BandPath,
    band_frequencies,
    band_path,
    density_of_states,
    frequencies,
    frequency_grid,
    imaginary_modes,
    special_points,
    spread,
)


@calcfunction
def phonon_curves(parameters: orm.Dict, science: orm.Str, **members: PhonopyData) -> dict[str, orm.Data]:
    """Return ``dispersion``, ``dos`` and ``special_points`` in cm⁻¹.

    Residual forces of the undisplaced cell are subtracted, and the translational and permutation symmetry of the
    force constants is enforced.
    """
    settings = parameters.get_dict()
    phonons = {name: phonopy_of(node) for name, node in sorted(members.items())}
    primitive = from_phonopy(next(iter(phonons.values())).primitive)
    path = band_path(primitive, settings['band_points'])
    bands = np.array([band_frequencies(phonon, path) for phonon in phonons.values()])
    return {
        'dispersion': _dispersion(path, primitive.cell.array, bands, list(phonons)),
        'dos': _density_of_states(phonons, settings),
        'special_points': orm.Dict(_special_points(path, phonons, bands)),
    }


def phonopy_of(node: PhonopyData) -> Any:
    """Return phonopy with force constants, without residual forces and with the symmetry of permutations enforced."""
    phonon = node.get_phonopy_instance(subtract_residual_forces=True)
    phonon.produce_force_constants()
    phonon.symmetrize_force_constants()
    return phonon


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


def _special_points(path: BandPath, phonons: dict[str, Any], bands: NDArray[np.float64]) -> dict[str, Any]:
    content: dict[str, Any] = {}
    for label, qpoint in special_points(path).items():
        members = np.array([frequencies(phonon, qpoint)[0] for phonon in phonons.values()])
        over_members = {name: values.tolist() for name, values in spread(members).items()}
        content[label] = {'qpoint': list(qpoint), 'members': members.tolist(), **over_members}
    flagged = {}
    for name, frequencies_cm1 in zip(phonons, bands, strict=True):
        if worst := imaginary_modes(path.qpoints, frequencies_cm1)[:1]:
            flagged[name] = worst[0]
    return {**content, 'imaginary': flagged}
