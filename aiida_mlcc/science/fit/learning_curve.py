"""What the labels there are so far say about the frequencies, without any network: Δ on harmonic DFT."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypedDict

import numpy as np
from ase import Atoms
from numpy.typing import ArrayLike, NDArray

from aiida_mlcc.science.fit.delta_samples import DeltaSamples
from aiida_mlcc.science.fit.force_constants import fit_delta
from aiida_mlcc.science.fit.harmonic_model import HarmonicModel, dynamical_matrix, harmonic_model
from aiida_mlcc.science.labels.snapshots import Snapshots
from aiida_mlcc.science.phonons.modes import CM1_PER_ROOT_CURVATURE
from aiida_mlcc.science.units import frequencies_of_squares


class SampledFrequencies(TypedDict):
    """Label of a wave vector → one number a mode, ascending, the acoustic modes at Γ among them."""

    frequencies_cm1: dict[str, list[float]]
    sd_cm1: dict[str, list[float]]


class FrequencyEstimate(SampledFrequencies):
    """What labels say of frequencies, and how many they are."""

    n_labels: int


def frequency_estimate(
    snapshots: Snapshots,
    primitive: Atoms,
    base_method: str,
    method: str,
    qpoints: Mapping[str, ArrayLike],
    covariates: bool = True,
    cutoff: float | None = None,
    seed: int = 0,
) -> FrequencyEstimate:
    """Return the frequencies of `method` at some wave vectors, and how well the labels fix them.

    The base is the harmonic part of its own forces
    (:func:`~aiida_mlcc.science.fit.harmonic_model.harmonic_model`), which
    stands for the network that is yet to be trained; the errors are those of Δ alone.

    :param qpoints: label → wave vector in units of the reciprocal vectors of `primitive`.
    :returns: ``n_labels``; ``frequencies_cm1`` and ``sd_cm1``: label → one number a mode, ascending, the acoustic modes
        at Γ among them.
    """
    fit = fit_delta(snapshots, primitive, base_method, method, cutoff=cutoff, covariates=covariates, seed=seed)
    assert fit.samples is not None
    model = harmonic_model(snapshots, primitive, base_method)
    return {'n_labels': fit.errors['n_labels'], **frequencies_of_samples(model, fit.samples, qpoints)}


def frequencies_of_samples(
    model: HarmonicModel, samples: DeltaSamples, qpoints: Mapping[str, ArrayLike]
) -> SampledFrequencies:
    """Return ``frequencies_cm1`` and ``sd_cm1`` of (1+s)·base + ΔΦ at some wave vectors, as :func:`frequency_estimate`.

    :param model: the base.
    """
    masses = model.force_constants.primitive.get_masses()
    found: dict[str, list[float]] = {}
    deviations: dict[str, list[float]] = {}
    for label, qpoint in qpoints.items():
        point = np.asarray(qpoint, dtype=float)
        base = model.dynamical_matrix(point)
        parts = np.array(
            [dynamical_matrix(masses, samples.pairs, samples.lattice_vectors, b, point) for b in samples.blocks]
        )
        drawn = [_frequencies(base, parts, parameters) for parameters in samples.bootstrap]
        found[label] = _frequencies(base, parts, samples.parameters).tolist()
        deviations[label] = np.std(drawn, axis=0, ddof=1).tolist()
    return {'frequencies_cm1': found, 'sd_cm1': deviations}


def _frequencies(
    base: NDArray[np.complex128], parts: NDArray[np.complex128], parameters: NDArray[np.float64]
) -> NDArray[np.float64]:
    matrix = (1.0 + parameters[-1]) * base + np.tensordot(parameters[:-1], parts, axes=1)
    values = np.linalg.eigvalsh(matrix)
    return frequencies_of_squares(values, CM1_PER_ROOT_CURVATURE)
