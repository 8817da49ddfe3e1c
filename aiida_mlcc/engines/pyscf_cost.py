"""What correlated energies by PySCF cost, from the size of the cell: roughly, and least well for Hartree–Fock."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

from aiida_mlcc.engines.pyscf_elements import n_functions, valence
from aiida_mlcc.runtime.pyscf.settings import PyscfCorrelation
from aiida_mlcc.science.labels.methods import CONTRIBUTIONS

_HF_SECONDS = 5e-4
"""Of a core, times the cube of the number of basis functions; the fit of the density takes most of it.

On a mesh it is in proportion to the number of k-points: LiH in its primitive cell took 1.5, 2.2 and 6.8 s with 1, 2
and 8 points (3 functions), 4.0 and 8.0 s with 1 and 2 (18 functions)."""

_EXCHANGE_SECONDS = 4e-9
"""Of a core, a cycle and a pair of k-points, times the numbers of auxiliary functions, of occupied orbitals and,
squared, of basis functions: the operations of two complex products at 4 GFLOPS, not measured."""

_CYCLES = 15
_CCSD_SECONDS = (2.8e-9, 2e-10)
"""Of a core and a cycle, times o³v³ and o²v⁴. Measured, as the next one, with 16 occupied and 28 to 60 virtual
orbitals."""

_TRIPLES_SECONDS = 5e-10
"""Of a core, times o³v⁴."""

_AMPLITUDES = 12
_AUXILIARY_PER_FUNCTION = 8
_AUXILIARY_PER_ATOM = 50
"""At least, however small the basis: Li and F have 51 and 54 beside a minimal one."""

_BYTES = 8
_SECONDS_PER_HOUR = 3600.0
_GB = 1e9


@dataclass(frozen=True)
class EnergyCost:
    """What one structure costs.

    :param n_occupied: occupied orbitals of the cell.
    :param n_virtual: virtual ones.
    :param disk_gb: of the factors of the density fitting, which PySCF keeps in a scratch file while it runs.
    """

    n_occupied: int
    n_virtual: int
    core_hours: float
    memory_gb: float
    disk_gb: float


@dataclass(frozen=True)
class OrbitalNumbers:
    """How large the integrals of a cell are.

    :param n_auxiliary: functions of the density fitting, about.
    """

    n_occupied: int
    n_virtual: int
    n_functions: int
    n_auxiliary: int


def orbital_numbers(settings: PyscfCorrelation, symbols: Sequence[str]) -> OrbitalNumbers | None:
    """Return how many orbitals a cell has; None for a basis or pseudopotentials that are not known."""
    functions = n_functions(symbols, settings.basis)
    electrons = valence(symbols, settings.pseudopotential('HF'))
    if functions is None or electrons is None or any(symbol not in electrons for symbol in symbols):
        return None
    occupied = sum(electrons[symbol] for symbol in symbols) // 2
    auxiliary = max(_AUXILIARY_PER_FUNCTION * functions, _AUXILIARY_PER_ATOM * len(symbols))
    return OrbitalNumbers(occupied, max(functions - occupied, 0), functions, auxiliary)


def energy_cost(settings: PyscfCorrelation, symbols: Sequence[str], methods: Sequence[str]) -> EnergyCost | None:
    """Return what the energies of one structure cost; None for a basis or pseudopotentials that are not known."""
    if (numbers := orbital_numbers(settings, symbols)) is None:
        return None
    o, v, functions, auxiliary = numbers.n_occupied, numbers.n_virtual, numbers.n_functions, numbers.n_auxiliary
    needed = {part for method in methods for part in CONTRIBUTIONS[method]}
    n_kpoints = prod(settings.hf_mesh or [1])
    seconds, floats, on_disk = 0.0, auxiliary * functions**2 / 2, 0.0
    if n_kpoints > 1:
        seconds = _HF_SECONDS * functions**3 * n_kpoints
        seconds += _CYCLES * _EXCHANGE_SECONDS * n_kpoints**2 * auxiliary * functions**2 * o
        # Complex, for each pair of points and both factors of an integral at a time.
        on_disk = 2 * auxiliary * functions**2 * n_kpoints * (n_kpoints + 1) / 2
        floats = 2 * 2 * auxiliary * functions**2
    if n_kpoints == 1 or needed - {'hf'}:
        seconds += _HF_SECONDS * functions**3
        on_disk = max(on_disk, auxiliary * functions**2 / 2)
    if 'ccsd' in needed:
        seconds += _CYCLES * (_CCSD_SECONDS[0] * o**3 * v**3 + _CCSD_SECONDS[1] * o**2 * v**4)
        amplitudes = _AMPLITUDES * o**2 * v**2 + o * v**3 / 2 + auxiliary * v**2 / 2
        floats = amplitudes if n_kpoints == 1 else max(floats, amplitudes)
    if 'triples' in needed:
        seconds += _TRIPLES_SECONDS * o**3 * v**4
    return EnergyCost(o, v, seconds / _SECONDS_PER_HOUR, _BYTES * floats / _GB, _BYTES * on_disk / _GB)
