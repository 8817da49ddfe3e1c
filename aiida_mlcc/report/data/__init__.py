"""What is read of a finished run: its outputs, curves and results, for figures, print, page and bundle alike."""
