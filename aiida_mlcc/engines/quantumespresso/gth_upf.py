"""Pseudopotentials of Goedecker, Teter and Hutter as UPF files: the same potential for Gaussians and for plane waves.

The potentials are Gaussians times polynomials, so that the conversion is exact: local part and projectors are evaluated
on a logarithmic mesh (C. Hartwigsen, S. Goedecker, J. Hutter, Phys. Rev. B 58, 3641 (1998), Eqs. 1–8).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from ase.data import atomic_numbers
from numpy.typing import NDArray
from scipy.special import erf, gamma

HARTREE_IN_RYDBERG = 2.0
_FUNCTIONALS = {'PADE': 'SLA PW NOGX NOGC', 'LDA': 'SLA PW NOGX NOGC', 'PBE': 'SLA PW PBX PBC', 'HF': 'HF'}
_N_POINTS = 2401
_FIRST, _LAST = 1e-5, 30.0
_WIDTH_OF_CHARGE = 2.0
_PER_LINE = 4


class GthError(ValueError):
    """A table without the potential that is asked for, or one that cannot be read, in a sentence."""


@dataclass(frozen=True)
class GthPotential:
    """A potential of a table, in Hartree and bohr.

    :param names: of the table, such as ``GTH-PADE-q3``.
    :param valence: electrons that it leaves.
    :param radius: of the local part.
    :param coefficients: C₁… of the local part.
    :param channels: for each angular momentum from 0 on, the radius and the symmetric matrix h of its projectors.
    """

    element: str
    names: tuple[str, ...]
    valence: int
    radius: float
    coefficients: tuple[float, ...]
    channels: tuple[tuple[float, NDArray[np.float64]], ...]

    def local(self, r: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the local potential at distances `r` > 0 (Eq. 1)."""
        scaled = r / self.radius
        polynomial = sum(c * scaled ** (2 * power) for power, c in enumerate(self.coefficients))
        return np.asarray(-self.valence / r * erf(scaled / np.sqrt(2)) + np.exp(-(scaled**2) / 2) * polynomial)

    def projectors(self, r: NDArray[np.float64]) -> list[tuple[int, NDArray[np.float64]]]:
        """Return angular momentum and radial function of each projector at distances `r` (Eq. 3)."""
        found = []
        for momentum, (width, couplings) in enumerate(self.channels):
            for number in range(1, len(couplings) + 1):
                power = momentum + 2 * (number - 1)
                exponent = momentum + (4 * number - 1) / 2
                norm = np.sqrt(2) / (width**exponent * np.sqrt(gamma(exponent)))
                found.append((momentum, norm * r**power * np.exp(-(r**2) / (2 * width**2))))
        return found

    def couplings(self) -> NDArray[np.float64]:
        """Return the matrix that couples all projectors, in the order of :meth:`projectors`."""
        blocks = [couplings for _, couplings in self.channels]
        size = sum(len(block) for block in blocks)
        found, at = np.zeros((size, size)), 0
        for block in blocks:
            found[at : at + len(block), at : at + len(block)] = block
            at += len(block)
        return found


def read_gth(text: str, element: str, valence: int | None = None) -> GthPotential:
    """Return the potential of an element from a table in the format of CP2K, which PySCF uses, too.

    :param valence: electrons that it leaves, where a table has several; by default the one that the table names without
        a number, as PySCF chooses.
    :raises GthError: where the table has none.
    """
    there = [_potential(block) for block in _blocks(text) if block[0].split()[0] == element]
    if not there:
        raise GthError(f'the table has no pseudopotential of {element}')
    if valence is None:
        plain = [found for found in there if any(not re.search(r'-q\d+$', name) for name in found.names)]
        return (plain or there)[0]
    chosen = [found for found in there if found.valence == valence]
    if not chosen:
        known = ', '.join(str(found.valence) for found in there)
        raise GthError(f'the table has no pseudopotential of {element} with {valence} electrons, only with {known}')
    return chosen[0]


def _blocks(text: str) -> Iterator[list[str]]:
    """Give the lines of each potential."""
    block: list[str] = []
    for line in [*text.splitlines(), 'end']:
        words = line.split()
        is_head = bool(words) and words[0] in atomic_numbers and not line.startswith(' ')
        if (is_head or line == 'end') and block:
            yield block
            block = []
        if is_head or (block and words and not line.startswith('#')):
            block.append(line)


