"""Which structures to label: chosen snapshots, frozen phonons, thermal structures."""
