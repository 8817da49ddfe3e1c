"""Every setting of every WorkChain: what is not allowed is refused by its port and by the protocol, with its path."""

import math
from collections.abc import Iterator
from typing import Any

import pytest
from aiida import orm

from aiida_mlcc.science.settings import Choice, Settings
from aiida_mlcc.workflows.common.protocol import ProtocolError
from aiida_mlcc.workflows.mlcc_phonon import STAGES

COMPLETE = {
    'rounds': {'target_sd_cm1': 2.0, 'qpoints': {'X': [0.5, 0.0, 0.5]}, 'first': 4, 'step': 2, 'most': 12},
}
"""Valid settings of groups without defaults."""

WRONG_TYPE: dict[type, Any] = {int: 1.5, float: 'x', str: 5, bool: 'maybe', list: 'x', dict: 3}


def wrong_values(group: type[Settings], name: str) -> Iterator[Any]:
    """Give values of a setting that are not allowed: of another type, beyond each bound, none of the choices."""
    rule = group.rules()[name]
    kinds = group.types()[name]
    yield next((WRONG_TYPE[kind] for kind in kinds if kind in WRONG_TYPE), 3)
    for bound, beyond in ((rule.above, 0), (rule.at_least, -1), (rule.below, 0), (rule.at_most, 1)):
        if bound is not None:
            yield type(bound)(bound + beyond) if int in kinds else float(bound + beyond)
    if rule.choices:
        yield 'cosin'
    if float in kinds:
        yield math.nan


def cases() -> Iterator[Any]:
    for stage, workchain in STAGES.items():
        for path, group in workchain.SETTINGS.items():
            groups = group.groups if isinstance(group, Choice) else {'': group}
            for kind, one in groups.items():
                for name in one.rules():
                    for value in wrong_values(one, name):
                        key = {group.key: kind} if isinstance(group, Choice) else {}
                        where = '.'.join(filter(None, (path, kind, name)))
                        yield pytest.param(stage, path, one, key, name, value, id=f'{stage}.{where}={value}')


def nested(path: str, value: Any) -> dict[str, Any]:
    for key in reversed(path.split('.')):
        value = {key: value}
    return value


@pytest.mark.parametrize(('stage', 'path', 'group', 'key', 'name', 'value'), cases())
def test_a_value_that_is_not_allowed_is_refused_at_submission(stage, path, group, key, name, value):
    if name in key:
        return
    port: Any = STAGES[stage].spec().inputs
    for step in path.split('.'):
        port = port[step]
    given = {**group.starting_values(), **COMPLETE.get(path, {}), **key, name: value}
    assert f'`{name}` is' in port.validator(orm.Dict(given), port)
    with pytest.raises(ProtocolError) as error:
        STAGES[stage].get_protocol_inputs('fast', nested(path, {**COMPLETE.get(path, {}), **key, name: value}))
    assert f'`{path}.{name}` is' in str(error.value)


@pytest.mark.parametrize('stage', STAGES)
def test_every_group_has_a_port_that_it_checks(stage):
    for path in STAGES[stage].SETTINGS:
        port: Any = STAGES[stage].spec().inputs
        for step in path.split('.'):
            port = port[step]
        assert port.validator is not None


@pytest.mark.parametrize(
    ('stage', 'path', 'value', 'sentence'),
    [
        (
            'delta_train',
            'base.training.schedule',
            'cosin',
            "`base.training.schedule` is 'cosin': choose from",
        ),
        ('delta_train', 'base.training.valid_fraction', 2, '`base.training.valid_fraction` is 2, but must be above 0'),
        ('delta_train', 'base.network.MLP_irreps', 'x', "`base.network.MLP_irreps` is 'x'"),
        ('harmonic_phonon', 'parameters.relax', 'maybe', "`parameters.relax` is 'maybe': choose from none,"),
        ('cc_energies', 'selection.kind', 'foo', "`selection.kind` is 'foo': choose from random,"),
    ],
)
def test_what_is_allowed_is_told(stage, path, value, sentence):
    with pytest.raises(ProtocolError) as error:
        STAGES[stage].get_protocol_inputs('fast', nested(path, value))
    assert str(error.value).startswith(sentence)
