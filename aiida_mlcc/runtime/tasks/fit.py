"""Task ``fit``: Δ of several methods, or a base, of a kind that is fitted (:mod:`aiida_mlcc.runtime.delta_kinds`).

``snapshots.npz`` and what the kind needs (``primitive``, the cell; ``base``, the folder of the base force field), and
for a polar crystal its Born charges (``polarity``, see :func:`dipole_of`), for a base ``reference`` displacements → a
folder ``delta_SLUG/`` and, where the fit can tell what else the labels allow, a file ``samples_SLUG.npz`` per method,
and ``errors`` of each in ``output.json``.
A method that cannot be fitted is named under ``failures`` with the reason; the others go on. The base of one method
goes to ``force_field/`` instead. A fit takes seconds to minutes: nothing is kept to resume from.
"""

from __future__ import annotations

from typing import cast

import numpy as np
from ase import Atoms

from aiida_mlcc.runtime.delta_kinds import BASE, DELTA, fitted_kinds
from aiida_mlcc.runtime.task import Job, JobError, replacing
from aiida_mlcc.runtime.task_records import Cell, FitTask, TrainTask
from aiida_mlcc.runtime.tasks.reference_phonons import ReferencePhonons
from aiida_mlcc.science.crystal.cells import CrystalError
from aiida_mlcc.science.fit.delta import FitError, FitInput
from aiida_mlcc.science.fit.dipole import dipole_beside
from aiida_mlcc.science.fit.fit_errors import FitErrors
from aiida_mlcc.science.fit.ridge import RidgeError
from aiida_mlcc.science.force_field import ForceField, ForceFieldError
from aiida_mlcc.science.force_field.dipole import DipoleModel
from aiida_mlcc.science.labels.methods import slug_of
from aiida_mlcc.science.labels.snapshots import Snapshots, SnapshotsError
from aiida_mlcc.science.npz import write_npz

FORCE_FIELD_FOLDER = 'force_field'


def run(job: Job) -> None:
    """Fit one Δ after the other."""
    role = str(job.input.get('role') or DELTA)
    name, kinds = str(job.require('kind')), fitted_kinds(role)
    if name not in kinds:
        raise JobError(f'{name!r} is not a kind of {role} that is fitted: choose from {", ".join(kinds)}')
    kind, primitive = kinds[name], job.input.get('primitive')
    snapshots = Snapshots.load(job.path_of('snapshots'))
    given = FitInput(
        snapshots=snapshots,
        base_method=str(job.require('base_method')),
        settings=kind.group_of_fit.of(job.require('parameters')),
        seed=int(job.require('seed')),
        primitive=None if primitive is None else primitive_cell(primitive),
        base=None if job.input.get('base') is None else ForceField.load(job.path_of('base')),
        device=str(job.require('device')),
        dipole=dipole_of(cast(FitTask, job.input), snapshots),
        reference=reference_of(job),
    )
    methods, fit_method = list(job.require('methods')), kind.load_fitter()(given)
    errors: dict[str, FitErrors] = {}
    failures: list[dict[str, str]] = []
    for number, method in enumerate(methods):
        if job.must_stop():
            return job.pause(errors=errors, failures=failures)
        try:
            fit = fit_method(method)
        except (FitError, RidgeError, SnapshotsError, CrystalError) as error:
            failures.append({'method': method, 'reason': str(error)})
        else:
            errors[method] = fit.errors
            if role == BASE and given.reference is not None and given.primitive is not None:
                dipoles = () if given.dipole is None else (given.dipole.term(),)
                phonons = ReferencePhonons.of(given.reference, given.primitive, method, dipoles)
                errors[method]['phonons'] = phonons.errors_of(fit.force_field)
            if fit.samples is not None:
                write_npz(job.folder / f'samples_{slug_of(method)}.npz', fit.samples.to_arrays(), {})
            with replacing(job.folder / (FORCE_FIELD_FOLDER if role == BASE else f'delta_{slug_of(method)}')) as folder:
                fit.force_field.save(folder)
        job.progress(number + 1, len(methods), 'method')
    if failures and not errors:
        raise JobError(failures[0]['reason'], failures=failures)
    return job.finish(errors=errors, failures=failures)


def reference_of(job: Job) -> Snapshots | None:
    """Return the reference displacements of a job, if it has any."""
    return None if job.input.get('reference') is None else Snapshots.load(job.path_of('reference'))


def dipole_of(content: FitTask | TrainTask, snapshots: Snapshots) -> DipoleModel | None:
    """Return the dipole–dipole energy of a job with ``polarity``: ``born_charges`` and ``dielectric``.

    Both belong to the cell ``primitive`` of the job; the charges are in e.

    :raises JobError: for charges that are not those of the crystal.
    """
    polarity = content.get('polarity')
    if polarity is None:
        return None
    primitive = content.get('primitive')
    if primitive is None:
        raise JobError('Born charges need the primitive cell that they belong to')
    try:
        charges = np.array(polarity['born_charges'], dtype=float)
        dielectric = np.array(polarity['dielectric'], dtype=float)
        return dipole_beside(primitive_cell(primitive), charges, dielectric, snapshots.atoms(0))
    except KeyError as error:
        raise JobError(f'input.json lacks polarity.{error.args[0]}') from None
    except (ForceFieldError, CrystalError) as error:
        raise JobError(str(error)) from None


def primitive_cell(description: Cell) -> Atoms:
    """Return the primitive cell from its ``symbols``, ``cell`` (Å) and Cartesian ``positions`` (Å)."""
    try:
        symbols, cell, positions = description['symbols'], description['cell'], description['positions']
    except KeyError as error:
        raise JobError(f'input.json lacks primitive.{error.args[0]}') from None
    return Atoms(symbols, cell=cell, positions=positions, pbc=True)
