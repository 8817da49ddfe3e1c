"""Born effective charges and the dielectric tensor: read, put in the order of the primitive cell, and checked."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, TypedDict

import numpy as np
from ase import Atoms
from ase.data import chemical_symbols
from numpy.typing import ArrayLike, NDArray

from aiida_mlcc.science.crystal.cells import CrystalError, map_onto_crystal, to_phonopy

LARGEST_VIOLATION = 0.2
"""e per atom: more net charge than this, or a larger departure from symmetry, is more than numerical noise."""


LARGEST_DIELECTRIC_ASYMMETRY = 0.05
"""Of the largest component: a tensor that departs further from the symmetry of the crystal has another orientation."""

LARGEST_DIELECTRIC = 1000.0
"""Of an insulator; a metal has none."""

LARGEST_DIFFERENCE = 0.03
"""Of Z*²/ε∞ between two k meshes."""

_FACTOR_TOLERANCE = 0.01


class BornError(ValueError):
    """Charges or a dielectric tensor that cannot belong to this crystal."""


class NacParams(TypedDict):
    """The non-analytical correction as phonopy takes it."""

    born: NDArray[np.float64]
    dielectric: NDArray[np.float64]
    factor: float
    method: str


@dataclass(frozen=True)
class BornCharges:
    """What the non-analytical correction needs, with the symmetry of the crystal and no net charge.

    :param charges: Born effective charges in the order of the primitive cell, e, shape (n_atoms, 3, 3).
    :param dielectric: high-frequency dielectric tensor, shape (3, 3).
    :param factor: unit of the Coulomb energy, e²/4πε₀, eV·Å.
    :param net_charge: largest component of the sum of the charges as given, e; it was taken off all atoms alike.
    :param asymmetry: by how much the charges as given depart from the symmetry of the crystal, e.
    :param dielectric_asymmetry: the same of the dielectric tensor.
    :param remark: what could not be checked, in a sentence; empty where there is nothing to say.
    """

    charges: NDArray[np.float64]
    dielectric: NDArray[np.float64]
    factor: float
    net_charge: float
    asymmetry: float
    dielectric_asymmetry: float
    remark: str = ''

    def nac_params(self) -> NacParams:
        """Return phonopy's ``nac_params``: the correction of Gonze and Lee, Phys. Rev. B 55, 10355."""
        return {'born': self.charges, 'dielectric': self.dielectric, 'factor': self.factor, 'method': 'gonze'}

    def report(self) -> str:
        """Return in a sentence what was corrected."""
        found = (
            f'Born charges: net charge of {self.net_charge:.2g} e taken off, departure from symmetry of '
            f'{self.asymmetry:.2g} e (charges) and {self.dielectric_asymmetry:.2g} (dielectric tensor) averaged out'
        )
        return f'{found}. {self.remark}' if self.remark else found


def allowed_charges(primitive: Atoms, symprec: float = 1e-5) -> NDArray[np.float64]:
    """Return charges as symmetry allows them, with nothing else known, shape (n_atoms, 3, 3): zero in diamond.

    Modes that couple to them are infrared active, and split into LO and TO.
    """
    from phonopy.structure.symmetry import symmetrize_borns_and_epsilon

    drawn = np.random.default_rng(0).standard_normal((len(primitive), 3, 3))
    averaged = _quietly(symmetrize_borns_and_epsilon, drawn, np.eye(3), to_phonopy(primitive), symprec=symprec)[0]
    return np.asarray(averaged - averaged.mean(axis=0))


def compared(charges: BornCharges, other: BornCharges) -> str:
    """Return in a sentence by how much the charges of two k meshes differ in what splits LO from TO.

    That is (n·Z*)²/(n·ε·n), of every atom and in the directions of the axes. It converges much faster with the mesh
    than Z* and ε do.
    """
    ours, theirs = (np.sum(one.charges**2, axis=2) / np.diag(one.dielectric) for one in (charges, other))
    largest = float(np.abs(theirs).max())
    share = float(np.abs(ours - theirs).max()) / largest if largest > 0 else 0.0
    told = f'Z*²/ε∞ of the two k meshes differs by {100 * share:.1f} %'
    if share <= LARGEST_DIFFERENCE:
        return f'{told}.'
    return (
        f'{told}, more than {100 * LARGEST_DIFFERENCE:.0f} %: converge the mesh, or look whether both are of this '
        'crystal and functional.'
    )


def coulomb_factor() -> float:
    """Return e²/4πε₀ in eV·Å, in phonopy's constants."""
    from phonopy.physical_units import get_physical_units

    units = get_physical_units()
    return float(units.Hartree * units.Bohr)


