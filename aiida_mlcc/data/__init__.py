"""AiiDA data nodes: snapshots with their labels, and force fields."""
