"""What differs between the programs that label snapshots."""
