"""Benchmarks: the cost of the package relative to peers that do the same work, measured interleaved (A B B A)."""
