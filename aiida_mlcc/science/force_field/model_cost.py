"""What force fields cost to train and to evaluate, from times that were measured on one core.

All constants are of diamond (``docs/topics/facts.md``): networks with a cutoff of 3 Å on 32 atoms, steps of 512 atoms.
Longer cutoffs cost more. The estimates are rough: a factor of two is well possible.
"""

from __future__ import annotations

from dataclasses import dataclass

_START_S = 5.3
"""Import of torch and MACE, each job."""

_TRAINING_S = 7.1e-6
"""Of an atom of a frame, an epoch and a squared channel, float32: 456 s for 16 channels, 50 epochs, 160 × 32 atoms, and
59 s for 8 channels and 25 epochs."""

_DOUBLE = 1.8
"""Double precision over single: 1.6 to 2 times."""

_FIT_S = 1.6e-3
"""Of an atom of a labelled frame: a Δ by force constants takes 10 s for 200 × 32 atoms, bases and readouts less."""

_NETWORK_S = 0.43 / 512 / 16
"""Energy and forces of an atom and a channel, float64: 0.43 s for 512 atoms and 16 channels."""

_FORCE_CONSTANTS_S = 8e-3 / 512
"""Energy and forces of an atom by force constants: 3 to 8 ms for 512 atoms."""


@dataclass(frozen=True)
class Network:
    """What decides the cost of a network.

    :param double: whether it is trained in double precision.
    """

    channels: int
    epochs: int
    double: bool = False


def training_hours(n_frames: int, n_atoms: int, network: Network | None) -> float:
    """Return the core hours of one training or fit.

    :param n_frames: labelled frames; `n_atoms`: of each.
    :param network: None for a linear fit.
    """
    if network is None:
        return (_START_S + _FIT_S * n_frames * n_atoms) / 3600
    seconds = _TRAINING_S * network.channels**2 * network.epochs * n_frames * n_atoms
    return (_START_S + seconds * (_DOUBLE if network.double else 1.0)) / 3600


def force_hours(n_evaluations: int, n_atoms: int, channels: int, double: bool = True) -> float:
    """Return the core hours of energies and forces.

    :param channels: of all networks of the force field together, 0 for one of force constants alone.
    :param double: whether networks are evaluated in double precision.
    """
    network = _NETWORK_S * channels / (1.0 if double else _DOUBLE)
    return (_START_S + n_evaluations * n_atoms * (_FORCE_CONSTANTS_S + network)) / 3600
