"""The error bar of each frequency, and its parts."""
