"""What a person sees of a run: results as plain data, progress, traces and figures."""
