"""What is written down of the operations is what runs."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import numpy as np
import pytest

import tinygrad_rp as tg
from tinygrad_rp.autograd import gradcheck, gradgradcheck
from tinygrad_rp.operation import OPERATIONS, elementwise

DOCS = Path(__file__).parent.parent / "docs"


def script(name):
    spec = importlib.util.spec_from_file_location(f"docs_{name}", DOCS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def generator():
    return script("operations")


def test_the_table_of_operations_is_up_to_date():
    written = (DOCS / "operations.md").read_text("utf-8")
    assert written == generator().table(), "run: python docs/operations.py"


def test_the_formulas_for_pictures_are_those_of_the_declarations():
    assert generator().FORMULAS.read_text("utf-8") == generator().formulas(), "run: python docs/operations.py"


@pytest.mark.parametrize(
    "name", ["naive_gaussian", "reparameterised_gaussian", "straight_through", "gumbel_softmax", "vae"]
)
def test_the_pictures_of_the_readme_are_what_is_drawn_today(name):
    module = script("pictures")
    picture = next(each for each in module.PICTURES if each.__name__ == name)
    kept, now = (module.FOLDER / f"{name}.dot").read_text("utf-8"), module.drawn(picture).source
    if name == "vae":  # sums of many products round differently on other machines
        kept, now = (re.sub(r"-?\d+(\.\d+)?(e-\d+)?", "0", text) for text in (kept, now))
    assert now == kept, "run: python docs/pictures.py, and look at the pictures"


def test_what_the_readme_links_to_is_there():
    text = (DOCS.parent / "README.md").read_text("utf-8")
    for target in re.findall(r"\]\(([^)#\s]+)|src=\"([^\"]+)\"", text):
        file = target[0] or target[1]
        assert file.startswith("http") or (DOCS.parent / file).exists(), file


def test_a_derivative_is_shown_as_the_expression_that_runs():
    row = next(line for line in generator().table().splitlines() if line.startswith("| `mul("))
    assert "x: `g * y`<br>y: `g * x`" in row and "MulBackward0" in row


def test_the_operation_that_the_architecture_page_adds_is_all_there_is_to_write():
    text = (DOCS / "architecture.md").read_text("utf-8")
    diff = text.partition("```diff\n")[2].partition("```")[0].partition("@@")[2]
    declaration = "\n".join(line[1:] for line in diff.splitlines() if line.startswith("+"))
    namespace = {"__name__": "tinygrad_rp.ops.special", "np": np, "elementwise": elementwise}
    try:
        exec(declaration, namespace)
        x = tg.tensor([0.3, 0.7, 1.9], dtype=tg.float64, requires_grad=True)
        assert gradcheck(namespace["sinc"], [x]) and gradgradcheck(namespace["sinc"], [x])
        np.testing.assert_allclose(np.sinc(x).detach().numpy(), np.sinc(x.detach().numpy()))
        assert x.sinc().grad_fn.name() == "SincBackward0"
        assert x.detach().clone().sinc_().tolist() == x.sinc().tolist()
    finally:
        OPERATIONS.pop("sinc", None)
        tg.Tensor._numpy_functions.pop(np.sinc, None)
        for name in ("sinc", "sinc_"):
            if hasattr(tg.Tensor, name):
                delattr(tg.Tensor, name)
