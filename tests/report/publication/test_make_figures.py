"""What the figures are made of: the Brillouin zone is that of textbooks."""

import numpy as np
import pytest
from ase.build import bulk
from scipy.spatial import ConvexHull

from aiida_mlcc.report.publication.make_figures import brillouin_zone

SHAPES = {
    # Truncated octahedron, rhombic dodecahedron, hexagonal prism.
    'fcc': (bulk('C', 'diamond', a=3.57), 24, 36),
    'bcc': (bulk('Fe', 'bcc', a=2.87), 14, 24),
    'hcp': (bulk('Mg', 'hcp', a=3.2, c=5.2), 12, 18),
}


@pytest.mark.parametrize('name', SHAPES)
def test_the_zone_has_the_shape_and_the_volume_it_should(name):
    atoms, n_vertices, n_edges = SHAPES[name]
    reciprocal = 2 * np.pi * np.linalg.inv(atoms.cell.array).T
    vertices, edges = brillouin_zone(reciprocal)
    assert (len(vertices), len(edges)) == (n_vertices, n_edges)
    assert ConvexHull(vertices).volume == pytest.approx((2 * np.pi) ** 3 / atoms.get_volume())
