"""Pictures of graphs: what is read, what the text says, what is drawn, and that both are the same every time."""

from __future__ import annotations

import ast
import importlib.util
import re
import shutil
import sys
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import visualize
from visualize import Drawing, Edge, Graph, GraphvizNotFound, Node, draw, get_graph, play, read

HAS_GRAPHVIZ = shutil.which("dot") is not None or importlib.util.find_spec("pygraphviz") is not None
needs_graphviz = pytest.mark.skipif(not HAS_GRAPHVIZ, reason="no Graphviz: neither dot nor pygraphviz")

# ------------------------------------------------------------------------------ nodes that implement the graph protocol


@dataclass
class Stop:
    kind: str
    reason: str
    remedies: tuple[str, ...] = ()


@dataclass
class Source:
    kind: str
    name: str
    stop: Stop | None = None
    origin_name: str | None = None
    value: Any = None
    origin: Any = None


class Leaf:
    requires_grad = True
    grad_fn = None

    def __init__(self, value: Any, grad: Any = None) -> None:
        self.value = np.asarray(value)
        self.grad = None if grad is None else np.asarray(grad)
        self.shape, self.dtype = self.value.shape, self.value.dtype

    def numel(self) -> int:
        return int(self.value.size)

    def tolist(self) -> Any:
        return self.value.tolist()


class AccumulateGrad:
    next_functions = ()

    def __init__(self, variable: Leaf) -> None:
        self.variable = variable

    def name(self) -> str:
        return "AccumulateGrad"


class Operation:
    """Inputs are operations, leaves, pairs of operation and output, sources (or tuples of them), or None."""

    def __init__(self, name: str, *inputs: Any, value: Any = None, stops: Any = None, saved: Any = None) -> None:
        self._name, self._inputs = name, inputs
        self.stops = stops or (None,) * len(inputs)
        self.saved = saved or {}
        self.value = None if value is None else np.asarray(value)
        self.shape = getattr(self.value, "shape", None)
        self.dtype = getattr(self.value, "dtype", None)

    def name(self) -> str:
        return self._name

    @property
    def next_functions(self) -> tuple[tuple[Any, int], ...]:
        # Made anew each time somebody looks, as the nodes of leaves are in PyTorch and in the engine.
        def pair(x: Any) -> tuple[Any, int]:
            if isinstance(x, Leaf):
                return AccumulateGrad(x), 0
            if isinstance(x, tuple) and isinstance(x[0], Operation):
                return x
            return (x, 0) if isinstance(x, Operation) else (None, 0)

        return tuple(map(pair, self._inputs))

    @property
    def sources(self) -> tuple[Any, ...]:
        def is_source(x: Any) -> bool:
            return isinstance(x, Source) or (isinstance(x, tuple) and isinstance(x[0], Source))

        return tuple(x if is_source(x) else None for x in self._inputs)


@dataclass
class Result:
    """A tensor that was computed."""

    grad_fn: Operation | None
    output_nr: int = 0
    requires_grad: bool = True
    value: Any = field(default_factory=lambda: np.array([0.5]))
    sources: tuple[Source, ...] = ()


# ----------------------------------------------------------------------------------------------- graphs to be looked at

DRAW = Stop("zero", "A sample is no smooth function of its parameters.", ("reparameterise", "score function"))
FLAT = Stop("zero", "round() is flat between its jumps.")
DETACH = Stop("missing", "detach() hands on the value without its history.", ("leave out detach()",))
SURROGATE = Stop("surrogate", "The gradient of p stands in for that of y.")


def naive() -> tuple[Operation, dict[str, Any]]:
    """Zeros on both edges of a random draw."""
    mu, std = Leaf([12.0], [0.0]), Leaf([42.0], [0.0])
    z = Operation("NormalBackward0", mu, std, value=[33.25], stops=(DRAW, DRAW))
    return Operation("PowBackward0", z, value=[1105.5625]), {"mu": mu, "std": std, "z": Result(z)}


def reparameterised() -> tuple[Operation, dict[str, Any]]:
    """Noise beside a leaf."""
    mu, std = Leaf([12.0]), Leaf([42.0])
    noise = Source("noise", "randn_like", value=np.array([0.5]))
    z = Operation("AddBackward0", Operation("MulBackward0", noise, std, value=[21.0]), mu, value=[33.0])
    return Operation("PowBackward0", z, value=[1089.0]), {"mu": mu, "std": std}


def straight_through() -> tuple[Operation, dict[str, Any]]:
    """p + (y - p).detach(), whose detached part still has a graph."""
    p = Leaf([0.25], [2.0])
    y = Operation("BernoulliBackward0", p, value=[1.0], stops=(DRAW,))
    difference = Operation("SubBackward0", y, p, value=[0.75])
    cut = Source("cut", "detach", DETACH, "SubBackward0", np.array([0.75]), (difference, 0))
    return Operation("AddBackward0", p, cut, value=[1.0]), {"p": p, "y": Result(y)}


