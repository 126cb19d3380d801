"""Numbers: benchmarks (and, later, named protocols)."""
