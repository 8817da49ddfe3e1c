"""A ``cc4s.out.yaml`` that was cut off, or lacks something, spoils no run: what was printed stands in for it."""

import pytest
from ase.units import Hartree

from aiida_mlcc.parsers.parse_raw.cc4s import parse_output
from aiida_mlcc.parsers.parse_raw.cc4s_outcome import RecordedRun, judge, summarise
from tests.cc4s_records import BANNER, CHECKED, CONVERGED, ITERATIONS, STDOUT, TRIPLES, out_yaml

pytestmark = pytest.mark.nightly

STEPS = ['Read', 'Read', 'DefineHolesAndParticles', 'SliceOperator', 'VertexCoulombIntegrals']
ASKED = [*STEPS, 'CoupledCluster', 'PerturbativeTriples']
IN_EV = 0.036749322175638754
PRINTED = {'mp2': -0.4, 'ccsd': -0.35, 'triples': -0.02}
"""What is printed in the made-up run, and written; in the unit of the orbital energies."""


def run_of(output, stdout=STDOUT, unit=1.0, asked=ASKED):
    return RecordedRun(asked, {**CHECKED, 'energy_unit': unit}, output, stdout)


@pytest.mark.parametrize(('layout', 'unit'), [('old', 1.0), ('new', IN_EV)])
def test_output_cut_anywhere_changes_nothing_of_a_run_that_printed_all(layout, unit):
    text = out_yaml(layout, unit)
    expected = {name: energy * unit * Hartree for name, energy in PRINTED.items()}
    # Every byte where the energies are, and some of the rest.
    cuts = {*range(0, len(text), 29), *range(text.index('CoupledCluster'), len(text) + 1)}
    for cut in sorted(cuts):
        run = run_of(text[:cut], unit=unit)
        assert judge(run) is None, text[:cut][-60:]
        assert run.energies() == pytest.approx(expected, rel=1e-7), text[:cut][-60:]
        summary = summarise(run)
        assert summary['converged'], text[:cut][-60:]
        assert [step['name'] for step in summary['steps']] == ASKED


@pytest.mark.parametrize(('layout', 'unit'), [('old', IN_EV), ('new', 1.0)])
def test_output_cut_anywhere_gives_no_wrong_energy_where_nothing_was_printed(layout, unit):
    text = out_yaml(layout, unit)
    expected = {name: energy * unit * Hartree for name, energy in PRINTED.items()}
    for cut in range(text.index('CoupledCluster'), len(text) + 1):
        run = run_of(text[:cut], stdout='', unit=unit)
        assert run.is_converged is not False
        energies = run.energies()
        assert energies == pytest.approx({name: expected[name] for name in energies}, rel=1e-12), text[:cut][-60:]
        summarise(run)
        judge(run)


@pytest.mark.parametrize(
    'lacking',
    [
        '      convergenceReached: 1\n',
        '        correlation: -0.35\n',
        '        unit: 1.0\n',
        '    in:\n      method: Ccsd\n',
        '    statistics:\n      floatingPointOperations: 5000\n      realtime: 9.0\n',
        '    name: CoupledCluster\n',
    ],
)
def test_key_that_is_missing_does_not_make_a_converged_run_an_unconverged_one(lacking):
    text = out_yaml()
    assert lacking in text
    run = run_of(text.replace(lacking, '', 1))
    assert [step['name'] for step in parse_output(run.output_text)['steps']] == STEPS
    assert judge(run) is None
    assert run.energies() == pytest.approx({name: energy * Hartree for name, energy in PRINTED.items()}, rel=1e-7)


@pytest.mark.parametrize('hosts', ['hosts:', 'hosts: 3', 'hosts:\n  0:', 'hosts:\n  0:\n    ranks:'])
def test_head_that_is_odd_leaves_the_ranks_that_were_printed(hosts):
    summary = summarise(run_of(f'{hosts}\nstatistics: 1e\nsteps:\n  0: x\n  half: 1\n'))
    assert (summary['mpi_ranks'], summary['seconds']) == (4, 1.0 + 9.0 + 20.0)


