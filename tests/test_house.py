"""The rules of the house: which room imports which, what an import costs, what the wheel contains."""

from __future__ import annotations

import ast
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "tinygrad_rp"

# room → the rooms that it may import
ALLOWED = {
    "graph": set(),
    "printing": set(),
    "kernels": set(),
    "random": {"kernels"},
    "engine": {"graph", "kernels"},
    "tensor": {"engine", "graph", "printing"},
    "in_place": {"tensor", "engine", "graph"},
    "operation": {"in_place", "tensor", "engine", "graph", "kernels"},
    "hooks": {"tensor", "engine", "graph"},
    "function": {"in_place", "tensor", "engine", "graph"},
    "ops": {"operation", "in_place", "tensor", "graph", "random", "kernels"},
    "linalg": {"ops"},
    "distributions": {"ops", "operation", "function", "random", "tensor", "engine", "graph"},
    "estimators": {"distributions", "ops", "random", "tensor", "engine"},
    "nn": {"operation", "ops", "in_place", "hooks", "random", "tensor", "engine", "graph"},
    "serialization": {"nn", "tensor", "graph"},
    "utils": {"ops", "random", "tensor"},
    "optim": {"kernels", "tensor", "engine", "graph"},
    "gradcheck": {"tensor", "engine"},
    "autograd": {"engine", "function", "gradcheck", "hooks", "ops", "tensor"},
}


def room(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports(path: Path):
    """The modules that a file imports, wherever in it, with the line."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: imports are written out"
            names = (
                [f"{node.module}.{alias.name}" for alias in node.names]
                if node.module == "tinygrad_rp"
                else [node.module]
            )
            yield from ((name, node) for name in names)


SOURCES = sorted(p for p in PACKAGE.rglob("*.py") if p != PACKAGE / "__init__.py")


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_between_rooms_point_one_way(path):
    here = room(path)
    for name, node in imports(path):
        if name.partition(".")[0] == "tinygrad_rp":
            there = name.split(".")[1]
            assert there == here or there in ALLOWED[here], f"{path}:{node.lineno}: {here} must not import {there}"


def test_the_rooms_cannot_form_a_circle():
    left = dict(ALLOWED)
    while left:
        free = [name for name, needs in left.items() if not needs & set(left)]
        assert free, f"a circle among {sorted(left)}"
        for name in free:
            del left[name]


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_stand_at_the_top(path):
    tree = ast.parse(path.read_text("utf-8"))
    inner = [n for f in ast.walk(tree) if isinstance(f, ast.FunctionDef | ast.ClassDef) for n in ast.walk(f)]
    assert [n.lineno for n in inner if isinstance(n, ast.Import | ast.ImportFrom)] == []


@pytest.mark.parametrize("path", sorted((ROOT / "visualize").rglob("*.py")), ids=lambda p: p.name)
def test_visualize_reads_the_protocol_and_imports_no_engine(path):
    names = {name.partition(".")[0] for name, _ in imports(path)}
    assert not names & {"tinygrad_rp", "torch", "numba"}


def loaded_by(statement: str) -> set[str]:
    code = f"{statement}\nimport sys\nprint('\\n'.join(sys.modules))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    return set(result.stdout.split())


def test_importing_the_engine_imports_neither_numba_nor_graphviz():
    loaded = loaded_by("import tinygrad_rp")
    assert "numpy" in loaded
    assert not loaded & {"numba", "graphviz", "torch", "scipy", "visualize"}


def test_the_wheel_holds_both_packages_and_their_marks_of_types(tmp_path):
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(tmp_path), str(ROOT)],
        check=True,
    )
    (wheel,) = tmp_path.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    expected = {
        str(p.relative_to(ROOT))
        for package in ("tinygrad_rp", "visualize")
        for p in (ROOT / package).rglob("*")
        if p.is_file() and "__pycache__" not in p.parts
    }
    assert expected <= names
    assert {"tinygrad_rp/py.typed", "visualize/py.typed"} <= names
    assert {name.split("/")[0] for name in names if ".dist-info" not in name} == {"tinygrad_rp", "visualize"}
