"""The lessons run by themselves and as notebooks, hold their numbers to their theory, and make a site that opens offline."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import numpy as np
import pytest
from docutils.frontend import get_default_settings
from docutils.parsers.rst import Parser
from docutils.utils import new_document
from sphinx.ext.napoleon import GoogleDocstring

import tinygrad_rp as torch
from tutorials import building, running
from visualize import draw

pytest_plugins = ["browser"]

ROOT = Path(__file__).resolve().parent.parent
lesson: Any = importlib.import_module("tutorials.lesson")
tour: Any = importlib.import_module("tutorials.__main__")

LESSONS = tour.lessons()
SECONDS = 120
"""No lesson may take longer. They take a few seconds; slow machines do exist."""

GOOD = """\
# %% [markdown]
# # A good lesson & a short one, x < y
#
# The mean is $\\mathbb{E}[z^2]$, and
#
# $$
# \\frac{d}{d\\mu}\\,\\mathbb{E}[z^2] = 2\\mu + \\sum_{i=1}^{n} a_i b_i c_i d_i e_i f_i g_i h_i + \\int_0^1 f(x)\\,dx.
# $$
#
# Unlike `11_bad.py`, and `12_nothing.py`, it is right.

# %%
import lesson
import matplotlib.pyplot as plt
import numpy as np

import tinygrad_rp as torch
from visualize import draw, play

print("1 < 2 & </pre><script>alert(1)</script>")
p = torch.tensor([0.25], requires_grad=True)
torch.bernoulli(p).backward()

# %%
lesson.show(draw(torch.bernoulli(p), {"<p> & q": p}), "a coin")
lesson.show(draw(torch.bernoulli(p) * p, {"p": p}), "a coin & a product")
draw(p * 2)

# %%
lesson.show(play(p * 2, {"p": p}))

# %%
figure, axes = plt.subplots()
axes.plot([0, 1], [0, 1], "o-")
axes.set_title("a title")
lesson.show(figure, "a line that rises")

# %%
table = lesson.Table("A mean")
table.agree("of x < y", np.random.default_rng(0).normal(24, 1, 10_000), theory=24, truth=25)
table.print()

# %%
@lesson.exercise
def double(answer):
    assert answer(2) == 4, "twice 2 is 4"

double(...)

# %% tags=["hide-cell"]
double.solution(lambda x: 2 * x)
"""

BAD = """\
# %% [markdown]
# # A lesson that fails

# %%
import lesson
import numpy as np

print("before")

# %%
table = lesson.Table("Too far")
table.agree("off", np.random.default_rng(0).normal(24, 1, 10_000), theory=25)
table.print()

# %%
print("after")
"""

INDEX = """\
# A small site

```{toctree}
:glob:

lessons/*
api
```
"""

API = """\
API
===

.. autosummary::
   :toctree: api

   tinygrad_rp.estimators
   tinygrad_rp.ops.special
"""


def environment() -> dict[str, str]:
    """The environment without what would help to find the packages: a checkout alone has to do."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str, str], Path]:
    """Write a lesson of one's own."""

    def write(name: str, text: str) -> Path:
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return path

    return write


# ------------------------------------------------------------------------------------------------- the lessons as such


def test_there_are_lessons_and_each_has_its_own_number():
    numbers = [path.name[:2] for path in LESSONS]
    assert numbers == sorted(set(numbers)) and len(numbers) >= 3


# All lessons run in the tour; these two are quick.
@pytest.mark.parametrize("path", [LESSONS[0], LESSONS[2]], ids=lambda path: path.stem)
def test_a_lesson_runs_from_any_directory_and_leaves_nothing_behind(path: Path, tmp_path: Path):
    done = subprocess.run(
        [sys.executable, "-W", "error::RuntimeWarning", str(path)],
        cwd=tmp_path,
        env=environment() | {"PYTHONIOENCODING": "utf-8"},
        capture_output=True,
        encoding="utf-8",
        timeout=SECONDS,
    )
    assert done.returncode == 0, done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)
