"""From a described coupled-cluster calculation to ``cc4s.in``, and to the names of the tensors that it reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aiida_mlcc.science.settings import Settings, setting

MP2, CCSD, TRIPLES = 'mp2', 'ccsd', 'triples'
BASIS_SET_CORRECTION, FINITE_SIZE_CORRECTION = 'basis_set_correction', 'finite_size_correction'

RESTART = 'restart'

OPTIMIZED, REFERENCE = 'optimized', 'reference'
MIXERS = {'diis': 'DiisMixer', 'linear': 'LinearMixer'}
"""Mixer → its name in Cc4s."""


@dataclass(frozen=True)
class Mixer(Settings):
    """How the amplitudes of the next iteration are made."""

    TITLE = 'mixer'

    type: str = setting('Kind of mixer.', default='diis', choices=tuple(MIXERS), required=False)
    max_residua: int = setting('Residua of `diis`.', default=4, at_least=1, required=False)
    ratio: float = setting('Ratio of `linear`.', default=1.0, above=0, required=False)


@dataclass(frozen=True)
class Ccsd(Settings):
    """The amplitude equations."""

    TITLE = 'ccsd'

    max_iterations: int = setting('Iterations at most.', default=30, at_least=2, required=False)
    energy_convergence: float = setting(
        'Of the energy, in the unit of the orbital energies.', default=1e-8, above=0, required=False
    )
    amplitudes_convergence: float = setting('Of the amplitudes.', default=1e-8, above=0, required=False)
    integrals_slice_size: int = setting('Slice of the four-virtual integrals.', default=100, at_least=1, required=False)
    stretch: int | None = setting(
        'Iterations of one job: it writes its amplitudes, from which the next one goes on, and (T) and the corrections '
        'are a job of their own; null: all is one job, which a kill sends back to its beginning.',
        default=None,
        at_least=1,
        required=False,
    )
    level_shift: float = setting('Added to every energy difference.', default=0.0, at_least=0, required=False)
    mixer: dict[str, Any] = setting(
        'How the next amplitudes are made.', default={'type': 'diis', 'max_residua': 4}, required=False
    )


@dataclass(frozen=True)
class Triples(Settings):
    """(T)."""

    TITLE = 'triples'

    algorithm: str = setting('Algorithm.', default=OPTIMIZED, choices=(OPTIMIZED, REFERENCE), required=False)
    star: bool = setting('Whether (T*) is computed, too.', default=False, required=False)
    checkpoint_at_percentage: float = setting(
        'How often a checkpoint is written.', default=1.0, above=0, unit='%', required=False
    )


@dataclass(frozen=True)
class FiniteSize(Settings):
    """The finite-size correction."""

    TITLE = FINITE_SIZE_CORRECTION

    interpolation_grid_size: int = setting('Points of the interpolation.', default=20, at_least=1, required=False)


@dataclass(frozen=True)
class Mp2(Settings):
    """Second order, which has nothing to set."""

    TITLE = MP2


@dataclass(frozen=True)
class BasisSet(Settings):
    """The basis-set correction, which has nothing to set."""

    TITLE = BASIS_SET_CORRECTION


@dataclass(frozen=True)
class Restart(Settings):
    """How one job of several begins and ends; the WorkChain fills it in."""

    TITLE = 'restart'

    read: str | None = setting('Amplitudes of the parent to begin with.', default=None, required=False)
    converged: bool = setting('Whether these solve the amplitude equations.', default=False, required=False)
    checkpoint: bool = setting('Whether (T) goes on from the checkpoint of the parent.', default=False, required=False)
    write: str | None = setting('Name under which the amplitudes are written.', default=None, required=False)

    @classmethod
    def refuse_together(cls, given: Mapping[str, Any]) -> str | None:
        """Refuse to write over what is read."""
        if given.get('read') is not None and given.get('read') == given.get('write'):
            return f'`restart.write` is {given["write"]!r}, as is `restart.read`: give another name'
        return None


SECTIONS: dict[str, type[Settings]] = {
    MP2: Mp2,
    CCSD: Ccsd,
    TRIPLES: Triples,
    BASIS_SET_CORRECTION: BasisSet,
    FINITE_SIZE_CORRECTION: FiniteSize,
    RESTART: Restart,
}
"""What a calculation may consist of, and the settings of each part; what is not named is the default, and all of it is
written into ``cc4s.in``. The level shift and the thresholds are in the unit of the tensors' orbital energies: Hartree
from PySCF, eV from VASP."""

_MIXER_DEFAULTS: dict[str, dict[str, Any]] = {'diis': {'max_residua': 4}, 'linear': {'ratio': 1.0}}
_NEED_CCSD = (TRIPLES, BASIS_SET_CORRECTION, FINITE_SIZE_CORRECTION, RESTART)
_INITIAL, _AMPLITUDES = 'InitialAmplitudes', 'Amplitudes'
_AMPLITUDES_PARTS = ('yaml', 'components.ph.elements', 'components.pphh.elements')
_TENSORS = ('EigenEnergies', 'CoulombVertex')
_PAIR_ENERGIES = 'Mp2PairEnergies'
_TENSORS_OF_BASIS_SET = ('DeltaIntegralsHH', 'DeltaIntegralsPPHH', _PAIR_ENERGIES)
_TENSORS_OF_FINITE_SIZE = ('CoulombVertexSingularVectors', 'GridVectors', 'CoulombPotential')

Step = tuple[str, dict[str, Any], dict[str, str]]
"""Algorithm, its input, and which of its results is kept under which name."""


def refuse_parameters(parameters: Mapping[str, Any]) -> str | None:
    """Return what is wrong with a described calculation, in a sentence, or None."""
    if unknown := [name for name in parameters if name not in SECTIONS]:
        return f'unknown part `{unknown[0]}` of a Cc4s calculation: choose from {", ".join(SECTIONS)}'
    if MP2 not in parameters and CCSD not in parameters:
        return 'nothing to calculate: ask for `ccsd`, which gives the second-order energy as well, or for `mp2`'
    for name in _NEED_CCSD:
        if name in parameters and CCSD not in parameters:
            return f'`{name}` needs the amplitudes of `ccsd`, which is not asked for'
    for name, settings in parameters.items():
        if not isinstance(settings, Mapping):
            return f'`{name}` is {settings!r}; it must be a mapping of settings, which may be empty'
        if (reason := _refuse_section(name, settings)) is not None:
            return reason
    return _refuse_mixer(parameters.get(CCSD, {}).get('mixer', {}))


def _refuse_section(name: str, settings: Mapping[str, Any]) -> str | None:
    section = SECTIONS[name]
    if settings and not section.rules():
        return f'unknown setting `{next(iter(settings))}` of `{name}`: there is nothing to set'
    return section.refuse(settings)


def _refuse_mixer(mixer: Mapping[str, Any]) -> str | None:
    if (reason := Mixer.refuse(mixer)) is not None:
        return reason
    kind = mixer.get('type', 'diis')
    for key in mixer:
        if key != 'type' and key not in _MIXER_DEFAULTS[kind]:
            return f'the mixer `{kind}` has no setting `{key}`: it has {", ".join(_MIXER_DEFAULTS[kind])}'
    return None


def with_defaults(parameters: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return a described calculation with every setting of its parts."""
    filled = {name: {**SECTIONS[name].defaults(), **parameters[name]} for name in SECTIONS if name in parameters}
    if CCSD in filled:
        mixer = filled[CCSD]['mixer']
        kind = mixer.get('type', 'diis')
        filled[CCSD]['mixer'] = {'type': kind, **_MIXER_DEFAULTS[kind], **mixer}
    return filled


