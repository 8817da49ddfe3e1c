"""vasprun.xml of VASP, step by step, also where the job was killed in the middle of it."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

ENERGIES = ('free', 'without_entropy', 'sigma_to_zero')
"""Which energy is meant: the free energy TOTEN, whose derivative the forces are; the energy without the electronic
entropy; or the extrapolation to no smearing, half way between them."""

_TAGS = dict(zip(ENERGIES, ('e_fr_energy', 'e_wo_entrp', 'e_0_energy'), strict=True))
_DEFAULT_NELM = 60


@dataclass(frozen=True)
class IonicStep:
    """One ionic step.

    :param cell: lattice vectors as rows, Å.
    :param fractional: positions in the lattice vectors, shape (n_atoms, 3).
    :param forces: eV/Å, shape (n_atoms, 3), or None.
    :param energies: kind of :data:`ENERGIES` → eV per cell.
    :param n_electronic: electronic steps that it took.
    """

    cell: NDArray[np.float64]
    fractional: NDArray[np.float64]
    forces: NDArray[np.float64] | None
    energies: dict[str, float]
    n_electronic: int


@dataclass(frozen=True)
class VaspRun:
    """What a vasprun.xml holds.

    :param nelm: the most electronic steps allowed; VASP goes on where they did not suffice.
    :param steps: the complete ionic steps.
    :param complete: whether the file has its end; a killed job's has not.
    """

    version: str
    symbols: tuple[str, ...]
    nelm: int
    steps: tuple[IonicStep, ...]
    complete: bool

    def converged(self, step: int) -> bool:
        """Tell whether the electrons of an ionic step converged before the allowed steps were used up."""
        found = self.steps[step]
        numbers: list[Any] = [
            found.fractional,
            list(found.energies.values()),
            *([] if found.forces is None else [found.forces]),
        ]
        return found.n_electronic < self.nelm and all(np.isfinite(n).all() for n in numbers)


def parse_vasprun(content: bytes) -> VaspRun:
    """Read every complete ionic step; what comes after a file's sudden end is left out.

    :raises ValueError: where not even the head of the file is there.
    """
    version, nelm, steps = '', None, []
    symbols: tuple[str, ...] = ()
    complete = True
    try:
        for _, element in ElementTree.iterparse(io.BytesIO(content), events=('end',)):
            if element.tag == 'generator':
                version = _text(element.find("i[@name='version']"))
            elif element.tag == 'atominfo':
                symbols = tuple(_text(c) for c in element.findall("array[@name='atoms']/set/rc/c[1]"))
            elif element.tag == 'parameters':
                found = element.find(".//i[@name='NELM']")
                nelm = _DEFAULT_NELM if found is None else int(_text(found))
            elif element.tag == 'calculation':
                steps.append(_ionic_step(element, version))
                element.clear()
    except ElementTree.ParseError:
        complete = False
    if not symbols or nelm is None:
        raise ValueError('vasprun.xml ends before VASP began its first step')
    return VaspRun(version, symbols, nelm, tuple(steps), complete)


def _ionic_step(element: ElementTree.Element, version: str) -> IonicStep:
    structure = element.find('structure')
    if structure is None:
        raise ValueError('a step in vasprun.xml has no structure')
    forces = element.find("varray[@name='forces']")
    return IonicStep(
        cell=_vectors(structure.find("crystal/varray[@name='basis']")),
        fractional=_vectors(structure.find("varray[@name='positions']")),
        forces=None if forces is None else _vectors(forces),
        energies=_energies(element.find('energy'), version),
        n_electronic=len(element.findall('scstep')),
    )


def _energies(element: ElementTree.Element | None, version: str) -> dict[str, float]:
    written = {
        kind: np.nan if element is None else _number(_text(element.find(f"i[@name='{tag}']")))
        for kind, tag in _TAGS.items()
    }
    if not version.startswith('5'):
        return written
    # VASP 5 puts the extrapolated energy where the one without entropy belongs, and the entropy term in its place.
    return {
        'free': written['free'],
        'without_entropy': written['free'] - written['sigma_to_zero'],
        'sigma_to_zero': written['without_entropy'],
    }


def _vectors(element: ElementTree.Element | None) -> NDArray[np.float64]:
    if element is None:
        raise ValueError('a step in vasprun.xml lacks its cell or positions')
    return np.array([[_number(word) for word in _text(row).split()] for row in element.findall('v')], dtype=float)


def _text(element: ElementTree.Element | None) -> str:
    return '' if element is None or element.text is None else element.text.strip()


def _number(word: str) -> float:
    try:
        return float(word)
    except ValueError:  # Fortran's asterisks
        return float('nan')