def test_a_lesson_is_a_notebook_with_one_title_that_ends_in_what_to_read_next(path: Path):
    cells = running.read(path).cells
    headings = re.findall(
        r"^(#+) (.+)$", "\n".join(cell.source for cell in cells if cell.cell_type == "markdown"), re.MULTILINE
    )
    assert headings[0][0] == "#" and [level for level, _ in headings].count("#") == 1
    assert headings[-1] == ("##", "What to read next")
    assert not any("$" in heading for _, heading in headings)
    assert not any(cell.source.startswith("%") for cell in cells)


def test_a_script_with_a_wrong_theory_fails(write: Callable[[str, str], Path], tmp_path: Path):
    done = subprocess.run(
        [sys.executable, str(write("10_bad.py", BAD))],
        cwd=tmp_path,
        env=environment() | {"PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tutorials'}", "PYTHONIOENCODING": "utf-8"},
        capture_output=True,
        encoding="utf-8",
        timeout=SECONDS,
    )
    assert done.returncode == 1 and "after" not in done.stdout
    assert "Disagreement: Too far: off" in done.stderr and "too far from 25" in done.stderr


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


def test_a_table_in_a_notebook_says_the_same_and_marks_what_fails():
    table = lesson.Table("a < b")
    table.agree("x & y", samples(24.0), theory=24)
    table.agree("wrong", samples(24.0), theory=25)
    page = table._repr_html_()
    assert "<caption>a &lt; b</caption>" in page and 'class="holds"><th scope="row">x &amp; y</th>' in page
    assert 'class="fails"><th scope="row">wrong</th>' in page and page.count("<td>") == 2 * 4


# ------------------------------------------------------------------------------------- pictures, words and exercises


def test_a_terminal_shows_a_drawing_as_text_and_a_plot_by_its_caption(capsys):
    p = torch.tensor([0.25], requires_grad=True)
    lesson.show(draw(p * 2, {"p": p}), "a product")
    plt = importlib.import_module("matplotlib.pyplot")
    figure, _ = plt.subplots()
    lesson.show(figure, "nothing yet")
    said = capsys.readouterr().out
    assert said.startswith("a product\n#0 <MulBackward0>") and said.endswith("[plot: nothing yet]\n")
    assert not plt.fignum_exists(figure.number)


def test_what_cannot_be_shown_is_refused():
    figure, _ = importlib.import_module("matplotlib.pyplot").subplots()
    with pytest.raises(ValueError, match="a plot needs a caption"):
        lesson.show(figure)
    lesson.show(figure, "closed now")
    with pytest.raises(TypeError, match="show\\(\\) takes a drawing, a plot or a player, not int"):
        lesson.show(3)


def test_a_plot_of_very_many_points_becomes_an_image_whose_words_stay_words():
    figure, axes = importlib.import_module("matplotlib.pyplot").subplots()
    x = np.linspace(0, 1, 200_000)
    axes.fill_between(x, np.sin(1e4 * x))
    with importlib.import_module("matplotlib").rc_context({"svg.fonttype": "none"}):
        axes.set_xlabel("a label")
        page = lesson._plot(figure)
    lesson.show(figure, "closed now")
    assert len(page) < lesson.LARGE and "data:image/png" in page and ">a label</text>" in page


def test_ids_of_two_pictures_on_one_page_differ():
    svg = draw(torch.tensor([0.25], requires_grad=True) * 2).svg()
    first, second = (set(re.findall(r'\sid="([^"]+)"', lesson._apart(svg))) for _ in range(2))
    assert len(first) == len(second) == len(set(re.findall(r'\sid="([^"]+)"', svg))) > 3 and not first & second


def test_an_exercise_says_what_is_wrong_and_a_solution_must_be_right(capsys):
    @lesson.exercise
    def double(answer):
        assert answer(2) == 4, "twice 2 is 4"

    double(...)
    double(lambda x: x)
    double(lambda: 4)
    double(lambda x: 2 * x)
    double.solution(lambda x: 2 * x)
    lines = capsys.readouterr().out.splitlines()
    assert [line.partition(":")[0] for line in lines if line[:1].isupper()] == [
        "Not tried yet",
        "Not yet",
        "Not yet",
        "Right.",
        "The solution is right.",
    ]
    assert "Not yet: twice 2 is 4" in lines and "Not yet: your answer ends in TypeError" in "\n".join(lines)
    with pytest.raises(AssertionError, match="twice 2 is 4"):
        double.solution(lambda x: x)


# ---------------------------------------------------------------------------------------------------------- the runner


