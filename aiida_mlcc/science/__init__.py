"""The physics in plain NumPy, SciPy, ASE and phonopy: no AiiDA, no torch."""
