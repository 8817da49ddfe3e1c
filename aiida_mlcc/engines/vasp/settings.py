"""VASP as the engine: settings, potentials and code checked at submission, and what its labels say of their source."""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Integral, Real
from pathlib import PurePosixPath
from typing import Any

from aiida import orm

from aiida_mlcc.calculations.parameters import Setting
from aiida_mlcc.engines.vasp.incar import RESERVED_TAGS
from aiida_mlcc.parsers.parse_raw.vasprun import ENERGIES
from aiida_mlcc.science.methods import DFT_METHODS

PLUGIN = 'vasp.'
"""How the calculation plugins begin that a VASP code may be set up for."""

_POSITIVE = Setting(Real, above=0)

_COMMON = {
    'encut': _POSITIVE,
    'ediff': _POSITIVE,
    'nelm': Setting(Integral, at_least=1),
    'prec': Setting(str, choices=('Normal', 'Single', 'SingleN', 'Accurate', 'Low', 'Medium', 'High')),
    'ismear': Setting(Integral, choices=(-5, -4, -1, 0, 1, 2)),
    'sigma': Setting(Real, at_least=0),
    'energy': Setting(str, choices=ENERGIES),
    'potential_family': Setting(str),
    'potential_mapping': Setting(dict),
    'incar': Setting(dict),
}

FORCES = {
    'name': Setting(str, choices=('vasp',)),
    'method': Setting(str, choices=(*DFT_METHODS, 'HF')),
    'algo': Setting(str, choices=('Normal', 'Fast', 'VeryFast', 'All', 'Damped')),
    'kpoints': Setting(list),
    **_COMMON,
}
"""Settings of energies and forces. ``encut``, ``ediff`` and ``sigma`` in eV; ``kpoints`` a Γ-centred mesh; ``energy``
says which energy is the label; ``potential_mapping`` is element → full name of the POTCAR in ``potential_family``;
``incar`` holds further tags."""

INTEGRALS = {
    'name': Setting(str, choices=('vasp', 'vasp+cc4s')),
    'gamma_only': Setting(bool),
    'natural_orbitals_per_occupied': Setting(Integral, at_least=1),
    'encutgw': _POSITIVE,
    'hf_kpoints': Setting(list),
    'hf_encut': _POSITIVE,
    **_COMMON,
}
"""Settings of the integrals for Cc4s. ``gamma_only``: the code is the program for real orbitals at Γ; ``encutgw`` (eV)
cuts off the Coulomb vertex; ``hf_kpoints`` and ``hf_encut`` (eV) are those of the Hartree–Fock energy."""

_JOB_ONLY = ('nelm', 'algo')
_PARALLEL_TAGS = ('NCORE', 'NPAR', 'KPAR', 'NSIM', 'LPLANE', 'LSCALAPACK', 'MAXMEM')


def refuse_force_settings(node: orm.Dict, _: Any) -> str | None:
    """Return why `node` cannot give energies and forces, in a sentence, or None."""
    settings = node.get_dict()
    if (reason := _refuse('VASP engine', FORCES, settings)) is not None:
        return reason
    if settings['method'] == 'HF' and settings['algo'] in ('Fast', 'VeryFast'):
        return (
            f'VASP engine: `algo` is {settings["algo"]!r}, with which VASP has no exchange: take All, Damped or Normal'
        )
    return None


def refuse_integral_settings(node: orm.Dict, _: Any) -> str | None:
    """Return why `node` cannot give integrals, in a sentence, or None."""
    return _refuse('VASP integrals', INTEGRALS, node.get_dict())


def refuse_code(code: orm.AbstractCode, _: Any = None) -> str | None:
    """Refuse a code that is not VASP."""
    if is_vasp_code(code):
        return None
    plugin = code.default_calc_job_plugin
    return (
        f'the code `{code.full_label}` is not VASP (its plugin is {plugin or "not set"}): give one that is set up with '
        '`default_calc_job_plugin: vasp.vasp`'
    )


def is_vasp_code(code: orm.AbstractCode) -> bool:
    """Tell whether `code` is VASP: by the plugin it is set up for, else by the name of its program."""
    if (plugin := code.default_calc_job_plugin) is not None:
        return plugin.startswith(PLUGIN)
    return 'vasp' in PurePosixPath(str(code.get_executable())).name.lower()