def test_a_script_is_read_as_cells(write):
    notebook = running.read(
        write("10_a.py", "import a\n\n# %% [markdown]\n# # Title\n#\n#     code\n\n# %%\nx = 1  # %% not a cell\n")
    )
    assert [(cell.cell_type, cell.source) for cell in notebook.cells] == [
        ("code", "import a"),
        ("markdown", "# Title\n\n    code"),
        ("code", "x = 1  # %% not a cell"),
    ]
    assert notebook.metadata.kernelspec.name == "python3"


def outputs(notebook: Any) -> list[Any]:
    return [output for cell in notebook.cells for output in cell.get("outputs", [])]


def test_a_lesson_that_takes_too_long_is_given_up_and_says_so(write):
    counted: list[int] = []
    notebook = running.run(
        write("10_slow.py", "# %%\nprint('alive')\n# %%\nimport time\ntime.sleep(600)\n"),
        limit=3,
        ran=lambda: counted.append(1),
    )
    assert notebook.metadata.tour.failure == "TimeoutError: the lesson was given up after 3 seconds"
    assert len(counted) == 1 and notebook.metadata.tour.seconds < 60
    assert [output.output_type for output in outputs(notebook)] == ["stream", "error"]


def test_a_lesson_that_ends_its_process_fails(write):
    notebook = running.run(write("10_dies.py", "# %%\nimport os\nos._exit(3)\n# %%\nprint(1)\n"))
    assert "ended the process" in notebook.metadata.tour.failure
    assert "ended the process" in running.traceback_of(notebook)


def test_the_tour_runs_all_lessons_says_which_failed_and_ends_with_1(write, tmp_path: Path):
    good = write("11_good.py", "# %%\nimport lesson\nimport tinygrad_rp\nprint('fine')\n")
    asked = [sys.executable, "-m", "tutorials", "--no-site", "--out", str(tmp_path / "out")]
    asked += [str(write("10_bad.py", BAD)), str(good)]

    def run() -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            asked, cwd=ROOT, env=environment(), capture_output=True, encoding="utf-8", timeout=SECONDS
        )

    first = run()
    assert first.returncode == 1, first.stderr
    assert re.search(r"^FAILED +10_bad +\d+\.\d s$", first.stdout, re.MULTILINE)
    assert re.search(r"^ok +11_good +\d+\.\d s$", first.stdout, re.MULTILINE)
    assert "Disagreement: Too far: off: the estimate 2" in first.stdout and "failed: 10_bad.py" in first.stdout
    assert "\x1b" not in first.stdout
    written = {path.name for path in (tmp_path / "out" / "notebooks").iterdir()}
    assert written >= {"10_bad.ipynb", "11_good.ipynb", "lesson.py", "matplotlibrc"}
    assert not (tmp_path / "out" / "index.html").exists()

    again = run()  # what has not changed and did not fail is kept
    assert re.search(r"^as before +11_good ", again.stdout, re.MULTILINE) and "FAILED" in again.stdout
    good.write_text(good.read_text("utf-8") + "print(2)\n", "utf-8")
    assert running.kept(good, tmp_path / "out" / "notebooks" / "11_good.ipynb") is None


def test_a_lesson_that_is_not_there_is_an_error(tmp_path: Path, capsys):
    with pytest.raises(SystemExit):
        tour.main(["--out", str(tmp_path / "out"), str(tmp_path / "10_nothing.py")])
    assert "there is no lesson" in capsys.readouterr().err and not (tmp_path / "out").exists()


# ------------------------------------------------------------------------------------------------------------ the site


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small site, of a good lesson, one that fails, and two pages of the API."""
    folder = tmp_path_factory.mktemp("site")
    out, texts, notebooks = folder / "out", folder / "texts", []
    texts.mkdir()
    (texts / "index.md").write_text(INDEX, "utf-8")
    (texts / "api.rst").write_text(API, "utf-8")
    for name, text in (("10_good", GOOD), ("11_bad", BAD)):
        (folder / f"{name}.py").write_text(text, "utf-8")
        notebook = running.run(folder / f"{name}.py", SECONDS)
        assert bool(notebook.metadata.tour.failure) == (name == "11_bad"), notebook.metadata.tour.failure
        notebooks.append(tour.save(notebook, out, name))
    built, said = building.build(out, notebooks, texts)
    assert built, said
    return out


@pytest.fixture
def any_site(site: Path) -> Path:
    """The small site; or one that was built before, if the environment names it: that of the whole tour, for example."""
    return Path(os.environ.get("TINYGRAD_RP_SITE", site)).resolve()


class Page(HTMLParser):
    """What a page links to and loads, and its ids."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.links: list[str] = []
        self.loads: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name == "id":
                self.ids.append(value or "")
            elif name in ("src", "srcset", "data", "poster", "xlink:href") or (name == "href" and tag != "a"):
                self.loads.append(value or "")
            elif name in ("href", "action"):
                self.links.append(value or "")


