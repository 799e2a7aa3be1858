"""Processes stopped and killed in the middle of a run, on installations of their own."""
