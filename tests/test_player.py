"""The player: what its steps say, with the numbers of a real backward pass; and its page, driven in a real browser."""

from __future__ import annotations

import importlib
import json
import re
import shutil
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_visualize import HOSTILE, needs_graphviz

import tinygrad_rp as tg
from visualize.player import LARGEST, Block, Player, Step, play, steps
from visualize.reading import read
from visualize.values import show

pytest_plugins = ["browser"]


@pytest.fixture(params=["tinygrad_rp", "torch"])
def engine(request: pytest.FixtureRequest) -> Any:
    module = importlib.import_module(request.param) if request.param == "tinygrad_rp" else pytest.importorskip("torch")
    module.manual_seed(0)
    return module


# ------------------------------------------------------------------------------------------------ graphs to step through


def naive(engine: Any) -> tuple[Any, dict[str, Any]]:
    mu, std = (engine.tensor([v], requires_grad=True) for v in (12.0, 42.0))
    z = engine.normal(mu, std)
    z2 = z**2
    return z2, {"mu": mu, "std": std, "z": z, "z2": z2}


def reparameterised(engine: Any) -> tuple[Any, dict[str, Any]]:
    mu, std = (engine.tensor([v], requires_grad=True) for v in (12.0, 42.0))
    eps = engine.randn_like(std)
    z = eps * std + mu
    z2 = z**2
    return z2, {"mu": mu, "std": std, "eps": eps, "z": z, "z2": z2}


def straight_through(engine: Any) -> tuple[Any, dict[str, Any]]:
    p = engine.tensor([0.25], requires_grad=True)
    y = engine.bernoulli(p)
    rest = y - p
    s = p + rest.detach()
    cost = (s - 0.45) ** 2
    return cost, {"p": p, "y": y, "rest": rest, "s": s, "cost": cost}


def gumbel(engine: Any) -> tuple[Any, dict[str, Any]]:
    logits = engine.tensor([0.1, 0.5, -0.3], requires_grad=True)
    noise = -engine.log(-engine.log(engine.rand(3)))
    y = engine.softmax((logits + noise) / 0.5, 0)
    cost = (y * engine.tensor([1.0, 2.0, 3.0])).sum()
    return cost, {"logits": logits, "y": y, "cost": cost}


def network(engine: Any) -> tuple[Any, dict[str, Any]]:
    x = engine.randn(4, 3)
    w1, w2 = engine.randn(3, 5).requires_grad_(), engine.randn(5, 2).requires_grad_()
    b1, b2 = engine.zeros(5, requires_grad=True), engine.zeros(2, requires_grad=True)
    out = engine.relu(x @ w1 + b1) @ w2 + b2
    loss = (out**2).mean()
    return loss, {"x": x, "w1": w1, "b1": b1, "w2": w2, "b2": b2, "out": out, "loss": loss}


GRAPHS = [naive, reparameterised, straight_through, gumbel, network]


def chain(length: int) -> tuple[Any, dict[str, Any]]:
    """A graph of 3 · length + 1 nodes with the two sums."""
    x = h = tg.tensor([0.5, 0.2], requires_grad=True)
    for _ in range(length):
        h = (h * 1.01).tanh()
    return h.sum(), {"x": x}


def told(t: Any, names: dict[str, Any] | None = None, gradient: Any = None) -> list[Step]:
    return steps(read(t, names), t, gradient)


def backward_of(all_steps: list[Step], title: str) -> Step:
    return next(step for step in all_steps if step.phase == "backward" and step.title == title)


def block(step: Step, title: str) -> Block:
    return next(each for each in step.blocks if title in each.title)


def rows(step: Step, title: str) -> dict[str, Any]:
    return dict(block(step, title).rows)


def without_graphviz(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda *args, **kwargs: None)
    monkeypatch.setitem(sys.modules, "pygraphviz", None)


# ------------------------------------------------------------------------------------------------------- what steps say


@pytest.mark.parametrize("build", GRAPHS)
def test_it_runs_forward_over_all_nodes_and_backward_over_all_that_may_have_a_gradient(build: Any, engine: Any) -> None:
    t, names = build(engine)
    graph, all_steps = read(t, names), told(t, names)
    forward = [step.node for step in all_steps if step.phase == "forward"]
    assert sorted(forward) == [node.number for node in graph.nodes]
    place = {number: i for i, number in enumerate(forward)}
    assert all(place[edge.head] < place[edge.tail] for edge in graph.edges)
    backward = [step.node for step in all_steps if step.phase == "backward"]
    assert backward == [node.number for node in graph.nodes if node.kind not in ("noise", "constant")]
    assert [step.phase for step in all_steps] == ["forward"] * len(forward) + ["backward"] * len(backward) + ["end"]


