"""A real browser for the tests of pages: headless Chromium, driven by Playwright.

A test module that says ``pytest_plugins = ["browser"]`` has the fixtures ``chromium`` and ``visit``; ``visit(path)`` opens
a page. When the test is over, a page that asked for anything but files and data, or that wrote an error to its console,
fails it.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

try:
    from playwright.sync_api import Browser, Error, Page, Playwright, sync_playwright
except ImportError:
    Browser = Page = Playwright = Any
    sync_playwright = None

PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
).split()
LOCAL = ("file:", "data:", "about:", "blob:")
"""What a page may ask for: nothing that leaves the machine."""


def program(playwright: Playwright) -> str | None:
    """The path of a Chromium, installed by the system or by Playwright; ``None`` where there is none."""
    found = next(filter(None, map(shutil.which, PROGRAMS)), None)
    own = playwright.chromium.executable_path
    return found or (own if Path(own).exists() else None)


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """A running browser; tests are skipped where none can be had."""
    if sync_playwright is None:
        pytest.skip("no browser: the package playwright is not installed")
    with sync_playwright() as playwright:
        path = program(playwright)
        if path is None:
            pytest.skip("no browser: neither Chromium nor Chrome was found; python tests/setup_browser.py installs one")
        try:
            browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        except Error as error:
            pytest.skip(f"no browser: {path} does not start: {str(error).splitlines()[0]}")
        yield browser
        browser.close()


class Pages:
    """Pages that are kept open, one for each set of options, since to open one takes longer than most tests."""

    def __init__(self, browser: Browser) -> None:
        self.browser = browser
        self.wrong: list[str] = []
        """What pages did that none should do."""
        self._open: dict[str, Page] = {}
        self._visited: set[Page] = set()

    def visit(self, path: Path, *, fragment: str = "", **options: Any) -> Page:
        """Show a file in the page that has these options, in place of what it showed before.

        Args:
            path: the file.
            fragment: what follows it in the address: ``"#step=3"``.
            options: those of a context of Playwright: ``color_scheme="dark"``, ``viewport={"width": 360, "height": 740}``.
        """
        key = repr(sorted(options.items()))
        page = self._open.get(key)
        if page is None:
            page = self._open[key] = self.browser.new_context(**options).new_page()
            page.on(
                "console", lambda said: self.wrong.append(f"console: {said.text}") if said.type == "error" else None
            )
            page.on("pageerror", lambda error: self.wrong.append(f"error: {error}"))
            page.on("dialog", lambda dialog: (self.wrong.append(f"dialog: {dialog.message}"), dialog.dismiss()))
            page.on("request", self._note)
        if page in self._visited:
            page.goto("about:blank")  # to another fragment of the same file, a page would not load anew
        self._visited.add(page)
        page.goto(path.resolve().as_uri() + fragment)
        return page

    def leave(self) -> None:
        """Let go of what is shown, so that nothing runs on."""
        for page in self._visited:
            page.goto("about:blank")
        self._visited.clear()

    def _note(self, request: Any) -> None:
        if not request.url.startswith(LOCAL):
            self.wrong.append(f"request: {request.url}")


@pytest.fixture(scope="session")
def pages(chromium: Browser) -> Pages:
    return Pages(chromium)


@pytest.fixture
def visit(pages: Pages) -> Iterator[Callable[..., Page]]:
    """`Pages.visit`; after the test, what the pages did wrong fails it."""
    pages.wrong.clear()
    yield pages.visit
    pages.leave()
    assert not pages.wrong, pages.wrong
