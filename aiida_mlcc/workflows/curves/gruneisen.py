"""Grüneisen parameters of one method along the path, with their spread over the members."""

import warnings
from typing import Any

import numpy as np
from aiida import orm
from aiida.engine import calcfunction

from aiida_mlcc.calculations.functions.phonopy_instance import PhonopyInstances
from aiida_mlcc.science.crystal.cells import from_phonopy
from aiida_mlcc.science.phonons.branches import branches_of, lines_along, path_matrices
from aiida_mlcc.science.phonons.dispersion import band_path, spread
from aiida_mlcc.science.phonons.gruneisen import mode_gruneisen
from aiida_mlcc.workflows.curve_table import Arguments, Curve, Output, Phonons


@calcfunction
def gruneisen_curves(parameters: orm.Dict, science: orm.Str, **phonons: Any) -> orm.ArrayData:
    """Return γ on the points of the dispersion: ``members`` (n_members, n_points, n_modes), ``mean``, min, max, sd.

    NaN where a mode has no frequency. ``lines`` (n_points, n_modes) says which mode of each point the lines go through
    that follow the eigenvectors. Born charges are taken to be the same at all volumes.

    :param phonons: ``at_rest``, ``expanded`` and ``compressed`` → NAME → PhonopyData.
    """
    settings = parameters.get_dict()
    instances = PhonopyInstances()
    volumes = {name: instances.of_members(phonons[name]) for name in ('at_rest', 'expanded', 'compressed')}
    names = list(volumes['at_rest'])
    first = volumes['at_rest'][names[0]]
    primitive = from_phonopy(first.primitive)
    path = band_path(primitive, settings['band_points'], first.symmetry.tolerance, settings.get('path'))
    matrices = {
        volume: np.array([path_matrices(instances[name], path) for name in names])
        for volume, instances in volumes.items()
    }
    branches = branches_of(matrices['at_rest'])
    gammas = []
    for at_rest, expanded, compressed in zip(*matrices.values(), strict=True):
        of_member = mode_gruneisen(at_rest, expanded, compressed, settings['gruneisen']['strain'])
        gammas.append(np.take_along_axis(of_member, branches.order(at_rest), axis=1))
    with warnings.catch_warnings():
        warnings.simplefilter('ignore', RuntimeWarning)
        found = spread(gammas)
    lines = lines_along(matrices['at_rest'].mean(axis=0), path.qpoints, path.segments, found['mean'])
    node = orm.ArrayData({'members': np.array(gammas), 'qpoints': path.qpoints, 'lines': lines, **found})
    node.base.attributes.set('members', names)
    return node


def _arguments(phonons: Phonons) -> Arguments | None:
    """Compare the members that have forces at all three volumes, if any."""
    names = phonons.at_all_volumes
    if len(phonons.volumes) < 2 or not names:
        return None
    volumes = {volume: {name: members[name] for name in names} for volume, members in phonons.volumes.items()}
    return {'parameters': phonons.inputs['parameters'], **volumes}


CURVE = Curve(
    stage='harmonic_phonon',
    step='calculate_gruneisen_parameters',
    calculate=gruneisen_curves,
    outputs={
        'gruneisen': Output(
            orm.ArrayData,
            'Grüneisen parameters on the bands: members, mean, min, max, sd; `lines` follow the eigenvectors.',
            always=False,
        )
    },
    arguments=_arguments,
)
