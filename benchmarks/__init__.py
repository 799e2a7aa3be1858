"""Benchmarks: each prints a ratio against a peer or a limit that is measured in the same run, on the same cluster.

`python -m benchmarks` runs all of them, `python -m benchmarks.<name>` one, `python -m benchmarks report` makes the
table of the last results. A figure is a ratio, never an absolute: machines are noisy, and both sides see the noise.
"""
