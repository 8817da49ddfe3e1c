"""CoulombVertex and EigenEnergies as Cc4s reads them: a YAML header, and the elements in a file beside it.

With real orbitals the vertex Γ[F, p, q] is the density-fitting factor L_pq, (pq|rs) = Σ_F L_pq L_rs, and
``halfGrid: 1`` says that it is real. Its elements are complex numbers of sixteen bytes, little-endian, F fastest; those
of the orbital energies are text, in Hartree.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

EIGEN_ENERGIES = 'EigenEnergies'
COULOMB_VERTEX = 'CoulombVertex'
TENSOR_FILES = tuple(f'{name}.{ending}' for name in (COULOMB_VERTEX, EIGEN_ENERGIES) for ending in ('yaml', 'elements'))
"""What each structure's folder holds."""

BYTES_OF_AN_ELEMENT = 16


def vertex_bytes(n_auxiliary: int, n_states: int) -> int:
    """Return the size of ``CoulombVertex.elements``."""
    return BYTES_OF_AN_ELEMENT * n_auxiliary * n_states**2


def write_eigen_energies(folder: Path, energies: NDArray[np.float64], n_occupied: int) -> None:
    """Write orbital energies in ascending order; the Fermi energy lies in the middle of the gap."""
    fermi_energy = (energies[n_occupied - 1] + energies[n_occupied]) / 2
    lines = [f'{energy:.16e}' for energy in energies]
    header = _header('Real64', [(len(energies), 'State')], 'TextFile')
    listed = '\n'.join(f'  - {line}' for line in lines)
    header += f'metaData:\n  fermiEnergy: {fermi_energy:.16e}\n  energies:\n{listed}\n'
    (folder / f'{EIGEN_ENERGIES}.yaml').write_text(header)
    (folder / f'{EIGEN_ENERGIES}.elements').write_text('\n'.join(lines) + '\n')


def write_coulomb_vertex(folder: Path, blocks: Iterable[NDArray[np.float64]], n_auxiliary: int, n_states: int) -> None:
    """Write the vertex block by block.

    :param blocks: factors L_pq of shape (`n_auxiliary`, `n_states`, n), which follow each other along q.
    :raises ValueError: where the blocks do not add up to `n_states`.
    """
    dimensions = [(n_auxiliary, 'AuxiliaryField'), (n_states, 'State'), (n_states, 'State')]
    header = _header('Complex64', dimensions, 'IeeeBinaryFile') + 'metaData:\n  halfGrid: 1\n'
    elements = folder / f'{COULOMB_VERTEX}.elements'
    with open(elements, 'wb') as stream:
        for block in blocks:
            np.ascontiguousarray(block.transpose(2, 1, 0), dtype='<c16').tofile(stream)
    if elements.stat().st_size != (expected := vertex_bytes(n_auxiliary, n_states)):
        raise ValueError(f'{elements.name} has {elements.stat().st_size} bytes, but its header asks for {expected}')
    (folder / f'{COULOMB_VERTEX}.yaml').write_text(header)


def _header(scalar_type: str, dimensions: list[tuple[int, str]], elements: str) -> str:
    lengths = '\n'.join(f'- length: {length}\n  type: {kind}' for length, kind in dimensions)
    return (
        f'version: 100\ntype: Tensor\nscalarType: {scalar_type}\ndimensions:\n{lengths}\n'
        f'elements:\n  type: {elements}\nunit: 1.0\n'
    )
