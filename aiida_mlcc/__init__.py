"""Phonons and vibrational spectra of crystals at coupled-cluster accuracy, on AiiDA."""

__version__ = '0.1.0'
