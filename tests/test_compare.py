"""Two graphs side by side: what is matched, what is said to differ, and what the text and the picture show of it."""

from __future__ import annotations

import importlib
import importlib.util
import re
import shutil
import xml.etree.ElementTree as ElementTree

import pytest

import tinygrad_rp
from visualize.comparing import compare

HAS_GRAPHVIZ = shutil.which("dot") is not None or importlib.util.find_spec("pygraphviz") is not None
needs_graphviz = pytest.mark.skipif(not HAS_GRAPHVIZ, reason="no Graphviz: neither dot nor pygraphviz")

pytestmark = pytest.mark.filterwarnings("ignore::tinygrad_rp.StoppedGradientWarning")


@pytest.fixture(params=["tinygrad_rp", "torch"])
def torch(request):
    """Either engine: what holds, holds for both."""
    return pytest.importorskip(request.param)


@pytest.fixture
def pytorch():
    return pytest.importorskip("torch")


def leaf(torch, *numbers):
    return torch.tensor(list(numbers), requires_grad=True)


def naive_and_reparameterised(torch):
    mu, std = leaf(torch, 12.0), leaf(torch, 42.0)
    z = torch.normal(mu, std)
    eps = torch.tensor([0.5]) if torch is not tinygrad_rp else torch.randn_like(std)
    z2 = eps * std + mu
    names = {"mu": mu, "std": std}
    return compare(z**2, z2**2, (names | {"z": z}, names | {"z": z2, "eps": eps}), titles=("naive", "reparameterised"))


def step(torch):
    class Step(torch.autograd.Function):
        @staticmethod
        def forward(ctx, p):
            return torch.bernoulli(p)

        @staticmethod
        def backward(ctx, g):
            return g

    return Step


def straight_through(torch):
    """By detach, and by a Function; both draw the same number."""
    p = leaf(torch, 0.25)
    torch.manual_seed(0)
    y = torch.bernoulli(p)
    by_detach = (p + (y - p).detach() - 0.45) ** 2
    torch.manual_seed(0)
    by_function = (step(torch).apply(p) - 0.45) ** 2
    return compare(by_detach, by_function, {"p": p}, titles=("detach", "Function"))


def without(sentences, what):
    return [sentence for sentence in sentences if what not in sentence]


# ------------------------------------------------------------------------------------------------------ what a learner asks


def test_naive_and_reparameterised_differ_in_what_arrives_at_the_leaves_and_in_the_steps_between(torch):
    found = naive_and_reparameterised(torch)
    gradients = [re.sub(r" \(\[.*\]\)", "", sentence) for sentence in found.differences[:2]]
    assert gradients == [
        "mu: zeros arrive in naive, a gradient in reparameterised",
        "std: zeros arrive in naive, a gradient in reparameterised",
    ]
    eps = "noise from randn_like #3 (eps)" if torch is tinygrad_rp else "constant #3 (eps)"
    assert [s for s in found.differences if s.startswith("only")] == [
        "only in naive: NormalBackward3 #1 (random draw, z)",
        "only in reparameterised: AddBackward0 #1 (z)",
        "only in reparameterised: MulBackward0 #2",
        f"only in reparameterised: {eps}",
    ]
    assert not found.same
    assert found.summary.startswith("At mu and std, zeros arrive in naive, a gradient in reparameterised.")
    assert found.pairs == ((0, 0), (2, 5), (3, 4))


def test_the_number_of_the_gradient_is_said_where_one_arrives(torch):
    mu, std = leaf(torch, 12.0), leaf(torch, 42.0)
    z = 0.5 * std + mu
    found = compare(torch.normal(mu, std) ** 2, z**2, {"mu": mu, "std": std})
    assert found.differences[0] == "mu: zeros arrive in a, a gradient in b ([66])"
    assert found.differences[1] == "std: zeros arrive in a, a gradient in b ([33])"


def test_what_arrives_is_followed_without_touching_any_grad(torch):
    naive_and_reparameterised(torch)
    x = leaf(torch, 1.0)
    compare(x.exp(), x.sin(), {"x": x})
    assert x.grad is None


