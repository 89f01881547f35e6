"""Pictures of larger things: folded graphs, frames around scopes, heat, dark pages, marks; in both engines."""

from __future__ import annotations

import importlib.util
import re
import shutil
import sys
import xml.etree.ElementTree as ElementTree

import pytest

from visualize import draw, get_graph
from visualize.drawing import COLORS, Marks, picture
from visualize.folding import fold
from visualize.reading import read
from visualize.scopes import module_scopes, place, scope

HAS_GRAPHVIZ = shutil.which("dot") is not None or importlib.util.find_spec("pygraphviz") is not None
needs_graphviz = pytest.mark.skipif(not HAS_GRAPHVIZ, reason="no Graphviz: neither dot nor pygraphviz")


@pytest.fixture(params=["tinygrad_rp", "torch"])
def torch(request):
    return pytest.importorskip(request.param)


def statements(source):
    """The DOT text by id of node, edge and frame; frames are followed by what is in them."""
    lines = source.split("\n")
    return {m[1]: line.strip() for line in lines if (m := re.search(r"\bid=\W?([\w.-]+)", line))}


def titles(graph):
    return [node.title for node in graph.nodes]


def layers(torch, n, stop=False):
    """A network of n layers, each with weights of its own."""
    h = torch.ones(2, 3, requires_grad=True)
    weights = [torch.ones(3, 3, requires_grad=True) for _ in range(n)]
    for w in weights:
        h = torch.tanh(h @ w)
        h = torch.round(h) if stop else h
    return h.sum()


# ------------------------------------------------------------------------------------------------------------- folding


def test_a_small_graph_is_drawn_as_it_is(torch):
    graph = read(layers(torch, 5))
    assert fold(graph) is graph


def test_equal_layers_are_folded_with_their_leaves(torch):
    graph = read(layers(torch, 50))
    folded = fold(graph)
    # the last layer leads to a leaf, and not to another layer
    assert titles(folded) == ["SumBackward0", "49 ×", "TanhBackward0", "MmBackward0", *["AccumulateGrad"] * 2]
    box = folded.nodes[1]
    assert box.kind == "folded"
    assert box.contents == ("TanhBackward0", "MmBackward0", "49 leaves inside")
    assert len(box.members) == 147
    others = [node.number for node in folded.nodes if node is not box]
    assert sorted([*others, *box.members]) == list(range(len(graph.nodes)))
    assert [edge.head for edge in folded.nodes[0].edges] == [box.number]
    assert [edge.head for edge in box.edges] == [folded.nodes[2].number]


def test_a_leaf_that_several_repetitions_share_is_seen(torch):
    w = torch.ones(3, 3, requires_grad=True)
    h = torch.ones(2, 3)
    for _ in range(60):
        h = torch.tanh(h @ w) + torch.exp(h)
    folded = fold(read(h.sum(), {"w": w}))
    (leaf,) = [node for node in folded.nodes if node.kind == "leaf"]
    assert leaf.names == ("w",)
    assert max(edge.times for edge in folded.edges if edge.head == leaf.number) > 50


def test_a_pattern_of_several_blocks_is_found(torch):
    x = torch.ones(3, requires_grad=True)
    h = x
    for _ in range(50):
        h = torch.exp(torch.sin(torch.cos(h)))
    folded = fold(read(h))
    assert titles(folded) == ["ExpBackward0", "49 ×", "SinBackward0", "CosBackward0", "AccumulateGrad"]
    assert folded.nodes[1].contents == ("SinBackward0", "CosBackward0", "ExpBackward0")


def test_a_box_says_that_a_gradient_stops_inside(torch):
    folded = fold(read(layers(torch, 60, stop=True)))
    box = next(node for node in folded.nodes if node.kind == "folded")
    ((kind, reason, times),) = box.stops
    assert kind == "zero"
    assert "flat" in reason or "round" in reason
    assert times == len(box.members) // 4
    assert any("only zeros arrive at" in line for line in box.contents)
    source = draw(layers(torch, 60, stop=True)).source
    assert f"only zeros pass, {times} times:" in source


