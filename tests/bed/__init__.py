"""Beds: real servers that tests start for themselves, and that leave nothing behind.

    with postgres.running() as server: ...
    with slurm.running("alpha", slurm.CLUSTERS["alpha"]) as cluster: ...
    with ssh.running() as server: ...

Each bed is a `machine.Machine`: processes, mounts and, if wanted, a network of their own, that
the kernel ends as a whole. A bed whose programs are not installed raises `machine.Missing`;
the fixtures of tests/conftest.py make a skip of it, which fails in CI.
"""