def test_the_two_spellings_of_straight_through_hand_the_same_gradient_to_the_leaf(torch):
    found = straight_through(torch)
    assert found.summary.startswith("At p, the same gradient arrives in both.")
    said = ["only in detach: AddBackward0 #2", "only in Function: StepBackward #2"]
    if torch is tinygrad_rp:
        said[1:] = ["only in detach: cut off by detach #4", said[1] + " (hands on a surrogate)"]
    assert list(found.differences) == said


def test_a_detach_is_told_as_a_missing_edge_and_as_a_leaf_that_receives_nothing():
    torch = tinygrad_rp
    a, b = leaf(torch, 1.0, 2.0), leaf(torch, 3.0, 4.0)
    y = a.exp()
    found = compare((y * b).sum(), (y.detach() * b).sum(), {"a": a, "b": b, "y": y}, titles=("kept", "cut"))
    assert list(found.differences) == [
        "a: a gradient arrives in kept ([8.155, 29.56]), nothing in cut",
        "edge from MulBackward0 #1 to y is live in kept, missing in cut",
    ]
    assert "At b, the same gradient arrives in both." in found.summary


def test_a_zero_edge_and_a_live_one_are_told(torch):
    found = compare(torch.round(leaf(torch, 1.2)), torch.exp(leaf(torch, 1.2)))
    assert found.differences[0].startswith("leaf #1: zeros arrive in a, a gradient in b")
    x = leaf(torch, 1.2)
    found = compare((torch.round(x) * x).sum(), (torch.exp(x) * x).sum(), {"x": x})
    assert without(found.differences, "value")[:2] == [
        "only in a: RoundBackward0 #2 (flat step)",
        "only in b: ExpBackward0 #2",
    ]


# ------------------------------------------------------------------------------------------------------------ the same


def test_a_graph_is_the_same_as_itself_and_as_one_built_again(torch):
    def build():
        w, x = leaf(torch, 1.0, 2.0), leaf(torch, 3.0, 4.0)
        return (torch.tanh(w * x) + w).sum(), {"w": w, "x": x}

    (a, names_a), (b, names_b) = build(), build()
    for found in (compare(a, a), compare(a, b), compare(a, b, (names_a, names_b)), compare(a, b, (names_a, None))):
        assert found.same and found.differences == () and found.remarks == ()
        assert found.pairs == tuple((i, i) for i in range(6))
        assert found.summary.endswith("All values that are known in both agree.")


def test_rounding_is_no_difference_and_more_than_rounding_is(torch):
    x = 1.0
    for other, same in ((x * (1 + 3e-7), True), (x * (1 + 1e-4), False)):
        found = compare(leaf(torch, x).exp().sum(), leaf(torch, other).exp().sum())
        assert found.same is same


def test_values_that_are_not_a_number_agree_with_their_like(torch):
    nan = float("nan")
    assert compare(leaf(torch, nan, 1.0).exp(), leaf(torch, nan, 1.0).exp()).same
    assert not compare(leaf(torch, nan, 1.0).exp(), leaf(torch, 1.0, 1.0).exp()).same


def test_the_same_code_in_both_engines_is_the_same_computation_and_noise_is_told_apart(pytorch):
    def run(torch, eps):
        mu, std = leaf(torch, 12.0), leaf(torch, 42.0)
        z = eps * std + mu
        return z**2, {"mu": mu, "std": std, "eps": eps, "z": z}

    eps = tinygrad_rp.randn(1)
    (a, names_a), (b, names_b) = run(tinygrad_rp, eps), run(pytorch, pytorch.tensor(eps.tolist()))
    found = compare(a, b, (names_a, names_b), titles=("ours", "PyTorch"))
    assert found.same
    (remark,) = found.remarks
    assert remark == (
        "known of ours alone, since PyTorch keeps no record of noise, cuts and surrogates: noise from randn #3 (eps)"
    )
    assert "Not counted:" in str(found)
    other = compare(b, a, (names_b, names_a), titles=("PyTorch", "ours"))
    assert other.same and other.remarks == found.remarks


