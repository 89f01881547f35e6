"""What the lessons share: a table that holds estimates against theory, and ways to show pictures, words and exercises.

How a lesson is written
-----------------------

A lesson is one script ``NN_name.py`` beside this file; there is no list of them. It is in the percent form: a line ``# %%``
begins a cell of code, ``# %% [markdown]`` one of text, written as comments. It runs by itself, with NumPy and the engine alone,
and as a notebook, where what it shows becomes pictures and tables. It takes a few seconds.

- The first cell has one heading of the first level, which is a question that the lesson answers. The last one ends with the
  sections "What to take along", "Try it" and "What to read next".
- Mathematics is written in TeX, ``$…$`` within a line and ``$$…$$`` around lines of their own; but not in headings.
- A lesson imports this module first (``import lesson``), so that the engine is found wherever the script is started.
- Each number that the text claims stands in a `Table`, which fails beyond 5 standard errors.
- Pictures, plots and players are shown by `show`, words of the engine by `say`. A warning is shown as output by itself.
- A plot is drawn as ever, in a cell of its own, and handed over: ``show(figure, "what it shows")``. The imports are
  ``import matplotlib.pyplot as plt``; colours and sizes come from ``matplotlibrc``. A lesson with plots needs the extra ``tour``.
- What a lesson reads lies in the folder ``data`` beside this file: ``Path(lesson.__file__).parent / "data"``.
- Another lesson is named by its file in backquotes, `05_rare_samples.py`; on the page this is a link.
- An exercise has a check (`exercise`). Its solution goes into a cell ``# %% tags=["hide-cell"]``, which is folded up on the page.

A worked example of a table. With a thousand gradients in ``grads``, each from a sample of its own, ::

    table = Table("d/dmu of E[z²]")
    table.agree("pathwise", grads, theory=24.0)
    table.print()

shows the mean of the gradients beside 24, the standard error of this mean, and z, the distance between the two in
standard errors. A right estimator has a z between -2 and 2 in nineteen runs of twenty; beyond 5 in one run of two
million. So a z beyond 5 means that the theory or the code is wrong, and ``print`` says so by an error, after the table.
"""

from __future__ import annotations

import html
import importlib.util
import io
import itertools
import math
import re
import sys
import textwrap
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

if importlib.util.find_spec("tinygrad_rp") is None:
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from visualize import Drawing, GraphvizNotFound

__all__ = ["LIMIT", "Disagreement", "Exercise", "Table", "exercise", "say", "show"]

LIMIT = 5.0
"""Beyond so many standard errors, estimate and theory do not belong together."""

LARGE = 300_000
"""Characters of an SVG beyond which a page would become slow."""

WIDTH = 88
"""Characters in a line of a terminal."""


# --------------------------------------------------------------------------------------------- terminal and notebook


def notebook() -> Any:
    """What shows things in the notebook that this runs in; ``None`` elsewhere."""
    ipython = sys.modules.get("IPython")
    return ipython.display.display if ipython is not None and ipython.get_ipython() is not None else None


class Html:
    """Something that a notebook shows."""

    def __init__(self, page: str, text: str) -> None:
        self.page, self.text = page, text

    def _repr_html_(self) -> str:
        return self.page

    def __repr__(self) -> str:
        return self.text


def put(page: str, text: str) -> None:
    """Show a piece of a page in a notebook, and a text elsewhere."""
    display = notebook()
    if display is None:
        print(text)
    else:
        display(Html(page, text))


def _warning(message: Warning | str, category: type[Warning], *place: Any, **more: Any) -> str:
    text = f"{category.__name__}: {message}"
    return (_wrapped(text) if notebook() is None else text) + "\n"  # a page breaks lines where it ends


