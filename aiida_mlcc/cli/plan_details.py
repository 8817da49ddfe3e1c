"""What decides the physics of a run, in lines: engines, cells, wave vectors, and what the energies cost."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aiida_mlcc.engines.engine import Inputs, Place
    from aiida_mlcc.science.json_values import StoredSettings
    from aiida_mlcc.workflows.run_inputs import RunInputs

_SHOWN = 6


def detail_lines(inputs: RunInputs) -> Iterator[str]:
    """Give a line on each of the things that decide what comes out, as far as the inputs hold it."""
    from aiida_mlcc.engines.table import force_engine
    from aiida_mlcc.workflows.feasibility import symprec_of

    if 'dft_md' in inputs:
        yield f'  DFT: {_engine(inputs["dft_md"]["engine"].get_dict())}'
    if 'cc_energies' in inputs:
        yield f'  energies: {_engine(inputs["cc_energies"]["engine"].get_dict())}'
    crystal, symprec = inputs['structure'].get_ase(), symprec_of(inputs)
    cell = _training_cell(inputs, crystal)
    if cell is not None:
        held, n_held = _wave_vectors(crystal, cell, symprec)
        vectors = 'wave vectors' if n_held > 1 else 'wave vector'
        yield f'  training cell: {len(cell)} atoms, commensurate with {held} ({n_held} {vectors} in total)'
        if n_held == 1:
            yield (
                '  Warning: only Γ is commensurate with the training cell, so its labels determine only the modes at '
                'Γ: `aiida-mlcc cells` lists other cells'
            )
        if 'dft_md' in inputs and (warning := force_engine(inputs['dft_md']['engine']).warn_of(cell)) is not None:
            yield f'  Warning: {warning}'
        if (cost := _cost(inputs, cell)) is not None:
            yield cost
    yield f'  cells of the phonons: {_atoms(inputs, "harmonic_phonon", crystal, symprec)} atoms'
    if 'vacf' in inputs:
        yield f'  cell of the dynamics: {_atoms(inputs, "vacf", crystal, symprec)} atoms'
    if 'delta_train' in inputs and cell is not None:
        yield _cost_of_models(inputs, len(cell), crystal, symprec)


def _engine(settings: StoredSettings) -> str:
    names = ('method', 'basis', 'pseudo', 'potential_family', 'encut', 'kpoints', 'hf_kpoints')
    said = [f'{name} {settings[name]}' for name in names if settings.get(name) is not None]
    return ', '.join([str(settings['name']), *said])


def _training_cell(inputs: RunInputs, crystal: Any) -> Any:
    from aiida_mlcc.science.crystal.cells import expand_matrix, supercell

    if inputs.get('snapshots') is not None:
        return inputs['snapshots'].get_ase(0)
    if 'dft_md' not in inputs:
        return None
    return supercell(crystal, expand_matrix(inputs['dft_md']['supercell_matrix'].get_list()))


def _wave_vectors(crystal: Any, cell: Any, symprec: float) -> tuple[str, int]:
    """Return the special points among the wave vectors that a cell holds, and how many it holds in all."""

    from aiida_mlcc.science.crystal.cells import commensurate, commensurate_qpoints, primitive_cell, same_points
    from aiida_mlcc.science.phonons.dispersion import band_path

    primitive = primitive_cell(crystal, symprec)
    held = commensurate_qpoints(commensurate(primitive, cell)[0])
    path = band_path(primitive, 2, symprec)
    named = []
    for label, point in path.points.items():
        if same_points(held, point).any():
            named.append('Γ' if label == 'GAMMA' else label)
    return f'{", ".join(named[:_SHOWN])}{" …" if len(named) > _SHOWN else ""}', len(held)


def _atoms(inputs: RunInputs, stage: str, crystal: Any, symprec: float) -> int:
    import numpy as np

    from aiida_mlcc.science.crystal.cells import expand_matrix, primitive_cell
    from aiida_mlcc.workflows.run_inputs import stage_inputs

    matrix = expand_matrix(stage_inputs(inputs, stage)['supercell_matrix'].get_list())
    return len(primitive_cell(crystal, symprec)) * round(float(np.linalg.det(matrix)))


def _cost(inputs: RunInputs, cell: Any) -> str | None:
    """Say what the costliest energy takes, and all of them together, as far as that is known."""
    from aiida_mlcc.engines.table import correlation_engine
    from aiida_mlcc.workflows.sampling.expected_frames import expected_frames

    if 'cc_energies' not in inputs:
        return None
    engine, symbols = correlation_engine(inputs['cc_energies']['engine']), cell.get_chemical_symbols()
    groups = expected_frames(inputs).groups
    found = {methods: engine.energy_cost(symbols, methods) for methods in groups}
    costs = {methods: cost for methods, cost in found.items() if cost is not None}
    if not costs or len(costs) < len(found):
        return None
    total = sum(cost.core_hours * len(groups[methods]) for methods, cost in costs.items())
    most = max(costs.values(), key=lambda cost: cost.core_hours)
    return (
        f'  an energy: {most.n_occupied} occupied and {most.n_virtual} virtual orbitals, about {most.core_hours:.2g} '
        f'core hours, {most.memory_gb:.2g} GB of memory and {most.disk_gb:.2g} GB of scratch disk; all energies about '
        f'{total:.2g} core hours (a rough estimate)'
    )


def _cost_of_models(inputs: RunInputs, n_atoms: int, crystal: Any, symprec: float) -> str:
    """Say what trainings, phonons and dynamics take, by times that were measured on one core."""
    from aiida_mlcc.science.force_field.model_cost import force_hours

    methods, trained = inputs['methods'].get_list(), inputs['delta_train']
    n_members, control = len(trained['seeds'].get_list()), trained['control'].value
    channels = [network.channels for network in _networks(trained) if network is not None]
    phonons = inputs['harmonic_phonon']
    n_cells = 1 + _n_displacements(crystal, phonons, symprec)
    each = force_hours(n_cells, _atoms(inputs, 'harmonic_phonon', crystal, symprec), sum(channels))
    n_curves = 1 + control + (1 + len(trained['delta']['compare'].get_list())) * len(methods)
    said = [
        f'trainings about {_training_hours(inputs, n_atoms):.2g}',
        f'phonons ({n_cells} cells for each member) about {each * n_members * n_curves:.2g}',
    ]
    if 'vacf' in inputs and (spectra := inputs['vacf_methods'].get_list()):
        settings = inputs['vacf']['md']['parameters'].get_dict()
        n_steps = settings['n_steps'] + settings['equilibration_steps']
        double = settings.get('dtype', 'float64') == 'float64'
        each = force_hours(n_steps, _atoms(inputs, 'vacf', crystal, symprec), sum(channels), double)
        n_runs = n_members * len(spectra) * inputs['vacf']['n_trajectories'].value
        said.append(f'dynamics about {each * n_runs:.2g}')
    return f'  core hours: {", ".join(said)} (a rough estimate, from timings on one core)'


def _networks(trained: Inputs) -> list[Any]:
    """Return the networks of base and Δ, None for a kind without one."""
    from aiida_mlcc.engines.engine import at
    from aiida_mlcc.science.force_field.model_cost import Network

    def network(job: Place, has_network: bool) -> Network | None:
        if not has_network:
            return None
        training = job['training'].get_dict()
        return Network(job['network']['num_channels'], training['epochs'], training['dtype'] == 'float64')

    base, delta = _kinds(trained)
    return [
        network(trained['base'], base.has_network),
        network(at(trained['delta'], delta.slug), delta.has_network),
    ]


def _kinds(trained: Inputs) -> tuple[Any, Any]:
    from aiida_mlcc.runtime.delta_kinds import BASE, DELTA, kinds_for

    return kinds_for(BASE)[trained['base']['kind'].value], kinds_for(DELTA)[trained['delta']['kind'].value]


def _training_hours(inputs: RunInputs, n_atoms: int) -> float:
    """Return the core hours of the bases and of Δ, without kinds that are only compared and without the control."""
    from aiida_mlcc.science.force_field.model_cost import training_hours
    from aiida_mlcc.workflows.sampling.expected_frames import expected_frames, frames_to_come

    trained, methods = inputs['delta_train'], inputs['methods'].get_list()
    n_members = len(trained['seeds'].get_list())
    if (snapshots := inputs.get('snapshots')) is not None:
        n_frames, labelled = snapshots.n_frames, dict(snapshots.base.attributes.get('n_labelled'))
    else:
        n_frames, labelled = frames_to_come(inputs), {}
    if 'cc_energies' in inputs:
        expected = expected_frames(inputs)
        labelled = {method: labelled.get(method, 0) + expected.of(method) for method in methods}
    of_base, of_delta = _networks(trained)
    _, delta = _kinds(trained)
    total = n_members * training_hours(n_frames, n_atoms, of_base)
    n_each = n_members if delta.per_seed else 1
    return total + sum(n_each * training_hours(labelled.get(method, 0), n_atoms, of_delta) for method in methods)


def _n_displacements(crystal: Any, phonons: Inputs, symprec: float) -> int:
    """Return how many displaced cells the phonons need, at all volumes."""
    import numpy as np
    from phonopy import Phonopy

    from aiida_mlcc.science.crystal.cells import expand_matrix, primitive_cell, to_phonopy

    parameters = phonons['parameters'].get_dict()
    matrix = expand_matrix(phonons['supercell_matrix'].get_list())
    # A supercell of the same shape has the same symmetry, so the smallest one needs as many displacements.
    matrix //= np.gcd.reduce(matrix, axis=None)
    phonon = Phonopy(to_phonopy(primitive_cell(crystal, symprec)), matrix, primitive_matrix='P', symprec=symprec)
    phonon.generate_displacements(distance=parameters['displacement_angstrom'])
    volumes = 3 if parameters.get('gruneisen') else 1
    return volumes * len(phonon.displacements)
