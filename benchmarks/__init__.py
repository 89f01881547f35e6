"""Benchmarks: each pairs this engine with its peers in one run and prints ratios."""
