"""The long-range part of a polar crystal: harmonic dipole–dipole energy about the sites, as a term of a force field.

Atoms displaced by u carry dipoles u·Z*, which interact through a medium with the dielectric tensor ε. Only the
reciprocal-space part of their Ewald sum, damped by a Gaussian, is kept: it is what reaches beyond the cell that force
constants are fitted in. What the damping cuts off is short-ranged, and left to these.

    Φ(K) = 4π k/V · (K·Z*_i)(K·Z*_j)/(K·ε·K) · exp(−K·ε·K/4Λ²),  Λ = η·(det ε)^(1/6),  k = e²/4πε₀,

summed over the wave vectors of the supercell without K = 0, with the acoustic sum rule on the diagonal: Gonze and Lee,
Phys. Rev. B 55, 10355 (1997), Eqs. 71–73 and 44. Λ is phonopy's ``Lambda`` in units of 1/Å.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from ase import Atoms
from ase.units import Bohr, Hartree
from numpy.typing import ArrayLike, NDArray

from aiida_mlcc.science.crystal.cells import CrystalError, SiteMap, map_onto_crystal, unwrap
from aiida_mlcc.science.force_field.kinds import EnergyForces, ForceFieldError, kind_of
from aiida_mlcc.science.force_field.sum import ForceField, Term, TrainedOn

KIND = 'dipole'

COULOMB = Hartree * Bohr
"""e²/4πε₀, eV·Å."""

_EXPONENT = 32.0
"""Wave vectors beyond exp(−32) ≈ 1e-14 are left out."""

_DENSE_ATOMS = 1000
"""Up to so many atoms Φ is one matrix; larger supercells go through their wave vectors."""

_NET_CHARGE = 1e-6


def dipole_term(
    primitive: Atoms,
    charges: NDArray[np.float64],
    dielectric: NDArray[np.float64],
    eta: float,
    weight: float = 1.0,
    trained_on: TrainedOn | None = None,
) -> Term:
    """Describe the dipole–dipole energy of a crystal as a term of a force field.

    :param charges: Born effective charges Z* of the sites, e, shape (n_sites, 3, 3); the first index is the direction
        of the field. They add up to zero.
    :param dielectric: high-frequency dielectric tensor ε, shape (3, 3).
    :param eta: damping η, 1/Å; force constants fitted beside the term reach about 3/η.
    :param weight: of the term; √weight scales the charges.
    """
    arrays = {
        'cell': np.array(primitive.cell.array, dtype=float),
        'positions': np.array(primitive.positions, dtype=float),
        'born_charges': np.array(charges, dtype=float),
        'dielectric': np.array(dielectric, dtype=float),
    }
    settings = {'symbols': primitive.get_chemical_symbols(), 'eta': float(eta)}
    return Term(KIND, settings, arrays, weight, trained_on or {})


class DipoleModel:
    """The dipole–dipole energy surface of a ``dipole`` term; its weight belongs to the force field."""

    def __init__(self, term: Term) -> None:
        """Take the term apart and check it.

        :raises ForceFieldError: for another kind of term, arrays that do not fit together, a net charge, or a
            dielectric tensor that is not positive definite and symmetric.
        """
        if term.kind != KIND:
            raise ForceFieldError(f'a term of kind {term.kind!r} holds no Born charges')
        self.primitive = Atoms(
            term.settings['symbols'], cell=term.arrays['cell'], positions=term.arrays['positions'], pbc=True
        )
        self.charges = np.asarray(term.arrays['born_charges'], dtype=float)
        self.dielectric = np.asarray(term.arrays['dielectric'], dtype=float)
        self.eta = float(term.settings['eta'])
        n_sites = len(self.primitive)
        if self.charges.shape != (n_sites, 3, 3) or self.dielectric.shape != (3, 3):
            raise ForceFieldError(
                f'Born charges of the shape {self.charges.shape} and a dielectric tensor of the shape '
                f'{self.dielectric.shape} do not fit a primitive cell of {n_sites} atoms'
            )
        if not (np.isfinite(self.charges).all() and np.isfinite(self.dielectric).all() and 0 < self.eta < np.inf):
            raise ForceFieldError(
                'the Born charges, the dielectric tensor or η of a dipole term are not finite numbers'
            )
        if np.abs(self.charges.sum(axis=0)).max() > _NET_CHARGE:
            raise ForceFieldError('the Born charges of a dipole term do not add up to zero')
        if np.abs(self.dielectric - self.dielectric.T).max() > _NET_CHARGE or (
            np.linalg.eigvalsh(self.dielectric).min() <= 0
        ):
            raise ForceFieldError('the dielectric tensor of a dipole term is not symmetric and positive definite')
        self._sum_rule = self._on_the_sites()

    def term(self, weight: float = 1.0, trained_on: TrainedOn | None = None) -> Term:
        """Return it as a term of a force field; all those of one crystal, one ε and one η merge."""
        return dipole_term(self.primitive, self.charges, self.dielectric, self.eta, weight, trained_on)

    @property
    def damping(self) -> float:
        """Λ of the Gaussian exp(−K·ε·K/4Λ²), 1/Å."""
        return self.eta * float(np.linalg.det(self.dielectric)) ** (1 / 6)

    def bind(self, atoms: Atoms) -> BoundDipole:
        """Prepare for one supercell: atoms go to sites now, and keep them.

        :raises aiida_mlcc.science.crystal.cells.CrystalError: where `atoms` is not a supercell of this crystal.
        """
        return self.on(map_onto_crystal(self.primitive, atoms), atoms.cell.array)

    def on(self, site_map: SiteMap, cell: NDArray[np.float64]) -> BoundDipole:
        """Prepare for a supercell whose sites are known.

        :param cell: of the supercell, Å, rows.
        """
        return BoundDipole(self, site_map, cell)

    def force_constants(self, qpoint: ArrayLike) -> NDArray[np.complex128]:
        """Return Σ_L Φ(i, j, L)·exp(2πi q·L) of the infinite crystal, eV/Å², shape (n_sites, 3, n_sites, 3).

        At q = 0 the macroscopic field is left out: there the limit depends on the direction.

        :param qpoint: in units of the reciprocal vectors of the primitive cell.
        """
        matrix = self._coupling(np.asarray(qpoint, dtype=float))
        sites = np.arange(len(self.primitive))
        matrix[sites, :, sites] -= self._sum_rule
        return matrix

    def dynamical_matrix(self, qpoint: ArrayLike, direction: ArrayLike | None = None) -> NDArray[np.complex128]:
        """Return D(q) of the term alone, eV/Å²/amu, shape (3·n_sites, 3·n_sites).

        :param qpoint: in units of the reciprocal vectors of the primitive cell.
        :param direction: Cartesian direction in which q goes to zero, for the limit at Γ with its macroscopic field; it
            has no meaning at other wave vectors.
        """
        matrix = self.force_constants(qpoint)
        if direction is not None and not np.any(qpoint):
            matrix = matrix + self._field_of(np.asarray(direction, dtype=float))
        roots = np.sqrt(self.primitive.get_masses())
        size = 3 * len(roots)
        return np.asarray((matrix / roots[:, None, None, None] / roots[:, None]).reshape(size, size))

    def _field_of(self, direction: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the macroscopic part 4πk/V·(n·Z*)(n·Z*)/(n·ε·n), shape (n_sites, 3, n_sites, 3)."""
        field = np.einsum('a,iab->ib', direction, self.charges)
        strength = 4 * np.pi * COULOMB / self.primitive.get_volume() / (direction @ self.dielectric @ direction)
        return np.asarray(strength * np.einsum('ia,jb->iajb', field, field))

    def _coupling(self, qpoint: NDArray[np.float64]) -> NDArray[np.complex128]:
        reciprocal = 2 * np.pi * np.linalg.inv(self.primitive.cell.array).T
        vectors = (self._lattice(qpoint) + qpoint) @ reciprocal
        squares = np.einsum('ka,ab,kb->k', vectors, self.dielectric, vectors)
        inside = (squares > 1e-12) & (squares < 4 * self.damping**2 * _EXPONENT)
        vectors, squares = vectors[inside], squares[inside]
        factors = np.exp(-squares / (4 * self.damping**2)) / squares
        fields = np.einsum('ka,iab->kib', vectors, self.charges) * np.sqrt(factors)[:, None, None]
        waves = fields * np.exp(1j * vectors @ self.primitive.positions.T)[:, :, None]
        strength = 4 * np.pi * COULOMB / self.primitive.get_volume()
        return np.asarray(strength * np.einsum('kia,kjb->iajb', waves, waves.conj(), optimize=True))

    def _lattice(self, qpoint: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return whole numbers (n, 3) that hold every reciprocal vector G with q + G inside the cutoff."""
        longest = 2 * self.damping * np.sqrt(_EXPONENT / np.linalg.eigvalsh(self.dielectric)[0])
        reach = np.ceil(longest / (2 * np.pi) * np.linalg.norm(self.primitive.cell.array, axis=1) + np.abs(qpoint))
        return np.stack(np.meshgrid(*[np.arange(-n, n + 1) for n in reach], indexing='ij'), axis=-1).reshape(-1, 3)

    def _on_the_sites(self) -> NDArray[np.float64]:
        """Return what the acoustic sum rule takes off each site, shape (n_sites, 3, 3)."""
        total = np.einsum('iajb->iab', self._coupling(np.zeros(3)).real)
        return np.asarray(0.5 * (total + total.transpose(0, 2, 1)))


@dataclass(frozen=True)
class Polarity:
    """The Born charges that a force field stands for.

    :param charges: e, shape (n_sites, 3, 3), before they are scaled; `dielectric` of shape (3, 3).
    :param weight: w: the charges of the force field are √w times these.
    :param weight_sd: standard deviation of w, statistical and systematic, 0 where it was not fitted.
    """

    charges: NDArray[np.float64]
    dielectric: NDArray[np.float64]
    weight: float
    weight_sd: float

    @property
    def determined(self) -> bool:
        """Whether two standard deviations below w are still positive."""
        return self.weight - 2.0 * self.weight_sd > 0


WEIGHT_SD: Final = 'weight_sd'
"""Under which a Δ keeps the standard deviation of w in ``trained_on`` of its term."""


def polarity_of(force_field: ForceField, primitive: Atoms) -> Polarity | None:
    """Return the Born charges of a force field on the sites of a primitive cell; None where it has no such term.

    :raises ForceFieldError: where it holds dipoles of different charges, or of another crystal.
    """
    terms = [term for term in force_field.terms if kind_of(term.kind).polar]
    if not terms:
        return None
    models = [DipoleModel(term) for term in terms]
    first = models[0]
    for other in models[1:]:
        if not (np.allclose(other.charges, first.charges) and np.allclose(other.dielectric, first.dielectric)):
            raise ForceFieldError('the force field holds dipole–dipole terms of different Born charges')
    try:
        sites = map_onto_crystal(first.primitive, primitive).sites
    except CrystalError as error:
        raise ForceFieldError(f'the dipole–dipole term of the force field is of another crystal: {error}') from None
    spread = max(float(term.trained_on.get(WEIGHT_SD, 0.0)) for term in terms)
    return Polarity(first.charges[sites], first.dielectric, sum(term.weight for term in terms), spread)


@dataclass(frozen=True)
class DrawnCharges:
    """The Born charges that the non-analytical correction of a force field takes.

    :param charges: e, shape (n_sites, 3, 3); `dielectric` of shape (3, 3).
    :param weight: the squares of the charges over those of the base.
    :param remark: why the LO branch is not known everywhere; empty where it is.
    """

    charges: NDArray[np.float64]
    dielectric: NDArray[np.float64]
    weight: float
    remark: str


def drawn_charges(force_field: ForceField, primitive: Atoms) -> DrawnCharges | None:
    """Return the Born charges that belong to the forces of a force field; None where it has no dipole–dipole term.

    Where the energies give the term a weight that is not positive, they are those of the base, and the remark says so.

    :param primitive: the primitive cell whose sites the charges are of.
    :raises ForceFieldError: as :func:`polarity_of`.
    """
    known = polarity_of(force_field, primitive)
    if known is None:
        return None
    if known.weight <= 0:
        remark = f'the energies give the dipole–dipole term a weight of {known.weight:.2f}; drawn with that of the base'
        return DrawnCharges(known.charges, known.dielectric, 1.0, remark)
    remark = ''
    if not known.determined:
        remark = (
            f'the energies leave the weight of the dipole–dipole term open: {known.weight:.2f} ± {known.weight_sd:.2f}'
        )
    return DrawnCharges(np.sqrt(known.weight) * known.charges, known.dielectric, known.weight, remark)


class BoundDipole:
    """The dipole–dipole energy on one supercell, ready for any number of steps."""

    def __init__(self, model: DipoleModel, site_map: SiteMap, cell: NDArray[np.float64]) -> None:
        self.site_map = site_map
        self._cell = np.array(cell, dtype=float)
        self._reference = site_map.reference_positions
        n_atoms = len(site_map.sites)
        self._waves = _Waves(model, site_map)
        self._matrix = self._waves.matrix() if n_atoms <= _DENSE_ATOMS else None

    def displacements(self, positions: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return displacements from the sites, free of lattice vectors and of the rigid shift, Å, (n_atoms, 3)."""
        return unwrap(positions - self._reference, self._cell)

    def energy_forces(self, positions: NDArray[np.float64]) -> EnergyForces:
        """Return the energy (eV) and the forces (eV/Å, shape (n_atoms, 3)) at `positions` (Å), wrapped or not."""
        displaced = self.displacements(positions)
        forces = self.forces(displaced)
        return float(-0.5 * np.vdot(forces, displaced)), forces

    def forces(self, displaced: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return −Φ·u of displacements (Å, shape (…, n_atoms, 3)), eV/Å, of the same shape."""
        if self._matrix is None:
            return -self._waves.apply(displaced)
        flat = displaced.reshape(*displaced.shape[:-2], -1)
        return np.asarray(-(flat @ self._matrix).reshape(displaced.shape))

    def force_constants(self) -> NDArray[np.float64]:
        """Return Φ on this supercell in phonopy's layout, eV/Å², shape (n_atoms, n_atoms, 3, 3)."""
        n_atoms = len(self._reference)
        matrix = self._waves.matrix() if self._matrix is None else self._matrix
        return np.asarray(matrix.reshape(n_atoms, 3, n_atoms, 3).transpose(0, 2, 1, 3))


class _Waves:
    """Φ of a supercell by its wave vectors, with a fast Fourier transform over the cells."""

    def __init__(self, model: DipoleModel, site_map: SiteMap) -> None:
        self._order, self._axes, transform = _cells_in_order(site_map)
        qpoints = _qpoints_in_order(self._axes, transform)
        self._n_sites = len(model.primitive)
        found = np.array([model.force_constants(qpoint) for qpoint in qpoints])
        size = 3 * self._n_sites
        self._matrices = found.reshape(*self._axes, size, size)

    def apply(self, displaced: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return Φ·u, for displacements of shape (…, n_atoms, 3)."""
        leading = displaced.shape[:-2]
        cells = displaced.reshape(-1, *displaced.shape[-2:])[:, self._order]
        cells = cells.reshape(len(cells), self._n_sites, *self._axes, 3).transpose(0, 2, 3, 4, 1, 5)
        waves = np.fft.fftn(cells.reshape(len(cells), *self._axes, -1), axes=(1, 2, 3))
        # Σ_L' Φ(L' − L)·u(L') is the inverse transform of C(q)·u(q).
        pulled = np.einsum('xyzab,nxyzb->nxyza', self._matrices, waves)
        forces = np.fft.ifftn(pulled, axes=(1, 2, 3)).real
        forces = forces.reshape(len(cells), *self._axes, self._n_sites, 3).transpose(0, 4, 1, 2, 3, 5)
        found = np.empty((len(cells), *displaced.shape[-2:]))
        found[:, self._order] = forces.reshape(found.shape)
        return found.reshape(*leading, *displaced.shape[-2:])

    def matrix(self) -> NDArray[np.float64]:
        """Return Φ as one symmetric matrix, shape (3·n_atoms, 3·n_atoms)."""
        n_atoms = len(self._order)
        unit = np.zeros((3 * self._n_sites, n_atoms, 3))
        first = self._order.reshape(self._n_sites, -1)
        for site in range(self._n_sites):
            for axis in range(3):
                unit[3 * site + axis, first[site, 0], axis] = 1.0
        rows = self.apply(unit).reshape(self._n_sites, 3, n_atoms, 3)
        cells = rows[:, :, self._order].reshape(self._n_sites, 3, self._n_sites, *self._axes, 3)
        found = np.zeros((n_atoms, 3, n_atoms, 3))
        grid = np.stack(np.meshgrid(*map(np.arange, self._axes), indexing='ij'), axis=-1).reshape(-1, 3)
        for number, here in enumerate(grid):
            moved = np.roll(cells, tuple(here), axis=(3, 4, 5)).reshape(self._n_sites, 3, n_atoms, 3)
            placed = np.empty_like(moved)
            placed[:, :, self._order] = moved
            found[first[:, number]] = placed
        matrix = found.reshape(3 * n_atoms, 3 * n_atoms)
        return np.asarray(0.5 * (matrix + matrix.T))


def _cells_in_order(site_map: SiteMap) -> tuple[NDArray[np.int64], tuple[int, int, int], NDArray[np.int64]]:
    """Return the atoms site by site, the cells of each on a rectangular grid, the shape of the grid, and the transform.

    With the Smith normal form D = P·H·Q of the supercell H (its vectors in columns), P·L modulo the diagonal of D
    numbers the cells L of the supercell.
    """
    from phonopy.structure.snf import SNF3x3

    smith = SNF3x3(site_map.multiples.T)
    axes = tuple(int(abs(n)) for n in np.diag(smith.D))
    transform = np.asarray(smith.P, dtype=np.int64)
    numbers = (site_map.lattice_vectors @ transform.T) % np.array(axes)
    key = (site_map.sites * axes[0] + numbers[:, 0]) * axes[1] + numbers[:, 1]
    return np.argsort(key * axes[2] + numbers[:, 2], kind='stable'), axes, transform  # type: ignore[return-value]


def _qpoints_in_order(axes: tuple[int, int, int], transform: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the wave vector of each point of the transformed grid, shape (n_cells, 3)."""
    grid = np.stack(np.meshgrid(*map(np.arange, axes), indexing='ij'), axis=-1).reshape(-1, 3)
    return np.asarray((grid / np.array(axes)) @ transform)
