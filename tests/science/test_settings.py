"""A group of settings refuses what is unknown, missing, of another type or out of range."""

from dataclasses import dataclass

import pytest

from aiida_mlcc.science.settings import Choice, Settings, SettingsError, positive_numbers, setting, three_counts


@dataclass(frozen=True)
class Strain(Settings):
    TITLE = 'strain'
    size: float = setting('By how much.', default=0.005, above=0, at_most=0.05)


@dataclass(frozen=True)
class Example(Settings):
    TITLE = 'example'
    steps: int = setting('How many.', default=10, at_least=1, unit='fs')
    window: str = setting('Which.', default='hann', choices=('hann', 'none'))
    mesh: list[int] = setting('The mesh.', default=[2, 2, 2], check=three_counts)
    ridge: list[float] = setting('Strengths.', default=[1e-6], check=positive_numbers)
    cutoff: float | None = setting('Reach.', default=None, above=0, unit='Å')
    strain: Strain | None = setting('If asked for.', default=None)
    keep: bool = setting('Kept.', default=False, required=False)
    aside: bool = setting('Seldom asked for.', default=False, required=False, written=False)

    def refuse_together(self):
        return '`keep` needs `cutoff`' if self.keep and self.cutoff is None else None


@pytest.mark.parametrize(
    ('changed', 'reason'),
    [
        ({'stepz': 1}, 'unknown example setting `stepz`'),
        ({'steps': 0}, '`steps` is 0, but must be at least 1'),
        ({'steps': 1.5}, '`steps` is 1.5, which is not a whole number'),
        ({'steps': True}, 'not a whole number'),
        ({'steps': None}, '`steps` must have a value'),
        ({'window': 'han'}, 'choose from hann, none'),
        ({'mesh': [2, 2]}, 'give three whole numbers above 0'),
        ({'mesh': [2, 2, 0]}, 'give three whole numbers above 0'),
        ({'ridge': []}, 'give one or more numbers above 0'),
        ({'cutoff': float('nan')}, 'not a number'),
        ({'cutoff': float('inf')}, 'not a number'),
        ({'cutoff': -1.0}, 'must be above 0'),
        ({'strain': {'size': 0.06}}, '`size` is 0.06, but must be above 0, at most 0.05'),
        ({'strain': {}}, 'the strain setting `size` is missing'),
        ({'strain': 3}, 'not a mapping'),
        ({'keep': True}, '`keep` needs `cutoff`'),
    ],
)
def test_what_is_not_allowed_is_refused_in_a_sentence(changed, reason):
    given = {**Example.defaults(), **changed}
    assert reason in Example.refuse(given)
    with pytest.raises(SettingsError, match='example'):
        Example.of(given)


def test_a_missing_setting_is_named_unless_it_may_be_left_out():
    given = Example.defaults()
    del given['keep'], given['aside']
    assert Example.refuse(given) is None
    del given['steps']
    assert Example.refuse(given) == 'the example setting `steps` is missing'


def test_groups_are_built_of_groups_and_written_back():
    given = {**Example.defaults(), 'strain': {'size': 0.01}, 'cutoff': 3}
    built = Example.of(given)
    assert built.strain == Strain(0.01)
    assert built.to_dict() == given


def test_a_wrong_value_cannot_be_built_by_hand_either():
    with pytest.raises(SettingsError, match='must be above 0'):
        Strain(-1.0)


def test_defaults_are_not_shared_between_callers():
    Example.defaults()['mesh'].append(3)
    assert Example.defaults()['mesh'] == [2, 2, 2]


def test_the_reference_names_type_unit_range_default_and_meaning():
    rows = {row[0]: row[1:] for row in Example.described()}
    assert rows['steps'] == ('whole number, fs', 'at least 1', '10', 'How many.')
    assert rows['cutoff'] == ('number or null, Å', 'above 0', 'null', 'Reach.')
    assert rows['window'][1] == 'hann, none'


def test_a_path_takes_the_place_of_the_title_in_the_sentence():
    given = Example.defaults()
    at = 'vacf.example'
    assert Example.refuse({**given, 'stepz': 1}, at).startswith(
        'unknown setting `vacf.example.stepz`: choose from steps'
    )
    assert Example.refuse({**given, 'steps': 0}, at) == '`vacf.example.steps` is 0, but must be at least 1'
    assert Example.refuse({**given, 'steps': 'x'}, at) == "`vacf.example.steps` is 'x', which is not a whole number"
    assert Example.refuse({**given, 'strain': {}}, at) == 'the setting `vacf.example.strain.size` is missing'
    assert Example.refuse({**given, 'keep': True}, at) == 'vacf.example: `keep` needs `cutoff`'


@dataclass(frozen=True)
class Wide(Strain):
    """A strain with a direction."""

    along: str = setting('Which way.', default='x', choices=('x', 'y'))


SHAPES = Choice('shape', 'kind', {'strain': Strain, 'wide': Wide, 'example': Example}, beside=('note',))


def test_a_choice_takes_the_settings_of_the_group_that_is_named():
    assert SHAPES.refuse({'kind': 'strain', 'size': 0.01, 'note': 3}) is None
    assert SHAPES.refuse({'kind': 'strian'}) == "shape: `kind` is 'strian': choose from strain, wide, example"
    assert SHAPES.refuse({}, 'a.b') == '`a.b.kind` is None: choose from strain, wide, example'
    assert SHAPES.refuse({'kind': ['strain']}) is not None
    assert SHAPES.refuse({'kind': 'strain', 'size': 0.01, 'along': 'x'}, 'a.b').startswith(
        'unknown setting `a.b.along`'
    )


def test_another_choice_keeps_what_it_inherits_and_what_stands_beside():
    given = {'kind': 'strain', 'size': 0.01, 'note': 3}
    assert SHAPES.switched(given, 'wide') == {'kind': 'wide', 'size': 0.01, 'along': 'x', 'note': 3}
    assert SHAPES.switched({'kind': 'wide', 'size': 0.01, 'along': 'y'}, 'strain') == {'kind': 'strain', 'size': 0.005}


def test_protocols_start_from_the_defaults_that_are_to_be_written():
    assert {'keep', 'aside'} <= set(Example.defaults())
    assert 'keep' in Example.starting_values()
    assert 'aside' not in Example.starting_values()