def surrogate() -> tuple[Operation, dict[str, Any]]:
    """A straight-through operation, and a value whose history is gone."""
    p = Leaf([0.25])
    y = Operation("StraightThroughBackward", p, stops=(SURROGATE,), value=[1.0])
    return Operation("MulBackward0", y, Source("cut", "no_grad", DETACH, "ExpBackward0", np.array([0.5]))), {"p": p}


GRAPHS = [naive, reparameterised, straight_through, surrogate]


def structure(graph: Graph) -> list[tuple[int, int, str, str]]:
    return [(edge.tail, edge.head, edge.kind, edge.flow) for edge in graph.edges]


def node(graph: Graph, name: str) -> Node:
    return next(n for n in graph.nodes if name in n.names or n.title == name)


# ---------------------------------------------------------------------------------------------------- what is read


def test_nodes_are_numbered_so_that_every_edge_leads_to_a_higher_number() -> None:
    x = Leaf([1.0])
    a = Operation("ABackward0", x)
    b = Operation("BBackward0", a, x)
    graph = read(Operation("CBackward0", a, b, x))
    assert [n.title for n in graph.nodes] == ["CBackward0", "BBackward0", "ABackward0", "AccumulateGrad"]
    assert [n.number for n in graph.nodes] == [0, 1, 2, 3]
    assert all(edge.tail < edge.head for edge in graph.edges)


def test_inputs_are_numbered_from_left_to_right() -> None:
    graph = read(Operation("CatBackward0", *(Leaf([float(i)]) for i in range(4))))
    assert [n.value.tolist() for n in graph.nodes[1:]] == [[0.0], [1.0], [2.0], [3.0]]


def test_a_shared_node_and_a_shared_leaf_are_there_once_although_their_nodes_are_made_anew() -> None:
    x = Leaf([3.0])
    square = Operation("MulBackward0", x, x)
    graph = read(Operation("AddBackward0", square, square))
    assert structure(graph) == [(0, 1, "live", "gradient")] * 2 + [(1, 2, "live", "gradient")] * 2
    assert [edge.slot for edge in graph.edges] == [0, 1, 0, 1]


def test_zeros_flow_on_behind_a_zero_edge_and_starve_the_leaf() -> None:
    x, other = Leaf([1.0]), Leaf([2.0])
    inner = Operation("ExpBackward0", x)
    graph = read(Operation("AddBackward0", Operation("RoundBackward0", inner, stops=(FLAT,)), other))
    assert structure(graph) == [
        (0, 1, "live", "gradient"),
        (0, 4, "live", "gradient"),
        (1, 2, "zero", "zeros"),
        (2, 3, "live", "zeros"),
    ]
    assert [n.receives for n in graph.nodes] == ["gradient", "gradient", "zeros", "zeros", "gradient"]


def test_a_leaf_that_a_live_path_reaches_too_is_not_starved() -> None:
    x = Leaf([1.0])
    graph = read(Operation("AddBackward0", Operation("RoundBackward0", x, stops=(FLAT,)), x))
    assert graph.nodes[-1].receives == "gradient"


def test_a_missing_edge_leads_on_into_the_graph_that_was_cut_off() -> None:
    graph = read(*straight_through())
    assert structure(graph) == [
        (0, 3, "live", "gradient"),
        (0, 1, "missing", "nothing"),
        (1, 2, "live", "nothing"),
        (1, 3, "live", "nothing"),
        (2, 3, "zero", "nothing"),
    ]
    assert [n.receives for n in graph.nodes] == ["gradient", "nothing", "nothing", "gradient"]
    missing = next(edge for edge in graph.edges if edge.kind == "missing")
    assert (missing.label, missing.reason, missing.remedies) == ("detach", DETACH.reason, DETACH.remedies)


def test_a_cut_whose_history_is_gone_is_a_node_of_its_own() -> None:
    cut = node(read(*surrogate()), "no_grad")
    assert (cut.kind, cut.origin_name, cut.value.tolist(), cut.receives) == ("cut", "ExpBackward0", [0.5], "nothing")


def test_a_surrogate_edge_carries_a_gradient() -> None:
    graph = read(*surrogate())
    edge = next(e for e in graph.edges if e.kind == "surrogate")
    assert (edge.flow, edge.reason, node(graph, "p").receives) == ("gradient", SURROGATE.reason, "gradient")


def test_a_value_that_was_cut_from_several_has_a_missing_edge_to_each() -> None:
    a, b = Operation("ABackward0", Leaf([1.0])), Operation("BBackward0", Leaf([2.0]))
    cuts = tuple(Source("cut", "no_grad", DETACH, x.name(), None, (x, 0)) for x in (a, b))
    graph = read(Operation("MulBackward0", cuts, Leaf([3.0])))
    assert [graph.nodes[e.head].title for e in graph.edges if e.kind == "missing"] == ["ABackward0", "BBackward0"]
    ids = re.findall(r" id=(e\w+)", draw(Operation("MulBackward0", cuts, Leaf([3.0]))).source)
    assert len(ids) == len(set(ids)) == 5


def test_noise_that_is_used_twice_is_one_node() -> None:
    value = np.array([0.5])
    noises = [Source("noise", "randn", value=value) for _ in range(2)]
    graph = read(Operation("AddBackward0", *(Operation("MulBackward0", n, Leaf([1.0])) for n in noises)))
    assert [n.kind for n in graph.nodes].count("noise") == 1


