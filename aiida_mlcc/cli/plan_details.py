"""What decides the physics of a run, in lines: engines, cells, wave vectors, and what the energies cost."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

_SHOWN = 6


def detail_lines(inputs: Mapping[str, Any]) -> Iterator[str]:
    """Give a line on each of the things that decide what comes out, as far as the inputs hold it."""
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
        yield f'  training cell: {len(cell)} atoms, which holds {held} ({n_held} {vectors} in all)'
        if n_held == 1:
            yield (
                '  Warning: the training cell holds no wave vector but Γ, and its labels determine the modes there '
                'alone: `aiida-mlcc cells` lists cells that hold more'
            )
        if (cost := _cost(inputs, cell)) is not None:
            yield cost
    yield f'  cells of the phonons: {_atoms(inputs, "harmonic_phonon", crystal, symprec)} atoms'
    if 'vacf' in inputs:
        yield f'  cell of the dynamics: {_atoms(inputs, "vacf", crystal, symprec)} atoms'


def _engine(settings: Mapping[str, Any]) -> str:
    names = ('method', 'basis', 'pseudo', 'potential_family', 'encut', 'kpoints', 'hf_kpoints')
    said = [f'{name} {settings[name]}' for name in names if settings.get(name) is not None]
    return ', '.join([str(settings['name']), *said])


def _training_cell(inputs: Mapping[str, Any], crystal: Any) -> Any:
    from aiida_mlcc.science.crystal import expand_matrix, supercell

    if inputs.get('snapshots') is not None:
        return inputs['snapshots'].get_ase(0)
    if 'dft_md' not in inputs:
        return None
    return supercell(crystal, expand_matrix(inputs['dft_md']['supercell_matrix'].get_list()))


def _wave_vectors(crystal: Any, cell: Any, symprec: float) -> tuple[str, int]:
    """Return the special points among the wave vectors that a cell holds, and how many it holds in all."""
    import numpy as np

    from aiida_mlcc.science.commensurate import commensurate_qpoints
    from aiida_mlcc.science.crystal import commensurate, primitive_cell
    from aiida_mlcc.science.dispersion import band_path

    primitive = primitive_cell(crystal, symprec)
    held = commensurate_qpoints(commensurate(primitive, cell)[0])
    path = band_path(primitive, 2, symprec)
    named = []
    for label, point in path.points.items():
        apart = held - np.asarray(point)
        if np.abs(apart - np.rint(apart)).max(axis=1).min() < 1e-6:
            named.append('Γ' if label == 'GAMMA' else label)
    return f'{", ".join(named[:_SHOWN])}{" …" if len(named) > _SHOWN else ""}', len(held)


def _atoms(inputs: Mapping[str, Any], stage: str, crystal: Any, symprec: float) -> int:
    import numpy as np

    from aiida_mlcc.science.crystal import expand_matrix, primitive_cell

    matrix = expand_matrix(inputs[stage]['supercell_matrix'].get_list())
    return len(primitive_cell(crystal, symprec)) * round(float(np.linalg.det(matrix)))


def _cost(inputs: Mapping[str, Any], cell: Any) -> str | None:
    """Say what the costliest energy takes, and all of them together, as far as that is known."""
    from aiida_mlcc.engines.table import correlation_engine
    from aiida_mlcc.workflows.expected_frames import expected_frames

    if 'cc_energies' not in inputs:
        return None
    settings = inputs['cc_energies']['engine'].get_dict()
    engine, symbols = correlation_engine(settings), cell.get_chemical_symbols()
    groups = expected_frames(inputs).groups
    found = {methods: engine.energy_cost(settings, symbols, methods) for methods in groups}
    costs = {methods: cost for methods, cost in found.items() if cost is not None}
    if not costs or len(costs) < len(found):
        return None
    total = sum(cost.core_hours * len(groups[methods]) for methods, cost in costs.items())
    most = max(costs.values(), key=lambda cost: cost.core_hours)
    return (
        f'  an energy: {most.n_occupied} occupied and {most.n_virtual} virtual orbitals, about {most.core_hours:.2g} '
        f'core hours and {most.memory_gb:.2g} GB; all energies about {total:.2g} core hours (a rough estimate)'
    )
