"""Exchange and correlation on a finer mesh than that of the density.

The pseudo-density of s and p electrons all but vanishes at some nuclei, and ρ^(4/3) changes there faster than the mesh
of the density resolves: energies then depend on where atoms lie between the points. A finer mesh for this part alone is
cheap, for the Gaussian functions need not be put on it (as XC_GRID of CP2K).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import fft

_AXES = (1, 2, 3)


def refine_exchange_correlation(integrator: Any, mesh: Sequence[int], factor: int) -> None:
    """Let a multigrid integrator of PySCF evaluate functionals on a mesh that is `factor` times finer.

    The points of the finer mesh are those of factor³ meshes, each shifted by a part of the interval, which are taken
    one after the other. Densities are interpolated by their Fourier components, and potentials are brought back by the
    adjoint, so that forces stay the slopes of the energy.

    :param mesh: of the density, the number of points along each lattice vector.
    """
    n_points = tuple(int(n) for n in mesh)
    shifts = list(product(np.arange(factor) / factor, repeat=3))
    functional = integrator.eval_xc_eff

    def evaluate(name: str, density: Any, deriv: int = 1, **options: Any) -> tuple[Any, ...]:  # noqa: ARG001
        values = np.asarray(density)
        components = fft.rfftn(values.reshape(-1, *n_points), axes=_AXES)
        energy, potential = 0.0, np.zeros_like(components)
        for shift in shifts:
            moved = fft.irfftn(_moved(components, n_points, shift), s=n_points, axes=_AXES).reshape(values.shape)
            of_particle, slope = functional(name, moved, deriv=1, **options)[:2]
            energy += float(np.vdot(_charge(moved), of_particle))
            back = tuple(-part for part in shift)
            potential += _moved(fft.rfftn(slope.reshape(-1, *n_points), axes=_AXES), n_points, back)
        mean = fft.irfftn(potential / len(shifts), s=n_points, axes=_AXES).reshape(values.shape)
        # PySCF sums the energy per particle times the density: here each particle has the same share.
        charge = _charge(values)
        share = np.full(charge.shape, energy / len(shifts) / charge.sum())
        return share, mean, None, None

    integrator.eval_xc_eff = evaluate


def _charge(density: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the density without its gradients, shape (n,)."""
    return np.asarray(density.reshape(-1, density.shape[-1])[0])


def _moved(components: NDArray[np.complex128], mesh: tuple[int, ...], shift: Sequence[float]) -> NDArray[np.complex128]:
    """Return Fourier components, half of those along the last axis, of values moved by parts of the interval."""
    found = components
    for axis, (n, part) in enumerate(zip(mesh, shift, strict=True)):
        if part == 0:
            continue
        waves = fft.rfftfreq(n, 1 / n) if axis == len(mesh) - 1 else fft.fftfreq(n, 1 / n)
        phases = np.exp(2j * np.pi * waves * part / n)
        if n % 2 == 0:
            phases[n // 2] = 0.0  # The wave of the shortest length has no direction.
        found = found * phases.reshape([-1 if other == axis else 1 for other in range(len(mesh))])
    return found
