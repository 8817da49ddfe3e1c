"""What the jobs of all engines and WorkChains have in common: ports, restarts, checks of inputs, and their cost."""
