"""What is written down of the operations is what runs."""

from __future__ import annotations

import importlib.util
from pathlib import Path

DOCS = Path(__file__).parent.parent / "docs"


def generator():
    spec = importlib.util.spec_from_file_location("operations_table", DOCS / "operations.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_table_of_operations_is_up_to_date():
    written = (DOCS / "operations.md").read_text("utf-8")
    assert written == generator().table(), "run: python docs/operations.py"


def test_a_derivative_is_shown_as_the_expression_that_runs():
    row = next(line for line in generator().table().splitlines() if line.startswith("| `mul("))
    assert "x: `g * y`<br>y: `g * x`" in row and "MulBackward0" in row
