"""The settings of a spectrum from dynamics."""

from __future__ import annotations

from dataclasses import dataclass

from aiida_mlcc.science.dynamics.vdos import WINDOWS
from aiida_mlcc.science.settings import Settings, setting


@dataclass(frozen=True)
class SpectrumSettings(Settings):
    """The input ``spectrum`` of the VACFWorkChain."""

    TITLE = 'spectrum'
    window: str = setting('What the autocorrelation is multiplied with.', default='hann', choices=WINDOWS)
    highest_cm1: float | None = setting(
        'End of the spectrum; null for somewhat above the highest harmonic mode.',
        default=None,
        above=0,
        unit='cm⁻¹',
        required=False,
    )
    resolution_cm1: float | None = setting(
        'What the longest lag must resolve, 1/(c·lag); null for no such demand.',
        default=None,
        above=0,
        unit='cm⁻¹',
        required=False,
    )


@dataclass(frozen=True)
class DynamicsLimits(Settings):
    """The input ``limits`` of the VACFWorkChain: when a dynamics is not trusted."""

    TITLE = 'limit'
    temperature: float = setting(
        'By which fraction of the temperature its mean may be off, in quadrature with two standard deviations of so '
        'small a crystal.',
        default=0.1,
        above=0,
    )
    energy_drift: float = setting(
        'Which fraction of the temperature the drift of the energy may come to.', default=0.1, above=0
    )
