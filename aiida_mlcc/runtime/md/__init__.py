"""Molecular dynamics: integrators, state, velocity autocorrelation, settings."""
