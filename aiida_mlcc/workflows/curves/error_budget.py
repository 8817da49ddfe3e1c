"""How much each frequency at the special points can be trusted, and what that is made of."""

from contextlib import suppress
from typing import Any

import numpy as np
from aiida import orm
from aiida.engine import ExitCode, calcfunction

from aiida_mlcc.calculations.functions.phonopy_instance import PhonopyInstances
from aiida_mlcc.data.snapshots import SnapshotsData
from aiida_mlcc.science.branches import Branches, branches_of, point_matrices
from aiida_mlcc.science.crystal import CrystalError, from_phonopy
from aiida_mlcc.science.error_budget import base_errors, budget, commensurate, delta_spread
from aiida_mlcc.science.fit.delta_samples import DeltaSamples
from aiida_mlcc.science.methods import CONTROL, usual_kind
from aiida_mlcc.workflows.curve_table import Curve, Output, Phonons


@calcfunction
def error_budget(
    special_points: orm.Dict,
    science: orm.Str,
    delta_samples: orm.ArrayData | None = None,
    training_snapshots: SnapshotsData | None = None,
    primitive: orm.StructureData | None = None,
    training_errors: orm.Dict | None = None,
    **phonons: Any,
) -> orm.Dict:
    """Return LABEL → ``qpoint``, ``sd`` (cm⁻¹, a number a mode), ``contributions`` to it and ``commensurate``.

    It ends with the reason where the budget cannot be made.

    :param special_points: as ``phonon_curves`` gives them, with the members.
    :param delta_samples: Δ from resampled labels.
    :param training_snapshots: of the cell that the force fields were trained in.
    :param primitive: the primitive cell before any relaxation, which the training cell is compared with; by default
        that of the members. Where it does not fit, `commensurate` is None.
    :param training_errors: of all fits, among them those of the base.
    :param phonons: ``members`` → NAME → PhonopyData; ``alternatives`` → KIND → NAME → PhonopyData, the same members
        with another kind of Δ.
    """
    points = {label: entry for label, entry in special_points.get_dict().items() if 'qpoint' in entry}
    qpoints = {label: entry['qpoint'] for label, entry in points.items()}
    directions = {label: entry['direction'] for label, entry in points.items() if 'direction' in entry}
    try:
        instances = PhonopyInstances()
        members = instances.of_members(phonons['members'])
        phonon = next(iter(members.values()))
        branches = branches_of([point_matrices(member, qpoints, directions) for member in members.values()])
        delta = None
        if delta_samples is not None:
            arrays = {name: delta_samples.get_array(name) for name in delta_samples.get_arraynames()}
            delta = delta_spread(phonon, DeltaSamples.from_arrays(arrays), qpoints, directions, branches)
        unrelaxed = from_phonopy(phonon.primitive) if primitive is None else primitive.get_ase()
        base = _errors_of_base(training_errors, points, unrelaxed, phonon.symmetry.tolerance)
        found = budget(
            np.array([entry['members'] for entry in points.values()]).swapaxes(0, 1),
            {
                kind: _on_branches(branches, instances.of_members(nodes), qpoints, directions)
                for kind, nodes in phonons.get('alternatives', {}).items()
            },
            delta,
            base,
        )
        held = {}
        if training_snapshots is not None:
            # Where the training cell is no supercell of this one, nothing is known of which wave vectors it holds.
            with suppress(CrystalError):
                held = commensurate(qpoints, unrelaxed, training_snapshots.get_ase(), phonon.symmetry.tolerance)
    except ValueError as error:
        return ExitCode(400, str(error))
    return orm.Dict(
        {
            label: {
                'qpoint': qpoint,
                'sd': found['sd'][i].tolist(),
                'contributions': {
                    name: None if values is None or np.isnan(values[i]).any() else values[i].tolist()
                    for name, values in found['contributions'].items()
                },
                'commensurate': held.get(label),
            }
            for i, (label, qpoint) in enumerate(qpoints.items())
        }
    )


def _errors_of_base(
    training_errors: orm.Dict | None, points: dict[str, Any], primitive: Any, symprec: float
) -> np.ndarray | None:
    """Return how wrong the frequencies are for what is known of the base, shape (n_points, n_modes); NaN: unknown."""
    if training_errors is None:
        return None
    fits = {method: of for method, of in training_errors.get_dict().items() if usual_kind(method) != CONTROL}
    # A Δ has neither; the base has what is left to its modes.
    members = [one for of in fits.values() for one in of.values() if {'reference', 'projected_residuals'} & set(one)]
    qpoints = {label: entry['qpoint'] for label, entry in points.items()}
    frequencies = {label: np.mean(entry['members'], axis=0) for label, entry in points.items()}
    known = base_errors(members, frequencies, qpoints, primitive, symprec)
    if all(errors is None for errors in known.values()):
        return None
    return np.array([np.full(len(frequencies[label]), np.nan) if e is None else e for label, e in known.items()])


def _on_branches(
    branches: Branches, phonons: dict[str, Any], qpoints: dict[str, Any], directions: dict[str, Any]
) -> np.ndarray:
    matrices = [point_matrices(phonon, qpoints, directions) for phonon in phonons.values()]
    return np.array([branches.frequencies_cm1(of_member) for of_member in matrices])


def _arguments(phonons: Phonons) -> dict[str, Any] | None:
    """Only the frequencies of force fields have errors that can be estimated."""
    if 'force_fields' not in phonons.inputs:
        return None
    evidence = ('delta_samples', 'training_snapshots', 'training_errors')
    known = {name: phonons.inputs[name] for name in evidence if name in phonons.inputs}
    return {
        'special_points': phonons.made['special_points'],
        'members': phonons.members,
        'alternatives': phonons.alternatives,
        'primitive': phonons.primitive,
        **known,
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
        )
    },
    arguments=_arguments,
    needs=('special_points',),
)
