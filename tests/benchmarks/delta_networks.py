"""The kinds of Δ that need a network of the base: trained once a seed, then read out, or joined by a second network."""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ase.calculators.calculator import Calculator

from aiida_mlcc.runtime.__main__ import main as run_task
from aiida_mlcc.runtime.force_field_calculator import ForceFieldCalculator
from aiida_mlcc.runtime.mace.readout import ReadoutFitter
from aiida_mlcc.science.design.optimal_structures import frozen_pattern
from aiida_mlcc.science.fit.readout import Readout
from aiida_mlcc.science.force_field import ForceField, add_delta
from aiida_mlcc.science.phonons.modes import Mode, curvature_of, frequency_of
from tests.benchmarks.learning_curve import Crystal

AMPLITUDE = 0.05
"""Of a mode, Å·√amu, by which forces are differentiated."""

TRAINING: dict[str, Any] = {
    'batch_size': 5,
    'learning_rate': 0.02,
    'weight_decay': 5e-7,
    'energy_weight': 1.0,
    'forces_weight': 100.0,
    'frame_weights': 'uniform',
    'ema_decay': 0.99,
    'schedule': 'cosine',
    'patience': None,
    'valid_fraction': 0.1,
    'dtype': 'float32',
}
"""Those of the protocols ``balanced`` and ``paper``."""

N_FOLDS = 20


def kinds_with_networks(
    crystal: Crystal, methods: Sequence[str], kinds: Sequence[str], seeds: Sequence[int], epochs: int, network: Any
) -> dict[str, Any]:
    """Return kind → method → errors, seconds and frequencies, as means over the seeds, each seed beside them."""
    found: dict[str, dict[str, list[dict[str, Any]]]] = {kind: {m: [] for m in methods} for kind in kinds}
    for seed in seeds:
        base, _ = train(crystal, crystal.base_method, None, seed, epochs, network)
        sys.stderr.write(f'base of seed {seed} done\n')
        if 'readout' in kinds:
            started = time.process_time()
            settings = Readout(n_folds=N_FOLDS)
            fitter = ReadoutFitter(crystal.snapshots, base.terms[0], crystal.base_method)
            for method in methods:
                fit = fitter.fit(method, settings, seed)
                delta, errors = fit.force_field, fit.errors
                entry = {
                    'cv_meV_atom': errors['cv_rmse_mev_atom'],
                    'blocked_cv_meV_atom': errors['blocked_cv_rmse_mev_atom'],
                    'train_cpu_s': time.process_time() - started,
                    'frequencies_cm1': frequencies(crystal, base, delta),
                }
                found['readout'][method].append(entry)
                started = time.process_time()
        if 'mace' in kinds:
            for method in methods:
                started = time.process_time()
                delta, errors = train(crystal, method, crystal.base_method, seed, epochs, network)
                entry = {
                    'held_out_meV_atom': errors['valid_energy_rmse_mev_atom'],
                    'rescaling_meV_atom': errors['rescaling_mev_atom'],
                    'train_cpu_s': time.process_time() - started,
                    'frequencies_cm1': frequencies(crystal, base, delta),
                }
                found['mace'][method].append(entry)
                sys.stderr.write(f'network of {method}, seed {seed} done\n')
    return {kind: {m: _together(entries) for m, entries in by.items()} for kind, by in found.items()}


def train(
    crystal: Crystal, method: str, minus: str | None, seed: int, epochs: int, network: Mapping[str, Any]
) -> tuple[ForceField, dict[str, Any]]:
    """Train a network with the package's own task, and return it with its errors."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        crystal.snapshots.save(folder / 'snapshots.npz')
        content = {
            'task': 'train',
            'max_seconds': None,
            'snapshots': 'snapshots.npz',
            'target': {'method': method, 'minus': minus, 'forces': minus is None},
            'network': dict(network),
            'training': {**TRAINING, 'epochs': epochs},
            'seed': seed,
            'device': 'cpu',
        }
        (folder / 'input.json').write_text(json.dumps(content))
        run_task(['train'], folder)
        output = json.loads((folder / 'output.json').read_text())
        if not (folder / 'force_field').is_dir():
            raise SystemExit(output.get('message', 'the training left no force field'))
        return ForceField.load(folder / 'force_field'), output['errors']


def frequencies(crystal: Crystal, base: ForceField, delta: ForceField) -> dict[str, float]:
    """Return the frequencies of Δ on the harmonic part of the base's own forces, cm⁻¹.

    What the network of the base itself gets wrong is left out: only the curvature that Δ adds to it counts.
    """
    calculators = [ForceFieldCalculator(field) for field in (base, add_delta(base, delta))]
    modes = [mode for mode in crystal.model.modes() if sorted(mode.qpoint) in ([0.0, 0.0, 0.0], [0.0, 0.5, 0.5])]
    found = {}
    for name, mode in zip(crystal.names, modes, strict=True):
        without, with_delta = (_curvature(crystal, calculator, mode) for calculator in calculators)
        found[name] = frequency_of(curvature_of(mode.frequency_cm1) + with_delta - without)
    return found


def _curvature(crystal: Crystal, calculator: Calculator, mode: Mode) -> float:
    pattern = frozen_pattern(mode, crystal.model)
    atoms = crystal.snapshots.atoms(0)
    pulls = []
    for sign in (1.0, -1.0):
        atoms.positions = crystal.model.site_map.reference_positions + sign * AMPLITUDE * pattern
        atoms.calc = calculator
        pulls.append(float(np.vdot(atoms.get_forces(), pattern)))
    return (pulls[1] - pulls[0]) / (2 * AMPLITUDE)


def _together(entries: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    means: dict[str, Any] = {}
    for name, value in entries[0].items():
        if isinstance(value, Mapping):
            means[name] = {key: float(np.mean([entry[name][key] for entry in entries])) for key in value}
        else:
            means[name] = float(np.mean([entry[name] for entry in entries]))
    if len(entries) > 1:
        values = {key: [entry['frequencies_cm1'][key] for entry in entries] for key in means['frequencies_cm1']}
        means['sd_over_seeds_cm1'] = {key: float(np.std(numbers, ddof=1)) for key, numbers in values.items()}
    return {**means, 'seeds': list(entries)}
