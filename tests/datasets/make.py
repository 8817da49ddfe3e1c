"""How the data sets beside this file were made: dynamics and frozen phonons of eight atoms, labelled by all methods.

``python -m tests.datasets.make diamond8 FOLDER`` runs the tasks ``md``, ``evaluate`` and ``correlate`` with
PySCF in FOLDER, which takes an hour; a run that was stopped goes on. ``lif8`` is the other crystal.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from ase import Atoms
from ase.build import bulk

from aiida_mlcc.runtime.__main__ import main as run_task
from aiida_mlcc.runtime.tasks.evaluate_settings import Evaluate
from aiida_mlcc.science.crystal.cells import primitive_cell
from aiida_mlcc.science.design.optimal_structures import design_frozen_phonons
from aiida_mlcc.science.labels.extxyz import write_extxyz
from aiida_mlcc.science.labels.snapshots import Snapshots

METHODS = ('HF', 'MP2', 'CCSD', 'CCSD(T)')

ENGINE: dict[str, Any] = {
    'basis': 'gth-szv',
    'exp_to_discard': 0.05,
    'exxdiv': 'ewald',
    'max_cycle': 50,
    'max_memory_mb': None,
}

DYNAMICS: dict[str, Any] = {
    'ensemble': 'langevin',
    'n_steps': 120,
    'friction_per_ps': 20.0,
    'equilibration_steps': 0,
    'record_every': 2,
    'record': 'snapshots',
    'max_lag_steps': None,
    'checkpoint_every': 5,
    'dtype': 'float64',
}

FROZEN_PHONONS: dict[str, Any] = {'kind': 'frozen-phonon', 'second_amplitude': 0.7, 'references': 2, 'seed': 7}

CRYSTALS: dict[str, dict[str, Any]] = {
    'diamond8': {
        'crystal': ('C', 'diamond', 3.561),
        'ke_cutoff': None,
        'label_every': 2,
        'dynamics': {'time_step_fs': 3.0, 'temperatures': (50.0, 600.0), 'initial_temperature_K': 200.0},
    },
    'lif8': {
        'crystal': ('LiF', 'rocksalt', 3.93),
        'ke_cutoff': 1200.0,
        'label_every': 1,
        'dynamics': {'time_step_fs': 6.0, 'temperatures': (20.0, 150.0), 'initial_temperature_K': 60.0},
    },
}


def conventional_cell(name: str) -> Atoms:
    """Return the eight atoms of a crystal at rest."""
    symbols, structure, lattice_constant = CRYSTALS[name]['crystal']
    return bulk(symbols, structure, lattice_constant, cubic=True)


def run(folder: Path, task: str, **content: Any) -> None:
    """Run a task in `folder`, or go on with it, unless it is done."""
    output = folder / 'output.json'
    if output.exists() and json.loads(output.read_text())['final']:
        return
    (folder / 'input.json').write_text(json.dumps({'task': task, 'max_seconds': None, **content}))
    if run_task([task], folder):
        raise SystemExit(output.read_text())


def engines(name: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the settings of PySCF for energies and forces of LDA, and for wave-function energies."""
    density_functional = {'conv_tol': 1e-9, 'pseudo': None, 'ke_cutoff': CRYSTALS[name]['ke_cutoff'], 'method': 'LDA'}
    return {**ENGINE, **density_functional}, {'name': 'pyscf', **ENGINE, 'conv_tol': 1e-10, 'pseudo': 'gth-hf-rev'}


def dynamics(name: str, folder: Path) -> Snapshots:
    """Return the snapshots of LDA dynamics, with LDA labels."""
    parameters = dict(CRYSTALS[name]['dynamics'])
    start, end = parameters.pop('temperatures')
    Snapshots.from_atoms([conventional_cell(name)]).save(folder / 'start.npz')
    run(
        folder,
        'md',
        calculator={'kind': 'pyscf', **engines(name)[0]},
        start='start.npz',
        frame=0,
        seed=5192,
        parameters={**DYNAMICS, **parameters, 'temperature_start_K': start, 'temperature_end_K': end},
    )
    return Snapshots.load(folder / 'trajectory.npz')


def frozen_phonons(name: str, snapshots: Snapshots, folder: Path) -> Snapshots:
    """Return the frozen phonons that the snapshots' forces lead to, with LDA labels."""
    primitive = primitive_cell(conventional_cell(name))
    design_frozen_phonons(snapshots, primitive, FROZEN_PHONONS).save(folder / 'snapshots.npz')
    calculators = {'lda': {'kind': 'pyscf', **engines(name)[0]}}
    run(folder, 'evaluate', snapshots='snapshots.npz', parameters=Evaluate().to_dict(), calculators=calculators)
    return Snapshots.load(folder / 'evaluated_lda.npz')


def labelled(name: str, snapshots: Snapshots, folder: Path) -> Snapshots:
    """Return `snapshots` with the energies of all wave-function methods."""
    snapshots.save(folder / 'snapshots.npz')
    run(folder, 'correlate', snapshots='snapshots.npz', methods=list(METHODS), engine=engines(name)[1])
    found = Snapshots.load(folder / 'labelled.npz').labels
    for method in METHODS:
        snapshots = snapshots.with_label(method, found[method])
    return snapshots


def main(name: str, target: str) -> None:
    """Run the dynamics, then frozen phonons, then the energies of both, and write ``NAME.xyz.gz`` and more."""
    folder = Path(target)
    for step in ('md', 'correlate', 'frozen', 'frozen_correlate'):
        (folder / step).mkdir(parents=True, exist_ok=True)
    snapshots = dynamics(name, folder / 'md')
    frozen = frozen_phonons(name, snapshots, folder / 'frozen')
    snapshots = snapshots.select(range(0, snapshots.n_frames, CRYSTALS[name]['label_every']))
    for suffix, content, step in (('', snapshots, 'correlate'), ('_frozen', frozen, 'frozen_correlate')):
        write_extxyz(folder / f'{name}{suffix}.xyz.gz', labelled(name, content, folder / step))


if __name__ == '__main__':
    main(*sys.argv[1:])
