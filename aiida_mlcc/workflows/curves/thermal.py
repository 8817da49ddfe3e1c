"""Thermal properties and mean-square displacements of one method, with their spread over the members."""

from collections.abc import Mapping

import numpy as np
from aiida import orm
from aiida.engine import calcfunction
from aiida_phonopy.data.phonopy import PhonopyData
from numpy.typing import NDArray

from aiida_mlcc.calculations.functions.phonopy_instance import PhonopyInstances
from aiida_mlcc.science.phonons.dispersion import spread
from aiida_mlcc.science.phonons.mean_square_displacements import (
    imaginary_share,
    mean_square_displacements,
    temperature_grid,
)
from aiida_mlcc.science.phonons.thermal_properties import thermal_properties
from aiida_mlcc.workflows.curve_table import Arguments, Curve, Output, Phonons


@calcfunction
def thermal_curves(parameters: orm.Dict, science: orm.Str, **members: PhonopyData) -> dict[str, orm.ArrayData]:
    """Return ``thermal_properties`` (of a mole of cells, primitive by default) and ``mean_square_displacements`` (Å²).

    Both hold ``temperatures_K`` and, of each quantity, QUANTITY_members, _mean, _min, _max and _sd. Their attribute
    ``imaginary_share`` says of each member which share of the modes of the mesh is imaginary and does not count.
    """
    settings = parameters.get_dict()
    temperatures = temperature_grid(**settings['temperatures_K'])
    phonons = PhonopyInstances().of_members(members)
    found = {
        'thermal_properties': [
            thermal_properties(phonon, settings['mesh'], temperatures) for phonon in phonons.values()
        ],
        'mean_square_displacements': [
            mean_square_displacements(phonon, settings['mesh'], temperatures) for phonon in phonons.values()
        ],
    }
    nodes = {name: with_spread(temperatures, of_members, list(phonons)) for name, of_members in found.items()}
    shares = {name: imaginary_share(phonon, settings['mesh']) for name, phonon in phonons.items()}
    for node in nodes.values():
        node.base.attributes.set('imaginary_share', shares)
    return nodes


def with_spread(
    temperatures: NDArray[np.float64], of_members: list[dict[str, NDArray[np.float64]]], names: list[str]
) -> orm.ArrayData:
    """Return quantities over temperature with their spread, as :func:`thermal_curves` describes it.

    :param of_members: quantity → values, shape (n_temperatures,), of each member.
    :param names: of the members.
    """
    arrays = {'temperatures_K': temperatures}
    for quantity in of_members[0]:
        values = np.array([of_member[quantity] for of_member in of_members])
        arrays[f'{quantity}_members'] = values
        arrays |= {f'{quantity}_{name}': array for name, array in spread(values).items()}
    node = orm.ArrayData(arrays)
    node.base.attributes.set_many({'members': names, 'quantities': list(of_members[0])})
    return node


def _arguments(phonons: Phonons) -> Arguments:
    return {'parameters': phonons.inputs['parameters'], **phonons.members}


def _told(made: Mapping[str, orm.Data]) -> list[str]:
    shares = made['thermal_properties'].base.attributes.get('imaginary_share')
    listed = ', '.join(f'{name} {100 * share:.2g} %' for name, share in sorted(shares.items()) if share > 0)
    return [f'thermal properties leave out the imaginary modes of the mesh: {listed}'] if listed else []


CURVE = Curve(
    stage='harmonic_phonon',
    step='calculate_thermal_properties',
    calculate=thermal_curves,
    outputs={
        'thermal_properties': Output(
            orm.ArrayData, 'Free energy, entropy and heat capacity of a mole of cells, primitive by default.'
        ),
        'mean_square_displacements': Output(orm.ArrayData, '⟨u²⟩ of each element over temperature, Å².'),
    },
    arguments=_arguments,
    told=_told,
)
