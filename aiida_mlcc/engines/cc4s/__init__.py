"""Cc4s, with integrals by PySCF or VASP."""
