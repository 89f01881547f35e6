"""How Sphinx makes the site: lessons, pages of the API, and the two other texts of this folder.

``python -m tutorials`` puts the executed notebooks of the lessons and these texts into one folder and calls Sphinx on it. The
site opens from disk: no page asks for anything but files beside it.
"""

from __future__ import annotations

import importlib.util
import json
import re
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx

import tinygrad_rp as torch
from tinygrad_rp import ops

project = "tinygrad_rp"
version = release = torch.__version__
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.autosummary", "sphinx.ext.napoleon", "sphinx.ext.mathjax"]
exclude_patterns: list[str] = []
templates_path = [str(Path(__file__).parent / "_templates")]

# ----------------------------------------------------------------------------------------------------------- the pages

html_theme = "furo"
html_title = "Where a gradient goes"
html_static_path = ["_static"]
html_css_files = ["tour.css"]
html_theme_options = {
    "light_css_variables": {"color-brand-primary": "#005a94", "color-brand-content": "#005a94"},
    "dark_css_variables": {"color-brand-primary": "#7cc0f0", "color-brand-content": "#7cc0f0"},
}
html_copy_source = False
html_show_copyright = False
html_show_sphinx = False
html_show_search_summary = False  # would fetch the pages that it found, which no browser allows from disk
pygments_style = "xcode"
pygments_dark_style = "github-dark"

# ----------------------------------------------------------------------------------------------------------- notebooks

nb_execution_mode = "off"  # they come executed
nb_merge_streams = True
nb_code_prompt_show = "Show the solution"
nb_code_prompt_hide = "Hide the solution"
nb_ipywidgets_js: dict[str, Any] = {}  # they would come from the network
myst_enable_extensions = ["dollarmath", "amsmath", "colon_fence"]
myst_heading_anchors = 3

# --------------------------------------------------------------------------------------------------------- mathematics

# MathJax that draws formulas as SVG is one file, and needs no fonts
_mathjax = importlib.util.find_spec("sphinx-mathjax-offline")
assert _mathjax is not None and _mathjax.origin is not None
html_static_path.append(str(Path(_mathjax.origin).parent / "static" / "mathjax" / "tex-svg-full.js"))
mathjax_path = "tex-svg-full.js"
mathjax3_config = {"options": {"enableMenu": False}}  # the menu would load more

# ----------------------------------------------------------------------------------------------------------------- API

default_role = "py:obj"
autosummary_ignore_module_all = False
autosummary_imported_members = True
autodoc_default_options = {"members": True}
autodoc_inherit_docstrings = False  # what all distributions have in common stands with Distribution
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
maximum_signature_line_length = 88
autosummary_context = {
    # what a page leaves to another page
    "elsewhere": {"tinygrad_rp": ops.__all__, "tinygrad_rp.autograd": torch.__all__},
    "methods": ", ".join(f"{name}, {name}_" for name in ops.__all__),
}
add_module_names = False
toc_object_entries_show_parents = "hide"
napoleon_numpy_docstring = False


def tell_of_the_run(app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: Any) -> None:
    """Give the template of a lesson what is known of its run, and that of the first page which lessons failed."""
    runs = {
        f"lessons/{path.stem}": json.loads(path.read_text("utf-8"))["metadata"]["tour"]
        for path in sorted(Path(app.srcdir, "lessons").glob("*.ipynb"))
    }
    context["run"] = runs.get(page)
    if page == app.config.root_doc:
        context["failed"] = [(page, run) for page, run in runs.items() if run["failure"]]


def escape_a_formula(app: Sphinx, what: str, name: str, item: Any, options: Any, lines: list[str]) -> None:
    """Take the docstring of an operation that was made from its declaration for what it is: a formula, not markup."""
    if getattr(item, "__module__", "") == "tinygrad_rp" and what in ("function", "method"):
        lines[:] = [re.sub(r"([*|`_\\])", r"\\\1", line) for line in lines]


def setup(app: Sphinx) -> None:
    app.connect("html-page-context", tell_of_the_run)
    app.connect("autodoc-process-docstring", escape_a_formula)