def tensor_names(parameters: Mapping[str, Any]) -> list[str]:
    """Return the tensors that a calculation reads, in the order in which it does; each is a .yaml and an .elements."""
    names = list(_TENSORS)
    if FINITE_SIZE_CORRECTION in parameters:
        names.extend(_TENSORS_OF_FINITE_SIZE)
    if BASIS_SET_CORRECTION in parameters:
        names.extend(_TENSORS_OF_BASIS_SET)
    elif with_defaults(parameters).get(TRIPLES, {}).get('star'):
        names.append(_PAIR_ENERGIES)
    return names


def amplitudes_files(name: str) -> list[str]:
    """Return the files of amplitudes, as Cc4s names them."""
    return [f'{name}.{part}' for part in _AMPLITUDES_PARTS]


def steps_of(parameters: Mapping[str, Any]) -> list[Step]:
    """Return the steps of a calculation in the order in which Cc4s runs them.

    With a level shift or with amplitudes to begin with, the first energy of CCSD is not that of second order, which
    then takes a step of its own. Amplitudes that solve the equations take no iteration, but their energy is computed.
    """
    reading: list[Step] = [('Read', {'fileName': f'"{n}.yaml"'}, {'destination': n}) for n in tensor_names(parameters)]
    if (name := parameters.get(RESTART, {}).get('read')) is not None:
        reading.append(('Read', {'fileName': f'"{name}.yaml"'}, {'destination': _INITIAL}))
    return reading + _calculating(parameters)