def test_numbers_drawn_anew_are_a_difference_of_values_alone(pytorch):
    def run(torch):
        mu = leaf(torch, 12.0)
        eps = torch.randn_like(mu)
        return (mu + eps) ** 2, {"mu": mu, "eps": eps}

    (a, names_a), (b, names_b) = run(tinygrad_rp), run(pytorch)
    found = compare(a, b, (names_a, names_b), titles=("ours", "PyTorch"))
    assert not found.same
    assert not [s for s in found.differences if not s.startswith(("value", "gradient"))]
    assert found.summary.startswith("ours and PyTorch are the same computation, of 3 nodes.")


def test_cuts_and_stand_ins_that_only_this_engine_knows_are_not_counted(pytorch):
    def run(torch):
        p = leaf(torch, 0.25)
        return (p + (torch.ones(1) - p).detach()) * 2 + step(torch).apply(leaf(torch, 1.0)), {"p": p}

    (a, names_a), (b, names_b) = run(tinygrad_rp), run(pytorch)
    found = compare(a, b, (names_a, names_b), titles=("ours", "PyTorch"))
    assert found.differences == ()
    (remark,) = found.remarks
    assert "cut off by detach #" in remark and "is a surrogate" in remark


def test_a_live_edge_in_pytorch_where_this_engine_cut_is_a_difference_all_the_same(pytorch):
    def run(torch, detach):
        x, w = leaf(torch, 1.0), leaf(torch, 2.0)
        y = x.exp()
        return (y.detach() if detach else y) * w, {"x": x, "w": w, "y": y}

    (a, names_a), (b, names_b) = run(tinygrad_rp, True), run(pytorch, False)
    found = compare(a, b, (names_a, names_b), titles=("ours", "PyTorch"))
    assert found.differences[0] == "x: nothing arrives in ours, a gradient in PyTorch ([5.437])"
    assert "edge from MulBackward0 #0 to y is missing in ours, live in PyTorch" in found.differences


# ------------------------------------------------------------------------------------------------------------- matching


def test_a_step_that_was_put_in_is_told_alone_wherever_it_stands(torch):
    def chain(*extra):
        h = x
        for k in range(12):
            h = torch.tanh(h) if k % 2 else torch.sin(h)
            if k in extra:
                h = torch.exp(h)
        return h

    x = leaf(torch, 0.3)
    for extra in ((0,), (5,), (11,), (2, 3, 9)):
        found = compare(chain(), chain(*extra), {"x": x})
        assert [s for s in found.differences if s.startswith("only in a")] == []
        assert len([s for s in found.differences if s.startswith("only in b: ExpBackward0")]) == len(extra)
        assert len(found.pairs) == 13


def test_the_inputs_of_a_difference_the_other_way_round_are_told(torch):
    a, b = leaf(torch, 1.0), leaf(torch, 2.0)
    found = compare(a - b, b - a, {"a": a, "b": b}, titles=("one", "two"))
    assert found.differences[:2] == (
        "input 0 of SubBackward0 #0 is leaf a in one, leaf b in two",
        "input 1 of SubBackward0 #0 is leaf b in one, leaf a in two",
    )


def test_a_residual_network_differs_from_a_plain_one_by_its_additions(torch):
    w = [leaf(torch, 0.1 * k, 0.2) for k in range(1, 4)]
    x = torch.tensor([1.0, 2.0])

    def run(residual):
        h = x
        for each in w:
            n = torch.tanh(h * each)
            h = h + n if residual else n
        return h.sum()

    found = compare(run(False), run(True), {"w": w})
    assert [s for s in found.differences if s.startswith("only")] == [
        f"only in b: AddBackward0 #{number}" for number in (1, 4, 7)
    ]


def test_a_loop_that_runs_longer_has_the_further_steps_alone(torch):
    x = leaf(torch, 0.3)

    def run(steps):
        h = x
        for _ in range(steps):
            h = torch.tanh(h)
        return h

    found = compare(run(6), run(4), {"x": x})
    assert [s for s in found.differences if s.startswith("only")] == [
        "only in a: TanhBackward0 #0",
        "only in a: TanhBackward0 #1",
    ]
    assert found.pairs == tuple((i + 2, i) for i in range(5))