def _potential(block: Sequence[str]) -> GthPotential:
    element, *names = block[0].split()
    numbers = iter(' '.join(block[2:]).split())
    try:
        valence = sum(int(word) for word in block[1].split())
        radius = float(next(numbers))
        coefficients = tuple(float(next(numbers)) for _ in range(int(next(numbers))))
        channels = []
        for _ in range(int(next(numbers, '0'))):
            width, size = float(next(numbers)), int(next(numbers))
            h = np.zeros((size, size))
            for row in range(size):
                for column in range(row, size):
                    h[row, column] = h[column, row] = float(next(numbers))
            channels.append((width, h))
    except (ValueError, StopIteration, IndexError):
        raise GthError(f'the pseudopotential {" ".join(block[0].split())} cannot be read') from None
    return GthPotential(element, tuple(names), valence, radius, coefficients, tuple(channels))


def to_upf(potential: GthPotential) -> str:
    """Return a potential as a UPF file (version 2.0.1), which pw.x reads.

    The charge of the atom is a guess to start from, and there are no orbitals.
    """
    number = atomic_numbers[potential.element]
    step = np.log(_LAST / _FIRST) / (_N_POINTS - 1)
    first = np.log(_FIRST * number)
    r = np.exp(first + step * np.arange(_N_POINTS)) / number
    projectors = potential.projectors(r)
    charge = potential.valence * _WIDTH_OF_CHARGE**3 / 2 * r**2 * np.exp(-_WIDTH_OF_CHARGE * r)
    highest = max((momentum for momentum, _ in projectors), default=0)
    functional = next((text for key, text in _FUNCTIONALS.items() if f'-{key}' in potential.names[0].upper()), 'PBE')
    betas = '\n'.join(
        _array(
            f'PP_BETA.{index}',
            r * radial,
            f' index="{index}" angular_momentum="{momentum}" cutoff_radius_index="{_N_POINTS}" '
            f'cutoff_radius="{_LAST:g}"',
        )
        for index, (momentum, radial) in enumerate(projectors, start=1)
    )
    couplings = HARTREE_IN_RYDBERG * potential.couplings()
    dij = _array('PP_DIJ', couplings.ravel()) if projectors else ''
    return f"""<UPF version="2.0.1">
<PP_INFO>
{potential.element} {' '.join(potential.names)}: Goedecker, Teter, Hutter; Hartwigsen, Goedecker, Hutter; Krack.
Evaluated analytically on a logarithmic mesh.
</PP_INFO>
<PP_HEADER
 generated="aiida-mlcc" author="" date="" comment="{potential.names[0]}"
 element="{potential.element}" pseudo_type="NC" relativistic="scalar"
 is_ultrasoft="F" is_paw="F" is_coulomb="F" has_so="F" has_wfc="F" has_gipaw="F" paw_as_gipaw="F" core_correction="F"
 functional="{functional}" z_valence="{potential.valence:.1f}" total_psenergy="0.0" wfc_cutoff="0.0" rho_cutoff="0.0"
 l_max="{highest}" l_max_rho="0" l_local="-3" mesh_size="{_N_POINTS}" number_of_wfc="0"
 number_of_proj="{len(projectors)}"/>
<PP_MESH dx="{step:.15e}" mesh="{_N_POINTS}" xmin="{first:.15e}" rmax="{_LAST:.15e}" zmesh="{number:.1f}">
{_array('PP_R', r)}
{_array('PP_RAB', r * step)}
</PP_MESH>
{_array('PP_LOCAL', HARTREE_IN_RYDBERG * potential.local(r))}
<PP_NONLOCAL>
{betas}
{dij}
</PP_NONLOCAL>
<PP_PSWFC>
</PP_PSWFC>
{_array('PP_RHOATOM', charge)}
</UPF>
"""


def _array(tag: str, values: NDArray[np.float64], attributes: str = '') -> str:
    lines = '\n'.join(_lines(values.tolist()))
    return f'<{tag} type="real" size="{values.size}" columns="{_PER_LINE}"{attributes}>\n{lines}\n</{tag}>'


def _lines(values: Sequence[float]) -> Iterable[str]:
    for start in range(0, len(values), _PER_LINE):
        # Fortran reads no exponent of three digits without an E.
        yield ' '.join(f'{value if abs(value) > 1e-99 else 0.0:.15e}' for value in values[start : start + _PER_LINE])
