"""Quantum ESPRESSO as the engine: its settings, the input of pw.x, and what its labels say of their source."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aiida_mlcc.science.settings import Settings, setting, three_counts

NAME = 'quantumespresso'

FUNCTIONALS = {
    'LDA': 'sla+pw+nogx+nogc',
    'PBE': 'PBE',
    'PBEsol': 'PBESOL',
    'revPBE': 'REVPBE',
    'PBE0': 'PBE0',
    'HSE06': 'HSE',
    'B3LYP': 'B3LYP',
    'HF': 'HF',
}
"""Method → ``input_dft``. The LDA of Perdew and Wang is the one that Teter's form, PySCF's LDA here, was fitted to."""

JOB_ONLY = ('electron_maxstep',)
"""Settings on which no energy depends."""

_NAMELISTS = ('CONTROL', 'SYSTEM', 'ELECTRONS')
_RESERVED = {
    'CONTROL': ('calculation', 'tprnfor', 'outdir', 'prefix', 'pseudo_dir', 'restart_mode'),
    'SYSTEM': (
        *('ibrav', 'celldm', 'a', 'b', 'c', 'cosab', 'cosac', 'cosbc', 'nat', 'ntyp', 'tot_charge'),
        *('ecutwfc', 'ecutrho', 'input_dft', 'occupations', 'smearing', 'degauss'),
    ),
    'ELECTRONS': ('conv_thr', 'electron_maxstep'),
}
_HYBRIDS = ('HF', 'PBE0', 'B3LYP', 'HSE', 'GAUP', 'OEP')


def _halves(value: list[Any]) -> str | None:
    valid = len(value) == 3 and all(not isinstance(one, bool) and one in (0, 1) for one in value)
    return None if valid else 'give three numbers, 1 to shift a direction by half a step and 0 not to'


def _namelists(value: Mapping[str, Any]) -> str | None:
    for name, tags in value.items():
        if name not in _NAMELISTS:
            return f'there is no namelist {name!r} here: choose from {", ".join(_NAMELISTS)}'
        if not isinstance(tags, Mapping):
            return f'{name} is not a mapping of keywords'
        if taken := [tag for tag in tags if str(tag).lower().split('(')[0] in _RESERVED[name]]:
            return f'{name}.{taken[0]} is set by the other settings, or by the structure'
    return None


@dataclass(frozen=True)
class QuantumEspressoForces(Settings):
    """Energies and forces of pw.x."""

    TITLE = 'Quantum ESPRESSO engine'

    name: str = setting('The program.', default=NAME, choices=(NAME,))
    method: str = setting('Whose energies and forces.', default='PBE', choices=tuple(FUNCTIONALS))
    functional: str | None = setting(
        '`input_dft` of pw.x, for another form of the functional; null for that of `method`.', default=None
    )
    pseudo_family: str = setting('Family of pseudopotentials of aiida-pseudo.', default='gth-pbe')
    ecutwfc: float = setting('Cutoff of the plane waves.', default=80.0, above=0, unit='Ry')
    ecutrho: float | None = setting('Cutoff of the density; null for 4 × `ecutwfc`.', default=None, above=0, unit='Ry')
    conv_thr: float = setting('Convergence of the electrons in a cell.', default=1e-10, above=0, unit='Ry')
    electron_maxstep: int = setting('Electronic steps at most.', default=100, at_least=1)
    kpoints: list[int] = setting('Mesh of k-points.', default=[1, 1, 1], check=three_counts)
    kpoints_shift: list[int] = setting('1 to shift the mesh by half a step.', default=[0, 0, 0], check=_halves)
    degauss: float | None = setting(
        'Width of cold smearing; null for fixed occupations, which need a gap.', default=None, above=0, unit='Ry'
    )
    parameters: dict[str, Any] = setting(
        f'Further keywords: {", ".join(_NAMELISTS)} → keyword → value.', default={}, check=_namelists
    )

    @classmethod
    def refuse_together(cls, given: Mapping[str, Any]) -> str | None:
        """Refuse a cutoff of the density below that of the orbitals."""
        if given['ecutrho'] is not None and given['ecutrho'] < given['ecutwfc']:
            return f'`ecutrho` is {given["ecutrho"]:g} Ry, less than the {given["ecutwfc"]:g} Ry of `ecutwfc`'
        return None


def source_of(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the labels say of their source; how hard the electrons were tried does not count."""
    kept = {name: value for name, value in settings.items() if name not in (*JOB_ONLY, 'name', 'method', 'parameters')}
    return {'engine': NAME, **kept, 'parameters': keywords(settings['parameters'])}


def functional_of(settings: Mapping[str, Any]) -> str:
    """Return the functional as pw.x calls it."""
    return str(settings['functional'] or FUNCTIONALS[settings['method']])


def is_hybrid(settings: Mapping[str, Any]) -> bool:
    """Tell whether the functional has exact exchange."""
    return functional_of(settings).upper().startswith(_HYBRIDS)


def keywords(parameters: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return further keywords in small letters, without empty namelists."""
    return {
        name: {str(tag).lower(): value for tag, value in sorted(tags.items())}
        for name, tags in sorted(parameters.items())
        if tags
    }


def pw_parameters(settings: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the namelists of a single point with forces.

    Exact exchange is summed over the differences of all k-points, unless the settings say otherwise.
    """
    functional = functional_of(settings)
    system: dict[str, Any] = {'ecutwfc': settings['ecutwfc'], 'input_dft': functional}
    if settings['ecutrho'] is not None:
        system['ecutrho'] = settings['ecutrho']
    if settings['degauss'] is None:
        system['occupations'] = 'fixed'
    else:
        system |= {'occupations': 'smearing', 'smearing': 'cold', 'degauss': settings['degauss']}
    if is_hybrid(settings):
        system |= {f'nqx{axis}': count for axis, count in enumerate(settings['kpoints'], start=1)}
    given = {
        'CONTROL': {'calculation': 'scf', 'tprnfor': True, 'tstress': False},
        'SYSTEM': system,
        'ELECTRONS': {'conv_thr': settings['conv_thr'], 'electron_maxstep': settings['electron_maxstep']},
    }
    further = keywords(settings['parameters'])
    return {name: {**tags, **further.get(name, {})} for name, tags in given.items()}