def refuse_potentials(symbols: list[str], engine: Mapping[str, Any]) -> str | None:
    """Refuse settings whose potentials do not cover the elements `symbols`, or are not in the database."""
    mapping = engine['potential_mapping']
    if lacking := [symbol for symbol in dict.fromkeys(symbols) if symbol not in mapping]:
        return f'`potential_mapping` names no potential for {lacking[0]}: add its full name in the family'
    try:
        potentials(symbols, engine)
    except Exception as error:  # aiida-vasp raises what it likes
        family = engine['potential_family']
        return f'no potentials from the family {family!r}: {error}. See `aiida-vasp potcar listfamilies`'
    return None


def potentials(symbols: list[str], engine: Mapping[str, Any]) -> dict[str, Any]:
    """Return element → potential (``vasp.potcar`` nodes, which hold no licensed data)."""
    from aiida_vasp.data.potcar import PotcarData

    elements = list(dict.fromkeys(symbols))
    return PotcarData.get_potcars_dict(elements, engine['potential_family'], engine['potential_mapping'])


def n_electrons(symbols: list[str], engine: Mapping[str, Any]) -> float:
    """Return the number of valence electrons, from the ``ZVAL`` of the potentials."""
    import io

    from aiida_vasp.parsers.content_parsers.potcar import PotcarParser

    valence = {}
    for element, node in potentials(symbols, engine).items():
        parsed = PotcarParser(handler=io.StringIO(node.get_content().decode()))
        valence[element] = parsed.metadata.metadata['ZVAL']
    return sum(valence[symbol] for symbol in symbols)


def refuse_open_shell(symbols: list[str], engine: Mapping[str, Any]) -> str | None:
    """Refuse an odd number of valence electrons, or potentials from which it cannot be counted."""
    if (reason := refuse_potentials(symbols, engine)) is not None:
        return reason
    electrons = n_electrons(symbols, engine)
    if round(electrons) % 2:
        return f'the cell has {electrons:g} valence electrons: closed shells, which this needs, hold an even number'
    return None


def force_engine_like(method: str, source: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings with which VASP labels new structures as the labels of `source` were made.

    :raises ValueError: where the labels do not say how they were made.
    """
    engine = {'name': 'vasp', 'method': method, 'algo': 'Normal', 'nelm': 60}
    for name in FORCES:
        if name not in engine and name not in source:
            raise ValueError(f'the {method} labels do not say with which `{name}` they were made')
        engine.setdefault(name, source.get(name))
    return engine


def source_of(engine: Mapping[str, Any], version: str = '') -> dict[str, Any]:
    """Return what the labels of an engine with these settings say of their source.

    How hard the electrons were tried and how the work was spread do not count.
    """
    kept = {name: value for name, value in engine.items() if name not in (*_JOB_ONLY, 'name', 'method', 'incar')}
    source = {'engine': 'vasp', **kept, 'incar': tags_that_count(engine['incar'])}
    return {**source, 'version': f'VASP {version}'} if version else source


def tags_that_count(incar: Mapping[str, Any]) -> dict[str, Any]:
    """Return the tags of `incar` in capitals, without those that only spread the work."""
    tags = {str(tag).upper(): value for tag, value in incar.items()}
    return {tag: value for tag, value in tags.items() if tag not in _PARALLEL_TAGS}


def _refuse(what: str, known: Mapping[str, Setting], settings: Mapping[str, Any]) -> str | None:
    if unknown := sorted(set(settings) - set(known)):
        return f'unknown {what} setting `{unknown[0]}`: choose from {", ".join(known)}'
    if missing := [name for name in known if name not in settings]:
        return f'the {what} setting `{missing[0]}` is missing'
    for name, setting in known.items():
        if (reason := setting.refuse(name, settings[name])) is not None:
            return f'{what}: {reason}'
        if name.endswith('kpoints') and (reason := _refuse_mesh(name, settings[name])) is not None:
            return f'{what}: {reason}'
    return _refuse_tags(what, settings['incar'])


def _refuse_mesh(name: str, mesh: list[Any]) -> str | None:
    if len(mesh) == 3 and all(isinstance(n, int) and not isinstance(n, bool) and n > 0 for n in mesh):
        return None
    return f'`{name}` is {mesh!r}: give three whole numbers above 0'


def _refuse_tags(what: str, tags: Mapping[str, Any]) -> str | None:
    from parsevasp.constants import incar_tags

    for tag in tags:
        if not isinstance(tag, str):
            return f'{what}: {tag!r} in `incar` is not the name of an INCAR tag'
        if tag.upper() in RESERVED_TAGS:
            return f'{what}: the INCAR tag {tag.upper()} is set by the other settings and cannot be given in `incar`'
        if tag.lower() not in incar_tags:
            return f'{what}: unknown INCAR tag {tag.upper()} in `incar`'
    return None
