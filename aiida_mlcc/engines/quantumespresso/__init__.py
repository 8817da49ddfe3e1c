"""Quantum ESPRESSO as an engine of energies and forces, and of Born charges, through aiida-quantumespresso."""
