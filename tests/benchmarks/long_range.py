"""What published energies say of the LO branch: ``python -m tests.benchmarks.long_range --data DIR --reference FC``.

FC is a file of ``q2r.x``. The Born charges and the dielectric tensor in its head enter the fits; with its force
constants the result is compared. Prints one JSON object.

``lda``: a base of force constants beside the dipoles. ``lo_sd_gamma_x`` and ``lo_sd_gamma_l``, the standard deviation
along the path of its LO branch minus the reference's (cm⁻¹); ``forces_rmse_mev_angstrom`` → ``with_dipoles`` and
``without``, at the same number of parameters; ``c_from_energies`` → ``value`` and ``error``, Z*²/ε∞ fitted to energies
of the base method alone, and ``reference``, that of the file; ``at``, frequencies at the wave vectors asked for.
``methods``: Z*²/ε∞ (``c_total``) with its errors, LO and TO at Γ (cm⁻¹), the error of Δ in blocked cross-validation,
and the LO branch of Γ–X and Γ–L (``lo_path``).
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
from ase import Atoms
from numpy.typing import ArrayLike, NDArray

from aiida_mlcc.science.fit.base_model import BaseForceConstants, fit_base
from aiida_mlcc.science.fit.delta_features import candidate_bases
from aiida_mlcc.science.fit.dipole import coupling_strength, dipole_beside
from aiida_mlcc.science.fit.force_constants import fit_delta
from aiida_mlcc.science.fit.harmonic_model import dynamical_matrix
from aiida_mlcc.science.fit.mapped_frames import mapped_frames
from aiida_mlcc.science.fit.ridge import Problem, bootstrap, choose_by_evidence, prepare
from aiida_mlcc.science.force_field import ForceField, Term, add_delta
from aiida_mlcc.science.force_field.dipole import DipoleModel
from aiida_mlcc.science.force_field.force_constants import ForceConstantsModel
from aiida_mlcc.science.labels.methods import WAVEFUNCTION_METHODS
from aiida_mlcc.science.labels.snapshots import Snapshots
from aiida_mlcc.science.phonons.born import born_from_arrays
from aiida_mlcc.science.phonons.modes import CM1_PER_ROOT_CURVATURE
from tests.benchmarks.data import base_method_of, load
from tests.q2r import Q2R

N_FOLDS = 20
PATHS = {'gamma_x': (0.5, 0.0, 0.5), 'gamma_l': (0.5, 0.5, 0.5)}
"""Of a face-centred cubic lattice, in reduced coordinates of the primitive cell."""

RIDGES = (1e-8, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0)


class HarmonicCrystal:
    """Frequencies of a force field of force constants and dipoles, at any wave vector."""

    def __init__(self, force_field: ForceField) -> None:
        self._parts = [(term.weight, _dynamics_of(term)) for term in force_field.terms]

    def frequencies_cm1(self, qpoint: ArrayLike, direction: ArrayLike | None = None) -> NDArray[np.float64]:
        """Return the frequencies at a wave vector in reduced coordinates, ascending.

        :param direction: Cartesian direction from which Γ is reached.
        """
        point = np.asarray(qpoint, dtype=float)
        squares = np.linalg.eigvalsh(sum(weight * part(point, direction) for weight, part in self._parts))
        return np.asarray(np.sign(squares) * np.sqrt(np.abs(squares)) * CM1_PER_ROOT_CURVATURE)


def _dynamics_of(term: Term) -> Any:
    if term.kind == 'dipole':
        return DipoleModel(term).dynamical_matrix
    model = ForceConstantsModel(term)
    masses = model.primitive.get_masses()
    return lambda point, direction: dynamical_matrix(
        masses, model.pairs, model.lattice_vectors, model.force_constants, point
    )


def measured(
    snapshots: Snapshots,
    primitive: Atoms,
    reference: Q2R,
    methods: Sequence[str],
    qpoints: Sequence[Sequence[float]] = (),
    points: int = 41,
) -> dict[str, Any]:
    """Return what the benchmark prints.

    :param points: along each path, Γ the first.
    """
    arrays = {'born_charges': reference.charges, 'dielectric': reference.dielectric}
    born = born_from_arrays(arrays, primitive)
    dipole = dipole_beside(primitive, born.charges, born.dielectric, snapshots.atoms(0))
    assert dipole is not None
    base_method = base_method_of(snapshots)
    base = fit_base(snapshots, primitive, base_method, dipole)
    as_many = BaseForceConstants.of({**BaseForceConstants.defaults(), 'cutoff': base.errors['cutoff_angstrom']})
    without = fit_base(snapshots, primitive, base_method, None, as_many)
    crystal = HarmonicCrystal(ForceField(base.terms))
    cartesian = 2 * np.pi * np.linalg.inv(primitive.cell.array).T
    lda: dict[str, Any] = {
        f'lo_sd_{name}': float(
            np.std(
                [
                    crystal.frequencies_cm1(q, q1 @ cartesian)[-1]
                    - reference.frequencies_cm1(q @ cartesian, q1 @ cartesian)[-1]
                    for q, q1 in _along(end, points)
                ]
            )
        )
        for name, end in PATHS.items()
    }
    lda['forces_rmse_mev_angstrom'] = {
        'with_dipoles': base.errors['forces_rmse_mev_angstrom'],
        'without': without.errors['forces_rmse_mev_angstrom'],
        'n_parameters': base.errors['n_parameters'],
    }
    lda['c_from_energies'] = _from_energies(snapshots, primitive, base_method, dipole)
    at_gamma = crystal.frequencies_cm1(np.zeros(3), np.array(PATHS['gamma_x']) @ cartesian)
    lda |= {'gamma_lo_cm1': float(at_gamma[-1]), 'gamma_to_cm1': float(at_gamma[-2])}
    lda['at'] = [{'qpoint': list(q), 'frequencies_cm1': crystal.frequencies_cm1(q).tolist()} for q in qpoints]
    sys.stderr.write(f'{base_method} done\n')
    found = {}
    for method in methods:
        fit = fit_delta(snapshots, primitive, base_method, method, n_folds=N_FOLDS, covariates=False, dipole=dipole)
        corrected = HarmonicCrystal(add_delta(ForceField(base.terms), fit.force_field))
        at_gamma = corrected.frequencies_cm1(np.zeros(3), np.array(PATHS['gamma_x']) @ cartesian)
        found[method] = {
            **{name: fit.errors['long_range'][name] for name in ('c_total', 'c_statistical', 'c_systematic')},
            'weight': fit.errors['long_range']['weight'],
            'evidence': fit.errors['long_range']['evidence'],
            'gamma_lo_cm1': float(at_gamma[-1]),
            'gamma_to_cm1': float(at_gamma[-2]),
            'blocked_cv_mev_atom': fit.errors['blocked_cv_rmse_mev_atom'],
            'lo_path': {
                name: [float(corrected.frequencies_cm1(q, q1 @ cartesian)[-1]) for q, q1 in _along(end, points)]
                for name, end in PATHS.items()
            },
        }
        sys.stderr.write(f'{method} done\n')
    return {'lda': lda, 'methods': found}


def _along(end: Sequence[float], points: int) -> list[tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Return the wave vectors from Γ to `end`, each with the direction."""
    direction = np.array(end)
    return [(fraction * direction, direction) for fraction in np.linspace(0, 1, points)]


