"""Energy and forces from ``data-file-schema.xml`` of pw.x, in eV and Å."""

from __future__ import annotations

from dataclasses import dataclass
from xml.etree import ElementTree

import numpy as np
from ase.units import Bohr, Hartree
from numpy.typing import NDArray

XML = 'data-file-schema.xml'


class PwXmlError(ValueError):
    """A file that cannot be read, or holds no energy and forces, in a sentence."""


@dataclass(frozen=True)
class PwRun:
    """A single point.

    :param energy: eV per cell.
    :param forces: eV/Å, shape (n_atoms, 3), in the order of the input.
    :param gap: of the Kohn–Sham or Hartree–Fock levels on the mesh, eV; None where no empty level was calculated.
    """

    energy: float
    forces: NDArray[np.float64]
    converged: bool
    version: str
    gap: float | None


def parse_pw_xml(content: bytes) -> PwRun:
    """Read a single point.

    :raises PwXmlError: where there is no energy or no forces.
    """
    try:
        root = ElementTree.fromstring(content)
    except ElementTree.ParseError as error:
        raise PwXmlError(f'{XML} of pw.x cannot be read: {error}') from None
    output = root.find('output')
    energy = None if output is None else output.findtext('total_energy/etot')
    forces = None if output is None else output.find('forces')
    if output is None or energy is None or forces is None or forces.text is None:
        raise PwXmlError(f'{XML} of pw.x holds no energy and forces')
    creator = root.find('general_info/creator')
    return PwRun(
        float(energy) * Hartree,
        np.array(forces.text.split(), dtype=float).reshape(-1, 3) * Hartree / Bohr,
        output.findtext('convergence_info/scf_conv/convergence_achieved', 'true').strip().lower() == 'true',
        'unknown' if creator is None else creator.get('VERSION', 'unknown'),
        _gap(output),
    )


def gap_of(content: bytes) -> float | None:
    """Return the gap of a run without energy or forces, too, eV; None where the file does not say it."""
    try:
        output = ElementTree.fromstring(content).find('output')
    except ElementTree.ParseError:
        return None
    return None if output is None else _gap(output)


def _gap(output: ElementTree.Element) -> float | None:
    levels = []
    for point in output.iterfind('band_structure/ks_energies'):
        eigenvalues = np.array((point.findtext('eigenvalues') or '').split(), dtype=float)
        occupied = np.array((point.findtext('occupations') or '').split(), dtype=float) > 0.5
        if not occupied.any() or occupied.all():
            return None
        levels.append((eigenvalues[occupied].max(), eigenvalues[~occupied].min()))
    if not levels:
        return None
    highest, lowest = np.array(levels).T
    return float(lowest.min() - highest.max()) * Hartree