@pytest.mark.parametrize("build", GRAPHS)
def test_the_gradients_at_the_end_are_those_of_backward(build: Any, engine: Any) -> None:
    t, names = build(engine)
    end = rows(told(t, names)[-1], "Gradients")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # naive() is starved, which the engine says
        t.backward()
    for name, leaf in names.items():
        if leaf.is_leaf and leaf.requires_grad:
            assert end[f"{name}.grad"].partition(",  by")[0].startswith(show(leaf.grad))


def test_nothing_changes_and_the_pass_can_still_be_run(engine: Any) -> None:
    t, names = network(engine)
    play(t, names)
    assert names["w1"].grad is None
    t.backward()
    before = names["w1"].grad.tolist()
    t2, names2 = network(engine)
    del t2, names2
    assert names["w1"].grad.tolist() == before


def test_forward_an_operation_says_its_formula_and_what_goes_in_and_comes_out(engine: Any) -> None:
    w, x = engine.tensor(3.0, requires_grad=True), engine.tensor(2.0, requires_grad=True)
    y = w * x
    step = next(step for step in told(y, {"w": w, "x": x, "y": y}) if step.title == "MulBackward0")
    assert (step.formula, step.about) == ("x · y", "operation, its output is y")
    assert rows(step, "Goes in") == {"x": "#1 w = 3", "y": "#2 x = 2"}
    assert rows(step, "Comes out") == {"y": "6"}
    assert step.arriving == {"e0_0": "3", "e0_1": "2"}


def test_noise_constants_and_parameters_are_told() -> None:
    t, names = reparameterised(tg)
    mul = next(step for step in told(t, names) if step.title == "MulBackward0")
    assert rows(mul, "Goes in")["x"].endswith(", noise from randn_like, needs no gradient")
    power = next(step for step in told(t, names) if step.title == "PowBackward0")
    assert rows(power, "Goes in")["exponent"] == "2"
    x = tg.tensor(3.0, requires_grad=True)
    assert rows(told(2 * x)[2], "Goes in")["x"] == "#1 constant = 2, needs no gradient"


def test_a_random_draw_and_a_flat_step_say_forward_what_they_are(engine: Any) -> None:
    assert "A random draw" in play(*naive(engine)).text
    assert "A flat step" in play(engine.round(engine.tensor([1.5], requires_grad=True))).text


def test_an_operation_without_a_formula_says_its_name_alone(engine: Any) -> None:
    class Twice(engine.autograd.Function):  # type: ignore[misc,name-defined]
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            return x * 2

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            return g * 2

    step = backward_of(told(Twice.apply(engine.tensor([1.0], requires_grad=True))), "TwiceBackward")
    assert step.formula == ""
    assert rows(step, "from input 0")["goes on"] == "[2]"


def test_local_derivatives_are_numbers_times_what_arrived(engine: Any) -> None:
    w, x = engine.tensor(3.0, requires_grad=True), engine.tensor(2.0, requires_grad=True)
    step = backward_of(told(w * x * 5, {"w": w, "x": x}), "MulBackward0")
    assert rows(step, "To #1")["local derivative"] == "5"
    step = told(w * x * 5, {"w": w, "x": x})[-4]
    assert rows(step, "To #2 w, from x") == {
        "rule": "g * y, where g is what arrived",
        "local derivative": "2",
        "times what arrived": "5 × 2 = 10",
        "added": "to w.grad",
    }


def test_the_local_derivative_of_an_elementwise_node_is_a_vector(engine: Any) -> None:
    x = engine.tensor([1.0, 2.0], requires_grad=True)
    y = x * engine.tensor([3.0, 4.0])
    way = rows(backward_of(told(y), "MulBackward0"), "To #1")
    assert way["local derivative"] == "[3, 4]"
    assert way["times what arrived"] == "[1, 1] × [3, 4] = [3, 4], element by element"


def test_the_local_derivative_of_a_sum_is_a_row_and_of_what_was_broadcast_a_sum(engine: Any) -> None:
    x, b = engine.tensor([1.0, 2.0], requires_grad=True), engine.tensor(3.0, requires_grad=True)
    all_steps = told((x * b).sum(), {"x": x, "b": b})
    assert rows(backward_of(all_steps, "SumBackward0"), "To #1")["times what arrived"] == "1 × [1, 1] = [1, 1]"
    way = rows(backward_of(all_steps, "MulBackward0"), "To #3 b")
    assert way["local derivative"] == "[1, 2]"
    assert way["times what arrived"] == "sum of [1, 1] × [1, 2] = 3, since one input acts on 2 elements"


