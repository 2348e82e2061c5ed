"""What exists: frozen types, snapshot arrays, the accelerator catalogue, units and errors.

The lowest layer. No clock, no logging, no I/O apart from reading the catalogue that ships
inside the package.
"""
