"""`tieline demo`: three centres on this machine, real jobs on them, and what joining them gives.

workload   the jobs: who submits what, and when        work     what each of them runs
server     the control plane, a process of its own     course   submitting and following
placement  why a job went where it did                 compare  the same jobs, simulated
live       the screen while it runs                    report   the screen at the end
"""