def test_the_local_derivative_of_what_mixes_elements_is_a_matrix(engine: Any) -> None:
    x = engine.tensor([0.0, 1.0, 2.0], requires_grad=True)
    y = engine.softmax(x, 0)
    way = rows(backward_of(told(y), "SoftmaxBackward0"), "To #1")
    p = np.exp([0.0, 1.0, 2.0]) / np.exp([0.0, 1.0, 2.0]).sum()
    shown = np.array(way["local derivative"], dtype=float)
    np.testing.assert_allclose(shown, np.diag(p) - np.outer(p, p), atol=1e-4)


def test_large_nodes_say_what_goes_on_without_a_local_derivative(engine: Any) -> None:
    x = engine.ones(3, 4, requires_grad=True)
    way = rows(backward_of(told((x * x).sum()), "MulBackward0"), "To #2")
    assert way["goes on"] == "shape (3, 4): all 1"
    assert "local derivative" not in way


def test_where_several_ways_meet_the_sum_grows(engine: Any) -> None:
    x = engine.tensor(2.0, requires_grad=True)
    y = x * 3 + x * x
    all_steps = told(y, {"x": x})
    added = [
        dict(each.rows)["added"]
        for step in all_steps
        for each in step.blocks
        if step.phase == "backward" and " x, from" in each.title
    ]
    assert added == [
        "to x.grad, where 2 more ways meet it",
        "to x.grad: so far 3, now + 2 = 5",
        "to x.grad: so far 5, now + 2 = 7",
    ]
    leaf = backward_of(all_steps, "x")
    assert block(leaf, "Arrives").text == "3 gradients arrive, and are added: x acts on the result by each way."
    assert rows(leaf, "Arrives")["sum"] == "7"


def test_a_gradient_that_was_there_is_added_to(engine: Any) -> None:
    x = engine.tensor(2.0, requires_grad=True)
    (x * 3).backward()
    assert rows(backward_of(told(x * 4, {"x": x}), "x"), "Added to x.grad") == {
        "held": "3",
        "is added": "4",
        "will be": "7",
    }


def test_at_a_zero_edge_the_gradient_arrives_and_stops_with_reason_and_remedies(engine: Any) -> None:
    t, names = naive(engine)
    all_steps = told(t, names)
    step = next(step for step in all_steps if step.phase == "backward" and step.title.startswith("Normal"))
    (stop, as_before) = (each for each in step.blocks if each.look == "zero")
    arrives = rows(step, "Arrives")["from #0 z2"]
    assert dict(stop.rows) == {"arrives": arrives, "goes on": "0, whatever arrives", "added": "to mu.grad"}
    assert arrives == show(2 * names["z"].detach())
    assert stop.text and any("reparameterise" in remedy for remedy in stop.remedies)
    assert (as_before.text, as_before.remedies) == ("Why: as for #2 mu.", ())
    assert step.stopped == ["e1_0", "e1_1"]
    assert step.leaving == {"e1_0": "0", "e1_1": "0"}
    assert "stopped on the way, at a zero edge" in block(backward_of(all_steps, "mu"), "Added").text


def test_at_a_missing_edge_the_gradient_arrives_and_nothing_goes_on() -> None:
    t, names = straight_through(tg)
    all_steps = told(t, names)
    step = backward_of(all_steps, "AddBackward0")
    stop = next(each for each in step.blocks if each.look == "missing")
    assert dict(stop.rows) == {"arrives": show((2 * (names["s"] - 0.45)).detach()), "goes on": "nothing"}
    assert "detach()" in stop.text and stop.remedies
    assert step.stopped == ["e2_1"] and list(step.leaving) == ["e2_0"]
    unreached = next(s for s in all_steps if s.phase == "backward" and "rest" in s.about)
    assert block(unreached, "Nothing arrives").rows[0][1].startswith("not wired: detach()")
    assert len(unreached.blocks) == 1 and not unreached.arriving and not unreached.leaving


def test_a_leaf_that_nothing_reaches_keeps_its_none() -> None:
    w, x = tg.tensor([1.0], requires_grad=True), tg.tensor([1.0], requires_grad=True)
    cut = w * 2
    y = x * cut.detach()
    all_steps = told(y, {"w": w, "x": x})
    assert block(backward_of(all_steps, "w"), "w.grad").text == "w.grad stays None."
    assert rows(all_steps[-1], "Gradients") == {"w.grad": "nothing", "x.grad": "[2]"}


