"""The settings of the engines whose energies come from Cc4s, with integrals by PySCF or VASP."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from aiida_mlcc.calculations import cc4s_input
from aiida_mlcc.engines.vasp.settings import VaspIntegrals
from aiida_mlcc.runtime.pyscf.settings import PyscfIntegrals
from aiida_mlcc.science.json_values import StoredSettings
from aiida_mlcc.science.settings import setting

PYSCF_CC4S, VASP_CC4S = 'pyscf+cc4s', 'vasp+cc4s'

CC4S: Final = 'cc4s'
BASIS_SET_CORRECTION = 'basis_set_correction'

_PARTS = (
    cc4s_input.CCSD,
    cc4s_input.TRIPLES,
    cc4s_input.BASIS_SET_CORRECTION,
    cc4s_input.FINITE_SIZE_CORRECTION,
)
_NEEDED = {'MP2': cc4s_input.MP2, 'CCSD': cc4s_input.CCSD, 'CCSD(T)': cc4s_input.CCSD}
_COUNTED = {
    cc4s_input.CCSD: ('energy_convergence', 'amplitudes_convergence'),
    cc4s_input.TRIPLES: ('star',),
    cc4s_input.BASIS_SET_CORRECTION: (),
    cc4s_input.FINITE_SIZE_CORRECTION: ('interpolation_grid_size',),
}
"""Settings that an energy depends on; how it is reached, and with how much memory, does not count."""


_HELP = 'Parts of the calculation, each with its settings: ' + ', '.join(_PARTS)


_STRETCH = 10
"""Iterations between two sets of amplitudes on disk: with fewer, DIIS begins anew too often to gain by it."""


def _parts(convergence: float, *corrections: str, **more: int) -> cc4s_input.Parameters:
    ccsd = {
        **more,
        'max_iterations': 30,
        'energy_convergence': convergence,
        'amplitudes_convergence': convergence,
        'integrals_slice_size': 100,
    }
    return {cc4s_input.CCSD: ccsd, cc4s_input.TRIPLES: {}, **{name: {} for name in corrections}}


@dataclass(frozen=True)
class PyscfCc4s(PyscfIntegrals):
    """Integrals by PySCF at the Γ point."""

    TITLE = 'Cc4s with integrals of PySCF'

    name: str = setting('The engine.', default=PYSCF_CC4S, choices=(PYSCF_CC4S,))
    basis_set_correction: bool = setting(
        'Whether the second-order energy of the virtual orbitals that are left out is added.', default=True
    )
    cc4s: cc4s_input.Parameters = setting(_HELP, default=_parts(1e-8))

    def refuse_together(self) -> str | None:
        """Refuse parts that Cc4s has not, or that need tensors that PySCF does not write."""
        parts = self.cc4s
        asked = [part for part in (cc4s_input.BASIS_SET_CORRECTION, cc4s_input.FINITE_SIZE_CORRECTION) if part in parts]
        if asked:
            return (
                f'`{CC4S}.{asked[0]}` needs tensors that PySCF does not write: leave it out, or take the engine '
                f'{VASP_CC4S}'
            )
        if isinstance(parts.get(cc4s_input.TRIPLES), Mapping) and parts[cc4s_input.TRIPLES].get('star'):
            return f'`{CC4S}.triples.star` needs pair energies that PySCF does not write: leave it out'
        return _refuse_parts(parts)


@dataclass(frozen=True)
class VaspCc4s(VaspIntegrals):
    """Integrals by VASP."""

    TITLE = 'Cc4s with integrals of VASP'

    name: str = setting('The engine.', default=VASP_CC4S, choices=(VASP_CC4S,))
    cc4s: cc4s_input.Parameters = setting(
        _HELP,
        default=_parts(1e-6, cc4s_input.BASIS_SET_CORRECTION, cc4s_input.FINITE_SIZE_CORRECTION, stretch=_STRETCH),
    )

    def refuse_together(self) -> str | None:
        """Refuse parts that Cc4s has not."""
        return super().refuse_together() or _refuse_parts(self.cc4s)


def _refuse_parts(parts: cc4s_input.Parameters) -> str | None:
    if unknown := [name for name in parts if name not in _PARTS]:
        return f'unknown part `{CC4S}.{unknown[0]}`: choose from {", ".join(_PARTS)}'
    reason = cc4s_input.refuse_parameters({cc4s_input.CCSD: {}, **parts})
    return None if reason is None else f'{CC4S}: {reason}'


def integral_settings(given: StoredSettings) -> StoredSettings:
    """Return the settings of the job that makes the integrals for Cc4s, as they are stored."""
    if given['name'] == VASP_CC4S:
        return {name: value for name, value in given.items() if name != CC4S}
    own = (CC4S, BASIS_SET_CORRECTION)
    return {**{name: value for name, value in given.items() if name not in own}, 'name': 'pyscf'}


def cc4s_parameters(parts: cc4s_input.Parameters, methods: Sequence[str]) -> cc4s_input.Parameters:
    """Return the calculation with Cc4s that gives `methods`, as its parameters; empty where Hartree–Fock is all.

    :param parts: the setting `cc4s` of the engine.
    """
    needed = {_NEEDED[method] for method in methods if method in _NEEDED}
    if cc4s_input.CCSD not in needed:
        return {part: {} for part in needed}
    asked = {cc4s_input.CCSD: parts.get(cc4s_input.CCSD, {})}
    if 'CCSD(T)' in methods:
        asked[cc4s_input.TRIPLES] = parts.get(cc4s_input.TRIPLES, {})
    corrections = (cc4s_input.BASIS_SET_CORRECTION, cc4s_input.FINITE_SIZE_CORRECTION)
    return asked | {part: parts[part] for part in corrections if part in parts}


def parts_that_count(parts: cc4s_input.Parameters) -> cc4s_input.Parameters:
    """Return the setting `cc4s` as labels keep it."""
    filled = cc4s_input.with_defaults({cc4s_input.CCSD: {}, cc4s_input.TRIPLES: {}, **parts})
    return {part: {name: filled[part][name] for name in names} for part, names in _COUNTED.items() if part in filled}