def test_a_random_draw_and_a_flat_step_are_told_apart() -> None:
    assert node(read(*naive()), "NormalBackward0").kind == "sampling"
    assert read(Operation("RoundBackward0", Leaf([1.0]), stops=(FLAT,))).nodes[0].kind == "flat"


def test_edges_to_a_node_with_several_outputs_say_which() -> None:
    parts = Operation("UnbindBackward0", Leaf([1.0, 2.0]), value=1.0)
    root = Operation("MulBackward0", (parts, 0), (parts, 1))
    assert [edge.output for edge in read(root).nodes[0].edges] == [0, 1]
    assert "#1 <UnbindBackward0> output 1, see there" in get_graph(root)
    assert "output 1" in draw(root).source


def test_a_name_given_to_a_later_output_says_so() -> None:
    parts = Operation("UnbindBackward0", Leaf([1.0, 2.0]))
    names = {"second": Result(parts, output_nr=1), "first": Result(parts)}
    assert read(parts, names).nodes[0].names == ("second (output 1)", "first")


def test_a_leaf_is_a_graph_of_one_node() -> None:
    graph = read(Leaf(2.5, 1.0), {})
    assert (len(graph.nodes), graph.nodes[0].kind, list(graph.edges)) == (1, "leaf", [])
    x = Leaf(2.5, 1.0)
    assert get_graph(x, {"x": x}) == "#0 <AccumulateGrad>  leaf x = 2.5\n   gradient: 1"


def test_a_tensor_without_a_graph_is_an_error_that_says_what_to_do() -> None:
    with pytest.raises(ValueError, match="Set requires_grad=True"):
        read(Result(None, requires_grad=False))


def test_a_tensor_that_was_cut_shows_what_it_was_cut_from() -> None:
    origin = Operation("ExpBackward0", Leaf([1.0]))
    cut = Result(
        None, requires_grad=False, sources=(Source("cut", "detach", DETACH, "ExpBackward0", None, (origin, 0)),)
    )
    graph = read(cut, {"c": cut})
    assert [(n.kind, n.receives) for n in graph.nodes] == [
        ("cut", "gradient"),
        ("operation", "nothing"),
        ("leaf", "nothing"),
    ]
    assert graph.nodes[0].names == ("c",)


def test_something_that_is_no_tensor_is_a_type_error() -> None:
    with pytest.raises(TypeError, match=r"expected a tensor, or a node such as y\.grad_fn, not int"):
        draw(3)


def test_the_package_imports_neither_the_engine_nor_pytorch() -> None:
    allowed = set(sys.stdlib_module_names) | {"graphviz", "numpy", "visualize"}
    files = sorted(Path(visualize.__file__).parent.glob("*.py"))
    imported = set()
    for statement in (s for file in files for s in ast.walk(ast.parse(file.read_text()))):
        if isinstance(statement, ast.Import):
            imported |= {alias.name.partition(".")[0] for alias in statement.names}
        elif isinstance(statement, ast.ImportFrom):
            imported.add(str(statement.module).partition(".")[0])
    assert len(files) >= 4
    assert imported <= allowed


# ----------------------------------------------------------------------------------------------------------- the text

NAIVE_TEXT = """\
#0 <PowBackward0>  value [1106]
└─── #1 <NormalBackward0>  random draw, z = [33.25]
     ├─0─ #2 <AccumulateGrad>  leaf mu = [12]
     │       why: A sample is no smooth function of its parameters.
     │       instead: reparameterise
     │       instead: score function
     │       gradient: [0], and only zeros can arrive from here
     └─0─ #3 <AccumulateGrad>  leaf std = [42]
             why: as for #2
             gradient: [0], and only zeros can arrive from here

───  a gradient flows
─0─  wired, but only zeros flow"""

REPARAMETERISED_TEXT = """\
#0 <PowBackward0>  value [1089]
└─── #1 <AddBackward0>  value [33]
     ├─── #2 <MulBackward0>  value [21]
     │    ├─·─ #3 noise from randn_like  value [0.5]
     │    └─── #4 <AccumulateGrad>  leaf std = [42]
     │            gradient: none yet
     └─── #5 <AccumulateGrad>  leaf mu = [12]
             gradient: none yet

───  a gradient flows
─·─  needs no gradient"""

STRAIGHT_THROUGH_TEXT = """\
#0 <AddBackward0>  value [1]
├─── #3 <AccumulateGrad>  leaf p = [0.25]
│       gradient: [2]
└─x─ #1 <SubBackward0>  value [0.75]
     │  why: detach() hands on the value without its history.
     │  instead: leave out detach()
     ├╌╌╌ #2 <BernoulliBackward0>  random draw, y = [1]
     │    └╌╌╌ #3 <AccumulateGrad>  leaf p = [0.25], see there
     │            why: A sample is no smooth function of its parameters.
     │            instead: reparameterise
     │            instead: score function
     └╌╌╌ #3 <AccumulateGrad>  leaf p = [0.25], see there

───  a gradient flows
─x─  not wired: no gradient flows
╌╌╌  no gradient comes this way: it stopped before"""