def _calculating(parameters: Mapping[str, Any]) -> list[Step]:
    asked = with_defaults(parameters)
    energies, integrals = {'slicedEigenEnergies': 'EigenEnergies'}, {'coulombIntegrals': 'CoulombIntegrals'}
    vertex, amplitudes = {'slicedCoulombVertex': 'CoulombVertex'}, {'amplitudes': 'Amplitudes'}
    steps: list[Step] = [
        ('DefineHolesAndParticles', {'eigenEnergies': 'EigenEnergies'}, energies),
        ('SliceOperator', {**energies, 'operator': 'CoulombVertex'}, {'slicedOperator': 'CoulombVertex'}),
        ('VertexCoulombIntegrals', vertex, integrals),
    ]
    restart = asked.get(RESTART, Restart.defaults())
    if MP2 in asked or asked.get(CCSD, {}).get('level_shift', 0) > 0 or restart['read'] is not None:
        steps.append(('SecondOrderPerturbationTheory', {**integrals, **energies}, {}))
    if CCSD in asked:
        solver = _solver(asked[CCSD])
        if restart['read'] is not None:
            solver['initialAmplitudes'] = _INITIAL
        if restart['converged']:
            solver['maxIterations'] = 0
        steps.append(('CoupledCluster', {'method': 'Ccsd', **energies, **integrals, **vertex, **solver}, amplitudes))
    if restart['write'] is not None:
        written = {'fileName': f'"{restart["write"]}.yaml"', 'source': _AMPLITUDES, 'binary': 1}
        steps.append(('Write', written, {}))
    if FINITE_SIZE_CORRECTION in asked:
        on_grid = {
            'coulombVertexSingularVectors': 'CoulombVertexSingularVectors',
            'coulombPotential': 'CoulombPotential',
            'gridVectors': 'GridVectors',
            'interpolationGridSize': asked[FINITE_SIZE_CORRECTION]['interpolation_grid_size'],
        }
        steps.append(('FiniteSizeCorrection', {**vertex, **amplitudes, **on_grid}, {}))
    pair_energies = {'mp2PairEnergies': _PAIR_ENERGIES}
    if BASIS_SET_CORRECTION in asked:
        delta = {'deltaIntegralsHH': 'DeltaIntegralsHH', 'deltaIntegralsPPHH': 'DeltaIntegralsPPHH'}
        steps.append(('BasisSetCorrection', {**energies, **amplitudes, **integrals, **pair_energies, **delta}, {}))
    if TRIPLES in asked:
        settings = asked[TRIPLES]
        triples: dict[str, Any] = {**integrals, **amplitudes, **energies}
        if settings['star']:
            triples.update(pair_energies)
        if settings['algorithm'] == REFERENCE:
            steps.append(('PerturbativeTriplesReference', triples, {}))
        else:
            triples['checkpointAtPercentage'] = float(settings['checkpoint_at_percentage'])
            steps.append(('PerturbativeTriples', triples, {}))
    return steps


def _solver(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of the amplitude equations under Cc4s' names."""
    mixer = settings['mixer']
    of_mixer: dict[str, Any] = {'type': MIXERS[mixer['type']]}
    if mixer['type'] == 'diis':
        of_mixer['maxResidua'] = mixer['max_residua']
    else:
        of_mixer['ratio'] = float(mixer['ratio'])
    solver: dict[str, Any] = {
        'integralsSliceSize': settings['integrals_slice_size'],
        'maxIterations': settings['max_iterations'],
        'energyConvergence': float(settings['energy_convergence']),
        'amplitudesConvergence': float(settings['amplitudes_convergence']),
    }
    if settings['level_shift']:
        solver['levelShift'] = float(settings['level_shift'])
    return {**solver, 'mixer': of_mixer}


def render(parameters: Mapping[str, Any]) -> str:
    """Return the text of ``cc4s.in``."""
    return _text_of(steps_of(parameters))


def render_dry_run(parameters: Mapping[str, Any], dimensions: Mapping[str, Any], iterations: int) -> str:
    """Return the text of ``cc4s.in`` for a dry run of CCSD and, where it is asked for, (T).

    :param dimensions: ``n_occupied``, ``n_virtual``, ``n_fields`` and ``real``; the tensors are those of an electron
        gas, of which a dry run makes nothing but the sizes.
    :param iterations: of CCSD, all of which are counted; never more than the calculation allows.
    """
    asked = {name: dict(parameters[name]) for name in (CCSD, TRIPLES) if name in parameters}
    filled = with_defaults(asked)
    asked[CCSD]['max_iterations'] = min(filled[CCSD]['max_iterations'], iterations)
    if TRIPLES in asked:
        asked[TRIPLES]['star'] = False
    gas = {
        'No': dimensions['n_occupied'],
        'Nv': dimensions['n_virtual'],
        'NF': dimensions['n_fields'],
        'halfGrid': int(dimensions['real']),
        'rs': 2.0,
    }
    tensors = {'eigenEnergies': 'EigenEnergies', 'coulombVertex': 'CoulombVertex'}
    return _text_of([('UegVertexGenerator', gas, tensors), *_calculating(asked)])


def _text_of(steps: Sequence[Step]) -> str:
    lines = []
    for name, given, kept in steps:
        lines += [f'- name: {name}', '  in:', *_lines_of(given, 4)]
        lines += ['  out:', *(_lines_of(kept, 4) if kept else ['    {}']), '']
    return '\n'.join(lines)


def _lines_of(mapping: Mapping[str, Any], indent: int) -> list[str]:
    lines = []
    for key, value in mapping.items():
        if isinstance(value, Mapping):
            lines += [f'{" " * indent}{key}:', *_lines_of(value, indent + 2)]
        else:
            lines.append(f'{" " * indent}{key}: {_number(value) if isinstance(value, float) else value}')
    return lines


def _number(value: float) -> str:
    """Write a number with a decimal point, without which Cc4s takes it for an integer and fails."""
    mantissa, _, exponent = repr(value).partition('e')
    mantissa = mantissa if '.' in mantissa else f'{mantissa}.0'
    return f'{mantissa}e{exponent}' if exponent else mantissa