def test_a_function_of_the_users_runs_once_and_a_surrogate_is_called_one() -> None:
    calls = []

    class StraightThrough(tg.autograd.Function):  # type: ignore[misc,name-defined]
        @staticmethod
        def forward(ctx: Any, p: Any) -> Any:
            return tg.bernoulli(p)

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            calls.append(g)
            return g

    p = tg.tensor([0.25], requires_grad=True)
    step = backward_of(told(StraightThrough.apply(p) * 3, {"p": p}), "StraightThroughBackward")
    assert len(calls) == 1
    way = block(step, "To #2 p")
    assert way.look == "surrogate"
    assert way.text.startswith("This is not the derivative of what was computed.")
    assert dict(way.rows) == {"goes on": "[3]", "added": "to p.grad"}


def test_a_function_of_pytorch_runs_once() -> None:
    torch = pytest.importorskip("torch")
    calls = []

    class Identity(torch.autograd.Function):  # type: ignore[misc,name-defined]
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            return x.clone()

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            calls.append(g)
            return g

    play(Identity.apply(torch.ones(2, requires_grad=True)).sum())
    assert len(calls) == 1


def test_a_live_edge_on_which_the_gradient_becomes_zero_says_so(engine: Any) -> None:
    x = engine.tensor([-1.0], requires_grad=True)
    way = block(backward_of(told(engine.relu(x)), "ReluBackward0"), "To #1")
    assert way.text == "The local derivative is 0 at these very numbers, so 0 goes on."
    assert "[1] × [0] = [0]" in dict(way.rows)["times what arrived"]


