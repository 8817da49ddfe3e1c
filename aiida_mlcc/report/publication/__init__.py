"""The bundle beside a paper: an archive without private data, and all that a reader needs to check a figure."""
