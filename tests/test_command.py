"""The command ``python -m visualize``: what it runs, what it shows, and what it says where something is wrong."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from visualize.__main__ import main

HAS_GRAPHVIZ = shutil.which("dot") is not None or importlib.util.find_spec("pygraphviz") is not None
needs_graphviz = pytest.mark.skipif(not HAS_GRAPHVIZ, reason="no Graphviz: neither dot nor pygraphviz")

pytestmark = pytest.mark.filterwarnings("ignore::tinygrad_rp.StoppedGradientWarning")

GAUSSIAN = """\
import sys
import {engine} as torch
from beside import scale

torch.manual_seed(0)
print("the script says", __name__, sys.argv)
mu = torch.tensor([12.0], requires_grad=True)
std = torch.tensor([42.0], requires_grad=True)
z = torch.normal(mu, std)
naive = z**2
eps = torch.randn_like(std)
pathwise = (eps * std + mu) ** 2
losses = [naive, pathwise]
table = {{"loss": pathwise}}
number = 3.0


class Model:
    pass


model = Model()
model.loss = pathwise * scale
"""


@pytest.fixture(params=["tinygrad_rp", "torch"])
def script(request, tmp_path):
    """A script of either engine, in a folder with a module that it imports."""
    pytest.importorskip(request.param)
    return write(tmp_path, GAUSSIAN.format(engine=request.param))


@pytest.fixture
def ours(tmp_path):
    return write(tmp_path, GAUSSIAN.format(engine="tinygrad_rp"))


def write(folder, text):
    (folder / "beside.py").write_text("scale = 2.0\n")
    (folder / "gauss.py").write_text(text)
    return folder / "gauss.py"


@pytest.fixture(autouse=True)
def in_the_folder(tmp_path, monkeypatch):
    """The command runs in the folder of the script, and what it leaves in the interpreter is put right again."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr(sys, "argv", [*sys.argv])
    monkeypatch.setitem(sys.modules, "__main__", sys.modules["__main__"])
    sys.modules.pop("beside", None)


