"""Spectra from dynamics: velocity autocorrelation, density of states, peaks, sampling."""
