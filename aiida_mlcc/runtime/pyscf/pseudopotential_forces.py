"""Forces of the short-ranged local part of GTH pseudopotentials, by integrals that can be trusted.

That part is Σ_n C_n (r/r_loc)^(2n−2) exp(−r²/2r_loc²), n = 1…4 (Hartwigsen, Goedecker and Hutter, Phys. Rev. B 58, 3641
(1998), Eq. 1). PySCF 2.14 takes the derivative of its n = 4 term from an integral, ``int3c1e_ip1_r6_origk``, that reads
memory nobody has written: forces of crystals with lithium, whose pseudopotentials have a C_4, are now and then wrong
by anything between 0.05 and 100 eV/Å, in one run and not in the next. Here r⁶ exp(−αr²) is −∂/∂α of r⁴ exp(−αr²).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

_INTEGRALS = {1: 'int3c1e_ip1', 2: 'int3c1e_ip1_r2_origk', 3: 'int3c1e_ip1_r4_origk'}
_RELATIVE_STEP = 1e-4


@contextmanager
def trusted_integrals() -> Iterator[None]:
    """Let PySCF's gradients call :func:`short_ranged_local_gradient` inside the block."""
    from pyscf.pbc.gto.pseudo import pp_int

    original = pp_int.vpploc_part2_nuc_grad
    pp_int.vpploc_part2_nuc_grad = short_ranged_local_gradient
    try:
        yield
    finally:
        pp_int.vpploc_part2_nuc_grad = original


def short_ranged_local_gradient(cell: Any, density_matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the gradient (Hartree/Bohr, shape (n_atoms, 3)) of the short-ranged local part at the Γ point.

    Basis functions and pseudopotentials move with their atoms, the density matrix is held.
    """
    from pyscf.pbc.gto.pseudo import pp_int

    gradient = np.zeros((cell.natm, 3))
    for order, integral in _INTEGRALS.items():
        gradient += _contract(cell, pp_int.fake_cell_vloc(cell, order), density_matrix, integral)
    last = pp_int.fake_cell_vloc(cell, 4)
    if last.nbas:
        for sign in (1, -1):
            scaled = _scale_exponents(last, 1 + sign * _RELATIVE_STEP)
            part = _contract(cell, scaled, density_matrix, _INTEGRALS[3])
            gradient -= sign * part / (2 * _RELATIVE_STEP)
    return -2 * gradient


def _scale_exponents(potentials: Any, factor: float) -> Any:
    """Scale each exponent α by `factor`, and divide its coefficient by α: −∂/∂α becomes −∂/∂factor."""
    from pyscf.gto.mole import PTR_COEFF, PTR_EXP

    scaled = potentials.copy(deep=False)
    scaled._env = potentials._env.copy()
    for shell in potentials._bas:
        exponent = potentials._env[shell[PTR_EXP]]
        scaled._env[shell[PTR_EXP]] = exponent * factor
        scaled._env[shell[PTR_COEFF]] = potentials._env[shell[PTR_COEFF]] / exponent
    return scaled


def _contract(
    cell: Any, potentials: Any, density_matrix: NDArray[np.float64], integral: str
) -> NDArray[np.float64] | float:
    from pyscf.pbc.df import incore
    from pyscf.pbc.gto import build_neighbor_list_for_shlpairs, free_neighbor_list
    from pyscf.pbc.gto.pseudo import pp_int

    if not potentials.nbas:
        return 0.0
    potentials.precision = pp_int.EPS_PPL
    neighbours = build_neighbor_list_for_shlpairs(potentials, cell, cell.get_lattice_Ls())
    try:
        return np.asarray(
            incore.int3c1e_nuc_grad(
                cell, potentials, density_matrix, integral, kptij_lst=np.zeros((1, 2, 3)), neighbor_list=neighbours
            )
        )
    finally:
        free_neighbor_list(neighbours)