def test_step_after_a_gap_is_not_taken_without_those_before_it():
    # Cc4s writes step 10 before step 2. What (T) calls (T*) is its difference from (T) after BasisSetCorrection: a file
    # that ends before that step would have it taken for the energy itself.
    step = '  {}:\n    in:\n      {}\n    name: {}\n    out:\n      {}\n    realtime: 1.0\n'
    given = 'amplitudes: 0xa\n      mp2PairEnergies: 0xb'
    scaled = 'energy:\n        correlation: -0.4\n        starCorrection: -0.1\n        unit: 1'
    solved = 'amplitudes: 0xa\n      convergenceReached: 1\n      energy:\n        correlation: -2.0\n        unit: 1'
    corrected = 'energy:\n        correction: -0.2\n        secondOrderCorrection: -0.3\n        unit: 1'
    steps = {i: step.format(i, 'x: 1', 'Read', 'destination: 0x1') for i in range(8)}
    steps[8] = step.format(8, 'method: Ccsd', 'CoupledCluster', solved)
    steps[9] = step.format(9, given, 'BasisSetCorrection', corrected)
    steps[10] = step.format(10, given, 'PerturbativeTriples', scaled)
    text = 'steps:\n' + ''.join(steps[i] for i in sorted(steps, key=str))
    whole, cut = (run_of(t, '', asked=['Read'] * 11).energies() for t in (text, text[: text.index('  9:')]))
    # (T*) is (T) and the difference: -0.4 - 0.1.
    assert whole['triples_star'] == pytest.approx(-0.5 * Hartree)
    assert cut == {'ccsd': whole['ccsd']}


# One pair of electrons in two levels a gap Δ apart, coupled by K: the second-order energy is -K²/Δ, and what the
# amplitude equations give first is -K²/(Δ + shift). With K² = 0.4, Δ = 1 and a shift of 0.25 these are -0.4 and -0.32.
SECOND_ORDER = 'step: 6, SecondOrderPerturbationTheory\ncorrelation energy: -0.4000000000\nrealtime 1.0 s\n--\n'
SOLVED = (ITERATIONS + CONVERGED).replace('-4.00000000e-01', '-3.20000000e-01').replace('-0.4000', '-0.3200')
SHIFTED_TEXT = BANNER + SECOND_ORDER + SOLVED.replace('step: 6', 'step: 7') + TRIPLES.replace('step: 7', 'step: 8')
WITHOUT_STEP = BANNER + SOLVED + TRIPLES


def shifted_yaml(recorded=True):
    """Return the output of a run with a level shift, which says so or not, without a step of second order."""
    text = out_yaml().replace('secondOrder: -0.4', 'secondOrder: -0.32')
    return text.replace('method: Ccsd', 'levelShift: 0.25\n      method: Ccsd') if recorded else text


def with_second_order(text):
    """Return an output with the step of second order before CCSD."""
    step = (
        '  5:\n    in:\n      x: 1\n    name: SecondOrderPerturbationTheory\n    out:\n      energy:\n'
        '        correlation: -0.4\n        unit: 1\n    statistics:\n      realtime: 1.0\n'
    )
    text = text.replace('\n  6:', '\n  7:').replace('\n  5:', '\n  6:')
    return text.replace('  6:\n', f'{step}  6:\n', 1)


@pytest.mark.parametrize('output', [with_second_order(shifted_yaml()), ''])
def test_second_order_of_a_run_with_a_level_shift_is_that_of_its_own_step(output):
    asked = [*STEPS, 'SecondOrderPerturbationTheory', *ASKED[5:]]
    run = RecordedRun(asked, CHECKED, output, SHIFTED_TEXT, has_level_shift=True)
    assert judge(run) is None
    assert run.energies() == pytest.approx({name: energy * Hartree for name, energy in PRINTED.items()}, rel=1e-9)


@pytest.mark.parametrize(
    ('output', 'asked_for'),
    [(shifted_yaml(), True), (shifted_yaml(), False), (shifted_yaml(recorded=False), True), ('', True)],
)
def test_first_energy_with_a_level_shift_is_never_that_of_second_order(output, asked_for):
    run = RecordedRun(ASKED, CHECKED, output, WITHOUT_STEP, has_level_shift=asked_for)
    assert sorted(run.energies()) == ['ccsd', 'triples']


def test_level_shift_of_zero_is_none():
    run = run_of(shifted_yaml().replace('levelShift: 0.25', 'levelShift: 0'), WITHOUT_STEP)
    assert run.energies()['mp2'] == pytest.approx(-0.32 * Hartree)