def run(*arguments, cwd=None):
    """The command in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "visualize", *map(str, arguments)],
        capture_output=True,
        encoding="utf-8",
        cwd=cwd,
        env=os.environ | {"PYTHONIOENCODING": "utf-8"},
    )


# ------------------------------------------------------------------------------------------------------- what it shows


def test_without_a_file_the_graph_is_printed_with_the_names_of_the_script(script, capsys):
    assert main(["gauss.py:naive"]) == 0
    said = capsys.readouterr()
    lines = said.out.splitlines()
    assert lines[0] == "the script says __main__ ['gauss.py']"
    assert re.match(r"#0 <PowBackward0>  naive, losses\[0\] = \[", lines[1])
    assert "leaf mu = [12]" in said.out and "random draw, z = [" in said.out
    assert said.err == ""


@pytest.mark.parametrize(
    ("variable", "root"),
    [
        ("losses[1]", "#0 <PowBackward0>"),
        ("losses[-1]", "#0 <PowBackward0>"),
        ("table['loss']", "#0 <PowBackward0>"),
        ("model.loss", "#0 <MulBackward0>"),
        ("naive.grad_fn", "#0 <PowBackward0>"),
        ("mu", "#0 <AccumulateGrad>"),
    ],
)
def test_a_variable_may_lie_inside_another(ours, capsys, variable, root):
    assert main([f"gauss.py:{variable}"]) == 0
    assert root in capsys.readouterr().out


def test_a_text_file_holds_what_would_be_printed(ours, capsys):
    assert main(["gauss.py:pathwise", "-o", "graph.txt"]) == 0
    said = capsys.readouterr()
    assert said.err == "graph.txt: 6 nodes\n"
    assert said.out.count("\n") == 1  # the script's own line
    assert Path("graph.txt").read_text("utf-8").startswith("#0 <PowBackward0>  pathwise, losses[1], table['loss'] = [")


def test_the_dot_text_is_written_without_graphviz(script, capsys):
    assert main(["gauss.py:naive", "-o", "graph.dot"]) == 0
    assert capsys.readouterr().err == "graph.dot: 4 nodes\n"
    assert "NormalBackward3" in Path("graph.dot").read_text("utf-8")


@needs_graphviz
@pytest.mark.parametrize(
    ("suffix", "magic"), [(".svg", b"<?xml"), (".png", b"\x89PNG"), (".pdf", b"%PDF"), (".SVG", b"<?xml")]
)
def test_the_suffix_of_the_file_says_what_is_written(ours, suffix, magic):
    assert main(["gauss.py:naive", "-o", f"graph{suffix}"]) == 0
    assert Path(f"graph{suffix}").read_bytes().startswith(magic)


@needs_graphviz
def test_a_page_to_step_through_is_written(script, capsys):
    assert main(["gauss.py:pathwise", "-o", "steps.html"]) == 0
    assert capsys.readouterr().err.startswith("steps.html: ")
    page = Path("steps.html").read_text("utf-8")
    assert "<svg" in page and "pathwise" in page


def test_a_part_of_the_graph_can_be_shown(script, capsys):
    assert main(["gauss.py:pathwise", "--to", "std"]) == 0
    said = capsys.readouterr().out
    assert "leaf std" in said and "leaf mu" not in said
    assert main(["gauss.py:pathwise", "--to", "std", "-o", "part.dot"]) == 0
    assert "<B>mu</B>" not in Path("part.dot").read_text("utf-8")


def test_a_gradient_is_explained(script, capsys):
    assert main(["gauss.py:naive", "--explain", "mu"]) == 0
    assert "The gradient of mu is 0, exactly." in capsys.readouterr().out
    assert main(["gauss.py:naive", "--explain"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:2] for line in lines if line.startswith(("mu", "std"))] == [["mu", "zero"], ["std", "zero"]]


def test_an_explanation_is_written_as_a_picture_and_as_text(ours):
    assert main(["gauss.py:naive", "--explain", "mu", "-o", "why.dot"]) == 0
    assert "digraph" in Path("why.dot").read_text("utf-8")
    assert main(["gauss.py:naive", "--explain", "mu", "-o", "why.txt"]) == 0
    assert Path("why.txt").read_text("utf-8").startswith("The gradient of mu is 0")


def test_two_variables_are_compared(script, capsys):
    assert main(["gauss.py:naive", "--compare", "pathwise"]) == 0
    assert "- mu: zeros arrive in naive, a gradient in pathwise" in capsys.readouterr().out
    assert main(["gauss.py:naive", "--compare", "pathwise", "-o", "both.dot", "--theme", "dark"]) == 0
    assert capsys.readouterr().err == "both.dot: 4 and 6 nodes\n"
    assert '"b-n1"' in Path("both.dot").read_text("utf-8")


def test_options_of_drawing_are_passed_on(ours):
    def drawn(*options):
        assert main(["gauss.py:pathwise", "-o", "graph.dot", *options]) == 0
        return Path("graph.dot").read_text("utf-8")

    assert drawn() == drawn("--theme", "light")
    assert len({drawn(), drawn("--theme", "dark"), drawn("--heat")}) == 3


def test_a_large_graph_is_folded_unless_it_is_asked_not_to_be(tmp_path):
    write(
        tmp_path,
        "import tinygrad_rp as torch\nx = h = torch.tensor([1.0], requires_grad=True)\n"
        "for _ in range(300):\n    h = torch.tanh(h)\n",
    )
    sizes = {}
    for option in ("--fold", "--no-fold"):
        assert main(["gauss.py:h", "-o", "graph.dot", option]) == 0
        sizes[option] = Path("graph.dot").read_text("utf-8").count("TanhBackward0")
    assert sizes["--fold"] < 10 and sizes["--no-fold"] >= 300


# ----------------------------------------------------------------------------------------------------- how it runs a script


def test_it_runs_as_a_command_from_anywhere(script, tmp_path_factory):
    done = run(f"{script}:naive", cwd=tmp_path_factory.mktemp("elsewhere"))
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"the script says __main__ ['{script}']\n#0 <PowBackward0>  naive")


def test_a_script_that_fails_is_shown_as_python_shows_it(tmp_path):
    (tmp_path / "bad.py").write_text("def inverse(x):\n    return 1 / x\n\n\ninverse(0)\n")
    shown = run("bad.py:loss", cwd=tmp_path)
    plain = subprocess.run([sys.executable, tmp_path / "bad.py"], capture_output=True, encoding="utf-8")
    assert shown.returncode == plain.returncode == 1
    assert shown.stderr.splitlines()[-1] == plain.stderr.splitlines()[-1] == "ZeroDivisionError: division by zero"
    assert re.findall(r'File "(.*)", line (\d+)', shown.stderr) == re.findall(r'File "(.*)", line (\d+)', plain.stderr)


def test_a_script_that_cannot_be_read_as_python_is_shown_as_python_shows_it(tmp_path, capsys):
    (tmp_path / "bad.py").write_text("x = 1\ndef (\n")
    assert main(["bad.py:x"]) == 1
    error = capsys.readouterr().err
    assert "SyntaxError" in error and "line 2" in error and "__main__.py" not in error


def test_annotations_of_a_script_are_computed_as_they_are_without_the_command(tmp_path, capsys):
    write(
        tmp_path,
        "import tinygrad_rp as torch\ndef f(x: int): pass\nassert f.__annotations__ == {'x': int}\n"
        "y = torch.ones(1, requires_grad=True) * 2\n",
    )
    assert main(["gauss.py:y"]) == 0


def test_a_script_that_ends_well_by_itself_is_shown_and_one_that_does_not_hands_on_its_status(ours, capsys):
    for end in ("sys.exit()", "sys.exit(0)", "raise SystemExit"):
        ours.write_text(GAUSSIAN.format(engine="tinygrad_rp") + end)
        assert main(["gauss.py:naive"]) == 0
    ours.write_text(GAUSSIAN.format(engine="tinygrad_rp") + "sys.exit(7)")
    with pytest.raises(SystemExit) as end:
        main(["gauss.py:naive"])
    assert end.value.code == 7


def test_a_file_is_written_where_the_command_began_although_the_script_goes_elsewhere(ours, tmp_path):
    (tmp_path / "inner").mkdir()
    ours.write_text(GAUSSIAN.format(engine="tinygrad_rp") + "import os\nos.chdir('inner')\n")
    assert main(["gauss.py:naive", "-o", "graph.dot"]) == 0
    assert (tmp_path / "graph.dot").is_file()


def test_functions_of_the_script_still_find_its_variables_when_it_has_ended(tmp_path):
    write(
        tmp_path,
        "import tinygrad_rp as torch\nfactor = 5.0\n"
        "class Scale(torch.autograd.Function):\n"
        "    @staticmethod\n    def forward(ctx, x):\n        return x * factor\n"
        "    @staticmethod\n    def backward(ctx, g):\n        return g * factor\n"
        "x = torch.tensor([1.0], requires_grad=True)\ny = Scale.apply(x)\n",
    )
    assert main(["gauss.py:y", "--explain", "x", "-o", "why.txt"]) == 0
    assert "5" in Path("why.txt").read_text("utf-8")


def test_a_reader_that_has_seen_enough_ends_the_command_without_a_word(tmp_path):
    write(
        tmp_path,
        "import tinygrad_rp as torch\nh = torch.tensor([1.0], requires_grad=True)\n"
        "for _ in range(3000):\n    h = torch.tanh(h)\n",
    )
    with subprocess.Popen(
        [sys.executable, "-m", "visualize", "gauss.py:h"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=tmp_path
    ) as process:
        assert process.stdout is not None and process.stderr is not None
        assert process.stdout.readline().startswith(b"#0 <TanhBackward0>")
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait() == 1


# ------------------------------------------------------------------------------------------------------------ what is wrong


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["none.py:loss"], "there is no script 'none.py'. Write SCRIPT:VARIABLE, such as train.py:loss"),
        (["loss"], "there is no script 'loss'. Write SCRIPT:VARIABLE, such as train.py:loss"),
        (["gauss.py"], "which variable of gauss.py? Write gauss.py:VARIABLE, such as gauss.py:loss"),
        (["gauss.py:naive", "-o", "graph.jpg"], "cannot write 'graph.jpg': its suffix must be one of .svg, .png, .pdf, .dot,"),
        (["gauss.py:naive", "-o", "none/graph.svg"], "there is no folder none to write graph.svg in; make it before"),
        (["gauss.py:naive", "--heat"], "--heat does not go with a text: it is for a picture"),
        (["gauss.py:naive", "--no-fold", "-o", "a.html"], "--fold does not go with a player: it is for a picture"),
        (["gauss.py:naive", "--explain", "--to", "mu"], "--to does not go with an explanation: it is for a picture or a text"),
        (["gauss.py:naive", "--compare", "pathwise", "-o", "a.html"], "a player (.html) shows one graph, and no comparison"),
        (["gauss.py:naive", "--explain", "-o", "a.html"], "a player (.html) shows one graph, and no explanation"),
    ],
)  # fmt: skip
def test_arguments_that_cannot_be_meant_are_told_before_the_script_runs(ours, capsys, arguments, message):
    assert main(arguments) == 2
    said = capsys.readouterr()
    assert said.out == ""  # the script did not run
    assert said.err.startswith(f"visualize: {message}") and said.err.count("\n") == 1


KNOWN = "Its tensors with a graph: z, naive, pathwise, losses[0], losses[1], table['loss']"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["gauss.py:nope"], f"gauss.py has no nope (no such name). {KNOWN}"),
        (["gauss.py:losses[7]"], f"gauss.py has no losses[7] (IndexError: list index out of range). {KNOWN}"),
        (["gauss.py:table['x']"], f"gauss.py has no table['x'] (KeyError: 'x'). {KNOWN}"),
        (["gauss.py:number[0]"], "gauss.py has no number[0] (TypeError: 'float' object is not subscriptable)."),
        (["gauss.py:model.nope"], "gauss.py has no model.nope (AttributeError: 'Model' object has no attribute 'nope')."),
        (["gauss.py:number"], f"number of gauss.py is no tensor but of type float. {KNOWN}"),
        (["gauss.py:losses"], f"losses of gauss.py is no tensor but of type list. {KNOWN}"),
        (["gauss.py:losses[0"], "'losses[0' is no variable: write a name, with attributes or indices"),
        (["gauss.py:print(1)"], "'print(1)' is no variable: write a name, with attributes or indices"),
        (["gauss.py:losses[number]"], "'losses[number]' is no variable: write a name, with attributes or indices"),
        (["gauss.py:"], "'' is no variable: write a name, with attributes or indices"),
        (["gauss.py:naive", "--to", "nope"], f"gauss.py has no nope (no such name). {KNOWN}"),
        (["gauss.py:naive", "--to", "eps"], "naive of gauss.py: no way leads from it to eps, which --to names"),
        (["gauss.py:naive", "--explain", "number"], "number of gauss.py is no tensor but of type float."),
        (["gauss.py:naive", "--compare", "nope"], f"gauss.py has no nope (no such name). {KNOWN}"),
    ],
)  # fmt: skip
def test_a_variable_that_is_not_there_or_no_tensor_is_told_with_those_that_are(ours, capsys, arguments, message):
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"visualize: {message}") and error.count("\n") == 1


def test_a_script_without_any_graph_says_so(tmp_path, capsys):
    write(tmp_path, "import tinygrad_rp as torch\nx = torch.tensor([1.0])\n")
    assert main(["gauss.py:x"]) == 2
    assert "x of gauss.py: this tensor has no graph" in capsys.readouterr().err
    assert main(["gauss.py:y"]) == 2
    assert (
        "It has no tensor with a graph: nothing was computed from a tensor with requires_grad"
        in capsys.readouterr().err
    )


def test_heat_after_backward_is_an_error_and_no_file_is_left(ours, capsys, tmp_path):
    ours.write_text(GAUSSIAN.format(engine="tinygrad_rp") + "pathwise.backward()\n")
    assert main(["gauss.py:pathwise", "-o", "graph.dot", "--heat"]) == 2
    assert "pathwise of gauss.py: heat=True needs what the nodes saved" in capsys.readouterr().err
    assert not (tmp_path / "graph.dot").exists()


def test_arguments_that_exclude_each_other_are_an_error(ours, capsys):
    with pytest.raises(SystemExit) as end:
        main(["gauss.py:naive", "--explain", "mu", "--compare", "pathwise"])
    assert end.value.code == 2
    with pytest.raises(SystemExit):
        main(["gauss.py:naive", "-o", "graph.svg", "--theme", "blue"])
    assert "invalid choice: 'blue'" in capsys.readouterr().err


def test_the_help_names_every_option(capsys):
    with pytest.raises(SystemExit):
        main(["--help"])
    said = capsys.readouterr().out
    for option in ("SCRIPT:VARIABLE", "--output", "--explain", "--compare", "--to", "--heat", "--no-fold", "--theme"):
        assert option in said


@needs_graphviz
def test_a_picture_of_two_graphs_is_well_formed(ours):
    assert main(["gauss.py:naive", "--compare", "pathwise", "-o", "both.svg"]) == 0
    ids = [e.get("id") for e in ElementTree.parse("both.svg").iter() if e.get("id")]
    assert {"a-n0", "b-n0"} <= set(ids) and len(ids) == len(set(ids))
