"""HF, MP2, CCSD and (T) of one structure from one Hartree–Fock and one set of orbital energies.

PySCF's own periodic RCCSD takes the Ewald-shifted orbital energies in the MP2 and (T) denominators and the unshifted
Fock matrix in the CCSD residuals. Here the shifted ones are used throughout, as in Cc4s, which knows only one set of
orbital energies: the same integrals give the same MP2, CCSD and (T) in both programs. The integrals (pq|rs) are
products of density-fitting factors L_pq that are never assembled for four virtual orbitals.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from ase import Atoms
from ase.units import Hartree
from numpy.typing import NDArray

from aiida_mlcc.runtime.programs import EngineError
from aiida_mlcc.runtime.pyscf.engine import failures_in_a_sentence, hartree_fock
from aiida_mlcc.runtime.pyscf.natural_orbitals import first_order_amplitudes
from aiida_mlcc.runtime.pyscf.settings import PyscfSettings
from aiida_mlcc.science.labels.methods import CONTRIBUTIONS

_CORRELATED = ('mp2', 'ccsd', 'triples')
_CCSD_ENERGY_TOLERANCE = 1e-8
_CCSD_AMPLITUDE_TOLERANCE = 1e-6


@dataclass
class CorrelatedEnergies:
    """What one structure gave.

    :param contributions: ``hf``, ``mp2``, ``ccsd``, ``triples`` as far as they were asked for and found; eV per cell.
    :param missing: contribution → the sentence why it is not there.
    :param seconds: wall time of each contribution.
    """

    contributions: dict[str, float] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)


def correlated_energies(atoms: Atoms, settings: PyscfSettings, methods: Iterable[str]) -> CorrelatedEnergies:
    """Compute the contributions that `methods` need, and no other.

    With a mesh of k-points for Hartree–Fock, ``hf`` is the energy on the mesh and all others are of the Γ point.

    :raises EngineError: where Hartree–Fock fails, on the mesh if there is one: then there is nothing.
    """
    needed = {name for method in methods for name in CONTRIBUTIONS[method]}
    result = CorrelatedEnergies()
    clock = time.monotonic()

    def restart_clock() -> float:
        nonlocal clock
        before, clock = clock, time.monotonic()
        return round(clock - before, 3)

    def note(name: str, energy: float) -> None:
        result.contributions[name] = float(energy) * Hartree
        result.seconds[name] = restart_clock()

    mean_field = hartree_fock(atoms, settings, mesh=settings.hf_mesh)
    note('hf', mean_field.e_tot)
    correlated = [name for name in _CORRELATED if name in needed]
    if settings.hf_mesh is not None and correlated:
        try:
            mean_field = hartree_fock(atoms, settings)
            result.seconds['hf'] += restart_clock()
        except EngineError as error:
            result.missing = dict.fromkeys(correlated, f'at the Γ point, {error}')
            return result
    if not correlated:
        return result
    if mean_field.mo_occ.all():
        # A basis without virtual orbitals correlates nothing.
        for name in correlated:
            note(name, 0.0)
        return result
    coupled_cluster = CoupledCluster(mean_field, settings.max_cycle)
    steps: dict[str, Callable[[], float]] = {
        'mp2': lambda: mp2_energy(mean_field),
        'ccsd': coupled_cluster.ccsd,
        'triples': coupled_cluster.triples,
    }
    for name in correlated:
        try:
            with failures_in_a_sentence(name):
                note(name, steps[name]())
        except EngineError as error:
            result.missing[name] = str(error)
    return result


def mp2_energy(mean_field: Any) -> float:
    """Return the MP2 correlation energy, Hartree, from the factors L_ia and the orbital energies of `mean_field`."""
    occupied = mean_field.mo_occ > 0
    energies = mean_field.mo_energy
    factors = _occupied_virtual_factors(mean_field, occupied)
    total = 0.0
    for integrals, amplitudes in first_order_amplitudes(factors, energies[occupied], energies[~occupied]):
        total += float(2 * np.vdot(amplitudes, integrals) - np.vdot(amplitudes, integrals.transpose(2, 1, 0)))
    return total


def _occupied_virtual_factors(mean_field: Any, occupied: NDArray[np.bool_]) -> NDArray[np.float64]:
    from pyscf import lib

    orbitals = mean_field.mo_coeff
    blocks = [
        np.einsum(
            'Lpq,pi,qa->Lia', lib.unpack_tril(block), orbitals[:, occupied], orbitals[:, ~occupied], optimize=True
        )
        for block in mean_field.with_df.loop()
    ]
    return np.concatenate(blocks)


class CoupledCluster:
    """CCSD and (T) on a converged Hartree–Fock."""

    def __init__(self, mean_field: Any, max_cycle: int) -> None:
        from pyscf.cc import dfccsd

        self._solver = dfccsd.RCCSD(mean_field)
        self._solver.verbose = 0
        self._solver.max_cycle = max_cycle
        self._solver.conv_tol = _CCSD_ENERGY_TOLERANCE
        self._solver.conv_tol_normt = _CCSD_AMPLITUDE_TOLERANCE
        self._integrals: Any = None

    def ccsd(self) -> float:
        """Return the CCSD correlation energy, Hartree.

        :raises EngineError: where the amplitudes do not converge.
        """
        # The Fock matrix of an RHF with exxdiv='ewald' holds the shift: its diagonal are the shifted orbital energies.
        self._integrals = self._solver.ao2mo()
        self._solver.kernel(eris=self._integrals)
        self._refuse_unconverged()
        return float(self._solver.e_corr)

    def triples(self) -> float:
        """Return the (T) energy, Hartree, after :meth:`ccsd`.

        :raises EngineError: where CCSD did not converge: (T) on top of that means nothing.
        """
        self._refuse_unconverged()
        return float(self._solver.ccsd_t(eris=self._integrals))

    def _refuse_unconverged(self) -> None:
        if not self._solver.converged:
            raise EngineError(f'CCSD did not converge within {self._solver.max_cycle} iterations')
