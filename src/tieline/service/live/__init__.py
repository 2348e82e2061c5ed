"""The loop that runs a network, and all it holds between two ticks.

loop     load, look, reconcile, decide, record, tell    roster   the open jobs in memory
links    all sites: who takes work, and how much        sites    one site, its threads and answers
strays   runs that no job means any more                run_times  how long jobs are taken to run
"""
