"""The lessons run by themselves and in the tour, hold their own numbers to their theory, and make one page."""

from __future__ import annotations

import importlib
import os
import re
import subprocess
import sys
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parent.parent
cells: Any = importlib.import_module("tutorials.cells")
lesson: Any = importlib.import_module("tutorials.lesson")

LESSONS = sorted((ROOT / "tutorials").glob("[0-9][0-9]_*.py"))
SECONDS = 60
"""No lesson may take longer. They take one to four; slow machines do exist."""

# Figures that a lesson must come to: derived by hand or by quadrature, apart from the code of the lesson.
FIGURES = {
    "01_gaussian": ["7056.0", "14688", "28488", "139200", "84.0", "121.2", "-0.12909", "0.9416", "0.07694"],
    "02_bernoulli_straight_through": ["0.500", "0.7500", "0.1875", "3.0000"],
    "03_gumbel": ["0.9746", "0.94888", "0.7687", "0.61943", "3.05", "0.30507", "4.2 in 10,000"],
}

GOOD = """\
# %% [markdown]
# # A <b>good</b> lesson & a short one

# %%
print("1 < 2 & </pre><script>alert(1)</script>")
"""

BAD = """\
# %% [markdown]
# # A lesson that fails

# %%
print("before")

# %%
# a comment

raise ValueError("on purpose")

# %%
print("after")
"""

PICTURE = """\
# %%
import lesson

import tinygrad_rp as torch
from visualize import draw

p = torch.tensor([0.25], requires_grad=True)
lesson.show(draw(torch.bernoulli(p), {"<p> & q": p}), "99-coin")
"""


def environment(**changes: str) -> dict[str, str]:
    """The environment without what would help to find the packages: a checkout alone has to do."""
    return {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", lesson.PICTURES)} | changes


def tour(out: Path, *lessons: Path, **changes: str) -> tuple[subprocess.CompletedProcess[str], str]:
    """Run the tour, and read its page."""
    pytest.importorskip("rich")
    pytest.importorskip("markdown_it")
    done = subprocess.run(
        [sys.executable, "-m", "tutorials", "--out", str(out), *map(str, lessons)],
        cwd=ROOT,
        env=environment(**changes),
        capture_output=True,
        encoding="utf-8",
        timeout=SECONDS * max(1, len(lessons or LESSONS)),
    )
    return done, (out / "index.html").read_text(encoding="utf-8")


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, subprocess.CompletedProcess[str], str]:
    """The whole tour: its directory, its process, its page."""
    out = tmp_path_factory.mktemp("tour")
    return out, *tour(out)


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str, str], Path]:
    """Write a lesson of one's own."""

    def write(name: str, text: str) -> Path:
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return path

    return write