SURROGATE_TEXT = """\
#0 <MulBackward0>
├─── #1 <StraightThroughBackward>  value [1]
│    └─≈─ #2 <AccumulateGrad>  leaf p = [0.25]
│            why: The gradient of p stands in for that of y.
│            gradient: none yet
└─x─ #3 cut off by no_grad  value [0.5], from ExpBackward0
        why: no_grad: detach() hands on the value without its history.
        instead: leave out detach()

───  a gradient flows
─≈─  a gradient flows, but not the derivative of what was computed
─x─  not wired: no gradient flows"""


@pytest.mark.parametrize(
    ("build", "expected"),
    [*zip(GRAPHS, [NAIVE_TEXT, REPARAMETERISED_TEXT, STRAIGHT_THROUGH_TEXT, SURROGATE_TEXT], strict=True)],
)
def test_the_text_shows_values_gradients_and_stops_with_their_reasons(build: Any, expected: str) -> None:
    assert get_graph(*build()) == expected


def test_the_text_shows_itself_in_a_console() -> None:
    text = get_graph(*naive())
    assert repr(text) == str(text) == NAIVE_TEXT
    assert isinstance(text, str)


def test_a_leaf_behind_a_missing_edge_only_is_said_to_get_nothing() -> None:
    origin = Operation("ExpBackward0", Leaf([1.0]))
    cut = Source("cut", "detach", DETACH, "ExpBackward0", None, (origin, 0))
    root = Operation("MulBackward0", cut, Leaf([2.0]))
    assert "gradient: none, and nothing arrives from here" in get_graph(root)
    assert "no gradient arrives" in draw(root).source


def test_a_shared_subtree_is_printed_once() -> None:
    shared = Operation("ExpBackward0", Operation("LogBackward0", Leaf([1.0])))
    text = get_graph(Operation("AddBackward0", shared, shared))
    assert text.count("LogBackward0") == 1
    assert "└─── #1 <ExpBackward0>, see there" in text


def chain(n: int) -> Operation:
    y: Any = Leaf([1.0])
    for _ in range(n):
        y = Operation("NegBackward0", y)
    assert isinstance(y, Operation)
    return y


def test_a_deep_chain_is_read_and_printed_without_recursion_and_every_node_is_shown_once() -> None:
    n = 30_000
    root = chain(n)
    try:
        assert len(read(root).nodes) == n + 1
        text = get_graph(root)
        assert max(map(len, text.splitlines())) < 250
        shown = [int(i) for i in re.findall(r"#(\d+) <\w+>(?!.*continued below)", text)]
        assert shown == list(range(n + 1))
    finally:
        while root._inputs and isinstance(
            root._inputs[0], Operation
        ):  # taken apart from above: freeing it would recurse
            (root,), root._inputs = root._inputs, ()


# ------------------------------------------------------------------------------------------------------------- the DOT


def statements(source: str) -> dict[str, str]:
    """The DOT text by id of node and edge."""
    lines = source.removesuffix("\n}\n").split("\n\t")
    return {m[1]: line for line in lines if (m := re.search(r"\bid=\W?(\w+)", line))}


def edges_and_statements(build: Any) -> tuple[list[Edge], list[str]]:
    root, names = build()
    parts = statements(draw(root, names).source)
    return list(read(root, names).edges), [s for name, s in parts.items() if name.startswith("e")]


def test_the_dot_of_the_straight_through_estimator_is_as_it_was_looked_at() -> None:
    parts = statements(draw(*straight_through()).source)
    assert list(parts) == ["graph", "n0", "n1", "n2", "n3", "e0_0", "e0_1", "e1_0", "e1_1", "e2_0"]
    assert parts["n2"] == (
        "n2 [label=<<B>BernoulliBackward0</B><BR/>"
        '<FONT POINT-SIZE="9" COLOR="#636363">random draw</FONT><BR/>y = [1]> '
        'class="sampling unreached" color="#B8B8B8" fillcolor="#FFFFFF" fontcolor="#636363" id=n2 margin="0,0" '
        "penwidth=1 shape=hexagon style=filled "
        'tooltip="#2 BernoulliBackward0\ncomputes y ~ Bernoulli(p)\ny\nshape (1,), float64"]'
    )
    assert parts["n3"] == (
        'n3 [label=<<FONT POINT-SIZE="15"><B>p</B></FONT><BR/>'
        '<FONT POINT-SIZE="9" COLOR="#636363">leaf</FONT><BR/>[0.25]<BR/>'
        '<FONT COLOR="#0072B2"><B>grad [2]</B></FONT>> class=leaf color="#0072B2" fillcolor="#DCEBF7" id=n3 '
        'penwidth=2.4 shape=box style=filled tooltip="#3 AccumulateGrad\np\nshape (1,), float64"]'
    )
    assert parts["e0_0"] == (
        'n0 -> n3 [arrowhead=normal class="edge-live" color="#222222" id=e0_0 penwidth=1.6 '
        'tooltip="#0, input 0, to #3"]'
    )
    tooltip = "#0, input 1, to #1\ndetach() hands on the value without its history.\ninstead: leave out detach()"
    assert parts["e0_1"] == (
        'n0 -> n1 [label=<<TABLE BORDER="0" CELLBORDER="0" CELLSPACING="0" CELLPADDING="1">'
        '<TR><TD ROWSPAN="4" WIDTH="8"></TD></TR>'
        '<TR><TD ALIGN="LEFT"><FONT POINT-SIZE="12" COLOR="#555555"><B>detach</B></FONT></TD></TR>'
        '<TR><TD ALIGN="LEFT"><FONT COLOR="#555555">detach() hands on the value</FONT></TD></TR>'
        '<TR><TD ALIGN="LEFT"><FONT COLOR="#555555">without its history.</FONT></TD></TR></TABLE>> '
        'arrowhead=tee class="edge-missing carries-nothing" color="#636363" id=e0_1 '
        f'labeltooltip="{tooltip}" penwidth=1.6 style=dotted tooltip="{tooltip}"]'
    )