def pages(site: Path) -> Iterator[tuple[Path, Page]]:
    for path in sorted(site.rglob("*.html")):
        if building.WORK not in path.parts:
            yield path, Page(path.read_text("utf-8"))


def test_no_link_of_the_site_is_broken_and_nothing_is_loaded_from_elsewhere(any_site: Path):
    ids = {path.resolve(): set(page.ids) for path, page in pages(any_site)}
    for path, page in pages(any_site):
        assert not [link for link in page.loads if urlsplit(link).scheme not in ("", "data")], path
        for link in page.links + page.loads:
            parts = urlsplit(link)
            if parts.scheme in ("http", "https", "data"):
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path.resolve()
            assert target.is_file(), f"{path}: there is no {link}"
            if parts.fragment and target in ids:
                assert parts.fragment in ids[target], f"{path}: there is no {link}"


def test_ids_are_unique_on_each_page(any_site: Path):
    for path, page in pages(any_site):
        assert len(page.ids) == len(set(page.ids)), path


def test_a_page_has_text_code_output_warning_table_and_pictures(site: Path):
    text = (site / "lessons" / "10_good.html").read_text("utf-8")
    assert "A good lesson &amp; a short one, x &lt; y" in text
    assert "1 &lt; 2 &amp; &lt;/pre&gt;&lt;script&gt;alert(1)" in text and "<script>alert(1)" not in text
    assert "StoppedGradientWarning: backward() stops at BernoulliBackward0" in text and "ipykernel" not in text
    assert "<caption>A mean</caption>" in text and "of x &lt; y" in text
    assert text.count('<div class="picture"><svg') == 3 and "a coin &amp; a product" in text
    assert text.count("<summary>as text</summary>") == 2 and "&lt;p&gt; &amp; q" in text
    assert "<iframe srcdoc=" in text and "Not tried yet" in text and "It ran in" in text
    assert re.search(r'Unlike <a [^>]*href="11_bad.html">.*11_bad.py', text) and 'href="12_' not in text


def test_a_lesson_that_failed_is_shown_with_its_failure(site: Path):
    text = (site / "lessons" / "11_bad.html").read_text("utf-8")
    assert "This lesson failed. Disagreement: Too far: off" in text and "is too far from 25" in text
    assert "before" in text and "Traceback (most recent call last)" in text and 'class="fails"' in text
    assert "11_bad.py" in (site / "index.html").read_text("utf-8")


def test_a_page_of_the_api_has_docstrings_and_formulas(site: Path):
    text = (site / "api" / "tinygrad_rp.ops.special.html").read_text("utf-8")
    assert 'id="tinygrad_rp.lgamma"' in text and "log |Γ(x)|" in text
    assert "Raises" in (site / "api" / "tinygrad_rp.estimators.html").read_text("utf-8")


def test_the_notebooks_can_be_downloaded_and_have_what_they_import(site: Path):
    assert 'href="../notebooks/10_good.ipynb" download' in (site / "lessons" / "10_good.html").read_text("utf-8")
    notebook = json.loads((site / "notebooks" / "10_good.ipynb").read_text("utf-8"))
    assert any(cell.get("outputs") for cell in notebook["cells"])
    assert (site / "notebooks" / "lesson.py").is_file()


PHONE = {"viewport": {"width": 360, "height": 740}}


def test_every_page_fits_a_phone_and_the_console_is_silent(any_site: Path, visit):
    for path, _ in pages(any_site):
        page = visit(path, **PHONE)
        page.wait_for_load_state("networkidle")
        assert page.evaluate("document.documentElement.scrollWidth") <= 360, path


