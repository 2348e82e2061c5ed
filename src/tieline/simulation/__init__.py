"""The world in simulated time: a thin driver around the same `run_cycle` as the live loop."""
