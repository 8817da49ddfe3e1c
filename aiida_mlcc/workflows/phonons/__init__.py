"""Dispersion and density of states from force fields."""
