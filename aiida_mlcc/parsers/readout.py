"""ReadoutParser: one Δ force field per method, as of any linear fit."""

from __future__ import annotations

from aiida_mlcc.parsers.fit import FitParser


class ReadoutParser(FitParser):
    """Each ``delta_SLUG`` folder becomes the output ``delta.SLUG``."""