def test_leaves_are_matched_by_name_before_they_are_matched_by_place(torch):
    a, b, c = leaf(torch, 1.0), leaf(torch, 1.0), leaf(torch, 1.0)
    found = compare(a * b, c * a, {"a": a, "b": b, "c": c})
    assert (1, 2) in found.pairs
    assert [s for s in found.differences if s.startswith("only")] == [
        "only in a: leaf b, where a gradient arrives",
        "only in b: leaf c, where a gradient arrives",
    ]


def test_parameters_of_two_models_are_matched_by_place_where_their_names_have_nothing_in_common(torch):
    def run():
        w, b = leaf(torch, 1.0, 2.0), leaf(torch, 0.0, 0.0)
        return torch.tanh(w * 3 + b), w, b

    (one, w, b), (other, v, c) = run(), run()
    assert compare(one, other, ({"fc.weight": w, "fc.bias": b}, {"0.weight": v, "0.bias": c})).same


def test_unnamed_leaves_are_matched_by_their_values(torch):
    def run(order):
        leaves = [leaf(torch, 1.0), leaf(torch, 2.0)]
        return torch.exp(leaves[order]) + leaves[1 - order]

    found = compare(run(0), run(1))
    nodes = [(found.a.graph.nodes[i], found.b.graph.nodes[j]) for i, j in found.pairs]
    values = [(x.value.item(), y.value.item()) for x, y in nodes if x.kind == "leaf"]
    assert sorted(values) == [(1.0, 1.0), (2.0, 2.0)]


def test_shared_parts_of_two_losses_are_the_same_nodes(torch):
    w = leaf(torch, 1.0, 2.0)
    h = torch.tanh(w)
    found = compare(h.sum(), (h**2).mean(), {"w": w, "h": h})
    shared = [(found.a.graph.nodes[i], found.b.graph.nodes[j]) for i, j in found.pairs]
    assert [(x.title, x.item is y.item or x.kind == "leaf") for x, y in shared] == [
        ("TanhBackward0", True),
        ("AccumulateGrad" if torch is tinygrad_rp else shared[1][0].title, True),
    ]


def test_another_setting_of_a_step_is_told(torch):
    x = leaf(torch, 1.0, 2.0)
    found = compare((x**2).sum(), (x**3).sum(), {"x": x})
    assert "exponent of PowBackward0 #1: 2 in a, 3 in b" in found.differences


def test_other_shapes_and_dtypes_are_told(torch):
    found = compare(leaf(torch, 1.0, 2.0).exp(), leaf(torch, 1.0).exp(), ({}, {}))
    assert not found.same
    x, y = leaf(torch, 1.0), torch.tensor([1.0], dtype=torch.float64, requires_grad=True)
    found = compare(x.exp(), y.exp(), ({"x": x}, {"x": y}))
    assert "dtype of x: float32 in a, float64 in b" in found.differences
    x, y = leaf(torch, 1.0), leaf(torch, 1.0, 2.0)
    found = compare(x.exp(), y.exp(), ({"x": x}, {"x": y}))
    assert "shape of x: (1,) in a, (2,) in b" in found.differences


def test_only_the_first_values_that_differ_are_told_and_what_follows_is_counted(torch):
    x, y = leaf(torch, 1.0), leaf(torch, 2.0)
    found = compare(torch.tanh(x.exp() + 1).sum(), torch.tanh(y.exp() + 1).sum(), ({"x": x}, {"x": y}))
    values = [s for s in found.differences if s.startswith("value")]
    assert values[1] == "value of x: [1] in a, [2] in b"
    assert values[0].startswith("value of the result: 0.9988 in a, 1 in b")
    assert re.fullmatch(r"values of \d more nodes?, which follow from what is said above", values[2])


