"""VASP as the engine: settings, potentials and code checked at submission, and what its labels say of their source."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, NamedTuple

from aiida import orm

from aiida_mlcc.engines.vasp.incar import PARALLEL_TAGS, RESERVED_TAGS, STEPS, Further, Tag, Tags
from aiida_mlcc.science.dataset.vasp_files.outcar import Outcar
from aiida_mlcc.science.dataset.vasp_files.vasprun import ENERGIES
from aiida_mlcc.science.json_values import Source
from aiida_mlcc.science.labels.methods import DFT_METHODS
from aiida_mlcc.science.settings import Settings, setting, three_counts

PLUGIN = 'vasp.'
"""How the calculation plugins begin that a VASP code may be set up for."""

_FORCE_ALGORITHMS = ('Normal', 'Fast', 'VeryFast', 'All', 'Damped')
_PRECISIONS = ('Normal', 'Single', 'SingleN', 'Accurate', 'Low', 'Medium', 'High')


class Potentials(NamedTuple):
    """Potentials in the database: their family, and element → full name in it."""

    family: str
    mapping: Mapping[str, str]


def _refuse_tags(tags: Mapping[str, Tag | Tags]) -> str | None:
    from parsevasp.constants import incar_tags

    for tag in tags:
        if not isinstance(tag, str):
            return f'{tag!r} in `incar` is not the name of an INCAR tag'
        if tag.upper() in RESERVED_TAGS:
            return f'the INCAR tag {tag.upper()} is set by the other settings and cannot be given in `incar`'
        if tag.lower() not in incar_tags:
            return f'unknown INCAR tag {tag.upper()} in `incar`'
    return None


@dataclass(frozen=True)
class VaspSettings(Settings):
    """What all calculations of VASP have in common."""

    TITLE = 'VASP'

    name: str = setting('The program.', default='vasp', choices=('vasp',))
    encut: float = setting('Cutoff of the plane waves.', default=500.0, above=0, unit='eV')
    ediff: float = setting('Convergence of the electrons.', default=1e-6, above=0, unit='eV')
    nelm: int = setting('Electronic steps at most.', default=60, at_least=1)
    prec: str = setting('Precision of meshes and projectors.', default='Accurate', choices=_PRECISIONS)
    ismear: int = setting('Smearing of the occupations.', default=0, choices=(-5, -4, -1, 0, 1, 2))
    sigma: float = setting('Width of the smearing.', default=0.01, at_least=0, unit='eV')
    energy: str = setting(
        'Which energy is the label; the forces are the derivative of `free`.', default='free', choices=ENERGIES
    )
    potential_family: str = setting('Family of potentials in the database.', default='PBE.64')
    potential_mapping: dict[str, str] = setting('Element → full name of its POTCAR in the family.', default={})
    incar: Further = setting('Further INCAR tags.', default={})

    def refuse_together(self) -> str | None:
        """Refuse what is not a tag of INCAR, or one that the other settings decide."""
        return _refuse_tags(self.incar)

    @property
    def potentials(self) -> Potentials:
        """The potentials of the elements."""
        return Potentials(self.potential_family, self.potential_mapping)


@dataclass(frozen=True)
class VaspForces(VaspSettings):
    """Energies and forces: single points and dynamics."""

    TITLE = 'VASP engine'

    method: str = setting('Whose energies and forces.', default='PBE', choices=(*DFT_METHODS, 'HF'))
    algo: str = setting('Electronic minimisation.', default='Normal', choices=_FORCE_ALGORITHMS)
    kpoints: list[int] = setting('Γ-centred mesh.', default=[1, 1, 1], check=three_counts)

    def refuse_together(self) -> str | None:
        """Refuse Hartree–Fock with an algorithm that has no exchange."""
        if self.method == 'HF' and self.algo in ('Fast', 'VeryFast'):
            return f'`algo` is {self.algo!r}, with which VASP has no exchange: take All, Damped or Normal'
        return super().refuse_together()


@dataclass(frozen=True)
class VaspIntegrals(VaspSettings):
    """Hartree–Fock and the integrals for Cc4s.

    The defaults of ``ediff``, ``sigma``, and ``encutgw`` at this ``encut`` are those of the Cc4s user manual, section
    VASP.
    """

    TITLE = 'VASP integrals'

    name: str = setting('The program.', default='vasp', choices=('vasp', 'vasp+cc4s'))
    encut: float = setting('Cutoff of the plane waves.', default=400.0, above=0, unit='eV')
    nelm: int = setting('Electronic steps at most.', default=100, at_least=1)
    ediff: float = setting('Convergence of the electrons.', default=1e-7, above=0, unit='eV')
    sigma: float = setting('Width of the smearing.', default=0.001, at_least=0, unit='eV')
    gamma_only: bool = setting(
        'Whether the steps at Γ have real orbitals, and `vasp.code` is vasp_gam: complex ones take three times the '
        'operations and twice the memory.',
        default=True,
    )
    natural_orbitals_per_occupied: int = setting(
        'MP2 natural orbitals kept for each occupied one.', default=10, at_least=1
    )
    encutgw: float = setting('Cutoff of the Coulomb vertex.', default=300.0, above=0, unit='eV')
    hf_kpoints: list[int] = setting('Mesh of the Hartree–Fock energy.', default=[3, 3, 3], check=three_counts)
    hf_encut: float = setting('Cutoff of the Hartree–Fock energy.', default=400.0, above=0, unit='eV')
    incar: Further = setting(
        f'Further INCAR tags of all steps, and under the name of a step those of it alone: {", ".join(STEPS)}.',
        default={},
    )

    def refuse_together(self) -> str | None:
        """Refuse what is neither a tag nor a step, and tags that the other settings decide."""
        own = {name: tags for name, tags in self.incar.items() if isinstance(tags, dict)}
        if unknown := [name for name in own if name not in STEPS]:
            return f'`incar.{unknown[0]}`: there is no step `{unknown[0]}`; choose from {", ".join(STEPS)}'
        common: Further = {name: value for name, value in self.incar.items() if name not in own}
        groups: list[Further | Tags] = [common, *own.values()]
        return next((reason for tags in groups if (reason := _refuse_tags(tags)) is not None), None)


JOB_ONLY = ('nelm', 'algo')
"""Settings on which no energy depends."""


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


_PROGRAMS = {True: 'vasp_gam', False: 'vasp_std'}


def refuse_program(code: orm.AbstractCode, gamma_only: bool) -> str | None:
    """Return that a code is the program for other orbitals, as far as the name of its executable tells, or None."""
    name = PurePosixPath(str(code.get_executable())).name.lower()
    found = next((kind for kind, program in _PROGRAMS.items() if program.removeprefix('vasp') in name), None)
    return (
        None if found in (None, gamma_only) else _other_program(gamma_only, f'the code `{code.full_label}` is {name}')
    )


def refuse_head(outcar: Outcar, gamma_only: bool) -> str | None:
    """Return that OUTCAR was written by the program for other orbitals, or None; one that does not say is believed."""
    if outcar['gamma_only'] in (None, gamma_only):
        return None
    return _other_program(
        gamma_only, f'OUTCAR was written by the program for {_ORBITALS[outcar["gamma_only"]]} orbitals'
    )


_ORBITALS = {True: 'real (gamma-only)', False: 'complex'}


def _other_program(gamma_only: bool, found: str) -> str:
    return (
        f'`gamma_only` is {str(gamma_only).lower()}, but {found}: give {_PROGRAMS[gamma_only]} as `vasp.code`, or set '
        f'`gamma_only` to {str(not gamma_only).lower()}'
    )


def refuse_potentials(symbols: list[str], given: Potentials) -> str | None:
    """Refuse potentials that do not cover the elements `symbols`, or are not in the database."""
    if lacking := [symbol for symbol in dict.fromkeys(symbols) if symbol not in given.mapping]:
        return f'`potential_mapping` names no potential for {lacking[0]}: add its full name in the family'
    try:
        potentials(symbols, given)
    except Exception as error:  # aiida-vasp raises what it likes  # noqa: BLE001
        return f'no potentials from the family {given.family!r}: {error}. See `aiida-vasp potcar listfamilies`'
    return None


def potentials(symbols: list[str], given: Potentials) -> dict[str, orm.Data]:
    """Return element → potential (``vasp.potcar`` nodes, which hold no licensed data)."""
    from aiida_vasp.data.potcar import PotcarData

    return PotcarData.get_potcars_dict(list(dict.fromkeys(symbols)), *given)


def valence(symbols: list[str], given: Potentials) -> dict[str, float]:
    """Return element → valence electrons, the ``ZVAL`` of its potential."""
    import io

    from aiida_vasp.parsers.content_parsers.potcar import PotcarParser

    found = {}
    for element, node in potentials(symbols, given).items():
        parsed = PotcarParser(handler=io.StringIO(node.get_content().decode()))
        found[element] = float(parsed.metadata.metadata['ZVAL'])
    return found


def n_electrons(symbols: list[str], given: Potentials) -> float:
    """Return the number of valence electrons."""
    of_element = valence(symbols, given)
    return sum(of_element[symbol] for symbol in symbols)


ENCUT_OVER_ENMAX = 1.2
"""The Cc4s user manual asks for a cutoff at least 20 % above the largest ENMAX."""


def low_cutoff(symbols: list[str], settings: VaspSettings) -> str | None:
    """Return that the cutoff is low for the potentials, in a sentence, or None."""
    found = {}
    for element, node in potentials(symbols, settings.potentials).items():
        if (match := re.search(r'ENMAX\s*=\s*([\d.]+)', node.get_content().decode())) is not None:
            found[element] = float(match[1])
    if not found or settings.encut >= ENCUT_OVER_ENMAX * max(found.values()):
        return None
    element = max(found, key=lambda name: found[name])
    return (
        f'`encut` is {settings.encut:g} eV, less than {ENCUT_OVER_ENMAX:g} times the ENMAX of {element}, '
        f'{found[element]:g} eV, which the manual of Cc4s asks for'
    )


def refuse_open_shell(symbols: list[str], given: Potentials) -> str | None:
    """Refuse an odd number of valence electrons, or potentials from which it cannot be counted."""
    if (reason := refuse_potentials(symbols, given)) is not None:
        return reason
    electrons = n_electrons(symbols, given)
    if round(electrons) % 2:
        return f'the cell has {electrons:g} valence electrons: closed shells, which this needs, hold an even number'
    return None


def source_of(settings: VaspSettings) -> Source:
    """Return what the labels of an engine with these settings say of their source.

    How hard the electrons were tried and how the work was spread do not count.
    """
    left_out = (*JOB_ONLY, 'name', 'method')
    kept = {name: value for name, value in settings.to_dict().items() if name not in left_out}
    return {**kept, 'engine': 'vasp', 'incar': tags_that_count(settings.incar)}


def tags_that_count(incar: Further) -> Further:
    """Return the tags of `incar` in capitals, without those that only spread the work; steps keep their names."""
    own = {step: _counted(tags) for step, tags in incar.items() if isinstance(tags, dict)}
    common = _counted({tag: value for tag, value in incar.items() if not isinstance(value, dict)})
    return {**common, **{step: tags for step, tags in own.items() if tags}}


def _counted(tags: Tags) -> Tags:
    capitals = {str(tag).upper(): value for tag, value in tags.items()}
    return {tag: value for tag, value in capitals.items() if tag not in PARALLEL_TAGS}
