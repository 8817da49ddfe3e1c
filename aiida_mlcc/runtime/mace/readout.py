"""The fit of a Δ of kind ``readout``: a linear readout of the network of a base force field, beside its rescaling.

Forces of both methods, where there are any, are fitted with the energies; ``labels`` under ``errors`` says so.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cached_property, partial

import numpy as np
import torch
from numpy.typing import NDArray

from aiida_mlcc.runtime.mace.node_features import FeatureExtractor
from aiida_mlcc.runtime.task import ComputerError, JobError
from aiida_mlcc.science.fit.delta import DeltaFit, FitInput
from aiida_mlcc.science.fit.dipole import dipole_energies_and_forces, otherwise_damped
from aiida_mlcc.science.fit.readout import Dipoles, Readout, ReadoutLabels, fit_readout
from aiida_mlcc.science.force_field import ForceField, Term, TrainedOn
from aiida_mlcc.science.force_field.dipole import DipoleModel
from aiida_mlcc.science.force_field.kinds import kind_of
from aiida_mlcc.science.force_field.readout import readout_term
from aiida_mlcc.science.labels.snapshots import Snapshots


def fitter(given: FitInput) -> Callable[[str], DeltaFit]:
    """Return what fits the readout of a method; the features are extracted once for all methods.

    :raises JobError: where there is no base with one network, or no GPU where one is asked for.
    """
    if given.base is None:
        raise JobError('a readout needs the base force field, whose features it reads')
    trunk = trunk_of(given.base, given.base_method)
    if given.device != 'cpu' and not torch.cuda.is_available():
        raise ComputerError(
            f'the device is {given.device!r}, but PyTorch finds no GPU on this computer: ask for one, or use cpu'
        )
    assert isinstance(given.settings, Readout)
    readouts = ReadoutFitter(given.snapshots, trunk, given.base_method, given.device, given.dipole)
    return partial(readouts.fit, settings=given.settings, seed=given.seed)


def trunk_of(base: ForceField, base_method: str) -> Term:
    """Return the network of a base force field.

    :raises JobError: where it has none or several, or stands for another method.
    """
    networks = [term for term in base.terms if kind_of(term.kind).gives_features]
    if len(networks) != 1:
        raise JobError(f'the base has {len(networks)} networks: a readout needs one whose features it reads')
    if base.method != base_method:
        raise JobError(f'the base stands for {base.method or "no method"}, but the base method is {base_method}')
    return networks[0]


class ReadoutFitter:
    """Fits readouts of one network to the labels of several methods; the features of a frame are computed once."""

    def __init__(
        self,
        snapshots: Snapshots,
        trunk: Term,
        base_method: str,
        device: str = 'cpu',
        dipole: DipoleModel | None = None,
    ) -> None:
        self._snapshots = snapshots.select(snapshots.labelled_by(base_method))
        self._trunk = trunk
        self._base_method = base_method
        self._dipole = dipole
        self._symbols = tuple(sorted(set(snapshots.symbols)))
        self._extractor = FeatureExtractor(trunk, self._symbols, device)

    @cached_property
    def _features(self) -> NDArray[np.float64]:
        return self._extractor.features(self._snapshots)

    @cached_property
    def _slopes(self) -> NDArray[np.float64]:
        """−∂features/∂positions of the frames with forces of the base, NaN elsewhere."""
        present = np.flatnonzero(np.isfinite(self._forces(self._base_method)).all(axis=1))
        slopes = np.full((self._snapshots.n_frames, 3 * self._snapshots.n_atoms, self._features.shape[1]), np.nan)
        slopes[present] = self._extractor.forces(self._snapshots.select(present))
        return slopes

    @cached_property
    def _dipoles(self) -> list[Dipoles]:
        """The dipole–dipole energy of all frames, with the damping of the base and with others."""
        if self._dipole is None:
            return []
        shape = (self._snapshots.n_frames, 3 * self._snapshots.n_atoms)
        models = [self._dipole, *otherwise_damped(self._dipole)]
        found = [dipole_energies_and_forces(model, self._snapshots) for model in models]
        return [Dipoles(energies, forces.reshape(shape)) for energies, forces in found]

    def _forces(self, method: str) -> NDArray[np.float64]:
        """Forces of a method, NaN where it has none, eV/Å, shape (n_frames, 3·n_atoms)."""
        forces = self._snapshots.labels[method].forces
        absent = np.full((self._snapshots.n_frames, 3 * self._snapshots.n_atoms), np.nan)
        return absent if forces is None else forces.reshape(absent.shape)

    def fit(self, method: str, settings: Readout, seed: int) -> DeltaFit:
        """Return the Δ of `method` and its errors, see :func:`~aiida_mlcc.science.fit.readout.fit_readout`.

        :raises RidgeError: where there are too few labels, or no motion to learn from.
        """
        chosen = self._snapshots.labelled_by(method)
        labelled = self._snapshots.select(chosen)
        base = labelled.labels[self._base_method].energies
        labels = ReadoutLabels(
            self._features[chosen],
            base,
            labelled.labels[method].energies - base,
            dipoles=tuple(Dipoles(one.energies[chosen], one.forces[chosen]) for one in self._dipoles),
        )
        base_forces = self._forces(self._base_method)[chosen]
        difference_forces = self._forces(method)[chosen] - base_forces
        if np.isfinite(difference_forces).any():
            labels = replace(
                labels,
                feature_forces=self._slopes[chosen],
                base_forces=base_forces,
                difference_forces=difference_forces,
            )
        fit = fit_readout(labels, labelled.n_atoms, settings, seed)
        trained_on: TrainedOn = {
            'method': method,
            'minus': self._base_method,
            'labels': fit.errors['labels'],
            'sources': {name: dict(labelled.labels[name].source) for name in (method, self._base_method)},
            'snapshots': labelled.content_hash(),
            'n_train': labelled.n_frames,
            'seed': seed,
            'ridge': fit.errors['ridge'],
        }
        weights = fit.weights.reshape(len(self._symbols), -1)
        terms = [readout_term(self._trunk, self._symbols, weights, trained_on)]
        errors = fit.errors
        if self._dipole is not None and fit.long_range is not None:
            errors = {**errors, 'long_range': fit.long_range.describe(self._dipole)}
            terms += fit.long_range.term(self._dipole, trained_on)
        constants = dict.fromkeys(self._symbols, fit.constant / labelled.n_atoms)
        force_field = ForceField(tuple(terms), constants, fit.base_scale, method=method)
        return DeltaFit(force_field, errors)
