"""What to cite for the programs of the engines."""

PROGRAMS = {
    'pyscf': (
        'Q. Sun et al., Recent developments in the PySCF program package, J. Chem. Phys. 153, 024109 (2020)',
        'https://doi.org/10.1063/5.0006074',
    ),
    'cc4s': ('Cc4s, Coupled Cluster for Solids, and what its manual asks to cite', 'https://manuals.cc4s.org'),
    'vasp': (
        'G. Kresse, J. Furthmüller, Efficient iterative schemes for ab initio total-energy calculations using a '
        'plane-wave basis set, Phys. Rev. B 54, 11169 (1996)',
        'https://doi.org/10.1103/PhysRevB.54.11169',
    ),
}
"""Program → text and address."""
