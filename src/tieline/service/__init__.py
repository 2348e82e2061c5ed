"""The live side: the loop that runs a network, what it tells, and the HTTP API in front of it.

composition    the one place that names concrete engines and stores
control_plane  one method per question or request
live           the loop, its jobs and its sites
access         who may do what, and how callers are known
api            HTTP: routes, what comes in, what is turned away
"""
