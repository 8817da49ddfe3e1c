"""Linear fits: what is fitted (bases and features), how (ridge regression), and what the fit says of its errors."""
