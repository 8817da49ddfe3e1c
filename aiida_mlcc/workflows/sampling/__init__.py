"""Structures with DFT forces: dynamics, reference displacements, thermal structures."""
