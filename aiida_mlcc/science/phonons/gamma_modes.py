"""The modes at Γ by irreducible representation, without the non-analytical term.

Symmetry tells modes apart, however close their frequencies are: each representation of the point group has a projector,
no dynamical matrix of the crystal leads from the image of one to that of another, and within an image the modes come in
sets of the dimension of the representation. Members share these images; where a representation occurs several times,
the modes of a member go to the sets of the reference that they overlap with most.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypedDict

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from aiida_mlcc.science.crystal.cells import from_phonopy
from aiida_mlcc.science.phonons.born import allowed_charges
from aiida_mlcc.science.phonons.branches import dynamical_matrices
from aiida_mlcc.science.units import frequencies_of_squares, steps_of

_NO_DIPOLE = 1e-4


@dataclass(frozen=True)
class GammaSet:
    """Modes at Γ that symmetry makes equal.

    :param label: of the representation, as phonopy has it; None where it has no table for the point group, or the cell
        is not primitive.
    :param frequency_cm1: cm⁻¹, the mean of the set, negative where imaginary.
    :param vectors: eigenvectors as columns, shape (3·n_atoms, n_degenerate).
    """

    label: str | None
    frequency_cm1: float
    vectors: NDArray[np.complex128]


def gamma_sets(phonon: Any) -> list[GammaSet]:
    """Return the sets of equal modes at Γ by ascending frequency.

    :param phonon: a phonopy instance with force constants.
    """
    matrix = dynamical_matrices(phonon, [0, 0, 0])[0]
    images = _images(phonon)
    found = []
    for label, dimension, basis in images or [(None, 0, np.eye(len(matrix), dtype=complex))]:
        squares, vectors = np.linalg.eigh(basis.conj().T @ matrix @ basis)
        values = frequencies_of_squares(squares)
        edges = np.arange(dimension, len(values), dimension) if dimension else steps_of(values)
        for members in np.split(np.arange(len(values)), edges):
            found.append(GammaSet(label, float(values[members].mean()), basis @ vectors[:, members]))
    return sorted(found, key=lambda entry: entry.frequency_cm1)


def infrared_active(sets: Sequence[GammaSet], phonon: Any) -> list[bool]:
    """Tell which sets at Γ have a dipole moment, as far as symmetry says it; shifts of the crystal have none.

    :param phonon: a phonopy instance of the crystal.
    """
    primitive = from_phonopy(phonon.primitive)
    charges = allowed_charges(primitive, phonon.symmetry.tolerance)
    # With a row for each direction of the field: the dipole of a displacement e/√m.
    moments = (charges / np.sqrt(primitive.get_masses())[:, None, None]).transpose(1, 0, 2).reshape(3, -1)
    return [bool(np.abs(moments @ entry.vectors).max() > _NO_DIPOLE) for entry in sets]


class GammaMode(TypedDict):
    """Degenerate modes at Γ with one irreducible label, None where it is not known, and their frequency (cm⁻¹)."""

    label: str | None
    infrared: bool
    modes: list[int]
    members: list[float]
    mean: float
    min: float
    max: float
    sd: float


def gamma_frequencies(sets: Sequence[GammaSet], phonon: Any) -> NDArray[np.float64]:
    """Return the frequencies of a member in the order of the sets, cm⁻¹, shape (n_sets,).

    :param sets: of a reference with the same crystal, as :func:`gamma_sets` gives them.
    :param phonon: a phonopy instance with force constants.
    """
    matrix = dynamical_matrices(phonon, [0, 0, 0])[0]
    frequencies = np.empty(len(sets))
    for label in {entry.label for entry in sets}:
        alike = [number for number, entry in enumerate(sets) if entry.label == label]
        basis = np.concatenate([sets[number].vectors for number in alike], axis=1)
        owners = np.repeat(alike, [sets[number].vectors.shape[1] for number in alike])
        squares, vectors = np.linalg.eigh(basis.conj().T @ matrix @ basis)
        overlaps = np.abs(vectors) ** 2
        by_set = np.array([overlaps[owners == owner].sum(axis=0) for owner in owners])
        _, modes = linear_sum_assignment(by_set, maximize=True)
        for number in alike:
            frequencies[number] = frequencies_of_squares(squares)[modes[owners == number]].mean()
    return frequencies


def _images(phonon: Any) -> list[tuple[str | None, int, NDArray[np.complex128]]] | None:
    """Return label, dimension and an orthonormal basis (as columns) of each representation that occurs."""
    from phonopy.phonon.character_table import character_table

    try:
        found = phonon.run_irreps([0, 0, 0])
    except RuntimeError:  # No primitive cell, or no table.
        return None
    n_modes = found.ground_matrices.shape[1]
    for table in character_table.get(phonon.primitive_symmetry.pointgroup_symbol) or ():
        classes = list(table['rotation_list'])
        symbols = [_symbol(rotation, table['mapping_table']) for rotation in found.conventional_rotations]
        of_class = [classes.index(symbol) for symbol in symbols if symbol is not None]
        if len(of_class) < len(symbols):
            continue
        images: list[tuple[str | None, int, NDArray[np.complex128]]] = []
        for label, listed in table['character_table'].items():
            characters = np.atleast_1d(listed)
            dimension = round(float(np.real(characters[classes.index('E')])))
            of_operation = characters[of_class]
            # Two representations that are complex conjugates are listed as one, whose norm is 2.
            norm = np.mean(np.abs(of_operation) ** 2)
            projector = np.einsum('r,rij->ij', of_operation.conj(), found.ground_matrices) / len(of_operation)
            values, vectors = np.linalg.eigh(dimension / norm * (projector + projector.conj().T) / 2)
            if (inside := values > 0.5).any():
                images.append((str(label), dimension, vectors[:, inside]))
        ranks = [(basis.shape[1], dimension) for _, dimension, basis in images]
        if sum(rank for rank, _ in ranks) == n_modes and not any(rank % dimension for rank, dimension in ranks):
            return images
    return None


def _symbol(rotation: NDArray[np.int64], mapping_table: Any) -> str | None:
    """Return the class of a rotation of the conventional cell."""
    for symbol, rotations in mapping_table.items():
        if any(np.array_equal(rotation, listed) for listed in rotations):
            return str(symbol)
    return None
