"""What a row is: a piece of work, the candidates that do it, and the goal.

A candidate is a function that is handed the peer's module and the size of the work, prepares the data, and returns a `Work`
whose `run` is timed. Ours and PyTorch's are one function where the names are the same, which is the point of the names:

    def squares(torch, n):
        x = torch.ones(n, requires_grad=True)

        def run():
            x.grad = None
            value = (x**2).sum()
            value.backward()
            return value, x.grad

        return Work(run)

    Row(name="squares", title="…", measures="…", size=10**6, tiny=10, candidates={OURS: squares, PYTORCH: squares})
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from benchmarks.peers import JAX, OURS, PYTORCH

SEED = 0
BETTER = (PYTORCH, JAX)


@dataclass(frozen=True)
class Work:
    """What one candidate does.

    Args:
        run: what is timed; each call does the whole work afresh. In a row with parts it takes the time itself and returns the
            seconds of each part.
        check: what the tests compare with the other candidates' (numbers and arrays). Default: ``run``.
    """

    run: Callable[[], Any]
    check: Callable[[], Sequence[Any]] | None = None

    def results(self) -> Sequence[Any]:
        """What is compared with the other candidates' results."""
        return (self.check or self.run)()


Maker = Callable[[Any, Any], Work]


@dataclass(frozen=True, kw_only=True)
class Goal:
    """A bound of our time.

    Args:
        limit: the bound: of a ratio, or in seconds.
        of: whose time we are measured by, the least of them where there are several; nobody's: our seconds count as they are.
        difference: the bound is of our seconds less theirs, instead of the ratio.
        part: of the row, for which the goal is set. Default: each.
    """

    limit: float
    of: tuple[str, ...] = BETTER
    difference: bool = False
    part: str | None = None

    def figure(self, seconds: Mapping[str, Sequence[float]]) -> float | None:
        """The median over the rounds of what the bound is of, or None where nobody is there to be measured by.

        Args:
            seconds: of each candidate, one number a round.
        """
        ours = seconds[OURS]
        if not self.of:
            return statistics.median(ours)
        present = [seconds[name] for name in self.of if name in seconds]
        if not present:
            return None
        theirs = [min(times) for times in zip(*present, strict=True)]
        pairs = zip(ours, theirs, strict=True)
        return statistics.median(a - b if self.difference else a / b for a, b in pairs)

    def __str__(self) -> str:
        if not self.of:
            return f"at most {self.limit:g} s"
        if self.difference:
            return f"at most {' and '.join(self.of)} + {self.limit:g} s"
        return f"at most {self.limit:g}" + ("" if self.of == BETTER else f" of {' and '.join(self.of)}")


@dataclass(frozen=True, kw_only=True)
class Row:
    """A row of the table.

    Args:
        name: for the command line and the file of results.
        title: for the table.
        measures: one sentence: what is inside the time, and what is not.
        size: of the work when it is timed; whatever the candidates take.
        tiny: of the work in the tests.
        candidates: for each peer, and for ourselves, the function that makes its `Work`.
        unit: what the time shown is of ("a sample"), of which one run has ``count``; empty: of a run.
        parts: names of the parts that are timed separately; none: the whole.
        goals: of the whole, or of parts.
        expects: of a random result, for each number the exact mean, and the standard deviation of one of its samples, of
            which ``tiny`` are averaged; without it the candidates must agree.
        fresh: each run is a process of its own, so that there is nothing to warm up but files.
        long: a single run is long enough to be timed; the row takes more than some seconds, and is left out of a quick run.
    """

    name: str
    title: str
    measures: str
    size: Any
    tiny: Any
    candidates: Mapping[str, Maker]
    unit: str = "a step"
    count: int = 1
    parts: tuple[str, ...] = ()
    goals: tuple[Goal, ...] = field(default=())
    expects: tuple[tuple[float, float], ...] = ()
    fresh: bool = False
    long: bool = False

    def works(self, modules: Mapping[str, Any], size: Any) -> dict[str, Work]:
        """The work of each candidate whose peer is installed; ourselves first.

        A candidate may be a variant of a peer: "PyTorch, …" needs PyTorch.
        """
        return {
            name: make(modules[name.partition(",")[0]], size)
            for name, make in self.candidates.items()
            if name.partition(",")[0] in modules
        }
