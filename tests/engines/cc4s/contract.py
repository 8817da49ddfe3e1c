"""What the tests of all engines need to know of Cc4s."""

import pytest

PLUGINS = {'cc4s': 'mlcc.cc4s'}
"""Place → plugin of its code."""


def let_all_elements_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    """Do nothing: the program that makes the integrals has the potentials."""