def test_a_stop_between_equal_layers_is_not_folded_away(torch):
    h = torch.ones(2, 3, requires_grad=True)
    for i in range(100):
        h = torch.sin(h)
        h = torch.round(h) if i == 50 else h
    folded = fold(read(h))
    assert titles(folded) == ["SinBackward0", "48 ×", "RoundBackward0", "50 ×", "SinBackward0", "AccumulateGrad"]
    assert folded.nodes[2].kind == "flat"


def test_what_is_asked_for_is_unfolded(torch):
    loss = layers(torch, 50)
    graph = read(loss)
    middle = 41
    folded = fold(graph, unfold=[middle])
    assert graph.nodes[middle].title in ("TanhBackward0", "MmBackward0")
    assert middle in [node.number for node in folded.nodes]
    assert sum(node.kind == "folded" for node in folded.nodes) == 2
    assert "n41 [" in draw(loss, unfold=41).source
    assert "n41 [" not in draw(loss).source
    assert "n41 [" in draw(loss, fold=False).source


def test_what_does_not_repeat_is_folded_by_neighbourhood(torch):
    x = torch.ones(3, requires_grad=True)
    found = [x, x * 2]
    for i in range(400):
        found.append(found[-1 - i * i % 7 % len(found)] * found[-1] if i % 3 else torch.sin(found[-1 - i % 2]))
    graph = read(sum(found[-9:]).sum(), {"x": x, "v": found[200]})
    folded = fold(graph)
    assert len(folded.nodes) <= 130
    numbers = [n for node in folded.nodes for n in (node.members or (node.number,))]
    assert sorted(numbers) == list(range(len(graph.nodes)))  # each once, and none is lost
    assert {"x", "v"} <= {name for node in folded.nodes for name in node.names}
    # no way leads from a box back into it
    order = {node.number: i for i, node in enumerate(folded.nodes)}
    ways = {node.number: [edge.head for edge in node.edges] for node in folded.nodes}
    reached: dict[int, bool] = {}
    for start in order:
        stack, seen = list(ways[start]), set()
        while stack:
            number = stack.pop()
            assert number != start
            if number not in seen:
                seen.add(number)
                stack += ways[number]
        reached[start] = True
    assert len(reached) == len(folded.nodes)


def test_thousands_of_nodes_are_folded_and_a_deep_chain_does_not_recurse(torch):
    x = torch.ones(3, requires_grad=True)
    h = x
    for _ in range(sys.getrecursionlimit() * 3):
        h = torch.sin(h)
    folded = fold(read(h))
    assert titles(folded)[0] == "SinBackward0"
    assert len(folded.nodes) <= 4
    assert draw(h).source.count("[label=") < 10


def test_wrong_numbers_to_fold_and_unfold_are_errors(torch):
    loss = layers(torch, 2)
    for wrong in (0, -3, "all", None):
        with pytest.raises(ValueError, match="fold must be"):
            draw(loss, fold=wrong)
    with pytest.raises(ValueError, match="there is no node #99"):
        draw(loss, unfold=99)
    with pytest.raises(ValueError, match="unfold must name"):
        draw(loss, unfold=torch.ones(2))


def test_a_smaller_limit_folds_smaller_graphs(torch):
    loss = layers(torch, 6)
    assert "folded" not in draw(loss).source
    assert "5 ×" in draw(loss, fold=5).source


# ------------------------------------------------------------------------------------------------------------- scopes


def test_a_scope_is_a_frame_around_what_was_computed_inside(torch):
    x = torch.ones(3, requires_grad=True)
    w = torch.ones(3, requires_grad=True)
    with scope("encoder") as encoder:
        h = x * w
        with scope("inner <b>") as inner:
            h = torch.sin(h)
    y = (h + w).sum()
    scopes = [inner, encoder]
    graph = read(y, {"x": x, "w": w})
    inside = {graph.nodes[n].title: [scopes[i].name for i in path] for n, path in place(graph, scopes).items()}
    assert inside == {"SinBackward0": ["encoder", "inner <b>"], "MulBackward0": ["encoder"]}
    source = draw(y, {"x": x, "w": w}, scopes=scopes).source
    frames = [
        line.strip() for line in source.split("\n") if "subgraph" in line or "[label=" in line or line.strip() == "}"
    ]
    opened = frames.index(next(line for line in frames if "subgraph" in line))
    text = " ".join(frames[opened:])
    assert source.count("subgraph") == 2
    assert "inner &lt;b&gt;" in source
    assert text.index("<B>x</B>") > 0  # x is used there alone, so it stands in the frame; w is not
    assert "<B>w</B>" not in text[: text.rindex("}")]


