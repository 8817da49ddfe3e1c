"""PySCF: density functionals with forces, Hartree–Fock, MP2, CCSD and (T), natural orbitals."""
