"""To buy or not to buy: a linear program over a tree of futures, and what follows from it.

    tree      the futures, one node per quarter and history
    inputs    a plan's numbers as arrays            program   blocks of variables and rows
    variables where their columns are               limits    rules of what stands and serves
    buying    rules of orders                       costs     what each node costs
    solver    the only module that speaks to HiGHS  plan      the live model: solve, what if
    findings  all that a memo says, from `verdict`, `pooling`, `information`, `regret`,
              `near_optimal`, `shadow`, `sweep` and `frontier`
    conflicts which limits contradict one another   load      demand from recorded jobs
    bundles   large plans, solved in parts with a proven gap

Pure: no clock, no files. The mathematics is in docs/explanation/planning.md.
"""
