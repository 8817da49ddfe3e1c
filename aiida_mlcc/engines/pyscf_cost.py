"""What correlated energies by PySCF cost, from the size of the cell: roughly, and least well for Hartree–Fock."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aiida_mlcc.engines.pyscf_elements import n_functions, valence
from aiida_mlcc.runtime.pyscf_settings import pseudopotential
from aiida_mlcc.science.methods import CONTRIBUTIONS

_HF_SECONDS = 1e-3
"""Of a core, times the cube of the number of basis functions; the fit of the density takes most of it."""

_CYCLES = 15
_CCSD_SECONDS = (2.8e-9, 2e-10)
"""Of a core and a cycle, times o³v³ and o²v⁴. Measured, as the next one, with 16 occupied and 28 to 60 virtual
orbitals."""

_TRIPLES_SECONDS = 5e-10
"""Of a core, times o³v⁴."""

_AMPLITUDES = 12
_AUXILIARY_PER_FUNCTION = 16
_BYTES = 8
_SECONDS_PER_HOUR = 3600.0
_GB = 1e9


@dataclass(frozen=True)
class EnergyCost:
    """What one structure costs.

    :param n_occupied: occupied orbitals of the cell.
    :param n_virtual: virtual ones.
    """

    n_occupied: int
    n_virtual: int
    core_hours: float
    memory_gb: float


def energy_cost(settings: Mapping[str, Any], symbols: Sequence[str], methods: Sequence[str]) -> EnergyCost | None:
    """Return what the energies of one structure cost; None for a basis or pseudopotentials that are not known."""
    functions = n_functions(symbols, settings['basis'])
    electrons = valence(symbols, pseudopotential(settings.get('pseudo'), 'HF'))
    if functions is None or electrons is None or any(symbol not in electrons for symbol in symbols):
        return None
    o = sum(electrons[symbol] for symbol in symbols) // 2
    v = max(functions - o, 0)
    needed = {part for method in methods for part in CONTRIBUTIONS[method]}
    seconds = _HF_SECONDS * functions**3
    floats = _AUXILIARY_PER_FUNCTION * functions**3 / 2
    if 'ccsd' in needed:
        seconds += _CYCLES * (_CCSD_SECONDS[0] * o**3 * v**3 + _CCSD_SECONDS[1] * o**2 * v**4)
        floats = _AMPLITUDES * o**2 * v**2 + o * v**3 / 2 + _AUXILIARY_PER_FUNCTION * functions * v**2 / 2
    if 'triples' in needed:
        seconds += _TRIPLES_SECONDS * o**3 * v**4
    return EnergyCost(o, v, seconds / _SECONDS_PER_HOUR, _BYTES * floats / _GB)
