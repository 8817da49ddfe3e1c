"""What is calculated from forces and from dynamics: each file is an entry of the table of curves."""
