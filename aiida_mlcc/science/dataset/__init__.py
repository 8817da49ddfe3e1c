"""Data sets from files of other programs: reading, checking, reporting; and the published data."""