def born_from_file(text: str, primitive: Atoms, symprec: float = 1e-5) -> BornCharges:
    """Return what a ``BORN`` file of phonopy says about a primitive cell.

    The first line is a comment or the factor, the second the dielectric tensor, and one line follows for each atom that
    symmetry does not make equal to another, or one for each atom. Element names in the comment (``# elements: Li F``)
    are compared with these; names that cannot be read are remarked on.

    :raises BornError: where the file cannot be read, or belongs to another cell.
    """
    lines = [line for line in text.splitlines() if line.strip()]
    if len(lines) < 3:
        raise BornError('the BORN file has fewer than three lines: a comment, the dielectric tensor, the charges')
    tensors = [_tensor(line, number) for number, line in enumerate(lines[1:], start=2)]
    independent, expand = _equivalent_atoms(primitive, symprec)
    symbols = primitive.get_chemical_symbols()
    n_given = len(tensors) - 1
    if n_given == len(primitive):
        atoms, charges = list(range(len(primitive))), np.array(tensors[1:])
    elif n_given == len(independent):
        atoms, charges = independent, expand(np.array(tensors[1:]))
    else:
        raise BornError(
            f'the BORN file has charges of {n_given} atoms, but the primitive cell has {len(primitive)}, of which '
            f'{len(independent)} differ by symmetry: it belongs to another cell'
        )
    named, remark = _symbols_in(lines[0])
    if named:
        expected = [symbols[atom] for atom in atoms]
        if named != expected:
            raise BornError(
                f'the BORN file names the atoms {" ".join(named)}, but those of the primitive cell are '
                f'{" ".join(expected)}: give the charges in that order, of this crystal'
            )
    factor = _number(lines[0].split()[0])
    return replace(checked(charges, tensors[0], primitive, symprec, factor), remark=remark)


def born_from_arrays(
    arrays: Mapping[str, ArrayLike], primitive: Atoms, symprec: float = 1e-5, factor: float | None = None
) -> BornCharges:
    """Return charges and dielectric tensor from arrays.

    :param arrays: ``born_charges`` (n_atoms, 3, 3), ``dielectric`` (3, 3), and the cell they are of, if it is not the
        primitive one as it lies: ``numbers``, ``cell`` and ``positions`` (Å).
    :raises BornError: where they belong to another cell.
    """
    if missing := [name for name in ('born_charges', 'dielectric') if name not in arrays]:
        raise BornError(f'the Born charges lack the array `{missing[0]}`')
    charges = np.asarray(arrays['born_charges'], dtype=float)
    if charges.ndim != 3 or charges.shape[1:] != (3, 3):
        raise BornError(f'`born_charges` has the shape {charges.shape}: it must be (n_atoms, 3, 3)')
    if {'numbers', 'cell', 'positions'} <= set(arrays):
        charges = _onto_primitive(charges, _cell_of(arrays), primitive)
    if len(charges) != len(primitive):
        raise BornError(
            f'there are Born charges of {len(charges)} atoms, but the primitive cell has {len(primitive)}: give those '
            'of the primitive cell, or the cell they belong to'
        )
    return checked(charges, np.asarray(arrays['dielectric'], dtype=float), primitive, symprec, factor)


