"""Network, job and plan files: read, checked at the edge; every mistake has its line.

    syntax      YAML text -> data that knows its lines
    schema      the field types; data -> pydantic models, with mistakes in plain words
    network     what a network file holds        job    what a job file holds
    plan        what a plan file holds
    references  what names what: unknown, doubled and contradictory names in a network
    fit         what a job asks for that a network does not have
    plan_*      the fields of a plan file, its mistakes by what they are about, paths into it

A reader gives frozen types of `tieline.model` or raises `FileErrors`, never anything else.
"""
