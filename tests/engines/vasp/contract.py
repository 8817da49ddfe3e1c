"""What the tests of all engines need to know of VASP."""

import pytest

PLUGINS = {'vasp': 'vasp.vasp'}
"""Place → plugin of its code."""


def let_all_elements_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give all elements potentials, which no profile of the tests has."""
    for module in ('engine', 'dynamics', 'labels'):
        monkeypatch.setattr(f'aiida_mlcc.engines.vasp.{module}.refuse_potentials', lambda symbols, engine: None)
    monkeypatch.setattr('aiida_mlcc.engines.vasp.integrals.refuse_open_shell', lambda symbols, engine: None)
