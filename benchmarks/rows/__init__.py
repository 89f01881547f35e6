"""All rows, in the order of the table."""

from benchmarks.row import Row
from benchmarks.rows import chain, fresh, losses, networks, note_loops, note_samples, sampling

ROWS: tuple[Row, ...] = (
    *note_loops.ROWS,
    *note_samples.ROWS,
    *networks.ROWS,
    *losses.ROWS,
    *chain.ROWS,
    *sampling.ROWS,
    *fresh.ROWS,
)