def test_a_large_value_is_told_by_how_far_apart_the_two_are(torch):
    x, y = torch.zeros(10, requires_grad=True), torch.full((10,), 0.25, requires_grad=True)
    found = compare(x.exp().sum(), y.exp().sum(), ({"x": x}, {"x": y}))
    assert "value of x: up to 0.25 apart" in found.differences


def test_values_that_differ_in_later_digits_are_told_by_how_far_apart_they_are(torch):
    x, y = leaf(torch, 1.0), leaf(torch, 1.00003)
    assert re.match("value of x: up to 3e-05 apart", compare(x.exp(), y.exp(), ({"x": x}, {"x": y})).differences[1])


def test_gradients_that_backward_left_are_compared(torch):
    x, y = leaf(torch, 1.0), leaf(torch, 1.0)
    a, b = (x * 2).sum(), (y * 2).sum()
    a.backward(retain_graph=True)
    b.backward(retain_graph=True)
    assert compare(a, b, ({"x": x}, {"x": y})).same
    b.backward(retain_graph=True)
    assert compare(a, b, ({"x": x}, {"x": y})).differences == ("grad of x: [2] in a, [4] in b",)


def test_after_backward_has_freed_the_graph_it_is_still_compared(torch):
    mu, std = leaf(torch, 12.0), leaf(torch, 42.0)
    a, b = torch.normal(mu, std) ** 2, (0.5 * std + mu) ** 2
    a.backward()
    b.backward()
    found = compare(a, b, {"mu": mu, "std": std})
    assert found.differences[0] == "mu: zeros arrive in a, a gradient in b"


def test_a_chain_of_ten_thousand_is_compared_drawn_and_printed_without_recursion():
    torch = tinygrad_rp

    def chain(extra):
        h = x
        for k in range(10_000):
            h = torch.tanh(h)
            if k == extra:
                h = torch.exp(h)
        return h

    x = leaf(torch, 1.0)
    found = compare(chain(-1), chain(5000), {"x": x})
    assert [s for s in found.differences if s.startswith("only")] == ["only in b: ExpBackward0 #4999"]
    assert len(found.pairs) == 10_001
    assert str(found).count("TanhBackward0") >= 20_000
    assert len(found.draw().source) < 100_000


def test_many_nodes_in_one_graph_alone_are_told_by_their_titles(torch):
    x = leaf(torch, 0.3)
    h = x
    for _ in range(20):
        h = torch.tanh(torch.exp(h))
    found = compare(h, torch.sin(x), {"x": x})
    assert [s for s in found.differences if s.startswith("only")] == [
        "only in a: 20 × TanhBackward0, #0 … #38",
        "only in a: 20 × ExpBackward0, #1 … #39",
        "only in b: SinBackward0 #0",
    ]


@pytest.mark.parametrize("build", [naive_and_reparameterised, straight_through])
def test_it_is_the_same_each_time(build):
    tinygrad_rp.manual_seed(0)
    one = build(tinygrad_rp)
    tinygrad_rp.manual_seed(0)
    two = build(tinygrad_rp)
    assert str(one) == str(two)
    assert one.draw().source == two.draw().source


# -------------------------------------------------------------------------------------------------------------- the text


def test_the_text_shows_the_trees_side_by_side_with_a_mark_where_they_differ():
    torch = tinygrad_rp
    x = leaf(torch, 1.0)
    assert str(compare(x.exp().sum(), x.tanh().sum(), {"x": x}, titles=("exp", "tanh"))) == EXP_AND_TANH


EXP_AND_TANH = """\
Only in exp: ExpBackward0. Only in tanh: TanhBackward0. Both have the other 2 nodes. Their values and gradients differ.

exp                                             tanh
───                                             ────
#0 <SumBackward0>  value 2.718                  #0 <SumBackward0>  value 0.7616
└─── #1 <ExpBackward0>  value [2.718]        <
                                             >  └─── #1 <TanhBackward0>  value [0.7616]
     └─── #2 <AccumulateGrad>  leaf x = [1]  ≠       └─── #2 <AccumulateGrad>  leaf x = [1]
             gradient: none yet                              gradient: none yet

≠    differs
<    only in exp
>    only in tanh

Differences:
- only in exp: ExpBackward0 #1
- only in tanh: TanhBackward0 #1
- value of the result: 2.718 in exp, 0.7616 in tanh
- gradient that arrives at x: [2.718] in exp, [0.42] in tanh"""


