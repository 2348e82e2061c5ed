"""To buy or not to buy: a linear program over a tree of futures, and what follows from it.

    tree      the futures, one node per quarter and history
    inputs    a plan's numbers as arrays            program   blocks of variables and rows
    limits    one function per rule                 costs     what each node costs
    solver    the only module that speaks to HiGHS  plan      the live model: solve, what if

Pure: no clock, no files. The mathematics is in docs/explanation/planning.md.
"""