def test_formulas_are_typeset_and_pictures_and_players_work(site: Path, visit):
    page = visit(site / "lessons" / "10_good.html", **PHONE)
    page.locator("mjx-container svg").nth(1).wait_for()
    assert page.locator("mjx-container[display=true] svg").count() == 1
    assert "\\mathbb" not in page.locator("article p").nth(1).inner_text()
    coin = page.locator(".picture > svg").first
    assert coin.bounding_box()["width"] > 200
    page.locator("iframe").scroll_into_view_if_needed()
    page.frame_locator("iframe").locator("#player-next").click()
    assert "tep 2 of" in page.frame_locator("iframe").locator("body").inner_text()


def test_pictures_and_plots_are_dark_where_the_page_is(site: Path, visit):
    for scheme, light in (("light", True), ("dark", False)):
        page = visit(site / "lessons" / "10_good.html", color_scheme=scheme)
        colours = page.evaluate(
            """() => {
            const colour = (query, name) => getComputedStyle(document.querySelector(query))[name];
            const plot = [...document.querySelectorAll(".picture > svg")].at(-1);
            return [colour("body", "backgroundColor"), colour(".picture > svg polygon", "fill"),
                    getComputedStyle(plot.querySelector("text")).fill];
            }"""
        )
        page_, paper, ink = (sum(map(int, re.findall(r"\d+", colour)[:3])) > 384 for colour in colours)
        assert (page_, paper, ink) == (light, light, not light), colours


def test_search_finds_a_word_of_a_lesson(site: Path, visit):
    page = visit(site / "search.html", fragment="?q=unlike")
    found = page.locator("#search-results li a").first
    found.wait_for()
    assert "good" in found.inner_text()
    found.click()
    page.wait_for_url("**/10_good.html*")


# ------------------------------------------------------------------------------------------------------------- the API


def listed() -> list[Any]:
    """The modules that have a page."""
    names = re.findall(
        r"^   ((?:tinygrad_rp|visualize)\S*)$", (ROOT / "docs" / "api.rst").read_text("utf-8"), re.MULTILINE
    )
    return [importlib.import_module(name) for name in names]


def public(module: Any) -> Iterator[Any]:
    """A package and those in it that it names."""
    yield module
    for name in module.__all__:
        if inspect.ismodule(part := getattr(module, name)) and part is not torch.ops:
            yield from public(part)


def test_every_public_name_has_a_page():
    paged = {id(getattr(module, name)) for module in listed() for name in module.__all__}
    missing = [
        f"{module.__name__}.{name}"
        for root in ("tinygrad_rp", "visualize")
        for module in public(importlib.import_module(root))
        for name in module.__all__
        if not inspect.ismodule(item := getattr(module, name)) and id(item) not in paged
    ]
    assert missing == []
    families = {name for module in listed() if ".ops." in module.__name__ for name in module.__all__}
    assert set(torch.ops.__all__) <= families


def docstrings(module: Any) -> Iterator[tuple[str, Any]]:
    """What has a docstring in a module, by its name."""
    yield module.__name__, module
    for name in module.__all__:
        item = getattr(module, name)
        yield f"{module.__name__}.{name}", item
        if inspect.isclass(item):
            yield from (
                (f"{module.__name__}.{name}.{each}", value) for each, value in vars(item).items() if each[0] != "_"
            )


def test_docstrings_are_well_formed():
    spec = importlib.util.spec_from_file_location("docs_conf", ROOT / "docs" / "conf.py")
    assert spec is not None and spec.loader is not None
    conf = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(conf)
    settings = get_default_settings(Parser)
    settings.report_level = 2
    found = {id(item): (name, item) for module in listed() for name, item in docstrings(module)}
    seen, wrong = set(), []
    for name, item in found.values():
        text = inspect.cleandoc(item.__doc__ or "") if hasattr(item, "__name__") or isinstance(item, property) else ""
        if text in seen:
            continue
        seen.add(text)
        lines = text.splitlines()
        conf.escape_a_formula(None, "function", name, item, None, lines)
        settings.warning_stream = io.StringIO()
        Parser().parse(str(GoogleDocstring(lines)), new_document(name, settings))
        wrong += settings.warning_stream.getvalue().splitlines()
    assert len(seen) > 500 and not wrong
