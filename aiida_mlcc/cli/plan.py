"""What a run will do: its stages and how many jobs each takes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from aiida_mlcc.cli.plan_details import detail_lines

if TYPE_CHECKING:
    from aiida_mlcc.engines.engine import Inputs
    from aiida_mlcc.engines.table import ForceKind
    from aiida_mlcc.parsers.parse_raw.cc4s_dry_run import Forecast
    from aiida_mlcc.workflows.run_inputs import RunInputs


def plan(inputs: RunInputs) -> list[tuple[str, int, str]]:
    """Return (stage, number of jobs, what they do) for the valid inputs of the master WorkChain."""
    methods = inputs['methods'].get_list()
    stages: list[tuple[str, int, str]] = []
    stages += _sampling(inputs)
    if 'cc_energies' in inputs:
        stages.append(('cc_energies', *_energies(inputs, methods)))
    n_members, with_control = 1, False
    if 'delta_train' in inputs:
        n_members, with_control = len(inputs['delta_train']['seeds'].get_list()), inputs['delta_train']['control'].value
        stages.append(('delta_train', *_trainings(inputs, methods)))
    matrix = inputs['harmonic_phonon']['supercell_matrix'].get_list()
    what = f'supercell {matrix} of the primitive cell, DFT{", its control" if with_control else ""} and each method'
    stages.append(('harmonic_phonon', 1 + with_control + len(methods), what))
    if 'vacf' in inputs:
        spectra = inputs['vacf_methods'].get_list()
        steps, n_each = inputs['vacf']['md']['parameters'].get_dict()['n_steps'], inputs['vacf']['n_trajectories'].value
        what = f'{f"{n_each} times " if n_each > 1 else ""}{steps} steps for each member of {", ".join(spectra)}'
        stages.append(('vacf', n_members * len(spectra) * n_each, what))
    return stages


def lines(inputs: RunInputs, forecast: Forecast | None = None) -> list[str]:
    """Return the plan as text.

    :param forecast: what a point of the energies will cost, as a dry run of Cc4s says it.
    """
    stages = plan(inputs)
    head = _crystal(inputs)
    rows = [f'  {name:<16} {jobs:>4} {"job " if jobs == 1 else "jobs"}  {what}' for name, jobs, what in stages]
    total = sum(jobs for _, jobs, _ in stages)
    rows.append(f'  {"together":<16} {total:>4} jobs, if none has to be continued or comes from the cache')
    rows += detail_lines(inputs)
    return [head, *rows] if forecast is None else [head, *rows, *_cost_lines(inputs, forecast)]


def _cost_lines(inputs: RunInputs, forecast: Forecast) -> list[str]:
    from aiida_mlcc.workflows.labelling.forecast import describe_campaign, describe_point
    from aiida_mlcc.workflows.sampling.expected_frames import expected_frames

    groups, budget = expected_frames(inputs).groups, inputs['cc_energies'].get('max_core_hours')
    return [f'  cost: {describe_point(forecast)};', f'  {describe_campaign(forecast, groups, budget)}']


def _crystal(inputs: RunInputs) -> str:
    from aiida_mlcc.science.crystal.cells import primitive_cell
    from aiida_mlcc.science.crystal.formula import formula_of
    from aiida_mlcc.science.crystal.symmetry import space_group
    from aiida_mlcc.workflows.feasibility import symprec_of

    crystal, symprec = inputs['structure'].get_ase(), symprec_of(inputs)
    n_primitive = len(primitive_cell(crystal, symprec))
    primitive = '' if len(crystal) == n_primitive else f' ({n_primitive} in the primitive cell)'
    group = f'space group {space_group(crystal, symprec)} within {symprec:g} Å'
    return f'Phonons of {formula_of(crystal.symbols)}, {len(crystal)} atoms{primitive}, {group}:'


def _sampling(inputs: RunInputs) -> Iterator[tuple[str, int, str]]:
    """Give the stages that make structures with DFT forces."""
    from aiida_mlcc.engines.table import force_kind

    if 'dft_md' not in inputs:
        return
    engine = inputs['dft_md']['engine'].get_dict()
    if 'parameters' in inputs.get('reference', {}):
        n_cells, n_atoms = _displaced_cells(inputs)
        what = f'{engine["method"]} forces of {n_cells - 1} displacements and of the cell at rest, {n_atoms} atoms'
        yield 'reference', force_kind(engine['name']).n_label_jobs(n_cells), what
    if 'parameters' not in inputs.get('thermal_structures', {}):
        yield 'dft_md', *_dynamics(inputs['dft_md'])
        return
    asked = inputs['thermal_structures']['parameters'].get_dict()
    n_structures, n_first = asked['n_structures'], min(asked['n_first'], asked['n_structures'])
    batches = [n for n in (n_first, n_structures - n_first) if n]
    yield (
        'thermal_structures',
        sum(force_kind(engine['name']).n_label_jobs(n) for n in batches),
        f'{engine["method"]} forces of {n_structures} structures drawn from harmonic force constants, '
        f'{asked["temperature_start_K"]:g} to {asked["temperature_end_K"]:g} K',
    )


def _displaced_cells(inputs: RunInputs) -> tuple[int, int]:
    """Return how many cells the reference displacements are, and of how many atoms."""
    from aiida_mlcc.science.labels.displacements import Displacements, displaced_cells

    asked = inputs['reference']
    matrix = asked.get('supercell_matrix', inputs['dft_md']['supercell_matrix']).get_list()
    settings = Displacements.of(asked['parameters'].get_dict())
    found = displaced_cells(inputs['structure'].get_ase(), matrix, settings, asked['symprec'].value)
    return found.n_frames, found.n_atoms


def _dynamics(inputs: Inputs) -> tuple[int, str]:
    from aiida_mlcc.engines.table import force_engine

    parameters, engine = inputs['md']['parameters'].get_dict(), inputs['engine'].get_dict()
    step = _time_step(parameters['time_step_fs'])
    return force_engine(engine).n_dynamics_jobs(inputs), (
        f'{engine["method"]} dynamics, {parameters["n_steps"]} steps of {step}, '
        f'{parameters["temperature_start_K"]:g} to {parameters["temperature_end_K"]:g} K'
    )


def _time_step(step: float | None) -> str:
    return 'as many fs as the stiffest mode allows' if step is None else f'{step:g} fs'


def _trainings(inputs: RunInputs, methods: list[str]) -> tuple[int, str]:
    from aiida_mlcc.workflows.training.members import plan_trainings

    training = inputs['delta_train']
    base, delta = training['base']['kind'].value, training['delta']
    kind, compare = delta['kind'].value, delta['compare'].get_list()
    seeds, control = training['seeds'].get_list(), training['control'].value
    jobs = plan_trainings('LDA', methods, seeds, base, kind, compare, control)
    others = f', compared with {", ".join(compare)}' if compare else ''
    others += ', and the control without forces' if control else ''
    return len(jobs), f'{len(seeds)} members, base of kind {base}, Δ of kind {kind} for {", ".join(methods)}{others}'


def _energies(inputs: RunInputs, methods: list[str]) -> tuple[int, str]:
    from aiida_mlcc.engines.table import correlation_engine
    from aiida_mlcc.workflows.sampling.expected_frames import expected_frames

    expected, labelling = expected_frames(inputs), inputs['cc_energies']
    engine = correlation_engine(labelling['engine'])
    n_jobs = engine.n_jobs(expected.groups, labelling['batch_size'].value)
    if expected.n_new:
        n_jobs += _base_engine(inputs).n_label_jobs(expected.n_new)
    numbers: dict[int, list[str]] = {}
    for method in methods:
        numbers.setdefault(expected.of(method), []).append(method)
    what = ', '.join(f'{", ".join(alike)} of {n} snapshots' for n, alike in numbers.items())
    new = f'{expected.n_new} new structures; ' if expected.n_new else ''
    if 'MP2' in methods and (note := engine.caveat()) is not None:
        what = f'{what} ({note})'
    known = len(labelling.get('known_labels', {}))
    reused = f', less what {known} earlier sets of labels hold' if known else ''
    return n_jobs, f'{new}{"at most " if expected.at_most else ""}{what}{reused}'


def _base_engine(inputs: RunInputs) -> ForceKind:
    """Return the engine of the DFT energies of new structures, which are made like those of the snapshots."""
    from aiida_mlcc.engines.table import force_kind, force_kind_of
    from aiida_mlcc.workflows.labelling.selections import base_method_of

    if 'snapshots' not in inputs:
        return force_kind(inputs['dft_md']['engine']['name'])
    method, snapshots = base_method_of(inputs['snapshots']), inputs['snapshots'].get_snapshots()
    assert method is not None
    return force_kind_of(snapshots.labels[method].source, method)
