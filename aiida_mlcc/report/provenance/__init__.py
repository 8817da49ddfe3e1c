"""What the provenance graph says of a run: its progress, its jobs, and the energies behind each curve."""