warnings.formatwarning = _warning  # without the place: in a notebook it is a file that nobody can look at


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

    def _columns(self) -> tuple[list[int], list[list[str]]]:
        """Which columns are shown (one that no row fills is left out), and all rows, the head first."""
        head = ["", "truth", "bias", "theory", "estimate", "std.err.", "z", ""]
        rows = [head, *(row.cells() for row in self.rows)]
        return [i for i in range(len(head)) if any(row[i] for row in rows[1:])], rows

    def __str__(self) -> str:
        used, rows = self._columns()
        width = {i: max(len(row[i]) for row in rows) for i in used}
        lines = []
        for row in rows:
            cells = [row[i].ljust(width[i]) if i in (0, len(row) - 1) else row[i].rjust(width[i]) for i in used]
            lines.append("  ".join(cells).rstrip())
        return "\n".join([self.title, *lines])

    def _repr_html_(self) -> str:
        used, (head, *rows) = self._columns()
        names = "".join(f'<th scope="col">{head[i]}</th>' for i in used)
        lines = "".join(
            f'<tr class="{"holds" if row.holds else "fails"}"><th scope="row">{html.escape(cells[0])}</th>'
            + "".join(f"<td>{cells[i]}</td>" for i in used[1:])
            + "</tr>"
            for row, cells in zip(self.rows, rows, strict=True)
        )
        return (
            f'<div class="estimates"><table><caption>{html.escape(self.title)}</caption>'
            f"<thead><tr>{names}</tr></thead><tbody>{lines}</tbody></table></div>"
        )

    def print(self) -> None:
        """Show the table, and then hold it to what it claims.

        Raises:
            Disagreement: an estimate is more than 5 standard errors from its theory, or, where the two are claimed to
                differ, it is not.
        """
        put(self._repr_html_(), str(self))
        for row in self.rows:
            if not row.holds:
                what = "too far from" if row.agrees else "not distinguishable from"
                raise Disagreement(
                    f"{self.title}: {row.name}: the estimate {row.estimate:.6g} (± {row.error:.2g}, {row.n} samples) "
                    f"is {what} {row.theory:.6g}: z = {row.z:.1f}, and the limit is {LIMIT:g}"
                )


# -------------------------------------------------------------------------------------------------- words and pictures


def _wrapped(text: str) -> str:
    """Text of long lines, broken where a terminal ends; lines that begin with a dash go on behind it."""
    return "\n".join(
        textwrap.fill(
            line,
            WIDTH,
            subsequent_indent=" " * (len(line) - len(line.lstrip(" -"))),
            break_long_words=False,
            break_on_hyphens=False,
        )
        for line in text.splitlines()
    )


def say(text: Any) -> None:
    """Show text of long lines, such as a message of the engine."""
    put(f'<div class="said">{html.escape(str(text))}</div>', _wrapped(str(text)))


_count = itertools.count(1)


def show(what: Any, caption: str = "") -> None:
    """Show a picture or a player in a notebook; a terminal shows it as text.

    Args:
        what: a drawing, or what can be drawn (the answers of ``explain`` and ``compare``), which the same as text follows;
            a figure of matplotlib; or anything that has ``_repr_html_``, such as a player.
        caption: what is to be seen. A plot needs it: it stands for the plot where there is none.

    Raises:
        TypeError: nothing of these.
        ValueError: a plot has no caption.
    """
    plot = hasattr(what, "savefig")
    if plot and not caption:
        raise ValueError("a plot needs a caption that says what is to be seen, for those who do not see it")
    if not (plot or hasattr(what, "draw") or isinstance(what, Drawing) or hasattr(what, "_repr_html_")):
        raise TypeError(
            f"show() takes a drawing, a plot or a player, not {type(what).__name__}; print() shows the rest"
        )
    text = f"[plot: {caption}]" if plot else str(getattr(what, "text", what))
    if notebook() is None:
        print(text if plot or not caption else f"{caption}\n{text}")
    elif plot:
        put(_figure(_plot(what), caption), text)
    elif hasattr(what, "_repr_html_"):
        put(_figure(what._repr_html_(), caption), text)
    else:
        put(_drawn(what if isinstance(what, Drawing) else what.draw(), caption, text), text)
    if plot:
        sys.modules["matplotlib.pyplot"].close(what)  # or the notebook shows it again


