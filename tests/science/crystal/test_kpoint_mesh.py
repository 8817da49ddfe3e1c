"""Which meshes of k-points have the symmetry of the crystal."""

import pytest
from ase.build import bulk, make_supercell

from aiida_mlcc.science.crystal.kpoint_mesh import keeps_symmetry, refuse_mesh

CUBIC = bulk('BN', 'zincblende', a=3.62, cubic=True)


@pytest.mark.parametrize(
    ('atoms', 'mesh', 'shift', 'keeps'),
    [
        (CUBIC, [2, 2, 2], [0, 0, 0], True),
        (CUBIC, [2, 2, 2], [1, 1, 1], True),
        (CUBIC, [2, 2, 1], [0, 0, 0], False),
        (CUBIC, [2, 2, 2], [1, 0, 0], False),
        # Two cells along z are as long as they are wide in k-space with half the points.
        (make_supercell(CUBIC, [[1, 0, 0], [0, 1, 0], [0, 0, 2]]), [2, 2, 1], [0, 0, 0], True),
        (make_supercell(CUBIC, [[1, 0, 0], [0, 1, 0], [0, 0, 2]]), [2, 1, 2], [0, 0, 0], False),
        # Hexagonal: a shift in the plane leaves the threefold axis (Monkhorst and Pack, Phys. Rev. B 13, 5188).
        (bulk('ZnO', 'wurtzite', a=3.25, c=5.2), [2, 2, 2], [0, 0, 1], True),
        (bulk('ZnO', 'wurtzite', a=3.25, c=5.2), [2, 2, 2], [1, 1, 0], False),
        # Face-centred cubic: b₁ → b₄ = −b₁ − b₂ − b₃ takes (¼, ¼, ¼) to (−¼, 0, 0).
        (bulk('Si', 'diamond', a=5.43), [2, 2, 2], [1, 1, 1], False),
        (bulk('Si', 'diamond', a=5.43), [3, 3, 3], [0, 0, 0], True),
    ],
)
def test_mesh_has_the_symmetry_of_the_crystal_or_not(atoms, mesh, shift, keeps) -> None:
    assert keeps_symmetry(atoms, mesh, shift) is keeps


@pytest.mark.parametrize('at_rest', [True, False])
@pytest.mark.parametrize(
    ('mesh', 'shift'), [([2, 2, 2], [1, 1, 1]), ([2, 2, 2], [1, 1, 0]), ([2, 2, 1], [0, 0, 0]), ([2, 2, 2], [0, 0, 0])]
)
def test_uneven_meshes_are_refused_and_a_shift_of_all_directions_only_for_displaced_atoms(mesh, shift, at_rest) -> None:
    reason = refuse_mesh(bulk('Si', 'diamond', a=5.43), mesh, shift, at_rest=at_rest)
    even = mesh == [2, 2, 2] and (shift == [0, 0, 0] or (at_rest and shift == [1, 1, 1]))
    assert ('less symmetry than the cell' in (reason or '')) is not even
