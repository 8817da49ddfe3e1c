"""The frames of VASP's molecular dynamics, from all its segments."""

import numpy as np
from aiida import orm
from aiida.engine import ExitCode, calcfunction

from aiida_mlcc.data.snapshots import SnapshotsData
from aiida_mlcc.science.crystal.species_order import species_order
from aiida_mlcc.science.dataset.vasp_files.vasprun import parse_vasprun
from aiida_mlcc.science.labels.snapshots import Label, Snapshots

_SAME_CELL = 1e-4


@calcfunction
def vasp_trajectory(
    start: SnapshotsData,
    method: orm.Str,
    energy: orm.Str,
    source: orm.Dict,
    parameters: orm.Dict,
    steps: orm.Dict,
    science: orm.Str,
    **segments: orm.FolderData,
):
    """Return the frames as snapshots with Cartesian positions, unwrapped from the start on, and what became of each.

    Step 1 of the dynamics is the start itself, as VASP counts. Frames whose electrons did not converge are left out
    and named in the summary.

    :param energy: which energy is the label, one of :data:`~aiida_mlcc.science.dataset.vasp_files.vasprun.ENERGIES`.
    :param steps: segment → how many of its steps count.
    :param segments: the retrieved folders, whose names sort by time.
    """
    first = start.get_snapshots().select([0]).without_labels()
    order = species_order(first.symbols)
    back = np.argsort(order)
    every, equilibration = parameters['record_every'], parameters['equilibration_steps']
    position, fractional_before = first.positions[0][order], None
    positions, forces, energies, kept, unconverged, versions, number = [], [], [], [], [], set(), 0
    for name in sorted(segments):
        run = parse_vasprun(segments[name].get_object_content('vasprun.xml', 'rb'))
        versions.add(f'VASP {run.version}')
        for index, found in enumerate(run.steps[: steps[name]]):
            if np.abs(found.cell - first.cells[0]).max() > _SAME_CELL:
                return ExitCode(400, f'the cell changed in segment {name}, though the dynamics has a constant volume')
            before = position @ np.linalg.inv(found.cell) if fractional_before is None else fractional_before
            moved = found.fractional - before
            position = position + (moved - np.rint(moved)) @ found.cell
            fractional_before = found.fractional
            number += 1
            recorded = number - equilibration
            if recorded < 1 or recorded % every:
                continue
            if not run.converged(index) or found.forces is None:
                unconverged.append(recorded)
                continue
            kept.append(recorded)
            positions.append(position[back])
            forces.append(found.forces[back])
            energies.append(found.energies[energy.value])
    if not kept:
        return ExitCode(400, f'the electrons converged in none of {len(unconverged)} frames: raise `nelm`')
    label = Label(np.array(energies), np.array(forces), {**source.get_dict(), 'version': ', '.join(sorted(versions))})
    cells = np.repeat(first.cells, len(kept), axis=0)
    summary = {'steps': kept, 'unconverged_steps': unconverged, 'n_segments': len(segments), 'steps_done': number}
    return {
        'trajectory': SnapshotsData(Snapshots(first.symbols, cells, np.array(positions), {method.value: label})),
        'summary': orm.Dict(summary),
    }
