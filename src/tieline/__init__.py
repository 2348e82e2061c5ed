"""Tieline joins compute centres with different accelerators into one network.

`import tieline` stays cheap (under 0.3 s): solvers, web and engine libraries are imported
where they are used.
"""

__version__ = "0.1.0"