def test_long_reasons_are_wrapped_to_the_column_and_nothing_of_them_is_lost():
    found = naive_and_reparameterised(tinygrad_rp)
    lines = str(found).split("\n")
    assert max(map(len, lines)) <= 2 * 74 + 5
    left = " ".join(line[:74].strip("│├└─≈0 ") for line in lines)
    reason = found.a.graph.nodes[1].edges[0].reason
    assert reason in re.sub(r"\s+", " ", left)


def test_trees_that_are_too_wide_stand_one_below_the_other():
    x = leaf(tinygrad_rp, 1.0)
    name = "x" * 80
    text = str(compare(x.exp(), x.tanh(), {name: x}, titles=("exp", "tanh")))
    assert re.search(r"^exp:\n\n< #0 <ExpBackward0>", text, re.MULTILINE)
    assert re.search(r"^tanh:\n\n> #0 <TanhBackward0>", text, re.MULTILINE)
    assert f"≠ └─── #1 <AccumulateGrad>  leaf {name}" in text


def test_hostile_names_and_titles_keep_to_their_line_and_reach_the_picture():
    x = leaf(tinygrad_rp, 1.0)
    found = compare(x.exp(), x.tanh(), {'x\n#7 "&<b>\\N': x}, titles=('a\n"&<b>\\N', "<i>"))
    text = str(found)
    assert next(line for line in text.split("\n") if line.startswith("#")).startswith("#0 <ExpBackward0>")
    assert '- only in a "&<b>\\N: ExpBackward0 #0' in text
    if HAS_GRAPHVIZ:
        words = " ".join(ElementTree.fromstring(found.draw().svg()).itertext())
        assert 'a "&<b>\\N' in words and "<i>" in words


# ----------------------------------------------------------------------------------------------------------- the picture


def test_the_picture_has_two_boxes_whose_ids_are_all_different():
    found = naive_and_reparameterised(tinygrad_rp)
    for prefix in ("", "first-"):
        source = found.draw(prefix=prefix).source
        ids = re.findall(r'\bid="?([\w-]+)"?', source)
        assert len(ids) == len(set(ids))
        assert all(re.fullmatch(rf"{prefix}(graph|[ab]|[ab]-[ne]\d+(_\d+)*)", each) for each in ids)
        assert source.count("subgraph") == 2 and "label=naive" in source and "label=reparameterised" in source


def test_what_differs_is_framed_and_what_is_the_same_is_plain():
    source = naive_and_reparameterised(tinygrad_rp).draw().source
    nodes = dict(re.findall(r'^\t*"([ab]-n\d+)" \[(.*?)\]$', source, re.MULTILINE | re.DOTALL))
    said = {name: re.findall(r"▲ ([^<]*)", label) for name, label in nodes.items()}
    assert said["a-n0"] == said["b-n0"] == []
    assert [said[name] for name in ("a-n1", "b-n1", "b-n2", "b-n3")] == [["only here"]] * 4
    assert said["a-n2"] == said["a-n3"] == ["zeros here, a gradient there"]
    assert said["b-n4"] == said["b-n5"] == ["a gradient here, zeros there"]


def test_an_edge_that_differs_is_thick():
    x, w = leaf(tinygrad_rp, 1.0), leaf(tinygrad_rp, 2.0)
    y = x.exp()
    source = compare(y * w, y.detach() * w, {"x": x, "w": w}).draw().source
    thick = re.findall(r'id="([ab]-e\d+_\d+)"(?:(?!id=).)*penwidth=4', source, re.DOTALL)
    assert thick == ["a-e0_0", "b-e0_0"]


def test_a_graph_that_is_the_same_has_no_frame():
    x = leaf(tinygrad_rp, 1.0)
    assert "▲" not in compare(x.exp(), x.exp(), {"x": x}).draw().source