class Page(HTMLParser):
    """What a page links to, and whether all its elements are closed in order."""

    VOID = frozenset({"meta", "img", "br", "hr", "link", "input"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == [], f"not closed: {self.open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag not in self.VOID:
            self.open.append(tag)
        for name, value in attrs:
            if name == "id":
                self.ids.append(value or "")
            if name in ("href", "src", "srcset", "data", "action", "poster"):
                self.links.append(value or "")

    def handle_endtag(self, tag: str) -> None:
        assert self.open and self.open[-1] == tag, f"</{tag}> closes {self.open[-1:]} in line {self.getpos()[0]}"
        self.open.pop()


def check_page(text: str, folder: Path) -> Page:
    """A page that opens offline: closed elements, unique ids, links to files beside it and to its own parts."""
    assert text.startswith("<!DOCTYPE html>")
    page = Page(text)
    assert len(page.ids) == len(set(page.ids))
    for link in page.links:
        if link.startswith("#"):
            assert link[1:] in page.ids
        else:
            assert not re.match(r"[a-zA-Z][a-zA-Z0-9+.-]*:|/", link), f"not relative: {link}"
            assert (folder / link).is_file(), f"there is no {link}"
    assert not {"script", "link", "iframe", "object", "embed", "base"} & set(page.tags)
    assert not re.search(r"https?://|url\(|@import", text)
    return page


# ------------------------------------------------------------------------------------------------- the lessons as such


def test_there_are_lessons_and_each_has_its_own_number():
    numbers = [path.name[:2] for path in LESSONS]
    assert numbers == sorted(set(numbers)) and len(numbers) >= 3


@pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)
def test_a_lesson_runs_from_any_directory_and_comes_to_the_known_figures(path: Path, tmp_path: Path):
    done = subprocess.run(
        [sys.executable, "-W", "error::RuntimeWarning", str(path)],
        cwd=tmp_path,
        env=environment(PYTHONIOENCODING="utf-8"),
        capture_output=True,
        encoding="utf-8",
        timeout=SECONDS,
    )
    assert done.returncode == 0, done.stderr
    assert "Warning:" not in re.sub("Fontconfig warning:.*", "", done.stderr)
    for figure in FIGURES.get(path.stem, []):
        assert re.search(rf"(?<![\d.]){re.escape(figure)}(?![\d])", done.stdout), f"{figure} is not in:\n{done.stdout}"
    pictures = sorted((tmp_path / "build" / "tour" / "pictures").iterdir())
    assert pictures and all(picture.name.startswith(f"{path.name[:2]}-") for picture in pictures)


def test_a_lesson_with_a_wrong_theory_fails(write: Callable[[str, str], Path], tmp_path: Path):
    text = (ROOT / "tutorials" / "02_bernoulli_straight_through.py").read_text(encoding="utf-8")
    right = "table.agree(name, grads, theory=2 * P, truth=truth_of(square))"
    assert right in text
    path = write("wrong.py", text.replace(right, "table.agree(name, grads, theory=1, truth=1)"))
    done = subprocess.run(
        [sys.executable, str(path)],
        cwd=tmp_path,
        env=environment(PYTHONPATH=f"{ROOT}{os.pathsep}{ROOT / 'tutorials'}", PYTHONIOENCODING="utf-8"),
        capture_output=True,
        encoding="utf-8",
        timeout=SECONDS,
    )
    assert done.returncode == 1
    assert "Disagreement: Straight-through" in done.stderr and "too far from 1" in done.stderr


# ----------------------------------------------------------------------------------------------------------- the table


def samples(mean: float, n: int = 10_000) -> Any:
    return np.random.default_rng(0).normal(mean, 1.0, n)


def test_a_table_prints_theory_and_estimate_with_the_digits_that_the_error_leaves(capsys):
    table = lesson.Table("title")
    table.agree("a mean", samples(24.0), theory=24, truth=25)
    table.print()
    title, head, row = capsys.readouterr().out.splitlines()
    assert title == "title"
    assert head.split() == ["truth", "bias", "theory", "estimate", "std.err.", "z"]
    assert re.fullmatch(r"a mean +25\.0000 +-1\.0000 +24\.0000 +2[34]\.\d{4} +0\.0100 +-?\d\.\d", row)


def test_a_table_raises_only_after_it_was_printed(capsys):
    table = lesson.Table("title")
    table.agree("right", samples(24.0), theory=24)
    table.agree("wrong", samples(24.0), theory=24.2)
    with pytest.raises(lesson.Disagreement, match=r"title: wrong: the estimate 2.* is too far from 24.2: z = -\d"):
        table.print()
    assert len(capsys.readouterr().out.splitlines()) == 4


def test_a_claimed_difference_must_be_one():
    table = lesson.Table("title")
    table.differ("indeed", samples(24.0), theory=25)
    assert "no, it is not" in str(table)
    table.print()
    table.differ("not at all", samples(24.0), theory=24)
    with pytest.raises(lesson.Disagreement, match="not distinguishable from 24"):
        table.print()


def test_samples_that_are_all_the_same_must_be_exactly_right(capsys):
    table = lesson.Table("title")
    table.agree("naive", [0.0] * 10, theory=0)
    table.print()
    assert capsys.readouterr().out.split()[-1] == "exact"
    table.agree("naive", [0.1] * 10, theory=0)
    with pytest.raises(lesson.Disagreement, match="z = inf"):
        table.print()


@pytest.mark.parametrize("bad", [[1.0, np.nan], [np.inf, 1.0], [1.0], []])
def test_samples_that_are_not_finite_or_too_few_are_refused(bad: list[float]):
    with pytest.raises(ValueError, match="need two samples or more, all finite"):
        lesson.Table("title").agree("row", bad, theory=1)


def test_a_theory_that_is_nan_is_refused():
    with pytest.raises(ValueError, match="the theory must be a finite number"):
        lesson.Table("title").differ("row", [1.0, 2.0], theory=float("nan"))


# ----------------------------------------------------------------------------------------------------------- the cells


def test_a_script_is_split_into_cells_with_their_lines():
    split = cells.split(
        "import a\n\n# %% [markdown]\n# # Title\n#\n#     code\n\n# %%\n\nx = 1  # %% not a cell\n\n# %%\n"
    )
    assert [(cell.kind, cell.text, cell.line) for cell in split] == [
        ("code", "import a", 1),
        ("markdown", "# Title\n\n    code", 4),
        ("code", "x = 1  # %% not a cell", 10),
    ]


# ------------------------------------------------------------------------------------------------------------ the tour


def test_the_tour_runs_every_lesson_and_says_where_the_page_is(whole):
    out, done, _ = whole
    assert done.returncode == 0, done.stdout + done.stderr
    for path in LESSONS:
        assert re.search(rf"^ok +{path.stem} ", done.stdout, re.MULTILINE)
    assert str(out / "index.html") in done.stdout


def test_the_page_is_valid_and_needs_no_network(whole):
    out, _, text = whole
    page = check_page(text, out)
    assert page.tags.count("article") == len(LESSONS)
    for picture in (out / "pictures").iterdir():
        assert f"pictures/{picture.name}" in page.links
        without_names = re.sub(r"\sxmlns(:\w+)?=\"[^\"]*\"|<!DOCTYPE[^>]*>", "", picture.read_text(encoding="utf-8"))
        assert not re.search(r"https?:|<image|<script|@import", without_names), picture.name


def test_the_page_has_the_text_the_code_and_the_output_of_each_lesson(whole):
    _, _, text = whole
    assert "<h1>How does the gradient of an expectation reach the parameters of a Gaussian?</h1>" in text
    assert "StoppedGradientWarning" in text and "std.err." in text
    assert 'class="failed"' not in text and "Traceback (most recent call last)" not in text
    assert "prefers-color-scheme: dark" in text and 'name="viewport"' in text


def test_a_failing_lesson_is_shown_and_the_others_run_and_the_status_is_1(write, tmp_path: Path):
    done, text = tour(tmp_path, write("10_bad.py", BAD), write("11_good.py", GOOD))
    assert done.returncode == 1
    assert "failed: 10_bad.py" in done.stdout
    assert re.search(r"^FAILED +10_bad", done.stdout, re.MULTILINE) and re.search(
        r"^ok +11_good", done.stdout, re.MULTILINE
    )
    check_page(text, tmp_path)
    assert "before" in text and "ValueError: on purpose" in text and "did not run" in text
    line = BAD.splitlines().index('raise ValueError("on purpose")') + 1
    assert f"10_bad.py&quot;, line {line}, in &lt;module&gt;" in text
    assert "cells.py" not in text  # the traceback begins in the lesson
    # what a lesson says and prints is text, not HTML
    assert "&lt;b&gt;good&lt;/b&gt; lesson &amp; a short one" in text
    assert "1 &lt; 2 &amp; &lt;/pre&gt;&lt;script&gt;" in text


def test_a_lesson_that_ends_its_process_is_shown_as_failed(write, tmp_path: Path):
    dies = write("10_dies.py", '# %%\nprint("alive")\n# %%\nimport os\n\nos._exit(3)\n# %%\nprint(1)\n')
    done, text = tour(tmp_path, dies, write("11_syntax.py", "# %%\nx = = 1\n"))
    assert done.returncode == 1
    check_page(text, tmp_path)
    assert "alive" in text and "ended with status 3" in text and "SyntaxError" in text


def test_a_lesson_that_does_not_exist_is_an_error(tmp_path: Path):
    with pytest.raises(FileNotFoundError):  # no page was written
        tour(tmp_path / "out", tmp_path / "10_nothing.py")


def test_without_graphviz_there_is_dot_text_and_a_word_about_it(write, tmp_path: Path):
    hidden = tmp_path / "hidden"
    hidden.mkdir()
    (hidden / "pygraphviz.py").write_text("raise ImportError")
    done, text = tour(tmp_path, write("99_coin.py", PICTURE), PATH=str(hidden), PYTHONPATH=str(hidden))
    assert done.returncode == 0, done.stdout
    page = check_page(text, tmp_path)
    assert "pictures/99-coin.dot" in page.links and "img" not in page.tags
    assert "pip install pygraphviz" in text
    assert (tmp_path / "pictures" / "99-coin.dot").read_text(encoding="utf-8").startswith("digraph")
