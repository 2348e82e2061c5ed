"""Rules an operator or a state sets: trust, residency, quotas. Pure functions."""