@needs_graphviz
def test_it_is_saved_and_shown_in_a_notebook_as_a_picture(tmp_path):
    found = naive_and_reparameterised(tinygrad_rp)
    path = found.save(tmp_path / "both.svg")
    ids = {e.get("id") for e in ElementTree.parse(path).iter() if e.get("id")}
    assert {"a", "b", "a-n0", "a-e1_0", "b-n5", "b-e1_1"} <= ids
    bundle = found._repr_mimebundle_()
    assert bundle["text/plain"] == str(found) == repr(found)
    assert "<svg" in bundle["image/svg+xml"]
    assert found.save(tmp_path / "both.png").read_bytes().startswith(b"\x89PNG")
    assert found.save(tmp_path / "both.dot").read_text("utf-8") == found.draw().source


def test_the_picture_can_be_dark():
    found = naive_and_reparameterised(tinygrad_rp)
    assert found.draw(theme="dark").source != found.draw().source


# ------------------------------------------------------------------------------------------------------------ bad input


def test_names_can_be_the_variables_of_the_caller(torch):
    mu, std = leaf(torch, 12.0), leaf(torch, 42.0)
    found = compare(mu + std, mu * std, "variables")
    assert (found.a.graph.nodes[1].names, found.b.graph.nodes[2].names) == (("mu",), ("std",))


def test_a_graph_can_be_given_by_its_node(torch):
    x = leaf(torch, 1.0)
    found = compare(x.exp().grad_fn, x.tanh().grad_fn, {"x": x})
    assert list(found.differences) == ["only in a: ExpBackward0 #0", "only in b: TanhBackward0 #0"]


def test_a_leaf_is_compared_with_a_leaf(torch):
    x = leaf(torch, 1.0)
    assert compare(x, x, {"x": x}).same
    assert compare(x, leaf(torch, 2.0)).differences == ("value of the result: [1] in a, [2] in b",)


def test_what_has_no_graph_is_an_error_that_says_which_of_the_two(torch):
    x = leaf(torch, 1.0)
    with pytest.raises(ValueError, match=r"^b: this tensor has no graph"):
        compare(x.exp(), torch.tensor([1.0]))
    with pytest.raises(TypeError, match=r"^a: expected a tensor, or a node .*, not int"):
        compare(3, x.exp())


def test_titles_are_two_strings_that_differ():
    x = leaf(tinygrad_rp, 1.0)
    for titles in ("ab", ("a",), ("a", 1)):
        with pytest.raises(TypeError, match="titles must be two strings"):
            compare(x.exp(), x.tanh(), titles=titles)
    for titles in (("a", "a"), ("", "b")):
        with pytest.raises(ValueError, match="titles must tell a and b apart"):
            compare(x.exp(), x.tanh(), titles=titles)


def test_names_that_are_none_are_an_error():
    x = leaf(tinygrad_rp, 1.0)
    with pytest.raises(TypeError, match="names must be a dictionary"):
        compare(x.exp(), x.tanh(), ({"x": x}, 3))


def test_settings_that_differ_in_a_late_digit_differ(torch):
    x = leaf(torch, 1.0, 2.0)  # above 0, where neither value nor gradient tells
    leaky = torch.nn.functional.leaky_relu
    found = compare(leaky(x, 0.12341).sum(), leaky(x, 0.12344).sum(), {"x": x})
    assert not found.same
    assert any("0.12341 in a, 0.12344 in b" in said for said in found.differences)


def test_a_leaf_that_differs_is_not_folded_away_in_the_picture(torch):
    def chain(odd):
        weights = {f"w{i}": torch.full((2, 2), odd if i == 30 else 0.5, requires_grad=True) for i in range(60)}
        h = torch.ones(1, 2)
        for w in weights.values():
            h = torch.tanh(h @ w)
        return h.sum(), weights

    (a, names), (b, others) = chain(0.5), chain(0.25)
    assert "<B>w30</B>" in compare(a, b, (names, others)).draw().source
