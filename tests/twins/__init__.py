"""Plain, slow twins of the scheduler's parts, and made-up cases to compare them on.

Written from the rules, not from the code they check: Python lists and loops, no arrays.
"""
