"""What a run will do: its stages and how many jobs each takes."""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil
from typing import Any


def plan(inputs: Mapping[str, Any]) -> list[tuple[str, int, str]]:
    """Return (stage, number of jobs, what they do) for the inputs of the master WorkChain."""
    methods = inputs['methods'].get_list()
    stages: list[tuple[str, int, str]] = []
    if 'dft_md' in inputs:
        stages.append(('dft_md', 1, _dynamics(inputs['dft_md'])))
    if 'cc_energies' in inputs:
        stages.append(_energies(inputs['cc_energies'], methods, inputs.get('snapshots')))
    n_members = 1
    if 'delta_train' in inputs:
        training = inputs['delta_train']
        n_members = len(training['seeds'].get_list())
        kind = training['delta']['kind'].value
        n_deltas = n_members * len(methods) if kind == 'mace' else 1
        stages.append(
            ('delta_train', n_members + n_deltas, f'{n_members} members, Δ of kind {kind} for {", ".join(methods)}')
        )
    matrix = inputs['harmonic_phonon']['supercell_matrix'].get_list()
    stages.append(
        ('harmonic_phonon', 1 + len(methods), f'supercell {matrix} of the primitive cell, DFT and each method')
    )
    if 'vacf' in inputs:
        spectra = inputs['vacf_methods'].get_list()
        steps = inputs['vacf']['md']['parameters'].get_dict()['n_steps']
        stages.append(('vacf', n_members * len(spectra), f'{steps} steps for each member of {", ".join(spectra)}'))
    return stages


def lines(inputs: Mapping[str, Any]) -> list[str]:
    """Return the plan as text."""
    stages = plan(inputs)
    rows = [f'  {name:<16} {jobs:>4} {"job " if jobs == 1 else "jobs"}  {what}' for name, jobs, what in stages]
    total = sum(jobs for _, jobs, _ in stages)
    return [*rows, f'  {"together":<16} {total:>4} jobs, if none has to be continued or comes from the cache']


def _dynamics(inputs: Mapping[str, Any]) -> str:
    parameters, engine = inputs['md']['parameters'].get_dict(), inputs['engine'].get_dict()
    return (
        f'{engine["method"]} dynamics, {parameters["n_steps"]} steps of {parameters["time_step_fs"]:g} fs, '
        f'{parameters["temperature_start_K"]:g} to {parameters["temperature_end_K"]:g} K'
    )


def _energies(inputs: Mapping[str, Any], methods: list[str], snapshots: Any) -> tuple[str, int, str]:
    selection = inputs['selection'].get_dict()
    if snapshots is None:
        n_selected = int(selection['n'])
    else:
        from aiida_mlcc.science.selection import select

        n_selected = len(select(snapshots.get_snapshots(), selection))
    n_jobs = ceil(n_selected / inputs['batch_size'].value)
    known = len(inputs.get('known_labels', {}))
    reused = f', less what {known} earlier sets of labels hold' if known else ''
    return 'cc_energies', n_jobs, f'{", ".join(methods)} of {n_selected} snapshots{reused}'
