"""The page of the tour: all lessons with their text, code, output and pictures, in one HTML file.

It opens from disk and needs no network: no script, no font, no style from elsewhere; the pictures lie beside it.
"""

from __future__ import annotations

import html
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from markdown_it import MarkdownIt
from pygments import highlight  # type: ignore[import-untyped]
from pygments.formatters import HtmlFormatter  # type: ignore[import-untyped]
from pygments.lexers import PythonLexer  # type: ignore[import-untyped]

from tutorials.cells import Cell

__all__ = ["Lesson", "render"]

MARKDOWN = MarkdownIt("commonmark", {"html": False}).enable("table")

STYLE = """
:root { color-scheme: light dark; --ink: #1c1c1c; --paper: #ffffff; --soft: #f5f5f3; --line: #dcdcd8; --dim: #5f5f5b;
        --accent: #0062a0; --bad: #b03a00; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6e6e3; --paper: #17181a; --soft: #202225; --line: #3a3d41; --dim: #a2a29d;
          --accent: #7cc0f0; --bad: #ff9a6b; }
}
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1rem 1rem 4rem; max-width: 54rem; color: var(--ink); background: var(--paper);
       font: 1.0625rem/1.6 system-ui, sans-serif; overflow-wrap: break-word; }
h1, h2, h3 { line-height: 1.25; margin: 2em 0 0.6em; }
h1 { font-size: 1.75rem; }
h2 { font-size: 1.35rem; }
h3 { font-size: 1.1rem; }
header h1 { margin-top: 0.5em; font-size: 2rem; }
article h1 { margin-top: 0.5em; }
p, ul, ol, h1, h2, h3, blockquote { max-width: 44rem; }
article { border-top: 3px solid var(--line); margin-top: 4rem; }
a { color: var(--accent); }
nav li { margin: 0.3em 0; }
.dim { color: var(--dim); font-size: 0.9em; }
.failed { color: var(--bad); font-weight: 600; }
code, pre { font: 0.8125rem/1.5 ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace; }
:not(pre) > code { background: var(--soft); padding: 0.1em 0.3em; border-radius: 3px; font-size: 0.88em; }
pre { overflow-x: auto; margin: 0.6rem 0; padding: 0.7rem 0.9rem; border-radius: 5px; }
pre.code { background: var(--soft); }
pre.output { border: 1px solid var(--line); border-left: 4px solid var(--accent); }
pre.failure { border: 2px solid var(--bad); }
figure { margin: 1rem 0; }
figure a { display: block; overflow-x: auto; background: #ffffff; border: 1px solid var(--line); border-radius: 5px;
           text-align: center; }
figure img { display: inline-block; max-width: 100%; height: auto; vertical-align: middle; }
summary { cursor: pointer; color: var(--dim); font-size: 0.9em; }
table { border-collapse: collapse; display: block; overflow-x: auto; }
th, td { border: 1px solid var(--line); padding: 0.3em 0.7em; text-align: left; }
blockquote { margin: 1rem 0; padding: 0.1rem 1rem; border-left: 4px solid var(--accent); background: var(--soft); }
@media (max-width: 40rem) { pre.output { font-size: 0.6875rem; padding: 0.6rem; } pre.code { font-size: 0.75rem; } }
"""


@dataclass
class Lesson:
    """One lesson of the tour, after its run.

    Args:
        path: the script.
        cells: what it consists of.
        results: one entry for each code cell that ran, as `tutorials.cells.run` wrote it.
        seconds: how long the run took.
        failure: why it failed, where no cell says so; empty otherwise.
    """

    path: Path
    cells: list[Cell]
    results: list[dict[str, Any]]
    seconds: float
    failure: str = ""

    @property
    def failed(self) -> bool:
        """Whether something went wrong."""
        return bool(self.failure) or any(result["failed"] for result in self.results)

    @property
    def title(self) -> str:
        """The first heading, or the name of the file."""
        for cell in self.cells:
            heading = re.search(r"^# (.+)$", cell.text, re.MULTILINE) if cell.kind == "markdown" else None
            if heading:
                return heading[1]
        return self.path.stem