def test_each_kind_of_edge_has_a_line_of_its_own() -> None:
    lines = set()
    for edge, statement in ((e, s) for b in GRAPHS for e, s in zip(*edges_and_statements(b), strict=True)):
        if edge.kind == "missing" or edge.flow != "nothing" or edge.kind == "noise":
            lines.add((edge.kind, *re.findall(r"\b(?:style|arrowhead)=(\w+)", statement)))
            assert ('color="#9C3D7A:#FFFFFF:#9C3D7A"' in statement) == (edge.kind == "surrogate")  # a double line
    assert lines == {
        ("live", "normal"),
        ("zero", "onormal", "dashed"),
        ("missing", "tee", "dotted"),
        ("surrogate", "normal"),
        ("noise", "none"),
    }


def test_the_legend_explains_only_what_occurs() -> None:
    legend = statements(draw(*naive()).source)["graph"]
    assert "the gradient flows" in legend
    assert "only zeros flow" in legend
    assert "never wired" not in legend
    assert 'COLOR="#C04A00">╍╍▷' in legend
    assert 'COLOR="#636363">╍╍▷' in statements(draw(*straight_through()).source)["graph"]  # as pale as its edges
    assert "TABLE" not in statements(draw(Leaf([1.0])).source)["graph"]


def test_a_long_reason_is_cut_short_in_the_picture_and_whole_in_the_tooltip() -> None:
    reason = " ".join(f"word{i}" for i in range(60))
    source = draw(Operation("RoundBackward0", Leaf([1.0]), stops=(Stop("zero", reason),))).source
    label, _, tooltip = statements(source)["e0_0"].partition("tooltip=")
    assert "word59" not in label
    assert "…" in label
    assert reason in tooltip


def test_before_backward_a_leaf_shows_no_gradient_rather_than_a_zero() -> None:
    source = draw(*reparameterised()).source
    assert source.count("grad: none yet") == 2
    assert "grad [" not in source


def test_values_have_four_digits_and_large_ones_show_their_shape() -> None:
    root = Operation(
        "ABackward0", Leaf(np.arange(12.0).reshape(3, 4)), Leaf([1 / 3]), Leaf(123456), value=[[1.0, -2e-7]]
    )
    text = get_graph(root)
    for shown in ("value [[1, -2e-07]]", "leaf, shape (3, 4)", "value [0.3333]", "value 123456"):
        assert shown in text
    assert "shape (3, 4)" in draw(root).source


def test_empty_and_zero_dimensional_values_are_shown() -> None:
    root = Operation("ABackward0", Leaf(np.zeros((0, 3))), Leaf(2.5), value=np.zeros(0))
    assert "leaf, shape (0, 3)" in get_graph(root)
    assert "value 2.5" in get_graph(root)
    assert "shape (0, 3)" in draw(root).source


def test_a_value_that_has_no_elements_to_list_shows_its_shape() -> None:
    class Opaque:
        shape = (2,)
        dtype = "secret"
        size = 2

        def tolist(self) -> Any:
            raise RuntimeError("no elements here")

    operation = Operation("ABackward0", Leaf([1.0]))
    operation.value = Opaque()  # type: ignore[assignment]
    assert get_graph(operation).startswith("#0 <ABackward0>  shape (2,)")


def test_the_gradient_of_an_inner_tensor_is_shown_where_it_was_retained() -> None:
    @dataclass
    class Retaining(Result):
        retains_grad: bool = True
        grad: Any = 7.5

    root, names = reparameterised()
    z = root._inputs[0]
    assert "grad 7.5" in draw(root, {**names, "z": Retaining(z)}).source
    assert "gradient: 7.5" in get_graph(root, {**names, "z": Retaining(z)})


def test_an_inner_tensor_is_not_asked_for_a_gradient_it_did_not_retain() -> None:
    class Warning_(Result):
        retains_grad = False

        @property
        def grad(self) -> Any:
            raise AssertionError("PyTorch warns here")

    root, names = reparameterised()
    assert "z = [33]" in get_graph(root, {**names, "z": Warning_(root._inputs[0])})