def _from_energies(snapshots: Snapshots, primitive: Atoms, method: str, dipole: DipoleModel) -> dict[str, float]:
    """Fit Z*²/ε∞ to the energies of one method, no forces, as Δ is fitted."""
    from dataclasses import replace

    labelled = snapshots.select(snapshots.labelled_by(method))
    frames = mapped_frames(labelled, primitive)
    bases = candidate_bases(primitive, frames, labelled.n_frames, None, True)
    shortest = [replace(basis, dipole=dipole) for basis in bases if basis.second is bases[0].second]
    best, highest = None, -np.inf
    for basis in shortest:
        groups = basis.groups.copy()
        groups[-1] = 0
        problem = prepare(Problem(basis.features(frames, labelled.n_frames), labelled.labels[method].energies, groups))
        ridges, evidence = choose_by_evidence(problem, RIDGES)
        if evidence > highest:
            best, highest = (problem, ridges), evidence
    assert best is not None
    problem, ridges = best
    strength = coupling_strength(dipole)
    assert strength is not None
    drawn = bootstrap(problem, ridges, 100, 0, max(1, labelled.n_frames // 40))[:, -1]
    return {
        'value': strength * float(problem.solve(ridges)[0][-1]),
        'error': strength * float(np.std(drawn, ddof=1)),
        'reference': strength,
    }


def main() -> None:
    """Measure what the options ask for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--data', required=True, help='the folder of the published files, with the folder lih')
    parser.add_argument('--reference', required=True, help='a file of q2r.x of the same crystal')
    parser.add_argument('--qpoints', nargs='*', default=[], help='such as 0.1,0.1,0: reduced coordinates')
    parser.add_argument('--crystal', default='lih')
    options = parser.parse_args()
    qpoints = [[float(number) for number in word.split(',')] for word in options.qpoints]
    if wrong := [word for word, point in zip(options.qpoints, qpoints, strict=True) if len(point) != 3]:
        parser.error(f'a wave vector has three numbers, not {wrong[0]}')
    snapshots, primitive = load(options.data, options.crystal)
    methods = [method for method in WAVEFUNCTION_METHODS if method in snapshots.labels]
    found = measured(snapshots, primitive, Q2R(options.reference), methods, qpoints)
    json.dump(_rounded(found), sys.stdout)
    sys.stdout.write('\n')


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _rounded(entry) for name, entry in value.items()}
    if isinstance(value, list):
        return [_rounded(entry) for entry in value]
    return float(f'{value:.6g}') if isinstance(value, float) else value


if __name__ == '__main__':
    main()
