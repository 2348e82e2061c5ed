"""Readers of recorded jobs: one file per format, all into `tieline.model.trace.Trace`.

    Source (bytes, lines, table)  ->  reader (names, conversions, what is left out)
                                  ->  Rows.finish (checks, order, numbering)  ->  Trace

`registry.read_trace` is the way in. Adding a format is one file and one row in the registry.
"""
