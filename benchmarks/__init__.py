"""Benchmarks: each row pairs this engine with its peers in one run, in turns, and prints ratios.

    python -m benchmarks [--only NAME …] [--rounds N] [--quick] [--list]

`row` says what a row is, `peers` who may take part, `measure` how time is taken, `report` what is kept and shown; the rows
themselves are in `rows/`, one family a file, each declared in one place.
"""
