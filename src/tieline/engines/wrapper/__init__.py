"""The wrapper that sees one run through, and the run directory it shares with an engine."""
