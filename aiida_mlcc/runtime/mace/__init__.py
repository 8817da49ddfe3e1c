"""MACE networks: built, trained, imported, evaluated, and read out."""
