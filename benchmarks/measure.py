"""How time is taken: the candidates of a row take turns within a round.

A machine's pace changes within seconds; candidates that run close to each other meet the same pace, so that the ratio of their
times within a round says more than the ratio of two averages. What is shown is the median over the rounds.
"""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass

from benchmarks.row import Row, Work

LEAST = 3  # rounds


@dataclass(frozen=True)
class Effort:
    """How long a row may be measured.

    Args:
        rounds: at most so many; no fewer than three.
        block: seconds that a candidate runs in a round, at least: short work is repeated.
        limit: seconds after which no further round begins.
    """

    rounds: int = 15
    block: float = 0.1
    limit: float = 12.0


QUICK = Effort(rounds=5, block=0.03, limit=1.0)

Seconds = dict[str, dict[str, list[float]]]


def block(work: Work, parts: int, repeats: int = 1) -> tuple[float, ...]:
    """The seconds of one run, of each part or of the whole, averaged over ``repeats`` of them."""
    if parts:
        runs = [work.run() for _ in range(repeats)]
        return tuple(sum(times) / repeats for times in zip(*runs, strict=True))
    run = work.run
    start = time.perf_counter()
    for _ in range(repeats):
        run()
    return ((time.perf_counter() - start) / repeats,)


def rest(longest: float = 0.3) -> None:
    """Wait until the threads of the candidate before are asleep: those of NumPy's BLAS look out for more work for 0.1 s."""
    for _ in range(round(longest / 0.01)):
        start = time.process_time()
        time.sleep(0.01)
        if time.process_time() - start < 0.001:
            return


def alternate(row: Row, works: Mapping[str, Work], effort: Effort) -> Seconds:
    """Time the candidates of a row in turns.

    The first run of each compiles what it compiles and is not counted. The order of the candidates turns round from round to
    round, so that nobody always runs behind the same neighbour. Before each, garbage is collected and the threads of the one
    before come to rest; during the runs the collector is on.

    Returns:
        for each part (`""`: the whole) and candidate, the seconds of one run, one number a round.
    """
    parts = len(row.parts)
    repeats = {}
    for name, work in works.items():
        block(work, parts)
        repeats[name] = 1 if row.fresh or row.long else max(1, round(effort.block / sum(block(work, parts))))
    seconds: Seconds = {part: {name: [] for name in works} for part in row.parts or ("",)}
    start = time.perf_counter()
    for round_ in range(max(effort.rounds, LEAST)):
        if round_ >= LEAST and time.perf_counter() - start > effort.limit:
            break
        for name in list(works)[:: -1 if round_ % 2 else 1]:
            gc.collect()
            rest()
            for part, taken in zip(seconds, block(works[name], parts, repeats[name]), strict=True):
                seconds[part][name].append(taken)
    return seconds


def fresh_process(code: str, environment: Mapping[str, str] | None = None) -> str:
    """What code prints in a Python process of its own.

    The process may write bytecode files, as a user's does, whatever this process was told.

    Args:
        code: Python.
        environment: variables to add to this process's.
    """
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    result = subprocess.run(
        [sys.executable, "-c", code],
        check=True,
        env=inherited | dict(environment or {}),
        stdout=subprocess.PIPE,
        text=True,
    )
    return result.stdout
