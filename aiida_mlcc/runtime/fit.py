"""Task ``fit``: Δ of several methods as symmetry-adapted force constants beside a rescaled base.

``snapshots.npz`` and the primitive cell → a folder ``delta_SLUG/`` and a file ``samples_SLUG.npz`` per method, and
``errors`` of each in ``output.json``. A method that cannot be fitted is named under ``failures`` with the reason; the
others go on. A fit takes seconds to minutes: nothing is kept to resume from.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ase import Atoms

from aiida_mlcc.runtime.task import Job, JobError, replacing
from aiida_mlcc.science.crystal import CrystalError
from aiida_mlcc.science.fit.force_constants import FitError, fit_delta
from aiida_mlcc.science.fit.ridge import RidgeError
from aiida_mlcc.science.methods import slug_of
from aiida_mlcc.science.npz import write_npz
from aiida_mlcc.science.snapshots import Snapshots, SnapshotsError

PARAMETERS = ('cutoff', 'anharmonic', 'ridge', 'n_folds', 'covariates', 'n_samples')


def run(job: Job) -> None:
    """Fit one Δ after the other."""
    snapshots = Snapshots.load(job.path_of('snapshots'))
    primitive = primitive_cell(job.require('primitive'))
    base_method, methods = str(job.require('base_method')), list(job.require('methods'))
    parameters, seed = dict(job.require('parameters')), int(job.require('seed'))
    if unknown := sorted(set(parameters) - set(PARAMETERS)):
        raise JobError(f'unknown setting {unknown[0]!r} of the fit: choose from {", ".join(PARAMETERS)}')
    errors: dict[str, dict[str, Any]] = {}
    failures: list[dict[str, str]] = []
    for number, method in enumerate(methods):
        if job.must_stop():
            return job.pause(errors=errors, failures=failures)
        try:
            fit = fit_delta(snapshots, primitive, base_method, method, seed=seed, **parameters)
        except (FitError, RidgeError, SnapshotsError, CrystalError) as error:
            failures.append({'method': method, 'reason': str(error)})
        else:
            errors[method] = fit.errors
            write_npz(job.folder / f'samples_{slug_of(method)}.npz', fit.samples.to_arrays(), {})
            with replacing(job.folder / f'delta_{slug_of(method)}') as folder:
                fit.force_field.save(folder)
        job.progress(number + 1, len(methods), 'method')
    if failures and not errors:
        raise JobError(failures[0]['reason'], failures=failures)
    return job.finish(errors=errors, failures=failures)


def primitive_cell(description: Mapping[str, Any]) -> Atoms:
    """Return the primitive cell from its ``symbols``, ``cell`` (Å) and Cartesian ``positions`` (Å)."""
    try:
        symbols, cell, positions = (description[name] for name in ('symbols', 'cell', 'positions'))
    except KeyError as error:
        raise JobError(f'input.json lacks primitive.{error.args[0]}') from None
    return Atoms(symbols, cell=cell, positions=positions, pbc=True)
