"""Figures of a run for print."""