@pytest.mark.parametrize("build", GRAPHS)
def test_the_same_graph_gives_the_same_text_and_the_same_dot(build: Any) -> None:
    first, second = build(), build()
    assert get_graph(*first) == get_graph(*second)
    assert draw(*first).source == draw(*second).source
    assert not re.search(r"0x[0-9a-f]{6}", draw(*first).source)


def test_ids_take_a_prefix() -> None:
    source = draw(*naive(), prefix="step3_").source
    assert set(re.findall(r"\bid=(\w+)", source)) == {
        f"step3_{i}" for i in ("graph", "n0", "n1", "n2", "n3", "e0_0", "e1_0", "e1_1")
    }


def test_it_is_drawn_at_once_so_that_later_gradients_do_not_show() -> None:
    root, names = reparameterised()
    drawing = draw(root, names)
    before = drawing.source
    names["mu"].grad = np.array([99.0])
    assert drawing.source == before


# ---------------------------------------------------------------------------------------------------------- escaping

HOSTILE = [
    'a"b',
    "<b>",
    "</TABLE>",
    "a\\",
    "\\N \\G \\l",
    "a\nb",
    "&amp; &",
    "]; n9 [",
    "<",
    "",
    " ",
    "a\x00\x1b",
    "é↦z",
    "--->",
]


@pytest.mark.parametrize("name", HOSTILE)
@needs_graphviz
def test_hostile_names_reach_the_picture_as_they_are(name: str) -> None:
    x = Leaf([1.0])
    stop = Stop("zero", f"because {name}", (f"use {name}",))
    root = Operation(f"Op{name}", x, stops=(stop,))
    svg = ElementTree.fromstring(draw(root, {name: x}).svg())
    shown = "".join(svg.itertext()).replace("\xa0", " ")
    clean = name.replace("\x00", "\ufffd").replace("\x1b", "\ufffd")
    for line in clean.split("\n"):
        assert shown.count(line.strip()) >= 2, shown
    tooltips = [v for e in svg.iter() for k, v in e.attrib.items() if k.endswith("title")]
    assert any(f"use {clean}" in tooltip.replace("\xa0", " ") for tooltip in tooltips), tooltips
    groups = [e.attrib["id"] for e in svg.iter() if e.attrib.get("class", "").split(" ")[0] in ("node", "edge")]
    assert groups == ["n0", "n1", "e0_0"]


def test_hostile_names_take_one_line_of_the_text() -> None:
    x = Leaf([1.0])
    text = get_graph(Operation("A\nBackward", x), {"x\ny": x})
    assert text.splitlines()[:2] == ["#0 <A Backward>", "└─── #1 <AccumulateGrad>  leaf x y = [1]"]


# --------------------------------------------------------------------------------------------------------- rendering


@needs_graphviz
@pytest.mark.parametrize("build", GRAPHS)
def test_the_svg_has_every_node_and_edge_under_its_id_with_its_class(build: Any) -> None:
    graph, drawing = read(*build()), draw(*build())
    svg = ElementTree.fromstring(drawing.svg())
    classes = {e.attrib["id"]: e.attrib["class"] for e in svg.iter() if "class" in e.attrib}
    for n in graph.nodes:
        assert n.kind in classes[f"n{n.number}"].split()
        for edge in n.edges:
            assert f"edge-{edge.kind}" in classes[f"e{edge.tail}_{edge.slot}"].split()


@needs_graphviz
@pytest.mark.parametrize(
    ("suffix", "magic"), [("svg", b"<?xml"), ("png", b"\x89PNG"), ("pdf", b"%PDF"), ("SVG", b"<?xml")]
)
def test_a_drawing_is_saved_in_the_format_that_its_suffix_names(tmp_path: Path, suffix: str, magic: bytes) -> None:
    path = draw(*naive()).save(tmp_path / f"graph.{suffix}")
    assert path.read_bytes().startswith(magic)
    assert [p.name for p in tmp_path.iterdir()] == [f"graph.{suffix}"]


@needs_graphviz
def test_a_notebook_gets_the_picture_and_the_text() -> None:
    drawing = draw(*naive())
    bundle = drawing._repr_mimebundle_()
    assert bundle["text/plain"] == NAIVE_TEXT
    assert "<svg" in bundle["image/svg+xml"]
    assert drawing._repr_svg_() == bundle["image/svg+xml"]


