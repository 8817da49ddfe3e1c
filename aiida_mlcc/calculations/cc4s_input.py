"""From a described coupled-cluster calculation to ``cc4s.in``, and to the names of the tensors that it reads.

Among its steps are CCSD, (T), and the corrections for the finite size of the cell and of the basis.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, TypeVar, cast

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
    mixer: dict[str, str | int | float] = setting(
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

    def refuse_together(self) -> str | None:
        """Refuse to write over what is read."""
        if self.read is not None and self.read == self.write:
            return f'`restart.write` is {self.write!r}, as is `restart.read`: give another name'
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

_MIXER_DEFAULTS: dict[str, dict[str, int | float]] = {'diis': {'max_residua': 4}, 'linear': {'ratio': 1.0}}
_NEED_CCSD = (TRIPLES, BASIS_SET_CORRECTION, FINITE_SIZE_CORRECTION, RESTART)
_INITIAL, _AMPLITUDES = 'InitialAmplitudes', 'Amplitudes'
_AMPLITUDES_PARTS = ('yaml', 'components.ph.elements', 'components.pphh.elements')
_TENSORS = ('EigenEnergies', 'CoulombVertex')
_PAIR_ENERGIES = 'Mp2PairEnergies'
_TENSORS_OF_BASIS_SET = ('DeltaIntegralsHH', 'DeltaIntegralsPPHH', _PAIR_ENERGIES)
_TENSORS_OF_FINITE_SIZE = ('CoulombVertexSingularVectors', 'GridVectors', 'CoulombPotential')

Value = str | bool | int | float | None
PartSettings = Mapping[str, Value | Mapping[str, Value]]
Parameters = Mapping[str, PartSettings]
"""Part of a calculation → the settings of it that are not the defaults."""

Given = Mapping[str, str | int | float | Mapping[str, str | int | float]]
"""The input of an algorithm: tensors by their names, and settings."""


@dataclass(frozen=True)
class Dimensions(Settings):
    """The size of a calculation with Cc4s."""

    TITLE = 'dimensions'

    n_occupied: int = setting('Occupied orbitals.', at_least=1)
    n_virtual: int = setting('Virtual orbitals.', at_least=1)
    n_fields: int = setting('Field variables of the Coulomb vertex.', at_least=1)
    real: bool = setting('Whether the integrals are real.', default=True)


class Step(NamedTuple):
    """A step of ``cc4s.in``: the algorithm, its input, and which of its results is kept under which name."""

    algorithm: str
    given: Given
    kept: Mapping[str, str]


Part = TypeVar('Part', bound=Settings)


@dataclass(frozen=True)
class Calculation:
    """A described calculation: the parts that are asked for, with every setting of them."""

    mp2: Mp2 | None = None
    ccsd: Ccsd | None = None
    triples: Triples | None = None
    basis_set_correction: BasisSet | None = None
    finite_size_correction: FiniteSize | None = None
    restart: Restart = Restart()

    @classmethod
    def of(cls, parameters: Parameters) -> Calculation:
        """Read what :func:`refuse_parameters` lets pass."""
        filled = with_defaults(parameters)

        def part(name: str, group: type[Part]) -> Part | None:
            return group.of(filled[name]) if name in filled else None

        return cls(
            part(MP2, Mp2),
            part(CCSD, Ccsd),
            part(TRIPLES, Triples),
            part(BASIS_SET_CORRECTION, BasisSet),
            part(FINITE_SIZE_CORRECTION, FiniteSize),
            part(RESTART, Restart) or Restart(),
        )


def refuse_parameters(parameters: Parameters) -> str | None:
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
    mixer = parameters.get(CCSD, {}).get('mixer', {})
    return _refuse_mixer(mixer) if isinstance(mixer, Mapping) else None


def _refuse_section(name: str, settings: PartSettings) -> str | None:
    section = SECTIONS[name]
    if settings and not section.rules():
        return f'unknown setting `{next(iter(settings))}` of `{name}`: there is nothing to set'
    return section.refuse(settings)


def _refuse_mixer(mixer: Mapping[str, Value]) -> str | None:
    if (reason := Mixer.refuse(mixer)) is not None:
        return reason
    kind = str(mixer.get('type', 'diis'))
    for key in mixer:
        if key != 'type' and key not in _MIXER_DEFAULTS[kind]:
            return f'the mixer `{kind}` has no setting `{key}`: it has {", ".join(_MIXER_DEFAULTS[kind])}'
    return None


def with_defaults(parameters: Parameters) -> dict[str, PartSettings]:
    """Return a described calculation with every setting of its parts."""
    filled: dict[str, PartSettings] = {
        name: {**cast(PartSettings, SECTIONS[name].defaults()), **parameters[name]}
        for name in SECTIONS
        if name in parameters
    }
    if CCSD in filled and isinstance(mixer := filled[CCSD]['mixer'], Mapping):
        kind = str(mixer.get('type', 'diis'))
        filled[CCSD] = {**filled[CCSD], 'mixer': {'type': kind, **_MIXER_DEFAULTS[kind], **mixer}}
    return filled


def tensor_names(parameters: Parameters) -> list[str]:
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


def steps_of(parameters: Parameters) -> list[Step]:
    """Return the steps of a calculation in the order in which Cc4s runs them.

    With a level shift or with amplitudes to begin with, the first energy of CCSD is not that of second order, which
    then takes a step of its own. Amplitudes that solve the equations take no iteration, but their energy is computed.
    """
    calculation = Calculation.of(parameters)
    reading = [Step('Read', {'fileName': f'"{n}.yaml"'}, {'destination': n}) for n in tensor_names(parameters)]
    if (name := calculation.restart.read) is not None:
        reading.append(Step('Read', {'fileName': f'"{name}.yaml"'}, {'destination': _INITIAL}))
    return reading + _calculating(calculation)


def _calculating(asked: Calculation) -> list[Step]:
    energies, integrals = {'slicedEigenEnergies': 'EigenEnergies'}, {'coulombIntegrals': 'CoulombIntegrals'}
    vertex, amplitudes = {'slicedCoulombVertex': 'CoulombVertex'}, {'amplitudes': 'Amplitudes'}
    steps = [
        Step('DefineHolesAndParticles', {'eigenEnergies': 'EigenEnergies'}, energies),
        Step('SliceOperator', {**energies, 'operator': 'CoulombVertex'}, {'slicedOperator': 'CoulombVertex'}),
        Step('VertexCoulombIntegrals', vertex, integrals),
    ]
    restart, ccsd = asked.restart, asked.ccsd
    shifted = ccsd is not None and ccsd.level_shift > 0
    if asked.mp2 is not None or shifted or restart.read is not None:
        steps.append(Step('SecondOrderPerturbationTheory', {**integrals, **energies}, {}))
    if ccsd is not None:
        solver = dict(_solver(ccsd))
        if restart.read is not None:
            solver['initialAmplitudes'] = _INITIAL
        if restart.converged:
            solver['maxIterations'] = 0
        given: Given = {'method': 'Ccsd', **energies, **integrals, **vertex, **solver}
        steps.append(Step('CoupledCluster', given, amplitudes))
    if restart.write is not None:
        written: Given = {'fileName': f'"{restart.write}.yaml"', 'source': _AMPLITUDES, 'binary': 1}
        steps.append(Step('Write', written, {}))
    if asked.finite_size_correction is not None:
        on_grid: Given = {
            'coulombVertexSingularVectors': 'CoulombVertexSingularVectors',
            'coulombPotential': 'CoulombPotential',
            'gridVectors': 'GridVectors',
            'interpolationGridSize': asked.finite_size_correction.interpolation_grid_size,
        }
        steps.append(Step('FiniteSizeCorrection', {**vertex, **amplitudes, **on_grid}, {}))
    pair_energies = {'mp2PairEnergies': _PAIR_ENERGIES}
    if asked.basis_set_correction is not None:
        delta = {'deltaIntegralsHH': 'DeltaIntegralsHH', 'deltaIntegralsPPHH': 'DeltaIntegralsPPHH'}
        steps.append(Step('BasisSetCorrection', {**energies, **amplitudes, **integrals, **pair_energies, **delta}, {}))
    if (settings := asked.triples) is not None:
        triples: Given = {**integrals, **amplitudes, **energies, **(pair_energies if settings.star else {})}
        if settings.algorithm == REFERENCE:
            steps.append(Step('PerturbativeTriplesReference', triples, {}))
        else:
            percentage = float(settings.checkpoint_at_percentage)
            steps.append(Step('PerturbativeTriples', {**triples, 'checkpointAtPercentage': percentage}, {}))
    return steps


def _solver(settings: Ccsd) -> Given:
    """Return the settings of the amplitude equations under Cc4s' names."""
    mixer = settings.mixer
    kind = str(mixer['type'])
    own = {'maxResidua': mixer['max_residua']} if kind == 'diis' else {'ratio': float(mixer['ratio'])}
    return {
        'integralsSliceSize': settings.integrals_slice_size,
        'maxIterations': settings.max_iterations,
        'energyConvergence': float(settings.energy_convergence),
        'amplitudesConvergence': float(settings.amplitudes_convergence),
        **({'levelShift': float(settings.level_shift)} if settings.level_shift else {}),
        'mixer': {'type': MIXERS[kind], **own},
    }


