"""The settings of a network and of its training."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from aiida_mlcc.science.settings import Settings, setting

_FINAL_RATE = 0.01


PARTS = {
    'embedding': 'node_embedding.',
    'interactions': 'interactions.',
    'products': 'products.',
    'readouts': 'readouts.',
}
"""Parts of a network that a training may leave as they are → how the names of their weights begin."""


class TrainingError(ValueError):
    """A course of training that leads nowhere, as a sentence."""


def _scalars(value: str) -> str | None:
    """Check for the scalars of a readout, such as ``16x0e``, the only irreps that its nonlinearity takes."""
    return None if re.fullmatch(r'[1-9]\d*x0e', value) else 'give a number of scalars, such as 16x0e'


def _parts(value: list[str]) -> str | None:
    """Check for parts of a network, not all of those that hold weights."""
    if unknown := [part for part in value if part not in PARTS]:
        return f'{unknown[0]!r} is not a part of a network: choose from {", ".join(PARTS)}'
    return None if set(PARTS) - set(value) else 'nothing is left to train'


@dataclass(frozen=True)
class Network(Settings):
    """A MACE network; the names are those of ``mace_run_train``."""

    TITLE = 'network'

    r_max: float = setting('Cutoff of one interaction.', default=5.0, above=0, unit='Å')
    num_channels: int = setting('Channels of a message.', default=16, at_least=1)
    max_L: int = setting('Highest angular momentum of a message.', default=1, at_least=0)
    max_ell: int = setting('Highest angular momentum of the spherical harmonics of an edge.', default=3, at_least=1)
    num_interactions: int = setting('Layers of message passing.', default=2, at_least=1)
    correlation: int = setting('Order of the products of one layer: body order less one.', default=3, at_least=1)
    num_radial_basis: int = setting('Bessel functions of the distance.', default=6, at_least=1)
    num_cutoff_basis: int = setting('Order of the polynomial of the cutoff.', default=5, at_least=1)
    MLP_irreps: str = setting('Hidden scalars of the last readout, N scalars as Nx0e.', default='16x0e', check=_scalars)


@dataclass(frozen=True)
class Training(Settings):
    """How to train a network."""

    TITLE = 'training'

    epochs: int = setting('Passes through all frames.', default=200, at_least=1)
    batch_size: int = setting('Frames of a step.', default=5, at_least=1)
    learning_rate: float = setting('Of the first step.', default=0.02, above=0)
    weight_decay: float = setting(
        'Of the linear maps after the messages and of the products.', default=5e-7, at_least=0
    )
    energy_weight: float = setting(
        'Weight of the mean squared error of the energy per atom.', default=1.0, at_least=0, unit='(eV/atom)⁻²'
    )
    forces_weight: float = setting(
        'Weight of the mean squared error of a force component.', default=100.0, at_least=0, unit='(eV/Å)⁻²'
    )
    frame_weights: str = setting(
        'How much a frame counts in the loss: all the same, or inversely to its mean square force, so that cold ones '
        'count.',
        default='uniform',
        choices=('uniform', 'inverse-force'),
    )
    ema_decay: float | None = setting(
        'Decay a step of the running average of the weights that is validated and kept; null for no average.',
        default=0.99,
        at_least=0,
        below=1,
    )
    schedule: str = setting(
        'How the learning rate falls over the epochs; the last two end at one hundredth of where they began.',
        default='cosine',
        choices=('constant', 'exponential', 'cosine'),
    )
    patience: int | None = setting(
        'Epochs without a better validation loss after which to stop; null for never.', default=None, at_least=1
    )
    valid_fraction: float = setting('Share of the frames that is held out.', default=0.1, above=0, below=1)
    dtype: str = setting('Precision of the training.', default='float32', choices=('float32', 'float64'))
    frozen: list[str] = setting(
        f'Parts of the network that stay as they are: {", ".join(PARTS)}. For a training that starts from a network.',
        default=[],
        check=_parts,
        required=False,
    )
    hessian_epochs: int = setting(
        'Further passes through all frames, of a base with reference displacements: a step learns a column of their '
        'force constants beside its frames. 0 for none.',
        default=4,
        at_least=0,
        required=False,
    )
    hessian_weight: float = setting(
        'Weight of the mean squared error of a force constant in these passes.',
        default=4.0,
        above=0,
        unit='(eV/Å²)⁻²',
        required=False,
    )
    hessian_learning_rate: float = setting(
        'Of the first step of these passes; it falls as `schedule` says.', default=0.002, above=0, required=False
    )

    def rate(self, progress: float, start: float | None = None) -> float:
        """Return the learning rate after a share `progress` of all steps.

        :param start: that of the first step; by default `learning_rate`.
        """
        first = self.learning_rate if start is None else start
        if self.schedule == 'exponential':
            return first * _FINAL_RATE**progress
        if self.schedule == 'cosine':
            fall = 0.5 * (1.0 + math.cos(math.pi * progress))
            return first * (_FINAL_RATE + (1.0 - _FINAL_RATE) * fall)
        return first
