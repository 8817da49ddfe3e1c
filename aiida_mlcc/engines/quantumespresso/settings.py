"""Quantum ESPRESSO as the engine: its settings, the input of pw.x, and what its labels say of their source."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from aiida_mlcc.science.json_values import Source
from aiida_mlcc.science.settings import Settings, setting, three_counts

NAME: Final = 'quantumespresso'

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


Keyword = str | bool | int | float
"""The value of a keyword of pw.x."""

Namelists = Mapping[str, Mapping[str, Keyword]]
"""Namelist → keyword → value."""


def _halves(value: list[Any]) -> str | None:
    valid = len(value) == 3 and all(not isinstance(one, bool) and one in (0, 1) for one in value)
    return None if valid else 'give three numbers, 1 to shift a direction by half a step and 0 not to'


def _namelists(value: Namelists) -> str | None:
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
    parameters: dict[str, dict[str, Keyword]] = setting(
        f'Further keywords: {", ".join(_NAMELISTS)} → keyword → value.', default={}, check=_namelists
    )

    def refuse_together(self) -> str | None:
        """Refuse a cutoff of the density below that of the orbitals."""
        if self.ecutrho is not None and self.ecutrho < self.ecutwfc:
            return f'`ecutrho` is {self.ecutrho:g} Ry, less than the {self.ecutwfc:g} Ry of `ecutwfc`'
        return None

    @property
    def input_dft(self) -> str:
        """The functional as pw.x calls it."""
        return self.functional or FUNCTIONALS[self.method]

    @property
    def is_hybrid(self) -> bool:
        """Whether the functional has exact exchange."""
        return self.input_dft.upper().startswith(_HYBRIDS)


def source_of(settings: QuantumEspressoForces) -> Source:
    """Return what the labels say of their source; how hard the electrons were tried does not count."""
    kept = {name: value for name, value in settings.to_dict().items() if name not in (*JOB_ONLY, 'name', 'method')}
    return {**kept, 'engine': NAME, 'parameters': keywords(settings.parameters)}


def keywords(parameters: Namelists) -> dict[str, dict[str, Keyword]]:
    """Return further keywords in small letters, without empty namelists."""
    return {
        name: {str(tag).lower(): value for tag, value in sorted(tags.items())}
        for name, tags in sorted(parameters.items())
        if tags
    }


def pw_parameters(settings: QuantumEspressoForces) -> dict[str, dict[str, Keyword]]:
    """Return the namelists of a single point with forces.

    Exact exchange is summed over the differences of all k-points, unless the settings say otherwise.
    """
    system: dict[str, Keyword] = {'ecutwfc': settings.ecutwfc, 'input_dft': settings.input_dft}
    if settings.ecutrho is not None:
        system['ecutrho'] = settings.ecutrho
    if settings.degauss is None:
        system['occupations'] = 'fixed'
    else:
        system |= {'occupations': 'smearing', 'smearing': 'cold', 'degauss': settings.degauss}
    if settings.is_hybrid:
        system |= {f'nqx{axis}': count for axis, count in enumerate(settings.kpoints, start=1)}
    given: Namelists = {
        'CONTROL': {'calculation': 'scf', 'tprnfor': True, 'tstress': False},
        'SYSTEM': system,
        'ELECTRONS': {'conv_thr': settings.conv_thr, 'electron_maxstep': settings.electron_maxstep},
    }
    further = keywords(settings.parameters)
    return {name: {**tags, **further.get(name, {})} for name, tags in given.items()}
