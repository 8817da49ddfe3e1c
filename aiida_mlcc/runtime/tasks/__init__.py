"""The tasks of jobs: one file each, and what only tasks use."""
