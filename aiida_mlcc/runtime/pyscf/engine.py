"""PySCF: LDA and PBE, with forces at the Γ point, and density-fitted Hartree–Fock, each also on a mesh of k-points."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from ase import Atoms
from ase.units import Bohr, Hartree
from numpy.typing import NDArray
from scipy.fft import next_fast_len

from aiida_mlcc.runtime.programs import EngineError
from aiida_mlcc.runtime.pyscf.density_extrapolation import DensityExtrapolation
from aiida_mlcc.runtime.pyscf.fine_xc import refine_exchange_correlation
from aiida_mlcc.runtime.pyscf.pseudopotential_forces import trusted_integrals
from aiida_mlcc.runtime.pyscf.settings import (
    DFT_PRECISION,
    FUNCTIONALS,
    MULTIGRID_LEVELS,
    MULTIGRID_RATIO,
    PyscfForces,
    PyscfSettings,
)

SMALLEST_GAP_EV = 0.1
"""Below it a cell is taken for a metal: perturbation theory has no meaning there, and one k-point
is not enough."""


_SMALLEST_OVERLAP = 1e-9


@contextmanager
def failures_in_a_sentence(what: str) -> Iterator[None]:
    """Turn whatever PySCF raises inside the block into an :class:`EngineError`, so that other structures go on.

    A full memory or disk is not the fault of a structure, and passes.
    """
    try:
        yield
    except (ArithmeticError, ValueError, RuntimeError, np.linalg.LinAlgError) as error:
        raise EngineError(f'PySCF stopped in {what}: {error or type(error).__name__}') from error


def build_cell(atoms: Atoms, settings: PyscfSettings, method: str) -> Any:
    """Return `atoms` as a PySCF cell.

    :raises EngineError: for an odd number of electrons, or a basis or pseudopotential that PySCF lacks.
    """
    from pyscf.pbc import gto

    cell = gto.Cell()
    cell.unit = 'Angstrom'
    cell.a = atoms.cell.array
    cell.atom = list(zip(atoms.get_chemical_symbols(), atoms.positions.tolist(), strict=True))
    cell.basis = settings.basis
    cell.pseudo = settings.pseudopotential(method)
    cell.exp_to_discard = settings.exp_to_discard
    cell.spin = None
    cell.verbose = 0
    if settings.max_memory_mb is not None:
        cell.max_memory = settings.max_memory_mb
    if method in FUNCTIONALS:
        cell.precision = DFT_PRECISION
        cell.ke_cutoff = settings.ke_cutoff if isinstance(settings, PyscfForces) else None
    try:
        cell.build(dump_input=False, parse_arg=False)
    except Exception as error:
        what = f'basis {cell.basis}, pseudopotentials {cell.pseudo}'
        raise EngineError(f'PySCF cannot build the cell of {atoms.get_chemical_formula()} ({what}): {error}') from error
    if method in FUNCTIONALS:
        # Meshes whose lengths are products of small primes: the Fourier transforms of others take up to twice as long.
        cell.mesh = [next_fast_len(int(n)) for n in cell.mesh]
    if cell.nelectron % 2:
        raise EngineError(
            f'{atoms.get_chemical_formula()} has {cell.nelectron} valence electrons: an odd number, '
            'which a closed-shell calculation cannot hold'
        )
    return cell


def check_ground_state(mean_field: Any, method: str) -> None:
    """Refuse a mean field that is not converged, or has no gap.

    :raises EngineError: with the gap in eV, or the number of cycles.
    """
    if not mean_field.converged:
        raise EngineError(f'{method} did not converge within {mean_field.max_cycle} cycles')
    levels = np.sort(np.atleast_2d(mean_field.mo_energy))
    n_occupied = mean_field.cell.nelectron // 2
    if n_occupied == levels.shape[1]:
        return
    gap = (levels[:, n_occupied].min() - levels[:, n_occupied - 1].max()) * Hartree
    if gap < SMALLEST_GAP_EV:
        where = 'at Γ' if len(levels) == 1 else f'between {len(levels)} k-points'
        raise EngineError(f'{method} finds a gap of {gap:.2f} eV {where}: a metal, which this engine cannot describe')


def hartree_fock(
    atoms: Atoms,
    settings: PyscfSettings,
    start: DensityExtrapolation | None = None,
    mesh: Sequence[int] | None = None,
) -> Any:
    """Return the converged density-fitted RHF of `atoms` (a PySCF object).

    :param start: guesses where the SCF begins, and is told where it ended.
    :param mesh: Γ-centred mesh of k-points; None for the Γ point, where the orbitals are real.

    With ``exxdiv='ewald'`` its orbital energies are shifted: those of occupied orbitals by the Madelung constant of
    the exchange hole, which removes the leading finite-size error from the gap.

    :raises EngineError: as :func:`build_cell` and :func:`check_ground_state`.
    """
    from pyscf.pbc import scf

    cell = build_cell(atoms, settings, 'HF')
    kpoints = None if mesh is None else cell.make_kpts(mesh)
    mean_field = scf.RHF(cell) if kpoints is None else scf.KRHF(cell, kpoints)
    mean_field.exxdiv = settings.exxdiv
    mean_field = mean_field.density_fit(auxbasis=settings.auxbasis)
    mean_field.with_df.mesh = _mesh_of_long_range(cell, 1 if kpoints is None else len(kpoints))
    mean_field.conv_tol = settings.conv_tol
    mean_field.max_cycle = settings.max_cycle
    _keep_core_hamiltonian(mean_field)
    if settings.auxbasis is not None:
        with failures_in_a_sentence('the density fitting'), _metric_by_eigenvalues():
            mean_field.with_df.build()
    return _converge(mean_field, 'HF', start, kpoints)


@contextmanager
def _metric_by_eigenvalues() -> Iterator[None]:
    """Let PySCF leave out auxiliary functions that depend on others, inside the block.

    It takes a Cholesky decomposition of the metric wherever rounding lets one succeed. That of a crystal has
    eigenvalues of 1e-16, and energies at rest are off by some meV against those of the displaced crystal.
    """
    from pyscf.pbc.df.rsdf_builder import _RSGDFBuilder

    before = _RSGDFBuilder.j2c_eig_always
    _RSGDFBuilder.j2c_eig_always = True
    try:
        yield
    finally:
        _RSGDFBuilder.j2c_eig_always = before


def _mesh_of_long_range(cell: Any, n_kpoints: int) -> list[int]:
    """Return the plane waves of the long-ranged part of the Coulomb integrals, whose cutoff sets the range.

    That is PySCF's own balance of the two parts, without its bound by the most diffuse auxiliary function: with the
    bound the short-ranged part of diamond and LiF took two to three times as long, and the energy of LiF was 1e-6
    Hartree off; without it, three larger meshes agree within 1e-8.
    """
    mesh: list[int] = cell.cutoff_to_mesh(20.0 * (cell.nao * n_kpoints / 25) ** (-1 / 3)).tolist()
    return mesh


def hartree_fock_forces(
    atoms: Atoms,
    settings: PyscfSettings,
    density_matrix: NDArray[Any],
    step: float = 0.005,
    mesh: Sequence[int] | None = None,
) -> NDArray[np.float64]:
    """Return forces (eV/Å) as central differences of the density-fitted energies: six energies an atom.

    PySCF has no gradients of periodic density fitting; those of its plane-wave integrals belong to an energy that
    differs by millihartrees and are not these forces.

    :param density_matrix: of `atoms` themselves, from which every displaced cell starts.
    :param step: displacement in Å; the error is of second order, about 1e-4 eV/Å for 0.005 Å.
    :param mesh: of k-points; None for the Γ point.
    """
    cell = build_cell(atoms, settings, 'HF')
    overlap = _overlap(cell, None if mesh is None else cell.make_kpts(mesh))
    forces = np.zeros((len(atoms), 3))
    for atom in range(len(atoms)):
        for axis in range(3):
            energies = []
            for sign in (1, -1):
                displaced = atoms.copy()
                displaced.positions[atom, axis] += sign * step
                start = DensityExtrapolation()
                start.remember(density_matrix, overlap)
                energies.append(hartree_fock(displaced, settings, start, mesh).e_tot * Hartree)
            forces[atom, axis] = -(energies[0] - energies[1]) / (2 * step)
    return forces - forces.mean(axis=0)


def _converge(
    mean_field: Any, method: str, start: DensityExtrapolation | None, kpoints: NDArray[np.float64] | None
) -> Any:
    overlap = _overlap(mean_field.cell, kpoints)
    if np.linalg.eigvalsh(overlap).min() < _SMALLEST_OVERLAP:
        raise EngineError('the basis is linearly dependent in this crystal: raise exp_to_discard')
    with failures_in_a_sentence(method):
        mean_field.kernel(dm0=None if start is None else start.guess(overlap))
    check_ground_state(mean_field, method)
    if start is not None:
        start.remember(np.asarray(mean_field.make_rdm1()), overlap)
    return mean_field


def _keep_core_hamiltonian(mean_field: Any) -> None:
    """Let PySCF integrate the core Hamiltonian once: its CCSD asks for it again."""
    integrate = mean_field.get_hcore
    found: list[NDArray[np.float64]] = []

    def get_hcore(*_: Any, **__: Any) -> NDArray[np.float64]:
        if not found:
            found.append(integrate())
        return found[0]

    mean_field.get_hcore = get_hcore


def _overlap(cell: Any, kpoints: NDArray[np.float64] | None) -> NDArray[Any]:
    if kpoints is None:
        return np.asarray(cell.pbc_intor('int1e_ovlp', hermi=1)).real
    return np.asarray(cell.pbc_intor('int1e_ovlp', hermi=1, kpts=kpoints))


def density_functional(
    atoms: Atoms,
    settings: PyscfSettings,
    method: str,
    start: DensityExtrapolation | None = None,
    mesh: Sequence[int] | None = None,
) -> Any:
    """Return the converged RKS of `atoms` (a PySCF object) with `method`, LDA or PBE.

    :param start: guesses where the SCF begins, and is told where it ended.
    :param mesh: Γ-centred mesh of k-points, without forces; None for the Γ point.

    :raises EngineError: as :func:`build_cell` and :func:`check_ground_state`.
    """
    from pyscf.pbc import dft

    cell = build_cell(atoms, settings, method)
    kpoints = None if mesh is None else cell.make_kpts(mesh)
    mean_field = dft.RKS(cell) if kpoints is None else dft.KRKS(cell, kpoints)
    mean_field.xc = FUNCTIONALS[method]
    mean_field.conv_tol = settings.conv_tol
    mean_field.max_cycle = settings.max_cycle
    # One more cycle after convergence would cost as much as a whole step that starts from a good density.
    mean_field.conv_check = False
    mean_field = mean_field.multigrid_numint()
    mean_field._numint.ntasks, mean_field._numint.ke_ratio = MULTIGRID_LEVELS, MULTIGRID_RATIO
    if isinstance(settings, PyscfForces) and settings.xc_mesh_factor is not None:
        refine_exchange_correlation(mean_field._numint, cell.mesh, settings.xc_mesh_factor)
    return _converge(mean_field, method, start, kpoints)


def density_functional_forces(mean_field: Any) -> NDArray[np.float64]:
    """Return the analytic forces (eV/Å) of :func:`density_functional`; the mesh leaves a net force."""
    with failures_in_a_sentence('the forces'), trusted_integrals():
        return -np.asarray(mean_field.nuc_grad_method().kernel()) * Hartree / Bohr
