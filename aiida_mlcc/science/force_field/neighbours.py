"""Atoms of a supercell that are partners of others by the sites of the crystal."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from aiida_mlcc.science.crystal.cells import SiteMap


def partner_atoms(
    sites: NDArray[np.int64],
    partners: NDArray[np.int64],
    lattice_vectors: NDArray[np.int64],
    site_map: SiteMap,
) -> NDArray[np.int64]:
    """Return, for the atom on each of `sites` in every cell, the one on `partners` that lies `lattice_vectors` further.

    :param sites: sites of the primitive cell, shape (n,); `partners` of the same shape.
    :param lattice_vectors: in units of the primitive vectors, shape (n, 3).
    :returns: atoms of the supercell, shape (n, n_cells).
    """
    n_sites = int(site_map.sites.max()) + 1
    # Every site occurs once in each cell, so the atoms of the sites make a rectangle.
    first = np.argsort(site_map.sites, kind='stable').reshape(n_sites, -1)[sites]
    cells = site_map.lattice_vectors[first] + lattice_vectors[:, None]
    wanted = np.broadcast_to(partners[:, None], first.shape)
    return site_map.find(wanted.ravel(), cells.reshape(-1, 3)).reshape(first.shape)
