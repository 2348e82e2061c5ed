"""A storm over real clusters and control planes, and what its jobs saw of it.

Used by `tests/integration/test_storm.py`: `faults` breaks and mends things, `town` runs control
planes and a user, `evidence` reads what every job wrote while it ran.
"""
