"""What the lessons share: a table that holds estimates against theory, and a place for pictures.

Importing it also makes the engine importable from a checkout, so that ``python tutorials/01_gaussian.py`` runs from any
directory. That is why a lesson imports it first.

A worked example. With a thousand gradients in ``grads``, each from a sample of its own, ::

    table = Table("d/dmu of E[z²]")
    table.agree("pathwise", grads, theory=24.0)
    table.print()

prints the mean of the gradients beside 24, the standard error of this mean, and z, the distance between the two in
standard errors. A right estimator has a z between -2 and 2 in nineteen runs of twenty; beyond 5 in one run of two
million. So a z beyond 5 means that the theory or the code is wrong, and ``print`` says so by an error, after the table.
"""

from __future__ import annotations

import importlib.util
import math
import os
import sys
import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

if importlib.util.find_spec("tinygrad_rp") is None:
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from visualize import Drawing, GraphvizNotFound

__all__ = ["LIMIT", "Disagreement", "Table", "say", "show"]

LIMIT = 5.0
"""Beyond so many standard errors, estimate and theory do not belong together."""

PICTURES = "TINYGRAD_RP_PICTURES"
"""The environment variable that names the directory for pictures."""


# ----------------------------------------------------------------------------------------------------------- the table


class Disagreement(AssertionError):
    """The numbers of a lesson do not say what its text says."""


@dataclass
class Row:
    """One line of a table: a mean of ``n`` samples, and what it is compared with."""

    name: str
    n: int
    theory: float
    truth: float | None
    estimate: float
    error: float
    agrees: bool

    @property
    def z(self) -> float:
        """How many standard errors lie between estimate and theory."""
        distance = self.estimate - self.theory
        if self.error > 0:
            return distance / self.error
        return 0.0 if distance == 0 else math.copysign(math.inf, distance)

    @property
    def holds(self) -> bool:
        """Whether the numbers say what the lesson claims."""
        return (abs(self.z) <= LIMIT) == self.agrees

    def cells(self) -> list[str]:
        """What is printed: as many digits as the standard error leaves meaningful."""

        def digits(x: float) -> str:
            return f"{x:.4g}" if self.error == 0 else f"{x:.{max(0, 1 - math.floor(math.log10(self.error)))}f}"

        truth = ["", ""] if self.truth is None else [digits(self.truth), digits(self.theory - self.truth)]
        error = "0" if self.error == 0 else digits(self.error)
        z = "exact" if self.error == 0 and self.z == 0 else f"{self.z:.1f}"
        verdict = "" if self.agrees else "no, it is not" if self.holds else "?"
        return [self.name, *truth, digits(self.theory), digits(self.estimate), error, z, verdict]


class Table:
    """Estimates beside what they should be.

    The columns: the *truth*, what one would like to know, and the *bias*, how far the theory is from it (both only
    where a line names the truth); the *theory*, what this estimator is known to estimate; the *estimate*, the mean of
    the samples; its *standard error*; and *z*, the distance from estimate to theory in standard errors.

    Args:
        title: what is estimated.
    """

    def __init__(self, title: str) -> None:
        self.title = title
        self.rows: list[Row] = []

    def agree(self, name: str, samples: Any, theory: float, truth: float | None = None) -> None:
        """Add a line that claims: the mean of the samples is ``theory``, up to chance.

        Args:
            name: of the line.
            samples: numbers that were drawn independently; anything that NumPy makes an array of.
            theory: what this estimator is known to estimate.
            truth: what one would like to know; ``theory - truth`` is the bias.

        Raises:
            ValueError: a sample or the theory is not finite, or there are fewer than two samples.
        """
        self._add(name, samples, theory, truth, agrees=True)

    def differ(self, name: str, samples: Any, theory: float) -> None:
        """Add a line that claims: the mean of the samples is *not* ``theory``, and chance cannot explain it."""
        self._add(name, samples, theory, None, agrees=False)

    def _add(self, name: str, samples: Any, theory: float, truth: float | None, agrees: bool) -> None:
        x = np.asarray(samples, dtype=np.float64).ravel()
        if len(x) < 2 or not np.isfinite(x).all():
            bad = int((~np.isfinite(x)).sum())
            raise ValueError(
                f"{name!r}: need two samples or more, all finite; there are {len(x)}, {bad} of them not finite"
            )
        theory, truth = float(theory), None if truth is None else float(truth)
        if not math.isfinite(theory):
            raise ValueError(f"{name!r}: the theory must be a finite number, not {theory}")
        constant = bool((x == x[0]).all())  # rounding must not make a small error of no error
        estimate = float(x[0] if constant else x.mean())
        error = 0.0 if constant else float(x.std(ddof=1)) / math.sqrt(len(x))
        self.rows.append(Row(name, len(x), theory, truth, estimate, error, agrees))

    def __str__(self) -> str:
        head = ["", "truth", "bias", "theory", "estimate", "std.err.", "z", ""]
        rows = [head, *(row.cells() for row in self.rows)]
        # a column that no row fills is left out
        used = [i for i in range(len(head)) if any(row[i] for row in rows[1:])]
        width = {i: max(len(row[i]) for row in rows) for i in used}
        lines = []
        for row in rows:
            cells = [row[i].ljust(width[i]) if i in (0, len(head) - 1) else row[i].rjust(width[i]) for i in used]
            lines.append("  ".join(cells).rstrip())
        return "\n".join([self.title, *lines])

    def print(self) -> None:
        """Print the table, and then hold it to what it claims.

        Raises:
            Disagreement: an estimate is more than 5 standard errors from its theory, or, where the two are claimed to
                differ, it is not.
        """
        print(self)
        for row in self.rows:
            if not row.holds:
                what = "too far from" if row.agrees else "not distinguishable from"
                raise Disagreement(
                    f"{self.title}: {row.name}: the estimate {row.estimate:.6g} (± {row.error:.2g}, {row.n} samples) "
                    f"is {what} {row.theory:.6g}: z = {row.z:.1f}, and the limit is {LIMIT:g}"
                )


# -------------------------------------------------------------------------------------------------- words and pictures


def say(text: Any) -> None:
    """Print text of long lines, broken where a page ends; lines that begin with a dash go on behind it."""
    for line in str(text).splitlines():
        indent = " " * (len(line) - len(line.lstrip(" -")))
        print(textwrap.fill(line, 88, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False))


@dataclass
class Picture:
    """A picture that was shown: the file it is in, and the same as text."""

    path: Path
    text: str


shown: list[Picture] = []
"""All pictures of this run, in order; the tour looks here."""


def show(drawing: Drawing, name: str) -> Drawing:
    """Save a drawing among the pictures of the tour, and say where; a notebook shows it as well.

    Args:
        drawing: what ``draw()`` returned.
        name: the file's name without its suffix: number of the lesson first, as in ``"01-zero-edge"``.

    Returns:
        The drawing, so that a notebook shows it where this is the last line of a cell.
    """
    folder = Path(os.environ.get(PICTURES, "build/tour/pictures"))
    folder.mkdir(parents=True, exist_ok=True)
    try:
        path = drawing.save(folder / f"{name}.svg")
        print(f"picture: {path}")
    except GraphvizNotFound:
        path = drawing.save(folder / f"{name}.dot")
        print(f"no Graphviz, so no picture: `pip install pygraphviz` brings one along. The graph as DOT text: {path}")
    shown.append(Picture(path, str(drawing.text)))
    return drawing
