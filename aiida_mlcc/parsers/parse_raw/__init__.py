"""Pure functions from a program's text to plain values."""
