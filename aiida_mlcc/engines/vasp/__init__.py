"""VASP: settings, INCAR tags, and the WorkChains that run it."""
