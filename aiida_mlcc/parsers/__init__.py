"""One parser a CalcJob: thin classes from files to nodes."""