def checked(
    charges: NDArray[np.float64],
    dielectric: NDArray[np.float64],
    primitive: Atoms,
    symprec: float = 1e-5,
    factor: float | None = None,
) -> BornCharges:
    """Return charges with the symmetry of the crystal and without net charge, and say how far they were from it.

    :param charges: e, shape (n_atoms, 3, 3), in the order of `primitive`.
    :param factor: e²/4πε₀ in eV·Å, to 1 %; by default that of phonopy.
    :raises BornError: where that is more than noise, the dielectric tensor is none, or the factor has other units.
    """
    from phonopy.structure.symmetry import symmetrize_borns_and_epsilon

    if dielectric.shape != (3, 3):
        raise BornError(f'the dielectric tensor has the shape {dielectric.shape}: it must be (3, 3)')
    if not np.isfinite(charges).all() or not np.isfinite(dielectric).all():
        raise BornError('a Born charge or a component of the dielectric tensor is not a number')
    if np.linalg.eigvalsh((dielectric + dielectric.T) / 2).min() < 1:
        raise BornError('the dielectric tensor has an eigenvalue below 1: is it the high-frequency one, without units?')
    if (largest := float(np.linalg.eigvalsh((dielectric + dielectric.T) / 2).max())) > LARGEST_DIELECTRIC:
        raise BornError(f'the dielectric tensor has an eigenvalue of {largest:.3g}: a metal, which has no Born charges')
    if factor is not None and not abs(factor / coulomb_factor() - 1) <= _FACTOR_TOLERANCE:
        raise BornError(
            f'the factor of the Born charges is {factor:g}, but here it is e²/4πε₀ = {coulomb_factor():.4f} eV·Å: '
            'leave it out. In a BORN file a first word that is a number is the factor: begin a comment with #'
        )
    net = charges.sum(axis=0)
    neutral = charges - net / len(charges)
    if np.abs(net).max() / len(charges) > LARGEST_VIOLATION:
        raise BornError(
            f'the Born charges add up to {np.abs(net).max():.2f} e and not to zero: they belong to another cell'
        )
    cell = to_phonopy(primitive)
    averaged, tensor = _quietly(symmetrize_borns_and_epsilon, charges, dielectric, cell, symprec=symprec)
    asymmetry = float(np.abs(neutral - averaged).max())
    if asymmetry > LARGEST_VIOLATION:
        raise BornError(
            f'the Born charges depart from the symmetry of the crystal by {asymmetry:.2f} e: they belong to another '
            'cell, another orientation, or atoms in another order'
        )
    dielectric_asymmetry = float(np.abs(dielectric - tensor).max())
    if dielectric_asymmetry > LARGEST_DIELECTRIC_ASYMMETRY * float(np.abs(tensor).max()):
        raise BornError(
            f'the dielectric tensor departs from the symmetry of the crystal by {dielectric_asymmetry:.2f}: it belongs '
            'to another cell or another orientation'
        )
    return BornCharges(
        np.asarray(averaged),
        np.asarray(tensor),
        coulomb_factor() if factor is None else factor,
        float(np.abs(net).max()),
        asymmetry,
        dielectric_asymmetry,
    )


def _equivalent_atoms(primitive: Atoms, symprec: float) -> tuple[list[int], Any]:
    """Return the atoms that differ by symmetry, and what gives the charges of all atoms from theirs."""
    from phonopy.structure.symmetry import Symmetry

    symmetry = Symmetry(to_phonopy(primitive), symprec=symprec)
    independent = [int(atom) for atom in symmetry.get_independent_atoms()]
    rotations = symmetry.symmetry_operations['rotations'][symmetry.get_map_operations()]
    lattice = primitive.cell.array.T
    cartesian = lattice @ rotations @ np.linalg.inv(lattice)
    places = [independent.index(int(atom)) for atom in symmetry.get_map_atoms()]

    def expand(charges: NDArray[np.float64]) -> NDArray[np.float64]:
        # The operation takes the atom onto its independent one, the charge goes back.
        return np.asarray(cartesian.transpose(0, 2, 1) @ charges[places] @ cartesian)

    return independent, expand


def _onto_primitive(charges: NDArray[np.float64], cell: Atoms, primitive: Atoms) -> NDArray[np.float64]:
    """Return the mean charge of the atoms on each site of the primitive cell."""
    if len(charges) != len(cell):
        raise BornError(f'there are Born charges of {len(charges)} atoms, but their cell has {len(cell)}')
    try:
        sites = map_onto_crystal(primitive, cell).sites
    except CrystalError as error:
        raise BornError(f'the Born charges belong to another cell: {error}') from None
    return np.array([charges[sites == site].mean(axis=0) for site in range(len(primitive))])


def _cell_of(arrays: Mapping[str, ArrayLike]) -> Atoms:
    return Atoms(np.asarray(arrays['numbers']), np.asarray(arrays['positions']), cell=arrays['cell'], pbc=True)


def _quietly(function: Any, *arguments: Any, **settings: Any) -> Any:
    """Call phonopy without its warning, in whose place a sentence of ours stands."""
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        return function(*arguments, **settings)


def _symbols_in(comment: str) -> tuple[list[str], str]:
    """Return the element names after ``elements`` in a comment, if it has any, and a remark where they are none."""
    found = re.search(r'\belements?\b:?\s*(.*)', comment, re.IGNORECASE)
    if found is None:
        return [], ''
    words = found.group(1).replace(',', ' ').split()
    if words and all(word in chemical_symbols[1:] for word in words):
        return words, ''
    return [], (
        f'The order of the atoms was not compared: {found.group(0).strip()!r} names no elements, as in `elements: Li F`'
    )


def _number(word: str) -> float | None:
    try:
        return float(word)
    except ValueError:
        return None


def _tensor(line: str, number: int) -> NDArray[np.float64]:
    words = line.split('#')[0].split()
    try:
        return np.array([float(word) for word in words]).reshape(3, 3)
    except ValueError:
        raise BornError(f'line {number} of the BORN file is not a tensor of nine numbers: {line.strip()!r}') from None