def test_what_was_freed_is_said_at_the_nodes_and_on_top_and_the_zero_edges_are_still_known(engine: Any) -> None:
    t, names = naive(engine)
    loss = t * names["mu"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        loss.backward()
    player = play(loss, names | {"loss": loss})
    notice = player.text.splitlines()[1]
    assert notice.startswith("Numbers are gone: an earlier backward() freed what #0 MulBackward0 had saved.")
    assert notice.endswith(
        "call play(loss, …) before loss.backward(), or keep what was saved: loss.backward(retain_graph=True)."
    )
    all_steps = told(loss, names)
    assert block(backward_of(all_steps, "MulBackward0"), "gone").look == "gone"
    assert "not known" in block(backward_of(all_steps, "PowBackward0"), "Arrives").text
    end = rows(all_steps[-1], "Gradients")
    assert end["mu.grad"] == "not known"  # one way is a zero edge, the other is gone
    assert end["std.grad"].endswith(", by zero edges alone")


def test_one_number_begins_with_1_and_several_with_ones_and_it_says_so(engine: Any) -> None:
    x = engine.tensor([1.0, 2.0], requires_grad=True)
    player = play(x * 2)
    assert "The result has 2 elements: the backward pass begins with ones, as if their sum" in player.text
    assert "begins with ones" not in play((x * 2).sum()).text
    given = play(x * 2, {"x": x}, gradient=engine.tensor([1.0, 10.0]))
    assert "begins with ones" not in given.text
    assert "x.grad: [2, 20]" in given.text


def test_a_leaf_by_itself_is_played(engine: Any) -> None:
    x = engine.tensor(2.0, requires_grad=True)
    assert [step.phase for step in told(x, {"x": x})] == ["forward", "backward", "end"]
    assert "x.grad: 1" in play(x, {"x": x}).text


def test_a_tensor_that_was_cut_says_that_there_is_no_backward() -> None:
    x = tg.tensor([2.0], requires_grad=True)
    y = x * 2
    text = play(y.detach(), {"x": x}).text
    assert "has no history of its own" in text
    assert "x.grad: nothing" in text


def test_nodes_with_several_outputs_and_lists_of_inputs_are_played(engine: Any) -> None:
    x = engine.tensor([1.0, 2.0], requires_grad=True)
    a, b = engine.unbind(x)
    y = engine.stack([a * 2, b * 3, b])
    t = (y * y).sum()
    text = play(t, {"x": x}).text
    t.backward()
    assert f"x.grad: {show(x.grad)}" in text
    assert ("output 1 of #" in text) == any(edge.output for edge in read(t).edges)
    assert "the tensors side by side along a new dimension" in text


def test_a_sum_of_pytorch_that_is_scaled_is_not_shown_as_a_plain_one() -> None:
    torch = pytest.importorskip("torch")
    x, y = (torch.tensor([v], requires_grad=True) for v in (1.0, 2.0))
    step = backward_of(told(torch.add(x, y, alpha=3)), "AddBackward0")
    assert step.formula == ""
    assert rows(step, "Went in")["alpha"] == "3"
    assert rows(step, "To #2")["local derivative"] == "[3]"


def test_infinite_and_missing_numbers_are_handed_on_without_a_product(engine: Any) -> None:
    x = engine.tensor([0.0, 4.0], requires_grad=True)
    way = rows(backward_of(told(engine.sqrt(x)), "SqrtBackward0"), "To #1")
    assert way["goes on"] == "[inf, 0.25]"


@pytest.mark.parametrize("build", GRAPHS)
def test_the_same_graph_gives_the_same_page(build: Any, engine: Any) -> None:
    pages = []
    for _ in range(2):
        engine.manual_seed(1)
        pages.append(play(*build(engine)).html)
    assert pages[0] == pages[1]


def test_variables_give_names(engine: Any) -> None:
    weight = engine.tensor(2.0, requires_grad=True)
    assert "weight.grad: 3" in play(weight * 3, "variables").text


# --------------------------------------------------------------------------------------------------------- wrong input


def test_a_node_is_refused_with_what_to_give_instead(engine: Any) -> None:
    y = engine.tensor(2.0, requires_grad=True) * 2
    with pytest.raises(TypeError, match=r"t must be a tensor.*Give y rather than y\.grad_fn"):
        play(y.grad_fn)


def test_a_gradient_that_does_not_fit_is_refused(engine: Any) -> None:
    y = engine.tensor([2.0, 3.0], requires_grad=True) * 2
    with pytest.raises(TypeError, match="gradient must be a Tensor as t is, not list"):
        play(y, gradient=[1.0, 1.0])
    with pytest.raises(ValueError, match=r"gradient must have the shape of t, \(2,\), not \(3,\)"):
        play(y, gradient=engine.ones(3))


def test_a_graph_that_nobody_steps_through_is_refused_with_what_to_do() -> None:
    x = tg.tensor(1.0, requires_grad=True)
    for _ in range(LARGEST):
        x = x.exp()
    with pytest.raises(ValueError, match=r"has 1,501 nodes, and a player shows at most 1,500.*Play a smaller case"):
        play(x)


# ------------------------------------------------------------------------------------------------------------ the file


def data_of(player: Player) -> dict[str, Any]:
    return json.loads(re.search(r'<script type="application/json"[^>]*>(.*?)</script>', player.html, re.S)[1])


def test_a_player_is_saved_as_a_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    player = play(*naive(tg))
    path = player.save(tmp_path / "naive.html")
    assert path.read_text("utf-8") == player.html
    with pytest.raises(ValueError, match=r"its suffix must be \.html"):
        player.save(tmp_path / "naive.svg")
    with pytest.raises(FileNotFoundError, match="there is no folder"):
        player.save(tmp_path / "nowhere" / "naive.html")

    def fail(*args: Any) -> None:
        raise OSError("disk full")

    monkeypatch.setattr("os.replace", fail)
    with pytest.raises(OSError, match="disk full"):
        play(*reparameterised(tg)).save(path)
    assert path.read_text("utf-8") == player.html
    assert [each.name for each in tmp_path.iterdir()] == ["naive.html"]


@needs_graphviz
def test_the_page_names_nothing_from_elsewhere() -> None:
    page = play(*naive(tg)).html
    addresses = set(re.findall(r"\w+://[^\"'\s<]*", page))
    assert addresses <= {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}  # names of XML, not fetched
    assert "default-src 'none'" in page
    assert not re.search(r"<(link|img|iframe)\b|@import|url\(", page)


def test_a_notebook_gets_a_frame_that_may_run_scripts_and_nothing_else() -> None:
    frame = play(*naive(tg))._repr_html_()
    assert frame.startswith("<iframe srcdoc=") and 'sandbox="allow-scripts"' in frame
    assert frame.count("<") == 2  # the frame and its end: all else is escaped
    assert ".save(" in repr(play(*naive(tg)))


@needs_graphviz
def test_a_graph_of_hundreds_of_steps_stays_below_a_megabyte() -> None:
    player = play(*chain(100))
    assert len(data_of(player)["steps"]) > 500
    assert len(player.html.encode()) < 1_000_000


# --------------------------------------------------------------------------------------------------------- in a browser


def saved(player: Player, folder: Path) -> Path:
    return player.save(folder / "player.html")


def place(page: Any) -> int:
    return int(page.locator("#player-slider").input_value())


def comes_to(page: Any, step: int) -> None:
    """Wait until the page is at a step. (Playwright's own way to wait for a condition is forbidden by the page's policy.)"""
    page.locator(f"#player-step .phase:has-text('step {step} of')").wait_for()


def over_all_steps(page: Any, expression: str) -> list[Any]:
    """What an expression is at each step, which the slider is moved to."""
    return page.evaluate(f"""() => {{
        const slider = document.getElementById("player-slider");
        return Array.from({{ length: slider.max }}, (_, i) => {{
            slider.value = i + 1;
            slider.dispatchEvent(new Event("input"));
            return {expression};
        }});
    }}""")


def ids(page: Any, what: str) -> set[str]:
    return set(page.eval_on_selector_all(f"#player-picture .{what}", "all => all.map(e => e.id)"))


@needs_graphviz
@pytest.mark.parametrize("build", [naive, straight_through, network])
def test_by_keys_one_steps_to_the_end_and_the_page_shows_the_very_graph(build: Any, tmp_path: Path, visit: Any) -> None:
    t, names = build(tg)
    graph, all_steps = read(t, names), told(t, names)
    page = visit(saved(play(t, names), tmp_path))
    assert ids(page, "node") == {f"n{node.number}" for node in graph.nodes}
    edges = ids(page, "edge")
    assert len(edges) == len(list(graph.edges))
    assert {each.split("_")[0] for each in edges} == {f"e{edge.tail}" for edge in graph.edges}
    for i, step in enumerate(all_steps, 1):
        at, panel, current, stops = page.evaluate("""() => [
            Number(document.getElementById("player-slider").value),
            document.getElementById("player-step").textContent,
            [...document.querySelectorAll("#player-picture .current")].map((e) => e.id),
            document.querySelectorAll(".overlay .stop").length,
        ]""")
        assert at == i and f"step {i} of {len(all_steps)}" in panel
        assert all(each.title in panel and each.text in panel for each in step.blocks)
        assert set(step.arriving) | set(step.leaving) | set(step.stopped) <= edges
        assert current == ([] if step.node is None else [f"n{step.node}"])
        assert stops == len(step.stopped)
        page.keyboard.press("ArrowRight")
    assert place(page) == len(all_steps)  # the end is the end
    page.keyboard.press("ArrowLeft")
    assert place(page) == len(all_steps) - 1
    page.keyboard.press("Home")
    assert place(page) == 1
    page.keyboard.press("End")
    assert place(page) == len(all_steps)


@needs_graphviz
def test_buttons_slider_nodes_and_address_lead_to_steps(tmp_path: Path, visit: Any) -> None:
    t, names = naive(tg)
    count = len(told(t, names))
    page = visit(saved(play(t, names), tmp_path), fragment="#step=6")
    assert place(page) == 6
    assert page.locator("#player-step h2").inner_text().startswith("#1 Normal")
    page.locator("#n2").click()  # backward, to the backward step
    assert place(page) == 7
    page.locator("#player-first").click()
    for _ in range(count - 1):
        page.locator("#player-next").click()
    assert place(page) == count
    page.locator("#player-back").click()
    assert (place(page), page.url.partition("#")[2]) == (count - 1, f"step={count - 1}")
    page.locator("#player-first").click()
    page.locator("#n1").focus()
    page.keyboard.press("Enter")  # forward, to the forward step
    assert place(page) == 3
    page.locator("#player-last").click()
    page.locator("#player-slider").fill("5")
    assert place(page) == 5
    assert page.locator("#player-place").inner_text() == f"Step 5 of {count}"
    page.evaluate("location.hash = '#step=2'")
    comes_to(page, 2)
    page.locator("#player-slider").focus()
    page.keyboard.press("ArrowRight")
    assert place(page) == 3


@needs_graphviz
def test_it_plays_by_itself_until_it_is_told_to_pause_or_comes_to_the_end(tmp_path: Path, visit: Any) -> None:
    page = visit(saved(play(*naive(tg)), tmp_path))
    page.locator("#player-speed").select_option("fast")
    page.locator("#player-speed").focus()
    page.keyboard.press("Space")
    button = page.locator("#player-play")
    assert button.get_attribute("aria-label") == "Play"  # the list of speeds had the keys
    button.click()
    assert button.get_attribute("aria-label") == "Pause"
    comes_to(page, 2)
    button.click()
    assert button.get_attribute("aria-label") == "Play"
    page.locator("#player-slider").fill("8")
    page.locator("#player-step").focus()
    page.keyboard.press("Space")
    comes_to(page, 9)
    assert button.get_attribute("aria-label") == "Play"


@needs_graphviz
def test_it_can_be_used_without_seeing_it(tmp_path: Path, visit: Any) -> None:
    page = visit(saved(play(*naive(tg)), tmp_path), fragment="#step=6")
    tree = page.locator("body").aria_snapshot()
    for name in ("First step", "Back one step", "Play", "Next step", "Last step", "Skip the picture"):
        assert f'button "{name}"' in tree
    assert 'slider "Step"' in tree and 'combobox "Speed"' in tree
    assert 'heading "The gradient of z2, step by step" [level=1]' in tree
    assert 'heading "#1 NormalBackward3" [level=2]' in tree
    assert 'button "#3 std, leaf"' in tree
    assert 'region "This step"' in tree
    panel = page.locator("#player-step")
    assert (panel.get_attribute("aria-live"), panel.get_attribute("aria-atomic")) == ("polite", "true")
    assert page.locator("[aria-current=step]").get_attribute("id") == "n1"
    assert "backward: #1" in page.locator("#player-slider").get_attribute("aria-valuetext").lower()
    reached = []
    for _ in range(30):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.id"))
    order = [
        "player-first",
        "player-play",
        "player-slider",
        "player-speed",
        "player-skip",
        "n0",
        "player-fit",
        "player-step",
    ]
    assert [each for each in reached if each in order][: len(order)] == order
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"


CONTRASTS = """() => {
  const channel = (c) => (c /= 255) <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
  const light = ([r, g, b]) => 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
  const parse = (text) => text.match(/[\\d.]+/g).map(Number);
  const behind = (e) => {
    for (; e; e = e.parentElement) {
      const color = parse(getComputedStyle(e).backgroundColor);
      if (color.length < 4 || color[3] > 0) return color;
    }
    return [255, 255, 255];
  };
  const found = [];
  for (const e of document.body.querySelectorAll(":not(svg *)")) {
    const hasText = [...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim());
    if (!hasText || !e.checkVisibility() || e.closest("script, svg")) continue;
    const [a, b] = [light(parse(getComputedStyle(e).color)), light(behind(e))];
    found.push([(Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05), e.textContent.slice(0, 40)]);
  }
  return found;
}"""


@needs_graphviz
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_light_or_dark_all_text_has_contrast(scheme: str, tmp_path: Path, visit: Any) -> None:
    page = visit(saved(play(*straight_through(tg)), tmp_path), color_scheme=scheme)
    paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (paper == "rgb(255, 255, 255)") == (scheme == "light")
    found = [each for step in over_all_steps(page, f"({CONTRASTS})()") for each in step]
    assert len(found) > 100
    poor = [(round(ratio, 2), text) for ratio, text in found if ratio < 4.5]
    assert not poor, poor


@needs_graphviz
def test_who_wants_no_motion_gets_none(tmp_path: Path, visit: Any) -> None:
    path = saved(play(*reparameterised(tg)), tmp_path)
    names = []
    for motion in ("no-preference", "reduce"):
        page = visit(path, fragment="#step=9", reduced_motion=motion)
        names.append(page.eval_on_selector(".overlay .flow", "e => getComputedStyle(e).animationName"))
    assert names == ["flow", "none"]


@needs_graphviz
def test_on_a_phone_nothing_is_wider_than_the_screen(tmp_path: Path, visit: Any) -> None:
    t, names = gumbel(tg)
    page = visit(
        saved(play(t, names, title="A title of many words " * 4 + "x" * 60), tmp_path),
        viewport={"width": 360, "height": 740},
    )
    assert set(over_all_steps(page, "document.documentElement.scrollWidth")) == {360}
    picture, panel = (page.locator(f"#player-{each}").bounding_box() for each in ("picture", "step"))
    assert picture["y"] + picture["height"] <= panel["y"] + 1  # the picture above, the step below


@needs_graphviz
def test_in_a_large_graph_the_current_node_is_brought_into_view(tmp_path: Path, visit: Any) -> None:
    page = visit(saved(play(*chain(100)), tmp_path), reduced_motion="reduce")
    count = int(page.locator("#player-slider").get_attribute("max"))
    for i in (1, count // 3, count // 2, count - 1):
        page.locator("#player-slider").fill(str(i))
        frame, node = (
            page.locator("#player-picture").bounding_box(),
            page.locator("#player-picture .current").bounding_box(),
        )
        assert frame["x"] <= node["x"] and node["x"] + node["width"] <= frame["x"] + frame["width"]
        assert frame["y"] <= node["y"] and node["y"] + node["height"] <= frame["y"] + frame["height"]
    page.locator("#player-fit").click()
    frame, drawn = (
        page.locator("#player-picture").bounding_box(),
        page.locator("#player-picture > .sheet > svg").bounding_box(),
    )
    assert drawn["height"] <= frame["height"] and drawn["width"] <= frame["width"]


SCRIPT = "</script><script>alert(1)</script><img src=x onerror=alert(2)>{{data}}\ud800"


@pytest.mark.parametrize("picture", [pytest.param(True, marks=needs_graphviz), False], ids=["drawn", "as text"])
def test_names_are_text_whatever_they_hold(
    picture: bool, tmp_path: Path, visit: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not picture:
        without_graphviz(monkeypatch)
    leaves = {name: tg.tensor([1.0], requires_grad=True) for name in [*HOSTILE, SCRIPT]}
    t = sum(leaves.values())
    page = visit(saved(play(t, leaves, title=SCRIPT), tmp_path))
    title = SCRIPT.replace("\ud800", "?")
    assert page.title() == title and page.locator("h1").text_content() == title
    assert page.locator("img").count() == 0 and page.locator("script").count() == 2
    assert ids(page, "node") == {f"n{node.number}" for node in read(t).nodes}
    seen = {text.partition(" ")[2] for text in over_all_steps(page, "document.querySelector('h2').textContent")}
    assert {name for name in leaves if name} <= seen


def test_without_graphviz_the_text_takes_the_place_of_the_picture(
    tmp_path: Path, visit: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_graphviz(monkeypatch)
    t, names = straight_through(tg)
    page = visit(saved(play(t, names), tmp_path))
    assert 'pip install "tinygrad_rp[graphviz]"' in page.locator(".notice").inner_text()
    assert ids(page, "node") == {f"n{node.number}" for node in read(t).nodes}
    assert (
        page.locator("#n3").inner_text().startswith("└─x─ #3 <SubBackward0>  rest = ")
        or "#3 <" in page.locator("#n3").inner_text()
    )
    page.locator("#n0").click()
    assert page.locator("#player-step h2").inner_text() == "#0 PowBackward0"
    assert page.locator(".current").get_attribute("id") == "n0"
    page.keyboard.press("End")
    assert page.locator(".current").count() == 0


@needs_graphviz
def test_several_players_in_a_notebook_do_not_disturb_each_other(tmp_path: Path, visit: Any) -> None:
    notebook = tmp_path / "notebook.html"
    frames = "".join(play(*build(tg))._repr_html_() for build in (naive, reparameterised))
    notebook.write_text(f"<!DOCTYPE html><meta charset=utf-8><body>{frames}</body>", "utf-8")
    page = visit(notebook)
    first, second = (page.frame_locator("iframe").nth(i) for i in range(2))
    first.locator("#player-next").click()
    first.locator("#n1").click()
    assert first.locator("#player-step h2").inner_text() == "#1 NormalBackward3"
    assert second.locator("#player-slider").input_value() == "1"
    second.locator("#player-step").press("End")
    second.locator("#player-skip").focus()
    second.locator("#player-skip").press("Enter")
    assert second.locator("#player-step h2").inner_text() == "The end"
    assert page.url.endswith("notebook.html")
    assert first.locator("#player-slider").input_value() == "3"


@needs_graphviz
def test_on_paper_all_steps_are_written_down(tmp_path: Path, visit: Any) -> None:
    t, names = naive(tg)
    page = visit(saved(play(t, names), tmp_path))
    page.emulate_media(media="print")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.locator("#player-all article").count() == len(told(t, names))
    assert page.locator("#player-all").is_visible() and not page.locator(".controls").is_visible()
    assert page.locator("#player-picture svg").first.is_visible()
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    page.emulate_media(media="screen")
    assert page.locator("#player-all article").count() == 0


@needs_graphviz
def test_freed_numbers_are_announced_at_the_top_of_the_page(tmp_path: Path, visit: Any) -> None:
    t, names = network(tg)
    t.backward()
    page = visit(saved(play(t, names), tmp_path))
    assert "retain_graph=True" in page.locator(".notice").inner_text()
    page.keyboard.press("End")
    assert "w1.grad" in page.locator("#player-step").inner_text()
