"""Engines that give HF, MP2, CCSD and CCSD(T) energies, told apart by their name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from aiida import orm

from aiida_mlcc.calculations import cc4s_input
from aiida_mlcc.calculations.integrals import validate_integrals_engine
from aiida_mlcc.engines import pyscf
from aiida_mlcc.engines.vasp import settings as vasp

PYSCF, PYSCF_CC4S, VASP_CC4S = 'pyscf', 'pyscf+cc4s', 'vasp+cc4s'

ENGINES = (PYSCF, PYSCF_CC4S, VASP_CC4S)
"""PySCF alone; Cc4s with integrals from PySCF at the Γ point, or from VASP."""

CC4S = 'cc4s'
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


def name_of(engine: Mapping[str, Any]) -> str:
    """Return the name of an engine, one of :data:`ENGINES` where it is valid."""
    return str(engine.get('name'))


def uses_cc4s(engine: Mapping[str, Any]) -> bool:
    """Tell whether the energies beyond Hartree–Fock are those of Cc4s."""
    return name_of(engine) in (PYSCF_CC4S, VASP_CC4S)


def refuse_correlation_engine(node: orm.Dict, _: Any) -> str | None:
    """Return why `node` cannot give correlated energies, in a sentence, or None."""
    engine = node.get_dict()
    if name_of(engine) not in ENGINES:
        return f'unknown correlation engine {engine.get("name")!r}: choose from {", ".join(ENGINES)}'
    if not uses_cc4s(engine):
        return pyscf.refuse_correlation_engine(node, _)
    if not isinstance(engine.get(CC4S), Mapping):
        return (
            f'the correlation engine setting `{CC4S}` is missing: the settings of {", ".join(_PARTS)}, each a mapping'
        )
    integrals = orm.Dict(integral_settings(engine))
    if name_of(engine) == VASP_CC4S:
        reason = vasp.refuse_integral_settings(integrals, _)
    else:
        reason = _refuse_own_settings(engine) or validate_integrals_engine(integrals, _)
    return reason or _refuse_parts(engine[CC4S])


def _refuse_own_settings(engine: Mapping[str, Any]) -> str | None:
    if not isinstance(engine.get(BASIS_SET_CORRECTION), bool):
        return (
            f'the correlation engine setting `{BASIS_SET_CORRECTION}` must be true or false: whether the second-order '
            'energy of the virtual orbitals that are left out is added'
        )
    parts = engine[CC4S]
    asked = [part for part in (cc4s_input.BASIS_SET_CORRECTION, cc4s_input.FINITE_SIZE_CORRECTION) if part in parts]
    if asked:
        return (
            f'`{CC4S}.{asked[0]}` needs tensors that PySCF does not write: leave it out, or take the engine {VASP_CC4S}'
        )
    if isinstance(parts.get(cc4s_input.TRIPLES), Mapping) and parts[cc4s_input.TRIPLES].get('star'):
        return f'`{CC4S}.triples.star` needs pair energies that PySCF does not write: leave it out'
    return None


def _refuse_parts(parts: Mapping[str, Any]) -> str | None:
    if unknown := [name for name in parts if name not in _PARTS]:
        return f'unknown part `{CC4S}.{unknown[0]}`: choose from {", ".join(_PARTS)}'
    reason = cc4s_input.refuse_parameters({cc4s_input.CCSD: {}, **parts})
    return None if reason is None else f'{CC4S}: {reason}'


def integral_settings(engine: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of the job that makes the integrals for Cc4s."""
    if name_of(engine) == VASP_CC4S:
        return {name: value for name, value in engine.items() if name != CC4S}
    own = (CC4S, BASIS_SET_CORRECTION)
    return {**{name: value for name, value in engine.items() if name not in own}, 'name': PYSCF}


def cc4s_parameters(engine: Mapping[str, Any], methods: Sequence[str]) -> dict[str, Any]:
    """Return the calculation with Cc4s that gives `methods`, as its parameters; empty where Hartree–Fock is all."""
    parts = engine[CC4S]
    needed = {_NEEDED[method] for method in methods if method in _NEEDED}
    if cc4s_input.CCSD not in needed:
        return {part: {} for part in needed}
    asked = {cc4s_input.CCSD: parts.get(cc4s_input.CCSD, {})}
    if 'CCSD(T)' in methods:
        asked[cc4s_input.TRIPLES] = parts.get(cc4s_input.TRIPLES, {})
    corrections = (cc4s_input.BASIS_SET_CORRECTION, cc4s_input.FINITE_SIZE_CORRECTION)
    return asked | {part: parts[part] for part in corrections if part in parts}


def source_of(engine: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the labels of an engine with these settings say of their source."""
    if not uses_cc4s(engine):
        return pyscf.source_of(engine)
    settings = integral_settings(engine)
    source = vasp.source_of(settings) if name_of(engine) == VASP_CC4S else pyscf.source_of(settings)
    own = {name: engine[name] for name in (BASIS_SET_CORRECTION,) if name in engine}
    return {**source, **own, 'engine': name_of(engine), CC4S: _counted(engine[CC4S])}


def _counted(parts: Mapping[str, Any]) -> dict[str, Any]:
    filled = cc4s_input.with_defaults({cc4s_input.CCSD: {}, cc4s_input.TRIPLES: {}, **parts})
    return {part: {name: filled[part][name] for name in names} for part, names in _COUNTED.items() if part in filled}