def render(lessons: list[Lesson], folder: Path) -> str:
    """The page as text.

    Args:
        lessons: in the order in which they are shown.
        folder: where the page will lie; the pictures are in its directory ``pictures``.
    """
    entries = []
    for lesson in lessons:
        state = (
            '<span class="failed">failed</span>'
            if lesson.failed
            else f'<span class="dim">{lesson.seconds:.0f} s</span>'
        )
        entries.append(f'<li><a href="#{_id(lesson)}">{html.escape(lesson.title)}</a> {state}</li>')
    return "\n".join(
        [
            "<!DOCTYPE html>",
            '<html lang="en">',
            "<head>",
            '<meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            "<title>Where a gradient goes: the tour</title>",
            f"<style>{STYLE}{_colours()}</style>",
            "</head>",
            "<body>",
            "<header>",
            "<h1>Where a gradient goes, where it stops, and why</h1>",
            "<p>The lessons, as they ran on this machine: text, code, what the code printed, and the graphs it drew. "
            "Each is a script in <code>tutorials/</code> that you can run, change and run again.</p>",
            "</header>",
            "<nav><ol>",
            *entries,
            "</ol></nav>",
            "<main>",
            *(_article(lesson, folder) for lesson in lessons),
            "</main>",
            "</body>",
            "</html>",
            "",
        ]
    )


def _id(lesson: Lesson) -> str:
    return "lesson-" + re.sub(r"[^A-Za-z0-9_-]", "-", lesson.path.stem)


def _article(lesson: Lesson, folder: Path) -> str:
    parts = [f'<article id="{_id(lesson)}">', f'<p class="dim"><code>{html.escape(lesson.path.name)}</code></p>']
    results = iter(lesson.results)
    for cell in lesson.cells:
        if cell.kind == "markdown":
            parts.append(MARKDOWN.render(cell.text).rstrip())
            continue
        parts.append(f'<pre class="code"><code>{_code(cell.text)}</code></pre>')
        result = next(results, None)
        if result is None:
            parts.append('<p class="failed">This cell did not run, because the lesson ended before it.</p>')
            continue
        if result["output"].strip():
            kind = "output failure" if result["failed"] else "output"
            parts.append(f'<pre class="{kind}">{html.escape(result["output"].rstrip())}</pre>')
        parts += [_picture(folder, f"pictures/{name}", text) for name, text in result["pictures"]]
    if lesson.failure:
        parts.append(f'<pre class="output failure">{html.escape(lesson.failure)}</pre>')
    return "\n".join([*parts, "</article>"])


def _picture(folder: Path, file: str, text: str) -> str:
    """A picture that can be opened by itself, and the same graph as text for those who do not see it."""
    tree = f"<pre>{html.escape(text)}</pre>"
    name, link = html.escape(Path(file).stem), quote(file)
    if not file.endswith(".svg"):
        return f'{tree}\n<p class="dim">The same for Graphviz: <a href="{link}">{html.escape(file)}</a></p>'
    width = re.search(r'<svg width="([0-9.]+)pt"', (folder / file).read_text(encoding="utf-8"))
    # on a phone, a wide picture rather moves sideways than becomes too small: 0.8 pixels a point can still be read
    style = f' style="min-width: {0.8 * float(width[1]):.0f}px"' if width else ""
    return (
        f'<figure>\n<a href="{link}"><img src="{link}" alt="the graph {name}; its text follows"{style}></a>\n'
        f"<figcaption><details><summary>{name} as text</summary>{tree}</details></figcaption>\n</figure>"
    )


def _code(text: str) -> str:
    return str(highlight(text, PythonLexer(), HtmlFormatter(nowrap=True))).rstrip("\n")


def _colours() -> str:
    light = HtmlFormatter(style="xcode").get_style_defs("pre.code")
    dark = HtmlFormatter(style="github-dark").get_style_defs("pre.code")
    # the style's own background and line numbers are of no use here
    light, dark = ("\n".join(x for x in css.splitlines() if x.startswith("pre.code .")) for css in (light, dark))
    return f"{light}\n@media (prefers-color-scheme: dark) {{\n{dark}\n}}\n"
