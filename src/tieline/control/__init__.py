"""The loop without the world: life cycle, reconcile, one cycle, and the ports to the world.

Pure: no clock (time is an argument), no I/O, no logging, no unseeded randomness.
"""
