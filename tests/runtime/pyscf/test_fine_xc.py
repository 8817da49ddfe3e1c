"""Exchange and correlation on a mesh finer than the density's, against the finer mesh itself."""

import numpy as np
import pytest

from aiida_mlcc.runtime.pyscf.fine_xc import refine_exchange_correlation

MESH = (8, 9, 6)


class Exchange:
    """An integrator whose functional is ρ^(4/3), with a second component that it is quadratic in, as of a gradient."""

    @staticmethod
    def eval_xc_eff(name, density, deriv=1, **_):
        charge, slope = density
        return charge ** (1 / 3) + slope**2 / charge, np.array([4 / 3 * charge ** (1 / 3), 2 * slope]), None, None


def waves(mesh, seed=1):
    """Return a positive density and its companion, of waves that the mesh resolves, at the points of another mesh."""
    generator = np.random.default_rng(seed)
    axes = [np.arange(n) / n for n in mesh]
    grid = np.stack(np.meshgrid(*axes, indexing='ij'))
    values, largest = np.zeros((2, *mesh)), 0.0
    for wave in [(1, 0, 0), (0, 2, 1), (3, -1, 2), (-2, 4, 1)]:
        phase = 2 * np.pi * np.tensordot(wave, grid, axes=1)
        for row in range(2):
            cosine, sine = generator.normal(size=2)
            values[row] += cosine * np.cos(phase) + sine * np.sin(phase)
            largest += np.hypot(cosine, sine) * (row == 0)
    values[0] += 1.02 * largest
    return values.reshape(2, -1)


def energy(integrator, density):
    of_particle, slope = integrator.eval_xc_eff('', density)[:2]
    return density[0] @ of_particle / density.shape[1], slope


@pytest.mark.parametrize('factor', [2, 3])
def test_the_energy_is_that_of_the_finer_mesh(factor):
    refined = Exchange()
    refine_exchange_correlation(refined, MESH, factor)
    finer = waves([factor * n for n in MESH])
    assert energy(refined, waves(MESH))[0] == pytest.approx(energy(Exchange(), finer)[0], rel=1e-12)
    assert energy(Exchange(), waves(MESH))[0] != pytest.approx(energy(Exchange(), finer)[0], rel=1e-6)


def test_the_potential_is_the_slope_of_the_energy():
    """So forces stay the slopes of energies, whatever the density, also where the mesh does not resolve it."""
    refined = Exchange()
    refine_exchange_correlation(refined, MESH, 2)
    density = waves(MESH) + np.random.default_rng(2).uniform(0, 0.5, (2, np.prod(MESH)))
    change = np.random.default_rng(3).normal(size=density.shape)
    slope = energy(refined, density)[1]
    step = 1e-5
    above, below = (energy(refined, density + sign * step * change)[0] for sign in (1, -1))
    assert np.vdot(slope, change) / density.shape[1] == pytest.approx((above - below) / (2 * step), rel=1e-7)
