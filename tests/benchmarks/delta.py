"""How well each kind of Δ is learnt: ``python -m tests.benchmarks.delta --data DIR --crystal diamond``.

Prints one JSON object. ``kinds`` → kind → method: errors in cross-validation, random and blocked (meV/atom), CPU
seconds of the fit, frequencies on the harmonic part of the base (cm⁻¹) and the standard deviation of their shifts.
``learning_curve``: see :mod:`tests.benchmarks.learning_curve`. ``base_cm1``: the frequencies of the base itself.
The kinds ``readout`` and ``mace`` take a network of the base, which is trained first, for each seed.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

import numpy as np

from aiida_mlcc.science.fit.force_constants import fit_delta
from aiida_mlcc.science.fit.learning_curve import frequencies_of_samples
from aiida_mlcc.science.labels.methods import WAVEFUNCTION_METHODS
from tests.benchmarks.data import base_method_of, load
from tests.benchmarks.learning_curve import QPOINTS, Crystal, learning_curve
from tests.benchmarks.options import network_of, network_options, parser_of

N_FOLDS = 20
TOLD = ('cutoff_angstrom', 'third_order_cutoff_angstrom', 'fourth_order', 'ridge', 'label_noise_mev_cell')
KINDS = ('force-constants', 'readout', 'mace')


def force_constants(crystal: Crystal, method: str, seed: int) -> dict[str, Any]:
    """Return errors, seconds and frequencies of a Δ of kind ``force-constants``."""
    started = time.process_time()
    fit = fit_delta(
        crystal.snapshots, crystal.primitive, crystal.base_method, method, n_folds=N_FOLDS, covariates=False, seed=seed
    )
    seconds = time.process_time() - started
    found = frequencies_of_samples(crystal.model, fit.samples, QPOINTS)
    chosen = [(label, index) for label in QPOINTS for index in crystal.distinct[label]]
    return {
        'cv_meV_atom': fit.errors['cv_rmse_mev_atom'],
        'blocked_cv_meV_atom': fit.errors['blocked_cv_rmse_mev_atom'],
        'train_cpu_s': seconds,
        'frequencies_cm1': {n: found['frequencies_cm1'][q][i] for n, (q, i) in zip(crystal.names, chosen, strict=True)},
        'shift_sd_cm1': {n: found['sd_cm1'][q][i] for n, (q, i) in zip(crystal.names, chosen, strict=True)},
        'fit': {
            name: fit.errors[name] for name in ('cutoff_angstrom', 'fourth_order', 'ridge', 'label_noise_mev_cell')
        },
    }


def main() -> None:
    """Run what the options ask for."""
    parser = parser_of(__doc__ or '')
    network_options(parser)
    parser.add_argument('--kinds', nargs='*', choices=KINDS, default=KINDS)
    parser.add_argument('--epochs', type=int, default=50, help='of the networks, base and Δ')
    parser.add_argument('--sizes', type=int, nargs='*', default=[15, 25, 50, 100], help='of the learning curve')
    parser.add_argument('--draws', type=int, default=12, help='pairs of disjoint designs; 0 for no learning curve')
    parser.add_argument('--method', choices=WAVEFUNCTION_METHODS, default='CCSD(T)', help='of the learning curve')
    options = parser.parse_args()
    snapshots, primitive = load(options.data, options.crystal)
    crystal = Crystal.of(snapshots, primitive, base_method_of(snapshots))
    methods = [method for method in WAVEFUNCTION_METHODS if method in snapshots.labels]
    kinds: dict[str, Any] = {}
    if 'force-constants' in options.kinds:
        kinds['force-constants'] = {m: force_constants(crystal, m, options.seeds[0]) for m in methods}
        sys.stderr.write('force constants done\n')
    if networks := [kind for kind in options.kinds if kind != 'force-constants']:
        from tests.benchmarks.delta_networks import kinds_with_networks

        kinds |= kinds_with_networks(crystal, methods, networks, options.seeds, options.epochs, network_of(options))
    curve = []
    if options.draws:
        curve = learning_curve(crystal, options.method, options.sizes, options.draws, options.seeds[0])
    result = {
        'crystal': options.crystal,
        'n_frames': snapshots.n_frames,
        'base_cm1': dict(zip(crystal.names, crystal.base_frequencies, strict=True)),
        'kinds': kinds,
        'learning_curve_of': options.method,
        'learning_curve': curve,
    }
    json.dump(_rounded(result), sys.stdout)
    sys.stdout.write('\n')


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _rounded(entry) for name, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(entry) for entry in value]
    return float(f'{value:.5g}') if isinstance(value, float | np.floating) else value


if __name__ == '__main__':
    main()
