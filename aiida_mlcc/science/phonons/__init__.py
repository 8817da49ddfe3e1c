"""Harmonic phonons: dispersion, modes, Born charges, thermal properties, ensembles of force fields."""
