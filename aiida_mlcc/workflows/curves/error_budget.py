"""How much each frequency can be trusted, at the special points and along the dispersion, and what that is made of."""

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import numpy as np
from aiida import orm
from aiida.engine import ExitCode, calcfunction
from ase import Atoms
from phonopy import Phonopy

from aiida_mlcc.calculations.functions.phonopy_instance import PhonopyInstances
from aiida_mlcc.data.snapshots import SnapshotsData
from aiida_mlcc.engines.engine import given
from aiida_mlcc.science.crystal.cells import CrystalError, from_phonopy
from aiida_mlcc.science.errors.band_error_bars import path_budget
from aiida_mlcc.science.errors.frequency_error_bars import CONTRIBUTIONS, Budget, commensurate
from aiida_mlcc.science.fit.delta_samples import DeltaSamples
from aiida_mlcc.science.fit.fit_errors import FitErrors
from aiida_mlcc.science.labels.methods import CONTROL, usual_kind
from aiida_mlcc.workflows.curve_table import Arguments, Curve, Output, Phonons


@calcfunction
def error_budget(
    special_points: orm.Dict,
    dispersion: orm.BandsData,
    science: orm.Str,
    delta_samples: orm.ArrayData | None = None,
    training_snapshots: SnapshotsData | None = None,
    primitive: orm.StructureData | None = None,
    training_errors: orm.Dict | None = None,
    **phonons: Any,
) -> dict[str, orm.Data]:
    """Return ``band_errors`` and ``error_budget``.

    The first has ``sd`` (cm⁻¹) and each contribution that was estimated, of the shape of the bands; the second the same
    at the special points: LABEL → ``qpoint``, ``sd`` (a number a mode), ``contributions`` and ``commensurate``. It ends
    with the reason where the budget cannot be made.

    :param special_points: as ``phonon_curves`` gives them.
    :param dispersion: likewise, with the members.
    :param delta_samples: Δ from resampled labels.
    :param training_snapshots: of the cell that the force fields were trained in.
    :param primitive: the primitive cell before any relaxation, which the training cell is compared with; by default
        that of the members. Where it does not fit, `commensurate` is None.
    :param training_errors: of all fits, among them those of the base.
    :param phonons: ``members`` → NAME → PhonopyData; ``alternatives`` → KIND → NAME → PhonopyData, the same members
        with another kind of Δ.
    """
    points = {label: entry['qpoint'] for label, entry in special_points.get_dict().items() if 'qpoint' in entry}
    try:
        instances = PhonopyInstances()
        members = instances.of_members(phonons['members'])
        phonon = next(iter(members.values()))
        unrelaxed = from_phonopy(phonon.primitive) if primitive is None else primitive.get_ase()
        alternatives = {kind: instances.of_members(nodes) for kind, nodes in phonons.get('alternatives', {}).items()}
        found = _along_path(
            dispersion, members, alternatives, delta_samples, _errors_of_base(training_errors), unrelaxed
        )
        held = {}
        if training_snapshots is not None:
            # Where the training cell is not a supercell of this one, nothing is known of which wave vectors it holds.
            with suppress(CrystalError):
                held = commensurate(points, unrelaxed, training_snapshots.get_ase(), phonon.symmetry.tolerance)
    except ValueError as error:
        return ExitCode(400, str(error))
    estimated = {name: values for name, values in found['contributions'].items() if values is not None}
    places = _places(dispersion)
    of_points = {
        label: {
            'qpoint': qpoint,
            'sd': found['sd'][places[label]].tolist(),
            'contributions': {
                name: estimated[name][places[label]].tolist() if name in estimated else None for name in CONTRIBUTIONS
            },
            'commensurate': held.get(label),
        }
        for label, qpoint in points.items()
    }
    return {'error_budget': orm.Dict(of_points), 'band_errors': orm.ArrayData({'sd': found['sd'], **estimated})}


def _along_path(
    dispersion: orm.BandsData,
    members: Mapping[str, Phonopy],
    alternatives: Mapping[str, Mapping[str, Phonopy]],
    delta_samples: orm.ArrayData | None,
    of_base: list[FitErrors],
    primitive: Atoms,
) -> Budget:
    """Return the budget of every mode of a dispersion, of the shape of the bands."""
    qpoints = np.asarray(dispersion.get_kpoints(), dtype=float)
    samples = None
    if delta_samples is not None:
        arrays = {name: delta_samples.get_array(name) for name in delta_samples.get_arraynames()}
        samples = DeltaSamples.from_arrays(arrays)
    segments = dispersion.base.attributes.get('segments')
    return path_budget(
        dispersion.get_array('members'), members, qpoints, segments, primitive, alternatives, samples, of_base
    )


def _places(dispersion: orm.BandsData) -> dict[str, int]:
    """Return where on the path each special point comes first."""
    places: dict[str, int] = {}
    for index, label in sorted(dispersion.labels):
        places.setdefault(label, index)
    return places


def _errors_of_base(training_errors: orm.Dict | None) -> list[FitErrors]:
    """Return the errors of the fits that know what is left to the modes of the base; a Δ does not."""
    if training_errors is None:
        return []
    fits = {method: of for method, of in training_errors.get_dict().items() if usual_kind(method) != CONTROL}
    return [one for of in fits.values() for one in of.values() if {'reference', 'projected_residuals'} & set(one)]


def _arguments(phonons: Phonons) -> Arguments | None:
    """Only the frequencies of force fields have errors that can be estimated."""
    if 'force_fields' not in phonons.inputs:
        return None
    return {
        'special_points': phonons.made['special_points'],
        'dispersion': phonons.made['dispersion'],
        'members': phonons.members,
        'alternatives': phonons.alternatives,
        'primitive': phonons.primitive,
        **given(phonons.inputs, 'delta_samples', 'training_snapshots', 'training_errors'),
    }


CURVE = Curve(
    stage='harmonic_phonon',
    step='make_error_budget',
    calculate=error_budget,
    outputs={
        'error_budget': Output(
            orm.Dict,
            'At each special point: `sd` of every mode (cm⁻¹), the `contributions` to it, and whether it is '
            'commensurate with the training cell (`commensurate`).',
            always=False,
        ),
        'band_errors': Output(
            orm.ArrayData,
            'Along the dispersion, cm⁻¹: `sd` of every mode and the contributions to it, of the shape of the bands.',
            always=False,
        ),
    },
    arguments=_arguments,
    needs=('special_points', 'dispersion'),
)
