"""The vibrational density of states from molecular dynamics."""
