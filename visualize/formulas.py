"""What an operation computes, and by which rule its gradient goes on, by the name of its node: `formulas.json`, which is
written from the engine's declarations (``python docs/operations.py``)."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["Formula", "formula"]

LONGEST = 60
"""Characters of the longest rule that is shown."""

_SUMMANDS = ("tensors",)
"""The inputs of an operation on a list of tensors, of which there may be any number."""


@dataclass(frozen=True, slots=True)
class Formula:
    """What is written down of an operation.

    Args:
        inputs: what its inputs are called.
        value: what it computes: ``"x · y"``.
        rules: for each input, what goes on to it, where ``g`` is the gradient that arrives and ``out`` the result:
            ``{"x": "g * y"}``. Rules that only the engine's own source explains are left out.
    """

    inputs: tuple[str, ...]
    value: str
    rules: Mapping[str, str]


def formula(name: str, count: int) -> Formula | None:
    """The formula of a node of that name with so many inputs; ``None`` where none is written down."""
    for entry in _table().get(name, ()):
        inputs: tuple[str, ...] = tuple(entry["inputs"])
        if inputs == _SUMMANDS:
            inputs = tuple(f"tensors[{i}]" for i in range(count))
        if len(inputs) == count:
            return Formula(inputs, entry["value"], _readable(entry["derivatives"]))
    return None


@functools.cache
def _table() -> Mapping[str, list[dict[str, Any]]]:
    return json.loads(Path(__file__).with_name("formulas.json").read_text("utf-8"))


def _readable(derivatives: Mapping[str, str]) -> dict[str, str]:
    rules = {}
    for name, rule in derivatives.items():
        # either(f, x) is f(x), on arrays and on tensors; whose function it is does not matter here
        rule = re.sub(r"\beither\((\w+), ", r"\1(", rule).replace("np.", "")
        if len(rule) <= LONGEST and not re.search(r"\b_\w", rule):
            rules[name] = rule
    return rules
