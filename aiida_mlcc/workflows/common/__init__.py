"""What several WorkChains have in common: protocols, Born charges, the step that calculates a curve."""
