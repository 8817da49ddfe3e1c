"""What every entry of the table of curves must keep, on a small crystal and a small dynamics."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
from aiida import orm
from aiida.engine import ExitCode, calcfunction

from aiida_mlcc.workflows.common.draw_curve import draw
from aiida_mlcc.workflows.curve_table import AT_REST, Curve, Output, all_curves, curves_of, outputs_of_stage
from aiida_mlcc.workflows.mlcc_phonon import MLCCPhononWorkChain
from aiida_mlcc.workflows.phonons.harmonic_phonon import HarmonicPhononWorkChain
from aiida_mlcc.workflows.spectrum.vacf import VACFWorkChain

WORKCHAINS = {'harmonic_phonon': HarmonicPhononWorkChain, 'vacf': VACFWorkChain}
DRAWN = [name for name, curve in all_curves().items() if curve.arguments is not None]


@pytest.mark.parametrize('name', DRAWN)
def test_the_calcfunction_gives_what_the_entry_promises(curve_nodes, name):
    outputs = all_curves()[name].outputs
    assert set(curve_nodes[name]) <= set(outputs)
    assert set(curve_nodes[name]) >= {output for output, promised in outputs.items() if promised.always}
    for output, node in curve_nodes[name].items():
        assert isinstance(node, outputs[output].kind)
        assert node.is_stored


@pytest.mark.parametrize('name', all_curves())
def test_every_output_is_declared_with_its_meaning_here_and_by_method(name):
    curve = all_curves()[name]
    own, of_methods = WORKCHAINS[curve.stage].spec().outputs, MLCCPhononWorkChain.spec().outputs
    for output, promised in curve.outputs.items():
        assert own[output].valid_type is promised.kind is of_methods[output].valid_type
        assert own[output].required == promised.always
        assert promised.help.endswith('.')


@pytest.mark.parametrize('name', all_curves())
def test_every_call_is_an_entry_point_with_a_label_of_its_own(name):
    curve = all_curves()[name]
    assert curve.calculate.process_class.build_process_type().startswith('aiida.calculations:mlcc.')
    assert [other.step for other in all_curves().values()].count(curve.step) == 1


@pytest.mark.parametrize('stage', WORKCHAINS)
def test_no_two_entries_give_the_same_output_and_each_comes_after_what_it_needs(stage):
    before: set[str] = set()
    for curve in curves_of(stage).values():
        assert before.isdisjoint(curve.outputs)
        assert before >= set(curve.needs)
        before |= set(curve.outputs)
    assert before == set(outputs_of_stage(stage))


def test_what_was_not_asked_for_is_not_calculated(argon_phonons, curve_nodes):
    of_an_engine = {'parameters': argon_phonons.inputs['parameters']}
    asked = replace(
        argon_phonons, volumes={AT_REST: argon_phonons.members}, inputs=of_an_engine, made=curve_nodes['dispersion']
    )
    assert all_curves()['dispersion'].arguments(asked)
    assert all_curves()['gruneisen'].arguments(asked) is None, 'there is one volume only'
    assert all_curves()['error_budget'].arguments(asked) is None, 'an engine has no members whose errors are estimated'


@calcfunction
def impossible(science):
    return ExitCode(400, 'nothing to draw')


def test_a_curve_that_cannot_be_made_is_reported_and_has_no_output(argon_phonons, monkeypatch):
    entry = Curve('harmonic_phonon', 'try', impossible, {'nothing': Output(orm.Int, 'Nothing.')}, lambda source: {})
    monkeypatch.setitem(all_curves(), 'third_curve', entry)
    # It stands in no file of the package, whose hash it could have.
    monkeypatch.setattr('aiida_mlcc.workflows.common.draw_curve.science_hash', lambda _: orm.Str('of a test'))
    returned, reported = {}, []
    process = SimpleNamespace(out_many=returned.update, report=reported.append)
    assert draw(process, 'third_curve', argon_phonons) == {}
    assert returned == {}
    assert reported == ['no third curve: nothing to draw']
