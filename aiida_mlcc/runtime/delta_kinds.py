"""The kinds of base and of Δ: the one place that lists them.

A kind is trained, as a network, by the task ``train``, or fitted in one go by the task ``fit``. The inputs of jobs and
WorkChains, the protocols and the plan of jobs are read from :data:`KINDS`.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass

from aiida_mlcc.runtime.mace.training_settings import Network, Training
from aiida_mlcc.science.fit.base_model import BaseForceConstants
from aiida_mlcc.science.fit.delta import Fitter
from aiida_mlcc.science.fit.force_constants import ForceConstants
from aiida_mlcc.science.fit.readout import Readout
from aiida_mlcc.science.settings import Settings

BASE, DELTA, CONTROL = 'base', 'delta', 'control'
"""What a job can make: the base of a member, a Δ on it, or the base without its forces, for comparison."""

DISTILLED = 'distilled'
"""What a job makes of the predictions of a force field: a network in its place."""


@dataclass(frozen=True)
class Kind:
    """A kind of base or of Δ.

    :param help: what it is, a clause.
    :param settings: input of its job → the group of settings in it; of what is fitted, ``parameters`` alone.
    :param roles: what it can make: :data:`BASE`, :data:`DELTA`, :data:`CONTROL`.
    :param fitter: ``module:attribute`` of a :data:`~aiida_mlcc.science.fit.delta.Fitter`; None for a trained network.
    :param needs_crystal: whether a fit takes the primitive cell of the crystal.
    :param needs_network: whether a fit takes the base force field, with exactly one network in it.
    :param fits_dipoles: whether a fit tells how much stronger the dipole–dipole energy of a method is than the base's.
    :param per_method: whether each method has a job of its own.
    :param per_seed: whether each seed has a job of its own.
    :param gpu: whether its jobs profit from a GPU.
    :param held_out: the key of its errors with the error on frames held out, meV/atom.
    :param rescaling: the key of its errors with that of a rescaled base on the same frames, meV/atom.
    """

    name: str
    help: str
    settings: Mapping[str, type[Settings]]
    roles: tuple[str, ...] = (DELTA,)
    fitter: str | None = None
    needs_crystal: bool = False
    needs_network: bool = False
    fits_dipoles: bool = False
    per_method: bool = False
    per_seed: bool = False
    gpu: bool = False
    held_out: str = 'cv_rmse_mev_atom'
    rescaling: str = 'cv_rescaling_mev_atom'

    def __post_init__(self) -> None:
        if (self.is_trained or self.needs_network or BASE in self.roles) and not self.per_seed:
            raise ValueError(f'{self.name}: a base, and what is trained or reads a network, has a job for each seed')

    @property
    def slug(self) -> str:
        """The name as it is written in links and inputs (``force-constants`` → ``force_constants``)."""
        return self.name.replace('-', '_')

    @property
    def has_network(self) -> bool:
        """Whether it holds a network, whose features a readout may read."""
        return 'network' in self.settings

    @property
    def holds_force_constants(self) -> bool:
        """Whether, as a base, it holds force constants, which reference displacements make better."""
        return BASE in self.roles and 'force_constants' in self.settings

    @property
    def is_trained(self) -> bool:
        """Whether it is a network, trained by the task ``train``, and not a fit."""
        return self.fitter is None

    @property
    def group_of_fit(self) -> type[Settings]:
        """The one group of settings of what is fitted."""
        (group,) = self.settings.values()
        return group

    def load_fitter(self) -> Fitter:
        """Import what fits it.

        :raises TypeError: for a kind that is trained.
        """
        if self.fitter is None:
            raise TypeError(f'{self.name} is trained, not fitted')
        module, attribute = self.fitter.split(':')
        found: Fitter = getattr(importlib.import_module(module), attribute)
        return found


KINDS = (
    Kind(
        'force-constants',
        'second to fourth order about the sites of the crystal; seconds, and the best where data are few',
        {'force_constants': BaseForceConstants},
        roles=(BASE,),
        fitter='aiida_mlcc.science.fit.base_model:fitter',
        needs_crystal=True,
        per_seed=True,
    ),
    Kind(
        'force-constants+mace',
        'force constants, and a network on what they leave',
        {'force_constants': BaseForceConstants, 'network': Network, 'training': Training},
        roles=(BASE,),
        per_method=True,
        per_seed=True,
        gpu=True,
    ),
    Kind(
        'mace',
        'a network',
        {'network': Network, 'training': Training},
        roles=(BASE, DELTA, CONTROL),
        per_method=True,
        per_seed=True,
        gpu=True,
        held_out='valid_energy_rmse_mev_atom',
        rescaling='rescaling_mev_atom',
    ),
    Kind(
        'readout',
        'a linear fit to the features of the base',
        {'parameters': Readout},
        fitter='aiida_mlcc.runtime.mace.readout:fitter',
        needs_network=True,
        fits_dipoles=True,
        per_seed=True,
    ),
    Kind(
        'force-constants',
        'a linear fit to what symmetry allows',
        {'parameters': ForceConstants},
        fitter='aiida_mlcc.science.fit.force_constants:fitter',
        needs_crystal=True,
        fits_dipoles=True,
    ),
)
"""All kinds. A base and a Δ may have the same name."""


def kinds_for(role: str) -> dict[str, Kind]:
    """Return the kinds that can make `role`, by name."""
    return {kind.name: kind for kind in KINDS if role in kind.roles}


def fitted_kinds(role: str = DELTA) -> dict[str, Kind]:
    """Return the kinds of base or of Δ that the task ``fit`` fits, by name."""
    return {name: kind for name, kind in kinds_for(role).items() if not kind.is_trained}