@pytest.mark.skipif(sys.platform == "win32", reason="the stand-in is a shell script")
def test_a_dot_program_is_used_where_there_is_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "dot"
    program.write_text('#!/bin/sh\necho "<svg>$*</svg>"\ncat >/dev/null\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert draw(*naive()).svg().startswith("<svg>-Kdot -Tsvg")


@pytest.fixture
def no_graphviz(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda *args, **kwargs: None)
    monkeypatch.setitem(sys.modules, "pygraphviz", None)  # which makes its import fail


@pytest.mark.usefixtures("no_graphviz")
def test_without_graphviz_the_error_says_what_to_install_and_no_file_is_left(tmp_path: Path) -> None:
    drawing = draw(*naive())
    with pytest.raises(GraphvizNotFound, match=re.escape('pip install "tinygrad_rp[graphviz]"')) as error:
        drawing.save(tmp_path / "graph.svg")
    assert "apt install graphviz" in str(error.value)
    assert ".source" in str(error.value)
    assert isinstance(error.value, RuntimeError)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("no_graphviz")
def test_without_graphviz_the_dot_text_is_still_there(tmp_path: Path) -> None:
    drawing = draw(*naive())
    for suffix in ("dot", "gv"):
        assert drawing.save(str(tmp_path / f"graph.{suffix}")).read_text() == drawing.source
    assert drawing.source.startswith("digraph gradient {")


@pytest.mark.usefixtures("no_graphviz")
def test_without_graphviz_a_notebook_gets_the_text() -> None:
    drawing = draw(*naive())
    assert drawing._repr_mimebundle_() == {"text/plain": NAIVE_TEXT}
    assert drawing._repr_svg_() is None


def test_an_unknown_suffix_is_an_error_that_names_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"\.svg, \.png, \.pdf, \.dot, \.gv"):
        draw(*naive()).save(tmp_path / "graph.jpeg")
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_cannot_be_replaced_is_left_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "graph.dot"
    path.write_text("before")

    def fail(*args: Any) -> None:
        raise OSError("disk full")

    monkeypatch.setattr("os.replace", fail)
    with pytest.raises(OSError, match="disk full"):
        draw(*naive()).save(path)
    assert path.read_text() == "before"
    assert [p.name for p in tmp_path.iterdir()] == ["graph.dot"]


def test_a_drawing_says_in_a_console_how_to_use_it() -> None:
    assert ".save(" in repr(draw(*naive()))
    assert isinstance(draw(*naive()), Drawing)


# ---------------------------------------------------------------------------------------------------- PyTorch's graphs


@pytest.fixture
def torch() -> Any:
    return pytest.importorskip("torch")


def test_the_zero_edges_of_pytorch_are_shown_although_it_does_not_declare_them(torch: Any) -> None:
    mu = torch.tensor([12.0], requires_grad=True)
    std = torch.tensor([42.0], requires_grad=True)
    z = torch.normal(mu, std)
    z2 = z**2
    z2.backward()
    graph = read(z2, {"mu": mu, "std": std, "z": z})
    assert structure(graph) == [(0, 1, "live", "gradient"), (1, 2, "zero", "zeros"), (1, 3, "zero", "zeros")]
    assert graph.nodes[1].kind == "sampling"
    text = get_graph(z2, {"mu": mu, "std": std})
    assert "leaf mu = [12]" in text
    assert text.count("gradient: [0], and only zeros can arrive from here") == 2


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("bernoulli", "sampling"),
        ("poisson", "sampling"),
        *((name, "flat") for name in ("round", "floor", "ceil", "trunc", "sign", "sgn")),
    ],
)
def test_pytorch_hands_back_zeros_where_a_zero_edge_is_shown(torch: Any, name: str, kind: str) -> None:
    p = torch.tensor([0.25, 0.75], requires_grad=True)
    y = getattr(torch, name)(p)
    (g,) = torch.autograd.grad(y.sum(), p, retain_graph=True)
    assert torch.count_nonzero(g) == 0
    graph = read(y)
    assert [(e.kind, bool(e.reason), bool(e.remedies)) for e in graph.edges] == [("zero", True, True)]
    assert graph.nodes[0].kind == kind


@pytest.mark.parametrize(
    "name", ["normal_", "uniform_", "exponential_", "cauchy_", "log_normal_", "random_", "bernoulli_"]
)
def test_in_pytorch_values_that_were_drawn_over_others_get_zeros(torch: Any, name: str) -> None:
    p = torch.tensor([0.25], requires_grad=True)
    y = getattr(p * 2, name)()
    (g,) = torch.autograd.grad(y.sum(), p, retain_graph=True)
    assert g.tolist() == [0.0]
    assert [(e.kind, e.flow) for e in read(y).edges][:1] == [("zero", "zeros")]
    assert "written over" in get_graph(y)


def test_pytorch_division_that_rounds_is_a_flat_step_and_true_division_is_not(torch: Any) -> None:
    p, q = (torch.tensor([v], requires_grad=True) for v in (5.0, 2.0))
    assert [e.kind for e in read(torch.div(p, q, rounding_mode="floor")).edges] == ["zero", "zero"]
    assert [e.kind for e in read(torch.div(p, q)).edges] == ["live", "live"]


def test_an_operation_without_a_derivative_in_pytorch_is_not_wired(torch: Any) -> None:
    p = torch.tensor([0.25], requires_grad=True)
    y = torch.heaviside(p, torch.tensor([0.5]))
    with pytest.raises(RuntimeError, match="not implemented"):
        torch.autograd.grad(y.sum(), p, retain_graph=True)
    assert [(e.kind, e.flow) for e in read(y).edges] == [("missing", "nothing")]


def test_pytorch_constants_are_shown_where_they_were_saved_and_can_be_named(torch: Any) -> None:
    std = torch.tensor([42.0], requires_grad=True)
    eps = torch.tensor([0.5])
    y = eps * std
    assert "constant  eps = [0.5]" in get_graph(y, {"eps": eps})
    y.backward()  # frees what was saved
    assert "constant" not in get_graph(y)
    assert "gradient: [0.5]" in get_graph(y)