def render(parameters: Parameters) -> str:
    """Return the text of ``cc4s.in``."""
    return _text_of(steps_of(parameters))


def render_dry_run(parameters: Parameters, dimensions: Dimensions, iterations: int) -> str:
    """Return the text of ``cc4s.in`` for a dry run of CCSD and, where it is asked for, (T).

    :param dimensions: the tensors are those of an electron gas, of which a dry run makes nothing but the sizes.
    :param iterations: of CCSD, all of which are counted; never more than the calculation allows.
    """
    asked = Calculation.of({name: parameters[name] for name in (CCSD, TRIPLES) if name in parameters})
    ccsd, triples = asked.ccsd, asked.triples
    assert ccsd is not None  # without which nothing is forecast
    fewer = replace(ccsd, max_iterations=min(ccsd.max_iterations, iterations))
    run = replace(asked, ccsd=fewer, triples=None if triples is None else replace(triples, star=False))
    gas: Given = {
        'No': dimensions.n_occupied,
        'Nv': dimensions.n_virtual,
        'NF': dimensions.n_fields,
        'halfGrid': int(dimensions.real),
        'rs': 2.0,
    }
    tensors = {'eigenEnergies': 'EigenEnergies', 'coulombVertex': 'CoulombVertex'}
    return _text_of([Step('UegVertexGenerator', gas, tensors), *_calculating(run)])


def _text_of(steps: Sequence[Step]) -> str:
    lines = []
    for name, given, kept in steps:
        lines += [f'- name: {name}', '  in:', *_lines_of(given, 4)]
        lines += ['  out:', *(_lines_of(kept, 4) if kept else ['    {}']), '']
    return '\n'.join(lines)


def _lines_of(mapping: Given, indent: int) -> list[str]:
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
