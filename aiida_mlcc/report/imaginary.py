"""Imaginary modes of a run, and whether the labels say anything of them."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from aiida import orm
from ase import Atoms

from aiida_mlcc.report.outputs import by_method, outputs_of
from aiida_mlcc.science.crystal import CrystalError
from aiida_mlcc.science.error_budget import commensurate


def imaginary_modes_of(process: orm.ProcessNode) -> dict[str, list[dict[str, Any]]]:
    """Return method → the lowest imaginary mode of each member, the worst first; no entry without any.

    ``member``, ``qpoint`` (of the primitive cell), ``frequency_cm1`` (negative), and ``determined``: whether the
    training cell holds the wave vector, None where that cell is not known. Elsewhere the model extrapolates, and an
    imaginary mode says nothing of the crystal. The three acoustic modes at Γ do not count.
    """
    bands, snapshots = by_method(process, 'dispersion'), outputs_of(process).get('snapshots')
    found = {}
    for method, node in by_method(process, 'special_points').items():
        flagged = node.get_dict().get('imaginary') or {}
        modes = [{'member': name, **mode} for name, mode in flagged.items()]
        for mode in modes:
            mode.pop('mode', None)
            mode['determined'] = _determined(mode['qpoint'], bands.get(method), snapshots)
        if modes:
            found[method] = sorted(modes, key=lambda mode: mode['frequency_cm1'])
    return found


def _determined(qpoint: list[float], bands: orm.Data | None, snapshots: orm.Data | None) -> bool | None:
    if bands is None or snapshots is None or 'cell' not in bands.base.attributes.all:
        return None
    lattice = Atoms('H', cell=bands.base.attributes.get('cell'), pbc=True)
    with suppress(CrystalError):
        return commensurate({'': qpoint}, lattice, snapshots.get_ase(0))['']
    return None


def imaginary_lines(process: orm.ProcessNode) -> list[str]:
    """Return one line for each method with imaginary modes beyond the acoustic ones: the lowest, and where it is."""
    lines = []
    for method, modes in imaginary_modes_of(process).items():
        # What the labels determine counts, however low the others are.
        worst = next((mode for mode in modes if mode['determined'] is not False), modes[0])
        where = ' '.join(f'{component:.3g}' for component in worst['qpoint'])
        verdict = (
            'this is not determined, for the training cell does not hold that wave vector'
            if worst['determined'] is False
            else 'the crystal is not stable in this model'
        )
        members = ', '.join(sorted(mode['member'] for mode in modes))
        lowest = f'{worst["frequency_cm1"]:.0f} cm⁻¹ at ({where})'
        lines.append(f'{method}: imaginary modes in {members}, the lowest {lowest}: {verdict}.')
    return lines
