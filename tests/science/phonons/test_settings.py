"""Settings of phonons and spectra: what is refused, and with which words."""

import pytest

from aiida_mlcc.science.dynamics.settings import DynamicsLimits, SpectrumSettings
from aiida_mlcc.science.phonons.settings import PhononSettings

PATH = {'points': {'GAMMA': [0, 0, 0], 'X': [0.5, 0, 0.5]}, 'path': [['GAMMA', 'X']]}


@pytest.mark.parametrize('group', [PhononSettings, SpectrumSettings, DynamicsLimits])
def test_the_defaults_are_a_whole_group(group):
    assert group.refuse(group.defaults()) is None
    assert group().to_dict() == group.defaults()


@pytest.mark.parametrize(
    'changed', [{'path': PATH}, {'gruneisen': {'strain': 0.05}}, {'temperatures_K': {'start': 5, 'stop': 5, 'step': 1}}]
)
def test_what_may_be_asked_for_is_accepted(changed):
    assert PhononSettings.refuse({**PhononSettings.defaults(), **changed}) is None


@pytest.mark.parametrize(
    ('changed', 'reason'),
    [
        ({'relax': 'maybe'}, "`relax` is 'maybe': choose from none, positions, cell"),
        ({'primitive': 'smallest'}, 'choose from auto, as-given, standardised'),
        ({'mesh': [6, 6, 0]}, 'give three whole numbers above 0'),
        ({'band_points': 1}, '`band_points` is 1, but must be at least 2'),
        ({'dos_width_cm1': '5'}, 'not a number'),
        ({'gruneisen': {'strain': 0.06}}, '`strain` is 0.06, but must be above 0, at most 0.05'),
        ({'gruneisen': {}}, 'setting `strain` is missing'),
        ({'temperatures_K': {'start': 300, 'stop': 0, 'step': 10}}, 'no temperatures from 300 to 0 K'),
        ({'temperatures_K': {'start': 0, 'stop': 300}}, 'setting `step` is missing'),
        ({'path': {'points': {}}}, 'setting `path` is missing'),
        ({'meshes': [2, 2, 2]}, 'unknown phonon setting `meshes`'),
    ],
)
def test_what_is_not_allowed_is_refused_with_what_is(changed, reason):
    assert reason in PhononSettings.refuse({**PhononSettings.defaults(), **changed})


@pytest.mark.parametrize('name', ['path', 'primitive', 'gruneisen'])
def test_what_inputs_of_earlier_runs_do_not_have_may_be_left_out(name):
    given = {key: value for key, value in PhononSettings.defaults().items() if key != name}
    assert PhononSettings.refuse(given) is None