def test_one_scope_may_be_given_by_itself(torch):
    with scope("all") as everything:
        y = torch.ones(3, requires_grad=True) * 2
    assert draw(y, scopes=everything).source == draw(y, scopes=[everything]).source
    assert "subgraph" in draw(y, scopes=everything).source


def test_several_scopes_of_one_name_share_a_frame(torch):
    h = torch.ones(3, requires_grad=True)
    scopes = []
    for _ in range(3):
        with scope("layer") as layer:
            h = torch.sin(h)
        scopes.append(layer)
        h = h * 2
    assert draw(h, scopes=scopes).source.count("subgraph") == 1


def test_a_scope_needs_a_name(torch):
    with pytest.raises(TypeError, match="takes a name"), scope(3):
        pass


def test_modules_are_scopes_while_they_run(torch):
    class Net(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.second = Layer(), Layer()

        def forward(self, x):
            return self.second(torch.sin(self.first(x)))

    class Layer(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = torch.nn.Parameter(torch.ones(3, 3))

        def forward(self, x):
            return torch.tanh(x @ self.weight)

    net = Net()
    with module_scopes(net) as scopes:
        y = net(torch.ones(2, 3))
    assert [each.name for each in scopes] == ["Net", "first: Layer", "second: Layer"]
    graph = read(y.sum(), net)
    inside = [
        (graph.nodes[n].title, [scopes[i].name for i in path]) for n, path in sorted(place(graph, scopes).items())
    ]
    assert inside == [
        ("TanhBackward0", ["Net", "second: Layer"]),
        ("MmBackward0", ["Net", "second: Layer"]),
        ("SinBackward0", ["Net"]),
        ("TanhBackward0", ["Net", "first: Layer"]),
        ("MmBackward0", ["Net", "first: Layer"]),
    ]
    net(torch.ones(2, 3))  # the hooks are gone
    assert all(len(each.spans) <= 2 for each in scopes)
    with pytest.raises(TypeError, match="takes a module"), module_scopes(3):
        pass


def test_scopes_are_folded_first_in_a_large_graph(torch):
    h, scopes = torch.ones(3, requires_grad=True), []
    with scope("all") as everything:
        for i in range(10):
            with scope(f"layer {i}") as layer:
                for f in (torch.sin, torch.cos, torch.exp, torch.tanh, torch.sigmoid) * (2 + i % 2):
                    h = f(h)
            scopes.append(layer)
    source = draw(h, scopes=[everything, *scopes]).source
    for i in range(10):
        assert f"<B>layer {i}</B>" in source
    assert source.count("folded") == 10
    assert source.count("subgraph") == 1


# --------------------------------------------------------------------------------------------------------------- heat


def test_heat_writes_the_norm_of_the_gradient_on_each_edge(torch):
    x = torch.tensor([3.0, -1.0], requires_grad=True)
    y = torch.relu(x * 1.0) * 4.0
    z = y.sum()
    parts = statements(draw(z, heat=True).source)
    assert "‖g‖ 1.41" in parts["e0_0"]
    assert "‖g‖ 5.66" in parts["e1_0"]
    relu = next(line for name, line in parts.items() if name.startswith("e2"))
    assert "‖g‖ 4<" in relu
    width = {name: float(re.search(r"penwidth=([\d.]+)", line)[1]) for name, line in parts.items() if name[0] == "e"}
    assert width["e1_0"] > width["e0_0"]
    assert x.grad is None
    assert "‖g‖" not in draw(z).source


def test_heat_shows_where_a_live_gradient_dies_and_where_it_is_not_finite(torch):
    x = torch.tensor([-3.0], requires_grad=True)
    dead = statements(draw(torch.relu(x).sum(), heat=True).source)
    assert "style=dashed" in dead["e1_0"]
    assert "‖g‖ 0<" in dead["e1_0"]
    zero = torch.tensor([0.0], requires_grad=True)
    infinite = statements(draw(torch.sqrt(zero).sum(), heat=True).source)
    assert "‖g‖ inf" in infinite["e1_0"]
    assert "style=dotted" in infinite["e1_0"]


def test_heat_after_the_values_were_freed_is_an_error_that_says_what_to_do(torch):
    x = torch.tensor([3.0], requires_grad=True)
    y = x.exp()
    y.backward()
    with pytest.raises(RuntimeError, match=r"#0 ExpBackward0 has it no more.*retain_graph=True"):
        draw(y, heat=True)


# -------------------------------------------------------------------------------------------------------- colours, marks


def contrast(a, b):
    def luminance(color):
        channels = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        r, g, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels)
        return 0.2126 * r + 0.7152 * g + 0.0722 * blue

    low, high = sorted((luminance(a), luminance(b)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("theme", [0, 1])
def test_what_is_written_stands_out_from_what_it_is_written_on(theme):
    color = {role: pair[theme] for role, pair in COLORS.items()}
    for ground in ("paper", "box", "leaf", "stop", "noise", "scope"):
        assert contrast(color["ink"], color[ground]) >= 7
        assert contrast(color["grey"], color[ground]) >= 4.5
    for role in ("vermilion", "purple", "blue"):
        assert contrast(color[role], color["paper"]) >= 4.5
    assert contrast(color["vermilion"], color["stop"]) >= 4
    assert contrast(color["blue"], color["leaf"]) >= 4
    assert len({pair[0] for pair in COLORS.values()}) == len(COLORS)


def test_a_dark_picture_has_the_colours_of_a_dark_page_and_the_users_text_stays(torch):
    x = torch.tensor([3.0], requires_grad=True)
    y = x * 2
    name = 'color="#222222" #FFFFFF'
    light, dark = draw(y, {name: x}, theme="light").source, draw(y, {name: x}, theme="dark").source
    assert COLORS["leaf"][0] in light
    assert COLORS["leaf"][0] not in dark
    assert COLORS["leaf"][1] in dark
    assert dark.count("#222222") == light.count("color=&quot;#222222") + light.count('color=\\"#222222')
    assert re.sub("#[0-9A-F]{6}", "", light) == re.sub("#[0-9A-F]{6}", "", dark)


@pytest.mark.skipif(shutil.which("dot") is None, reason="no program dot")
def test_an_svg_turns_dark_with_its_page_by_rules_for_itself_alone(torch):
    x = torch.tensor([3.0], requires_grad=True)
    svg = draw(x * 2, prefix="a-").svg()
    ElementTree.fromstring(svg)
    (rules,) = re.findall(r"<style>(.*)</style>", svg)
    assert rules.startswith("@media (prefers-color-scheme:dark){")
    selectors = re.findall(r"([^{}]+)\{(?:fill|stroke):#[0-9a-f]{6}\}", rules.partition("{")[2])
    assert selectors
    assert all(selector.startswith('[id="a-graph"] [') for selector in selectors)
    assert "<style>" not in draw(x * 2, theme="light").svg()


def test_an_unknown_theme_or_prefix_is_an_error(torch):
    y = torch.tensor([3.0], requires_grad=True) * 2
    with pytest.raises(ValueError, match="theme must be one of 'auto', 'light', 'dark', not 'blue'"):
        draw(y, theme="blue")
    for prefix in ('"', "a b", "1", "<"):
        with pytest.raises(ValueError, match="prefix must be"):
            draw(y, prefix=prefix)


def test_marks_frame_a_node_with_a_remark_and_thicken_a_path(torch):
    x = torch.tensor([3.0], requires_grad=True)
    w = torch.tensor([3.0], requires_grad=True)
    y = torch.sin(x) * w
    graph = read(y, {"x": x, "w": w})
    at = graph.find(x).number
    edges = {(edge.tail, edge.slot) for edge in graph.edges if edge.head in (at, 1)}
    drawn = picture(graph, marks=Marks({at: "it <stops> here"}, frozenset(edges), others="pale")).source
    parts = statements(drawn)
    assert "it &lt;stops&gt; here" in parts[f"n{at}"]
    assert "peripheries=2" in parts[f"n{at}"]
    assert "marked" in parts[f"n{at}"]
    other = graph.find(w).number
    assert COLORS["pale"][0] in parts[f"n{other}"]
    assert "penwidth=4" in parts["e0_0"]
    assert "penwidth=4" not in parts["e0_1"]


def test_large_values_show_what_is_in_them(torch):
    x = torch.linspace(-1, 1, 101).requires_grad_()
    y = x * 2
    y.sum().backward()
    source = draw(y, {"x": x}).source
    assert "shape (101,)" in source
    assert "-1 … 1" in source
    assert "grad shape (101,)" in source
    assert "all 2" in source
    text = get_graph(y, {"x": x})
    assert re.search(r"leaf x = shape \(101,\): \S+ ± 0\.58, -1 … 1", text)


def test_what_is_not_finite_in_a_large_value_is_counted(torch):
    x = torch.ones(100)
    x[3] = float("nan")
    x[4] = float("inf")
    x.requires_grad_()
    assert "else 1, 1 NaN, 1 infinite" in get_graph(x * 2, {"x": x})


def test_a_leaf_that_is_asked_for_is_seen_beside_the_box_of_its_layer(torch):
    weights = [torch.ones(3, 3, requires_grad=True) for _ in range(60)]
    h = torch.ones(2, 3)
    for w in weights:
        h = torch.tanh(h @ w)
    graph = read(h.sum())
    number = graph.find(weights[30]).number
    assert number not in {node.number for node in fold(graph).nodes}
    assert number in {node.number for node in fold(graph, unfold=[number]).nodes}
    assert "w30" in draw(h.sum(), {"w30": weights[30]}, unfold=weights[30]).source


def test_heat_does_not_blame_an_error_of_a_rule_on_an_earlier_pass(torch):
    class Wrong(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2

        @staticmethod
        def backward(ctx, g):
            raise ValueError("not today")

    y = Wrong.apply(torch.tensor([1.0], requires_grad=True))
    with pytest.raises(RuntimeError, match="not today") as error:
        draw(y * 3, heat=True)
    assert "retain_graph" not in str(error.value)


@needs_graphviz
def test_a_thousand_names_of_one_node_can_be_drawn(torch):
    rows = torch.ones(1000, 1, requires_grad=True).unbind(0)
    names = {f"{i} {'row' * 10}": rows[0] for i in range(1000)}
    assert "999 row" not in draw((rows[0] + rows[1]).sum(), names).svg()


@needs_graphviz
def test_the_name_of_a_scope_is_no_markup(torch):
    with scope("<i>(</i>") as part:
        y = torch.tensor([1.0], requires_grad=True).exp() * 2
    svg = draw(y, scopes=[part]).svg()
    assert svg.count("&lt;i&gt;(&lt;/i&gt;") == 2  # the label and the tooltip


def test_scopes_are_found_by_the_count_at_which_they_were_open(torch):
    x = torch.tensor([1.0], requires_grad=True)
    with scope("outer") as outer:
        y = x.exp()
        with scope("inner") as inner:
            y = y.exp()
        with scope("empty") as empty:
            pass
        y = y.exp()
    y = y.exp()
    scopes = [inner, outer, empty]
    found = place(read(y), scopes)
    assert [[scopes[i].name for i in found.get(number, ())] for number in range(4)] == [
        [],
        ["outer"],
        ["outer", "inner"],
        ["outer"],
    ]


def test_large_noise_is_named_and_shown_as_long_as_it_lives():
    torch = pytest.importorskip("tinygrad_rp")
    w = torch.ones(40, requires_grad=True)
    eps = torch.randn(40)
    y = w + eps
    assert "noise from randn  eps = shape (40,): " in get_graph(y, {"eps": eps})
    assert "noise from randn  shape (40,): " in get_graph(y)
    del eps
    assert "noise from randn\n" in get_graph(y) + "\n"  # a sum does not keep it, and neither does the picture