def _drawn(drawing: Drawing, caption: str, text: str) -> str:
    """A drawing with the same as text, for those who do not see it."""
    tree = f"<pre>{html.escape(text)}</pre>"
    try:
        return _figure(_apart(drawing.svg()), caption, f"<details><summary>as text</summary>{tree}</details>")
    except GraphvizNotFound:
        return _figure(tree, caption, "<p>The picture needs Graphviz: <code>pip install pygraphviz</code>.</p>")


def _figure(page: str, caption: str, below: str = "") -> str:
    said = f"<p>{html.escape(caption)}</p>" if caption else ""
    return f'<figure><div class="picture">{page}</div><figcaption>{said}{below}</figcaption></figure>'


def _apart(svg: str, least: float = 0.8) -> str:
    """An SVG as a part of a page: its ids are like none that another picture of the page has.

    On a phone, a wide picture rather moves sideways than becomes smaller than ``least`` pixels a point.
    """
    prefix = f"picture{next(_count)}-"
    width = re.search(r'<svg[^>]* width="([0-9.]+)pt"', svg)
    style = f'<svg style="min-width: {least * float(width[1]):.0f}px"' if width else "<svg"
    begin = svg.index("<svg")
    return style + re.sub(r'(?<=[\s\[]id=")|(?<=href="#)|(?<=url\(#)', prefix, svg[begin + len("<svg") :])


def _svg_of(figure: Any) -> str:
    text = io.StringIO()
    figure.savefig(text, format="svg", transparent=True, metadata={"Date": None}, dpi=200)
    return text.getvalue()


def _plot(figure: Any) -> str:
    """A figure of matplotlib as SVG, in the colour of the text around it, be it dark or light."""
    page = _svg_of(figure)
    if len(page) > LARGE:  # what is drawn of very many points becomes an image; its axes and words stay as they are
        for axes in figure.axes:
            for artist in (*axes.lines, *axes.collections, *axes.patches):
                artist.set_rasterized(True)
        page = _svg_of(figure)
    page = page.replace("#000000", "currentColor").replace("<svg", '<svg fill="currentColor"', 1)
    return _apart(page.replace("*{stroke", '[id="figure_1"] *{stroke'), 0.65)  # its style, for this picture alone


# -------------------------------------------------------------------------------------------------------------- exercises


class Exercise:
    """A check of answers that tells the reader what is wrong with one. Made by `exercise`."""

    def __init__(self, check: Callable[[Any], None]) -> None:
        self.check = check

    def __call__(self, answer: Any) -> None:
        """Say whether an answer is right, and else what is wrong."""
        if answer is ...:
            say("Not tried yet: put your answer in the place of the three dots, and run this cell again.")
            return
        try:
            self.check(answer)
        except AssertionError as wrong:
            say(f"Not yet: {wrong}")
        except Exception as error:
            say(f"Not yet: your answer ends in {type(error).__name__}: {error}")
        else:
            say("Right.")

    def solution(self, answer: Any) -> None:
        """Hold a solution to the check; as part of the tour, it must pass.

        Raises:
            AssertionError: it does not.
        """
        self.check(answer)
        say("The solution is right.")


def exercise(check: Callable[[Any], None]) -> Exercise:
    """Make an exercise of a check, as a decorator: ``@lesson.exercise``.

    Args:
        check: takes an answer, and asserts what must be true of it, each time with words that say what is wrong.

    Example::

        @lesson.exercise
        def slope(answer):
            assert answer(3.0) == 6.0, f"at 3, the slope of x² is 6, and yours is {answer(3.0)}"

        slope(...)  # your answer here
    """
    return Exercise(check)
