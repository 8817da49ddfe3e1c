"""Imaginary modes of a run, and whether the labels say anything of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress

import numpy as np
from aiida import orm
from ase import Atoms

from aiida_mlcc.report.curve_table import listed
from aiida_mlcc.report.data.outputs import RunOutputs
from aiida_mlcc.report.data.records import MemberImaginaryMode, Results
from aiida_mlcc.science.crystal.cells import CrystalError, same_points
from aiida_mlcc.science.errors.frequency_error_bars import commensurate
from aiida_mlcc.science.fit.fit_errors import MemberErrors
from aiida_mlcc.science.fit.force_constants_basis import symmetry_operations
from aiida_mlcc.science.phonons.dispersion import ImaginaryMode, imaginary_modes
from aiida_mlcc.science.phonons.modes import star

_SYMPREC = 1e-3
_SAME = 1e-4


def imaginary_modes_of(outputs: RunOutputs) -> dict[str, list[MemberImaginaryMode]]:
    """Return method → the imaginary modes along its dispersion, the worst first; no entry without any.

    Of each member the lowest that the data determine, and the lowest of the others: ``member``, ``qpoint`` (of the
    primitive cell), ``frequency_cm1`` (negative), and ``determined``: whether the training cell holds the wave vector,
    or of the base that of the reference displacements; None where that cell is not known. Elsewhere the model
    extrapolates, and an imaginary mode says nothing of the crystal. The three acoustic modes at Γ do not count.
    """
    bands, errors = outputs.by_method['dispersion'], outputs.errors
    found = {}
    for method, node in outputs.by_method['special_points'].items():
        flagged = _along(bands[method]) if method in bands else {}
        flagged = flagged or {name: [mode] for name, mode in (node.get_dict().get('imaginary') or {}).items()}
        places = [mode['qpoint'] for modes in flagged.values() for mode in modes]
        if not places:
            continue
        determined = _determined(places, outputs, bands.get(method), errors.get(method, {}))
        modes: list[MemberImaginaryMode] = [
            {'member': name, 'qpoint': mode['qpoint'], 'frequency_cm1': mode['frequency_cm1'], 'determined': verdict}
            for name, own in flagged.items()
            for verdict in (True, None, False)
            for mode in [_lowest(mode for mode in own if determined[tuple(mode['qpoint'])] is verdict)]
            if mode is not None
        ]
        found[method] = sorted(modes, key=lambda mode: mode['frequency_cm1'])
    return found


def _along(node: orm.Data) -> dict[str, list[ImaginaryMode]]:
    """Return member → its imaginary modes along the path, as far as the node tells them."""
    names = node.base.attributes.get('members', None)
    if not isinstance(names, list) or 'members' not in node.get_arraynames():
        return {}
    qpoints = np.asarray(node.get_kpoints(), dtype=float)
    members = dict(zip(names, node.get_array('members'), strict=True))
    found = {name: imaginary_modes(qpoints, frequencies) for name, frequencies in members.items()}
    return {name: modes for name, modes in found.items() if modes}


def _lowest(modes: Iterable[ImaginaryMode]) -> ImaginaryMode | None:
    return min(modes, key=lambda mode: mode['frequency_cm1'], default=None)


def _determined(
    qpoints: list[list[float]], outputs: RunOutputs, bands: orm.Data | None, errors: MemberErrors
) -> dict[tuple[float, ...], bool | None]:
    """Return of each wave vector whether the data determine its modes; None where nothing tells.

    :param errors: of the fits of the method: those of a base name the modes that reference displacements show.
    """
    found: dict[tuple[float, ...], bool | None] = {tuple(qpoint): None for qpoint in qpoints}
    snapshots = outputs.nodes.get('snapshots')
    if bands is None or snapshots is None or 'cell' not in bands.base.attributes.all:
        return found
    primitive = _primitive(outputs.crystal, np.asarray(bands.base.attributes.get('cell')))
    shown = [
        entry['qpoint']
        for member in errors.values()
        if isinstance(member, Mapping)
        for entry in member.get('reference', {}).get('modes', ())
    ]
    with suppress(CrystalError):
        held = commensurate({str(qpoint): qpoint for qpoint in found}, primitive, snapshots.get_ase(0))
        rotations = symmetry_operations(primitive, _SYMPREC)[0]
        images = [star(np.array(qpoint), rotations) for qpoint in dict.fromkeys(map(tuple, shown))]
        for qpoint in found:
            found[qpoint] = held[str(qpoint)] or any(same_points(each, qpoint, _SAME).any() for each in images)
    return found


def _primitive(crystal: Atoms | None, cell: np.ndarray) -> Atoms:
    """Return the crystal in a primitive cell of it; where none is known, an atom, whose lattice has all symmetry."""
    if crystal is None:
        return Atoms('H', cell=cell, pbc=True)
    scaled = np.linalg.solve(cell.T, crystal.positions.T).T
    kept: list[int] = []
    for number, place in enumerate(scaled):
        alike = [other for other in kept if crystal.numbers[other] == crystal.numbers[number]]
        if not alike or not same_points(scaled[alike], place, _SYMPREC).any():
            kept.append(number)
    if len(kept) * round(abs(crystal.get_volume() / np.linalg.det(cell))) != len(crystal):
        return Atoms('H', cell=cell, pbc=True)
    return Atoms(crystal.numbers[kept], cell=cell, scaled_positions=scaled[kept], pbc=True)


def _with_imaginary_modes(results: Results) -> dict[str, list[MemberImaginaryMode]]:
    return {method: modes for method, entry in results['methods'].items() if (modes := entry['imaginary_modes'])}


def imaginary_lines(results: Results) -> list[str]:
    """Return one line for each method with imaginary modes beyond the acoustic ones: the lowest, and where it is."""
    lines = []
    for method, modes in _with_imaginary_modes(results).items():
        # What the labels determine counts, however low the others are.
        worst = next((mode for mode in modes if mode['determined'] is not False), modes[0])
        where = ' '.join(f'{component:.3g}' for component in worst['qpoint'])
        verdict = (
            'this is not determined, for the training cell does not hold that wave vector'
            if worst['determined'] is False
            else 'the crystal is not stable in this model'
        )
        members = ', '.join(sorted({mode['member'] for mode in modes if mode['determined'] is worst['determined']}))
        lowest = f'{worst["frequency_cm1"]:.0f} cm⁻¹ at ({where})'
        lines.append(f'{method}: imaginary modes in {members}, the lowest {lowest}: {verdict}.')
    return lines


def imaginary_summary(results: Results) -> str:
    """Return what to say of the methods with imaginary modes before they are listed, empty where there are none."""
    found = _with_imaginary_modes(results)
    stable = [method for method, modes in found.items() if all(mode['determined'] is False for mode in modes)]
    unstable = [method for method in found if method not in stable]
    parts = []
    if unstable:
        parts.append(f'The crystal has imaginary modes by {listed(unstable)}, so it is not stable in these models.')
    if stable:
        parts.append(f'Imaginary modes by {listed(stable)} lie only where the data do not determine them.')
    return ' '.join(parts)