def test_pytorch_leaves_nodes_with_several_outputs_and_shapes(torch: Any) -> None:
    x = torch.ones(3, 4, requires_grad=True)
    a, b = torch.unbind(torch.exp(x)[:2])
    text = get_graph((a * b).sum(), {"x": x, "b": b})
    assert "leaf x = shape (3, 4)" in text
    assert "<UnbindBackward0> output 1, see there" in text
    assert "b (output 1)" in text
    leaf = get_graph(x)
    assert leaf == "#0 <AccumulateGrad>  leaf, shape (3, 4): all 1\n   gradient: none yet"


@pytest.mark.parametrize("shape", [(), (0,), (0, 3)])
def test_pytorch_tensors_without_dimensions_or_elements_are_drawn(torch: Any, shape: tuple[int, ...]) -> None:
    x = torch.ones(shape, requires_grad=True)
    y = (x * 2).sum()
    y.backward()
    shown = "1" if shape == () else f"shape {shape}"
    assert "x</B></FONT><BR/>" in draw(y, {"x": x}).source
    assert f"leaf x = {shown}" in get_graph(y, {"x": x})


def test_a_pytorch_function_of_a_user_is_an_operation(torch: Any) -> None:
    class Identity(torch.autograd.Function):  # type: ignore[misc]
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            ctx.variable = "not a leaf"
            return x.clone()

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            return g

    graph = read(Identity.apply(torch.ones(1, requires_grad=True)))
    assert [n.title for n in graph.nodes] == ["IdentityBackward", "AccumulateGrad"]


def test_a_pytorch_graph_gives_the_same_text_each_time(torch: Any) -> None:
    def build() -> Any:
        p = torch.tensor([0.25], requires_grad=True)
        e = torch.exp((torch.log1p(-p) - torch.log(p)) / 0.1)
        return 1 / (1 + e)

    texts = {str(get_graph(build())) for _ in range(5)}
    assert len(texts) == 1


def test_edges_and_nodes_are_plain_data() -> None:
    edge = read(*naive()).nodes[1].edges[0]
    assert edge == Edge(1, 2, 0, 0, "zero", "", DRAW.reason, DRAW.remedies, "zeros")


@pytest.mark.parametrize("name", ["tinygrad_rp", "torch"])
def test_what_was_written_over_gets_zeros_and_is_no_flat_step(name):
    torch = pytest.importorskip(name)
    w = torch.ones(3, requires_grad=True)
    x, y = w * 2, w * 3
    x.copy_(w)
    y.zero_()
    text = get_graph((x + y).sum())
    assert text.count("─0─ #") >= 2 and text.count("written over") == 2
    assert "flat step" not in text


@pytest.mark.parametrize(
    ("kept", "value"),
    [
        ("shape", (7, 7)),
        ("value", 3.0),
        ("outputs", (1, 2)),
        ("name", "mine"),
        ("stops", ["me"]),
        ("sources", [1]),
        ("saved", {"k": 1}),
    ],
)
def test_what_a_user_keeps_in_the_ctx_of_a_function_says_nothing_of_its_node(torch: Any, kept: str, value: Any) -> None:
    class Sum(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            setattr(ctx, kept, value)
            return x.sum()

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            return g.expand(3)

    x = torch.ones(3, requires_grad=True)
    graph = read(Sum.apply(x) * 2)
    node = graph.nodes[1]
    assert (node.title, node.shape, node.value, node.saved) == ("SumBackward", (), None, {})
    assert [edge.kind for edge in node.edges] == ["live"]
    assert "[2, 2, 2]" in play(Sum.apply(x) * 2).text
    assert "‖g‖" in draw(Sum.apply(x) * 2, heat=True).source


def test_a_checkpoint_is_not_computed_again_to_be_read(torch: Any) -> None:
    calls = []

    def part(x: Any) -> Any:
        calls.append(1)
        return torch.tanh(x * w) * w

    x, w = torch.ones(2, requires_grad=True), torch.ones(2, requires_grad=True)
    y = pytest.importorskip("torch.utils.checkpoint").checkpoint(part, x, use_reentrant=False).sum()
    get_graph(y)
    draw(y)
    assert len(calls) == 1


def test_a_constant_is_not_given_the_name_of_another_tensor(torch: Any) -> None:
    x, w = torch.ones(2, 2, requires_grad=True), torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    assert "constant  w = " in get_graph(x * w, {"w": w})
    assert "constant  value [[1, 3], [2, 4]]" in get_graph(x * w.t(), {"w": w})
    for empty in (torch.ones(2, 2, device="meta"), torch.ones(0)):
        x = torch.empty_like(empty, requires_grad=True)
        assert "other" not in get_graph(x * empty, {"other": torch.ones_like(empty)})


def test_sparse_tensors_may_have_names(torch: Any) -> None:
    x, s = torch.ones(2, requires_grad=True), torch.eye(2).to_sparse()
    assert "leaf x" in get_graph(x * 2, {"x": x, "s": s})
