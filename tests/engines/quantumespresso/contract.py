"""What the tests of all engines need to know of Quantum ESPRESSO."""

import pytest

PLUGINS = {'quantumespresso': 'quantumespresso.pw'}
"""Place → plugin of its code."""


def let_all_elements_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give all elements potentials, which no profile of the tests has."""
    for module in ('engine', 'labels'):
        there = f'aiida_mlcc.engines.quantumespresso.{module}'
        monkeypatch.setattr(f'{there}.refuse_potentials', lambda symbols, family: None)
        monkeypatch.setattr(f'{there}.valence', lambda symbols, settings: dict.fromkeys(symbols, 8.0))
