"""Labelled snapshots of small cells, made by the package's own engine (``make.py``): what tests and CI learn from."""
