"""Why a gradient is zero, missing, NaN or tiny: each case in this engine and, by the same code, in PyTorch."""

from __future__ import annotations

import importlib
import importlib.util
import shutil
import textwrap
import warnings
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tinygrad_rp
from visualize import explaining
from visualize.explaining import LINES, Explanation, Explanations, explain

HAS_GRAPHVIZ = shutil.which("dot") is not None or importlib.util.find_spec("pygraphviz") is not None
needs_graphviz = pytest.mark.skipif(not HAS_GRAPHVIZ, reason="no Graphviz: neither dot nor pygraphviz")

pytestmark = pytest.mark.filterwarnings("ignore::tinygrad_rp.StoppedGradientWarning")


@pytest.fixture(params=["tinygrad_rp", "torch"])
def t(request: pytest.FixtureRequest) -> Any:
    """An engine."""
    return pytest.importorskip(request.param)


def leaf(t: Any, *values: float, dtype: str = "float32") -> Any:
    return t.tensor(list(values), dtype=getattr(t, dtype), requires_grad=True)


def title(why: Explanation, number: int | None = None) -> str:
    """The name of the node at the place, or of another."""
    assert why.graph is not None
    number = why.place if number is None else number
    assert number is not None
    return why.graph.nodes[number].title


def titles(why: Explanation) -> list[str]:
    return [title(why, number) for number in why.path]


def array(g: Any) -> Any:
    return g.detach().numpy()


def keeps_to_the_form(why: Explanation | Explanations) -> bool:
    lines = str(why).splitlines()
    return len(lines) <= LINES and max(map(len, lines)) <= 88


# --------------------------------------------------------------------------------------------------------- missing edges


def by_no_grad(t: Any, w: Any) -> Any:
    with t.no_grad():
        return w * 2


CUTS = {
    "detach": lambda t, w: w.detach(),
    "data": lambda t, w: w.data,
    "no_grad": by_no_grad,
    "sample": lambda t, w: t.distributions.Normal(w, 1.0).sample(),
    "argmax": lambda t, w: w.argmax(),
    "comparison": lambda t, w: (w > 1.5).float(),
    "cast": lambda t, w: w.long(),
    "item": lambda t, w: w.sum().item(),
    "numpy": lambda t, w: t.tensor(np.exp(w.detach().numpy())),
    "copy": lambda t, w: t.tensor(w.tolist()),
}

KNOWN = {
    "detach": ("detach()", "the tensor itself"),
    "data": ("detach()", "the tensor itself"),
    "no_grad": ("no_grad", ""),
    "sample": ("Normal.sample()", "rsample()"),
    "argmax": ("argmax", "softmax"),
    "comparison": ("A comparison is a step", "sigmoid"),
    "cast": ("Integers and bools carry no gradient", "floating-point"),
}
"""What this engine remembers of a cut: a part of the reason, and of a remedy."""


@pytest.mark.parametrize("cut", CUTS)
def test_a_gradient_that_was_cut_off_is_none(t: Any, cut: str) -> None:
    w, v = leaf(t, 1.0, 2.0), leaf(t, 3.0, 4.0)
    loss = (CUTS[cut](t, w) * v).sum()
    why = explain(loss, w)
    assert (why.verdict, why.parameter, why.gradient) == ("none", "w", None)
    assert explain(loss, v).verdict == "flows"
    assert str(why).startswith("No gradient reaches w: backward() leaves w.grad as it is.")
    assert keeps_to_the_form(why)
    loss.backward()
    assert w.grad is None


@pytest.mark.parametrize("cut", KNOWN)
def test_this_engine_names_what_cut_a_gradient_off(cut: str) -> None:
    t = tinygrad_rp
    w, v = leaf(t, 1.0, 2.0), leaf(t, 3.0, 4.0)
    why = explain((CUTS[cut](t, w) * v).sum(), w)
    reason, remedy = KNOWN[cut]
    assert reason in why.reason
    assert any(remedy in each for each in why.remedies) or not remedy
    assert titles(why) == ["SumBackward0", "MulBackward0", "AccumulateGrad"]
    assert title(why) == "MulBackward0"
    assert "[#1 MulBackward0] ─x→ #2 w" in str(why)


@pytest.mark.parametrize("cut", sorted(set(CUTS) - {"detach", "data"}))
def test_of_pytorch_it_is_said_that_nothing_is_known_of_the_cut_and_what_the_usual_causes_are(cut: str) -> None:
    t = pytest.importorskip("torch")
    w, v = leaf(t, 1.0, 2.0), leaf(t, 3.0, 4.0)
    why = explain((CUTS[cut](t, w) * v).sum(), w)
    assert "No way leads from loss to w" not in why.reason  # the loss has no name here
    assert "No way leads from the loss to w" in why.reason
    assert "PyTorch keeps no record" in why.reason
    causes = " ".join(why.remedies)
    assert all(each in causes for each in ("detach()", "no_grad()", "argmax", ".item()", "rsample()", "not used"))
    assert (why.place, why.path) == (None, ())


@pytest.mark.parametrize("cut", ["detach", "data"])
def test_of_pytorch_a_constant_that_lies_in_the_memory_of_a_parameter_is_found(cut: str) -> None:
    t = pytest.importorskip("torch")
    w, v = leaf(t, 1.0, 2.0), leaf(t, 3.0, 4.0)
    why = explain((CUTS[cut](t, w) * v).sum(), w)
    assert "#1 MulBackward0 uses the numbers in the memory of w as a constant" in why.reason
    assert (title(why), why.path) == ("MulBackward0", (0, 1, 2))


@pytest.mark.parametrize("cut", ["item", "numpy", "copy"])
def test_what_no_engine_can_trace_is_answered_with_the_usual_causes(cut: str) -> None:
    t = tinygrad_rp
    w, v = leaf(t, 1.0, 2.0), leaf(t, 3.0, 4.0)
    why = explain((CUTS[cut](t, w) * v).sum(), w)
    assert "PyTorch" not in str(why)
    assert "w.item(), w.numpy()" in " ".join(why.remedies)


def test_a_cut_whose_history_is_forgotten_is_named_as_a_suspect() -> None:
    t = tinygrad_rp
    w, v = leaf(t, 1.0, 2.0), leaf(t, 3.0, 4.0)
    why = explain((w.exp().detach() * v).sum(), w)
    assert "detach cut off from ExpBackward0" in why.reason
    assert "w may lie behind it" in why.reason


def test_a_backward_that_hands_on_none_is_named(t: Any) -> None:
    class Double(t.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            return x * 2

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            return None

    w = leaf(t, 1.0, 2.0)
    why = explain(Double.apply(w).sum(), w)
    assert (why.verdict, title(why)) == ("none", "DoubleBackward")
    assert "hands on nothing, None" in why.reason


def test_an_output_that_the_loss_does_not_use_gets_none() -> None:
    t = pytest.importorskip("torch")
    first, second = t.unbind(leaf(t, 1.0, 2.0))
    why = explain(first * 3, second)
    assert why.verdict == "none"
    assert "this output" in why.reason
    assert array(explain(first * 3, first).gradient) == 3


# ------------------------------------------------------------------------------------------------------------ zero edges

ZERO_EDGES = {
    "normal": (lambda t, w: t.normal(w, t.ones(2)), "Normal"),
    "bernoulli": (lambda t, w: t.bernoulli(w), "Bernoulli"),
    "round": (lambda t, w: t.round(w), "Round"),
    "floor": (lambda t, w: t.floor(w), "Floor"),
    "sign": (lambda t, w: t.sign(w), "Sign"),
}


@pytest.mark.parametrize("step", ZERO_EDGES)
def test_a_zero_edge_answers_with_its_own_reason_and_remedies(t: Any, step: str) -> None:
    take, name = ZERO_EDGES[step]
    w = leaf(t, 0.25, 0.75)
    loss = (take(t, w) * 3).sum()
    why = explain(loss, w)
    assert (why.verdict, array(why.gradient).tolist()) == ("zero", [0.0, 0.0])
    assert title(why).startswith(name)
    edge = why.graph.nodes[why.place].edges[0]
    assert edge.kind == "zero"
    assert edge.reason in why.reason
    assert why.remedies[: len(edge.remedies)] == edge.remedies
    assert f"[#2 {title(why)}] ─0→ #3 w" in str(why)
    assert keeps_to_the_form(why)


def test_of_several_ways_the_live_one_brings_the_gradient_and_the_stopped_one_is_named(t: Any) -> None:
    w = leaf(t, 0.25, 0.75)
    why = explain((t.round(w) + w * 3).sum(), w)
    assert (why.verdict, array(why.gradient).tolist()) == ("flows", [3.0, 3.0])
    assert "by the live way" in why.notes[0]
    assert "RoundBackward0" in why.notes[0]
    assert "MulBackward0" in titles(why)


def test_a_zero_edge_behind_a_dead_relu_is_named_first_since_no_numbers_would_pass_it(t: Any) -> None:
    w = leaf(t, -0.75, -1.75)
    why = explain(t.relu(t.round(w)).sum(), w)
    assert (why.verdict, title(why)) == ("zero", "RoundBackward0")
    assert "ReluBackward0" in why.notes[0]


def test_a_surrogate_flows_and_is_said_not_to_be_the_derivative() -> None:
    t = tinygrad_rp

    class Draw(t.autograd.Function):
        @staticmethod
        def forward(ctx: Any, p: Any) -> Any:
            return t.bernoulli(p)

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            return g

    p = leaf(t, 0.25, 0.75)
    why = explain(Draw.apply(p).sum(), p)
    assert (why.verdict, title(why)) == ("flows", "DrawBackward")
    assert "not the derivative of what was computed" in why.reason


# ------------------------------------------------------------------------------------------------- zero, by the numbers


def product(t: Any, w: Any) -> Any:
    return (w * t.tensor([0.0, 0.0])).sum()


NUMBERS = {
    # name: (loss, values, place, what the text must hold, a part of a remedy)
    "dead relu": (
        lambda t, w: (t.relu(w) * t.tensor([1.0, 2.0])).sum(),
        (-2.0, -1.0),
        "ReluBackward0",
        "what arrived is [1, 2], and what it hands on to #3 w is [0, 0], for max(x, 0) at x = [-2, -1]",
        "leaky_relu",
    ),
    "saturated sigmoid": (
        lambda t, w: t.sigmoid(w).sum(),
        (100.0, 200.0),
        "SigmoidBackward0",
        "for 1 / (1 + e⁻ˣ) at x = [100, 200]. It is saturated",
        "with_logits",
    ),
    "saturated tanh": (
        lambda t, w: t.tanh(w).sum(),
        (50.0, -50.0),
        "TanhBackward0",
        "for tanh x at x = [50, -50]. It is saturated",
        "smaller inputs",
    ),
    "times 0": (product, (1.0, 2.0), "MulBackward0", "x · y at y = [0, 0]. The other factor is 0", "not 0"),
    "matrix of zeros": (
        lambda t, w: (w.reshape(1, 2) @ t.zeros(2, 3)).sum(),
        (1.0, 2.0),
        "MmBackward0",
        "The other factor is 0",
        "not 0",
    ),
    "the smaller one": (
        lambda t, w: t.maximum(w, t.tensor([5.0, 6.0])).sum(),
        (1.0, 2.0),
        "MaximumBackward0",
        "the greater of x and y at x = [1, 2], y = [5, 6]. Only what was chosen",
        "logsumexp",
    ),
    "the greater one": (
        lambda t, w: t.minimum(w, t.tensor([5.0, 6.0])).sum(),
        (8.0, 9.0),
        "MinimumBackward0",
        "Only what was chosen",
        "logsumexp",
    ),
    "clamped": (
        lambda t, w: w.clamp(0.0, 0.5).sum(),
        (1.0, 2.0),
        "ClampBackward1",
        "at x = [1, 2]. Outside of its bounds",
        "tanh",
    ),
    "the other branch": (
        lambda t, w: t.where(t.tensor([False, False]), w, t.zeros(2)).sum(),
        (1.0, 2.0),
        "WhereBackward0",
        "where() chose the other branch",
        "",
    ),
    "not picked": (
        lambda t, w: t.cat([t.tensor([1.0, 1.0], requires_grad=True), w])[0] * 2,
        (1.0, 2.0),
        "SelectBackward0",
        "of what it was given, it used other elements only",
        "use the element",
    ),
    "dead where it was picked": (
        lambda t, w: t.relu(w)[0],
        (-1.0, 2.0),
        "ReluBackward0",
        "what arrived is [1, 0]",
        "leaky_relu",
    ),
    "underflow": (
        lambda t, w: (w * 1e-30 * 1e-30).sum(),
        (1.0, 2.0),
        "MulBackward0",
        "what arrived is [1e-30, 1e-30], and what it hands on to #3 w is [0, 0]",
        "float64",
    ),
    "cancelling": (
        lambda t, w: (w * 3 - w * 3).sum(),
        (1.0, 2.0),
        "AccumulateGrad",
        "the contributions of 2 ways cancel: [3, 3] from #2 MulBackward0, [-3, -3] from #4 MulBackward0",
        "does not depend",
    ),
    "cancelling before": (
        lambda t, w: (lambda h: (h * 3 - h * 3).sum())(t.exp(w)),
        (1.0, 2.0),
        "ExpBackward0",
        "the contributions of 2 ways cancel",
        "does not depend",
    ),
    "cancelling in a sum": (
        lambda t, w: ((t.zeros(2) + w[0]) * t.tensor([3.0, -3.0])).sum(),
        (1.0, 2.0),
        "AddBackward0",
        "what arrived is [3, -3], and what it hands on to #3 SelectBackward0 is 0",
        "does not depend",
    ),
    "softmax added up": (
        lambda t, w: t.softmax(w, 0).sum(),
        (1.0, 1.0),
        "SoftmaxBackward0",
        "softmax always adds up to 1",
        "does not depend",
    ),
    "saturated softmax": (
        lambda t, w: t.softmax(w, 0)[0],
        (0.0, 300.0),
        "SoftmaxBackward0",
        "It is saturated",
        "cross_entropy",
    ),
    "flat square": (lambda t, w: (w**2).sum(), (0.0, 0.0), "PowBackward0", "xⁿ, for a number n at x = [0, 0]", "start"),
}


@pytest.mark.parametrize("case", NUMBERS)
def test_the_node_where_a_live_gradient_becomes_0_is_named_with_the_numbers_that_did_it(t: Any, case: str) -> None:
    compute, values, place, said, remedy = NUMBERS[case]
    w = leaf(t, *values)
    loss = compute(t, w)
    why = explain(loss, w)
    assert (why.verdict, title(why)) == ("zero", place)
    assert said in why.reason
    assert any(remedy in each for each in why.remedies)
    assert f"[#{why.place} " in str(why)
    assert why.path[-1] == why.graph.find(w).number
    assert keeps_to_the_form(why)
    loss.backward()
    assert not array(w.grad).any()


def test_a_factor_that_is_0_is_named_where_it_was_computed(t: Any) -> None:
    x, w = leaf(t, -2.0, -1.0), leaf(t, 1.0, 2.0)
    why = explain((t.relu(x) * w).sum(), w)
    assert "The other factor, #2 ReluBackward0, is 0, and it is the derivative." in why.reason


def test_the_answer_reads_as_the_module_shows_it(t: Any) -> None:
    x, w = leaf(t, -2.0, -1.0), leaf(t, 1.0, 2.0)
    loss = (t.relu(x) * w).sum()
    shown = textwrap.dedent(str(explaining.__doc__).partition("says::\n\n")[2].partition("          …")[0])
    assert len(shown) > 300
    assert str(explain(loss, x)).startswith(shown.rstrip())


def test_what_is_partly_0_flows_and_the_count_is_given(t: Any) -> None:
    w = leaf(t, -1.0, 1.0, -2.0, -3.0, 2.0)
    why = explain(t.relu(w).sum(), w)
    assert why.verdict == "flows"
    assert why.notes[0] == "3 of its 5 elements are 0: zeros begin at #1 ReluBackward0."


def test_several_places_where_a_gradient_becomes_0_are_all_named(t: Any) -> None:
    w = leaf(t, -1.0, -2.0)
    why = explain((t.relu(w) + w.clamp(0.0, 1.0)).sum(), w)
    assert why.verdict == "zero"
    assert title(why) == "ReluBackward0"
    assert "ClampBackward1" in why.notes[0]


def test_places_of_the_same_kind_are_named_together(t: Any) -> None:
    w = leaf(t, 1.0, 2.0)
    why = explain(sum(t.relu(-w * i).sum() for i in range(1, 7)), w)
    assert (why.verdict, title(why)) == ("zero", "ReluBackward0")
    assert why.notes[0].startswith("By other ways, the same happens at #")
    assert why.notes[0].count("ReluBackward0") == 3
    assert why.notes[0].endswith(" and 2 more.")


def test_a_row_of_a_mask_that_leaves_nothing_is_named(t: Any) -> None:
    scores = leaf(t, 1.0, 2.0)
    why = explain(t.softmax(scores + t.tensor([float("-inf")] * 2), 0).sum(), scores)
    assert (why.verdict, title(why)) == ("nan", "SoftmaxBackward0")
    assert "a mask has to leave at least one element" in why.remedies[0]


def test_a_pass_that_begins_with_zeros_says_so(t: Any) -> None:
    w = leaf(t, 1.0, 2.0)
    why = explain(w * 3, w, gradient=t.zeros(2))
    assert (why.verdict, why.place) == ("zero", 0)
    assert "began with zeros" in why.reason


def test_a_backward_of_the_users_is_not_asked_again(t: Any) -> None:
    calls = []

    class Nothing(t.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            return x * 2

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            calls.append(g)
            return g * 0

    w = leaf(t, 1.0, 2.0)
    why = explain(Nothing.apply(w).sum(), w)
    assert (why.verdict, title(why)) == ("zero", "NothingBackward")
    assert "Its backward() says so." in why.reason
    assert len(calls) == 1


# ------------------------------------------------------------------------------------------------------ NaN and infinity

NOT_FINITE = {
    # name: (loss, values, verdict, place, what the text must hold, a part of a remedy)
    "log at 0": (
        lambda t, w: t.log(w).sum(),
        (0.0, 1.0),
        "infinite",
        "LogBackward0",
        "for log x at x = [0, 1]. Its derivative is infinite there.",
        "clamp_min",
    ),
    "sqrt at 0 after where": (
        lambda t, w: t.where(w > 0, t.sqrt(w), w).sum(),
        (0.0, 4.0),
        "nan",
        "SqrtBackward0",
        "what arrived there is [0, 1]. What it hands on is [nan, 0.25], for √x at x = [0, 4]. "
        "Its derivative is infinite there, and 0 · ∞ is NaN.",
        "a second where()",
    ),
    "division by 0": (
        lambda t, w: (t.tensor([3.0, 4.0]) / w).sum(),
        (0.0, 1.0),
        "infinite",
        "DivBackward0",
        "x / y at x = [3, 4], y = [0, 1]",
        "denominator",
    ),
    "overflow": (
        lambda t, w: t.exp(w * 500).sum(),
        (1.0, 2.0),
        "infinite",
        "ExpBackward0",
        "Its derivative is infinite there.",
        "logsumexp",
    ),
    "overflow of a sum": (
        lambda t, w: (w * 2e38 + w * 2e38).sum(),
        (1.0, 2.0),
        "infinite",
        "AccumulateGrad",
        "finite contributions add up to infinity: [2e+38, 2e+38] from #2 MulBackward0",
        "clip",
    ),
    "log of softmax": (
        lambda t, w: t.log(t.softmax(w, 0)).sum(),
        (-200.0, 200.0),
        "nan",
        "LogBackward0",
        "Of infinity, #2 SoftmaxBackward0 makes NaN",
        "log_softmax(x) instead of log(softmax(x))",
    ),
}


@pytest.mark.parametrize("case", NOT_FINITE)
def test_the_first_node_that_makes_nan_or_infinity_of_finite_numbers_is_named(t: Any, case: str) -> None:
    compute, values, verdict, place, said, remedy = NOT_FINITE[case]
    w = leaf(t, *values)
    loss = compute(t, w)
    why = explain(loss, w)
    assert (why.verdict, title(why)) == (verdict, place)
    assert said in why.reason
    assert any(remedy in each for each in why.remedies)
    assert ("set_detect_anomaly" in why.remedies[-1]) == (verdict == "nan")
    assert keeps_to_the_form(why)
    loss.backward()
    assert np.array_equal(array(w.grad), array(why.gradient), equal_nan=True)


def test_a_nan_of_the_forward_values_is_followed_to_where_it_first_appears(t: Any) -> None:
    w, v = leaf(t, -1.0, 1.0), leaf(t, 3.0, 4.0)
    why = explain((t.log(w) * v * 2).sum(), v)
    assert (why.verdict, title(why)) == ("nan", "MulBackward0")
    assert "The forward values are NaN already: first in #3 LogBackward0 = [nan, 0]" in why.reason
    assert "log x at x = [-1, 1]" in why.reason
    assert "clamp_min" in why.remedies[0]


def test_a_pass_that_begins_with_nan_says_so(t: Any) -> None:
    w = leaf(t, 1.0, 2.0)
    why = explain(w * 3, w, gradient=t.tensor([1.0, float("nan")]))
    assert (why.verdict, why.place) == ("nan", 0)
    assert "The pass began with [1, nan]" in why.reason
    assert "Of infinity" not in why.reason


# ---------------------------------------------------------------------------------------------------------- tiny and huge


def test_a_gradient_that_vanishes_in_many_layers_names_them_with_their_factor(t: Any) -> None:
    w = h = leaf(t, 0.5)
    for _ in range(50):
        h = t.tanh(h * 0.8 + 0.5)
    why = explain(h.sum(), w)
    assert why.verdict == "tiny"
    assert "50 TanhBackward0, about ×0.3" in why.reason
    assert "50 MulBackward0, about ×0.8 each" in why.reason
    assert title(why) == "TanhBackward0"
    assert "more …" in str(why)
    assert keeps_to_the_form(why)
    assert len(why.path) == 1 + 150 + 1


def test_one_step_that_shrinks_it_is_named_with_its_numbers(t: Any) -> None:
    w = leaf(t, 1.0, 2.0)
    why = explain((t.exp(w) * 1e-9).sum(), w)
    assert (why.verdict, title(why)) == ("tiny", "MulBackward0")
    assert "#1 MulBackward0, ×1e-09 (x · y at y = 1e-09)" in why.reason
    assert explain((t.exp(w) * 1e-9).sum(), w, tiny=1e-12).verdict == "flows"


def test_contributions_that_nearly_cancel_are_a_reason_to_be_tiny(t: Any) -> None:
    w = leaf(t, 1.0, dtype="float64")
    why = explain((w * (1 + 1e-10) - w).sum(), w)
    assert why.verdict == "tiny"
    assert "where ways meet and nearly cancel" in why.reason


def test_a_huge_gradient_names_where_it_grew(t: Any) -> None:
    w = leaf(t, 1e-5, 1.0)
    why = explain((1 / w).sum(), w)
    assert (why.verdict, title(why)) == ("huge", "ReciprocalBackward0")
    assert "×1e+10 (1 / x at x = [1e-05, 1])" in why.reason


def test_proportion_counts_from_the_gradient_that_the_pass_begins_with(t: Any) -> None:
    w = leaf(t, 1.0, 2.0)
    assert explain(w * 3, w, gradient=t.tensor([1e-20, 1e-20])).verdict == "flows"


# ------------------------------------------------------------------------------------------------- what .grad has to do


def test_a_gradient_that_flows_while_grad_is_none_says_that_no_pass_ran(t: Any) -> None:
    w = leaf(t, 1.0, 2.0)
    loss = (w * 3).sum()
    assert "w.grad is None as yet" in explain(loss, w).notes[0]
    loss.backward(retain_graph=True)
    assert explain(loss, w).notes == ()
    w.grad = None
    assert "zero_grad() cleared it" in explain(loss, w).notes[0]


def test_nothing_is_changed_by_asking(t: Any) -> None:
    w = leaf(t, 1.0, 2.0)
    calls = []
    w.register_hook(lambda g: calls.append(g))
    loss = (t.relu(w) * w).sum()
    why = explain(loss, w)
    assert (w.grad, calls) == (None, [])
    assert "has hooks" in " ".join(why.notes)
    loss.backward()
    assert array(w.grad).tolist() == array(why.gradient).tolist() == [2.0, 4.0]


def test_an_inner_tensor_keeps_no_grad_unless_it_is_asked_to(t: Any) -> None:
    w = leaf(t, 1.0, 2.0)
    h = w * 2
    loss = (h * h).sum()
    why = explain(loss, h)
    assert (why.verdict, why.parameter, array(why.gradient).tolist()) == ("flows", "h", [4.0, 8.0])
    assert "h.retain_grad()" in why.notes[0]
    h.retain_grad()
    assert explain(loss, h).notes == ()


def test_a_parameter_that_was_replaced_by_an_update_is_no_leaf(t: Any) -> None:
    w = leaf(t, 1.0, 2.0)
    old, loss = w, (w * w).sum()
    w = w - 0.1
    why = explain(loss, w)
    assert why.verdict == "none"
    assert "loss was not computed from w, which SubBackward0 made" in why.reason
    assert "Both were computed from old" in why.reason
    assert "is no leaf" in " ".join(explain((w * w).sum(), w).notes)
    assert explain(loss, old).verdict == "flows"


def test_a_tensor_that_requires_no_grad_says_so(t: Any) -> None:
    w, x = leaf(t, 1.0, 2.0), t.tensor([3.0, 4.0])
    why = explain((w * x).sum(), x)
    assert why.verdict == "none"
    assert "x.requires_grad is False" in why.reason
    assert "x.requires_grad_()" in why.remedies[0]


def test_a_leaf_that_was_frozen_after_the_loss_was_computed_gets_nothing(t: Any) -> None:
    w, v = leaf(t, 1.0, 2.0), leaf(t, 3.0, 4.0)
    loss = (w * v).sum()
    w.requires_grad_(False)
    why = explain(loss, w)
    assert why.verdict == "none"
    assert "set to False after" in why.reason
    loss.backward()
    assert w.grad is None


def test_a_leaf_that_is_not_used_is_told_so(t: Any) -> None:
    w, other = leaf(t, 1.0, 2.0), leaf(t, 1.0)
    why = explain((w * 2).sum(), other)
    assert (why.verdict, why.parameter) == ("none", "other")
    assert "other was not used at all" in why.remedies[0]


def test_the_loss_itself_is_where_the_pass_begins(t: Any) -> None:
    w = leaf(t, 1.0, 2.0)
    loss = (w * 2).sum()
    why = explain(loss, loss)
    assert (why.verdict, why.path, array(why.gradient)) == ("flows", (0,), 1.0)
    assert explain(w, w).verdict == "flows"


# -------------------------------------------------------------------------------------------------- what a pass has freed


def test_what_was_freed_is_not_guessed_at(t: Any) -> None:
    w = leaf(t, 1.0, 2.0)
    loss = (w * w * w).sum()
    loss.backward()
    why = explain(loss, w)
    assert (why.verdict, why.gradient is None) == ("unknown", True)
    assert "freed by backward()" in why.reason
    assert "By the wires, a gradient can reach it." in why.reason
    assert "retain_graph=True" in why.remedies[0]
    assert "w.grad holds [3, 12]" in why.notes[0]
    assert why.path[-1] == why.graph.find(w).number


def test_wires_that_carry_only_zeros_are_known_also_when_the_numbers_are_gone(t: Any) -> None:
    w = leaf(t, 0.25, 0.75)
    loss = (t.round(w) ** 2).sum()
    loss.backward()
    why = explain(loss, w)
    assert (why.verdict, title(why)) == ("zero", "RoundBackward0")
    assert str(why).startswith("Only zeros can reach w.")


def test_what_was_changed_in_place_since_is_an_error_that_is_handed_on(t: Any) -> None:
    w = leaf(t, 1.0, 2.0)
    h = t.exp(w)
    loss = (h * h).sum()
    with t.no_grad():
        h.add_(1.0)
    why = explain(loss, w)
    assert (why.verdict, title(why)) == ("unknown", "MulBackward0")
    assert "raises an error when it is asked what it hands on, and so does backward()" in why.reason
    with pytest.raises(RuntimeError):
        loss.backward()


def test_what_was_not_freed_is_still_known(t: Any) -> None:
    w, v = leaf(t, 1.0, 2.0), leaf(t, 3.0, 4.0)
    loss = (w * w).sum() + v.sum()
    loss.backward()
    assert explain(loss, w).verdict == "unknown"
    assert explain(loss, v).verdict == "flows"


# --------------------------------------------------------------------------------------------------------------- all leaves


def test_all_leaves_are_listed_in_a_table_with_what_to_do(t: Any) -> None:
    x, w, b = leaf(t, -2.0, -1.0), leaf(t, 1.0, 2.0), leaf(t, 0.5)
    loss = ((t.relu(x) * w).sum() + t.round(b) + b.sum()).sum()
    answers = explain(loss)
    assert [(each.parameter, each.verdict) for each in answers] == [("x", "zero"), ("w", "zero"), ("b", "flows")]
    lines = str(answers).splitlines()
    assert lines[0].split() == ["leaf", "verdict", "gradient", "why"]
    assert lines[1].startswith("x     zero     [0, 0]    derivative 0 at #")
    assert "for x:" in lines
    assert len(answers) == 3
    assert answers[0].parameter == "x"
    assert keeps_to_the_form(answers)


def test_leaves_with_the_same_remedies_share_them(t: Any) -> None:
    mu, std = leaf(t, 1.0, 2.0), leaf(t, 1.0, 1.0)
    assert "for mu, std:" in str(explain((t.normal(mu, std) ** 2).sum()))


def test_leaves_that_are_not_in_the_graph_are_named_and_explained_if_they_were_asked_about(t: Any) -> None:
    w, other = leaf(t, 1.0, 2.0), leaf(t, 1.0)
    loss = (w * 2).sum()
    assert "Not in this graph, but require grad: other." in str(explain(loss))
    answers = explain(loss, names={"w": w, "other": other})
    assert [(each.parameter, each.verdict) for each in answers] == [("w", "flows"), ("other", "none")]


def test_of_many_leaves_those_without_a_gradient_come_first(t: Any) -> None:
    leaves = {f"w{i}": leaf(t, 1.0) for i in range(40)}
    dead = leaf(t, -1.0)
    loss = sum(w.sum() for w in leaves.values()) + t.relu(dead).sum()
    text = str(explain(loss, names=leaves | {"dead": dead}))
    assert text.splitlines()[1].startswith("dead  zero")
    assert "… and 31 more: 31 flows" in text
    assert len(text.splitlines()) <= LINES


def test_a_tensor_without_a_name_is_called_by_its_number_or_by_the_argument(t: Any) -> None:
    tensors = {0: leaf(t, 1.0, 2.0)}
    loss = (tensors[0] * 2).sum()
    assert explain(loss, names={})[0].parameter == "leaf #2"
    assert explain(loss, tensors[0], names={}).parameter == "parameter"
    assert "Its .grad is None as yet" in str(explain(loss, names={})[0])
    assert "parameter.grad is None as yet" in str(explain(loss, tensors[0], names={}))


def test_a_module_gives_its_parameters_dotted_names() -> None:
    t = pytest.importorskip("torch")
    model = t.nn.Sequential(t.nn.Linear(2, 3), t.nn.ReLU(), t.nn.Linear(3, 1))
    with t.no_grad():
        model[0].bias.fill_(-100.0)
    loss = model(t.ones(4, 2)).sum()
    answers = {each.parameter: each for each in explain(loss)}
    assert set(answers) == {"model.0.weight", "model.0.bias", "model.2.weight", "model.2.bias"}
    assert answers["model.0.weight"].verdict == "zero"
    assert title(answers["model.0.weight"]) == "ReluBackward0"
    assert answers["model.2.bias"].verdict == "flows"


# ------------------------------------------------------------------------------------------------- errors, form, pictures


def test_what_is_no_tensor_is_a_type_error_that_says_what_was_given(t: Any) -> None:
    w = leaf(t, 1.0, 2.0)
    loss = (w * 2).sum()
    with pytest.raises(TypeError, match="a tensor as loss, not float"):
        explain(3.0)
    with pytest.raises(TypeError, match="a tensor as loss, not "):
        explain(loss.grad_fn, w)
    with pytest.raises(TypeError, match="a tensor as parameter, not list; leave it out"):
        explain(loss, [w])
    with pytest.raises(TypeError, match="a tensor as gradient, not float"):
        explain(loss, w, gradient=1.0)
    with pytest.raises(ValueError, match=r"the shape of loss, \(\), but its shape is \(2,\)"):
        explain(loss, w, gradient=t.ones(2))
    with pytest.raises(ValueError, match="tiny must lie between 0 and 1"):
        explain(loss, w, tiny=2.0)


def test_tensors_of_two_engines_do_not_go_together() -> None:
    torch = pytest.importorskip("torch")
    with pytest.raises(TypeError, match="same engine"):
        explain((leaf(torch, 1.0) * 2).sum(), leaf(tinygrad_rp, 1.0))


def test_a_loss_without_a_graph_says_what_to_do(t: Any) -> None:
    w = leaf(t, 1.0, 2.0)
    with pytest.raises(ValueError, match="loss has no graph to explain"):
        explain((w * 2).sum().detach(), w)
    with pytest.raises(ValueError, match="Set requires_grad=True"):
        explain(t.tensor([1.0]) * 2)


def test_this_engine_says_what_cut_the_loss_off() -> None:
    with pytest.raises(ValueError, match="cut off by detach"):
        explain((leaf(tinygrad_rp, 1.0) * 2).sum().detach())


def test_a_loss_of_several_elements_is_taken_for_its_sum(t: Any) -> None:
    w = leaf(t, 1.0, 2.0)
    loss = w * w
    why = explain(loss, w)
    assert array(why.gradient).tolist() == [2.0, 4.0]
    assert "loss has 2 elements: the pass begins with ones, as if loss.sum() was meant." in why.notes
    assert "as if loss.sum() was meant" in str(explain(loss))
    assert array(explain(loss, w, gradient=t.tensor([0.0, 1.0])).gradient).tolist() == [0.0, 4.0]


def test_a_node_with_several_outputs_is_followed_by_the_right_one(t: Any) -> None:
    w = leaf(t, 1.0, 2.0, 3.0, 4.0)
    first, second = w.reshape(2, 2).unbind()
    why = explain((t.relu(-first) + second * 3).sum(), w)
    assert array(why.gradient).tolist() == [0.0, 0.0, 3.0, 3.0]
    assert why.verdict == "flows"
    values, _ = t.sort(w)
    assert explain(t.relu(-values).sum(), w).verdict == "zero"


def test_a_deep_chain_and_a_large_leaf_are_no_matter(t: Any) -> None:
    w = h = leaf(t, *np.linspace(-1, 1, 3000))
    for _ in range(5000):
        h = (h * 0.999).neg()
    why = explain(t.relu(h - 5).sum(), w)
    assert (why.verdict, title(why)) == ("zero", "ReluBackward0")
    assert len(why.path) == 10004
    assert "shape (3000,)" in why.reason
    assert keeps_to_the_form(why)


@needs_graphviz
def test_the_picture_frames_the_place_and_thickens_the_way(t: Any) -> None:
    x, w = leaf(t, -2.0, -1.0), leaf(t, 1.0, 2.0)
    loss = (t.relu(x) * w).sum()
    why = explain(loss, x)
    plain, svg = why.draw(prefix="a").source, why.draw(prefix="b").svg()
    assert "#2: [1, 2] becomes [0, 0]" in plain.replace("&#35;", "#")
    assert 'id="bn2"' in svg
    assert svg.count("carries&#45;zeros") == 1  # from relu on, zeros go along what is wired
    bundle = why._repr_mimebundle_()
    assert bundle["text/plain"] == str(why)
    assert "<pre>The gradient of x is 0" in bundle["text/html"]
    assert "<svg" in bundle["text/html"]
    everything = explain(loss)
    assert "<svg" in everything._repr_mimebundle_()["text/html"]
    assert "becomes" in everything.draw().source


# ----------------------------------------------------------------------------------------- the truth, against backward()

UNARY = [
    lambda t, x: t.relu(x),
    lambda t, x: -x,
    lambda t, x: x * 2,
    lambda t, x: x * 0,
    lambda t, x: x.detach(),
    lambda t, x: t.round(x),
    lambda t, x: t.abs(x),
    lambda t, x: x.clamp(-1.0, 1.0),
    lambda t, x: x[0] + t.zeros(2, dtype=t.float64),
    lambda t, x: t.stack([x[1], x[1]]),
    lambda t, x: x.sum() - x,
    lambda t, x: t.where(x > 0, x, x * 3),
    lambda t, x: t.unbind(x)[0] * x,
]
BINARY = [
    lambda t, x, y: x + y,
    lambda t, x, y: x - y,
    lambda t, x, y: t.maximum(x, y),
    lambda t, x, y: t.where(x > y, x, y.detach()),
    lambda t, x, y: t.cat([x, y])[1:3],
    lambda t, x, y: x.detach() * y,
]
WILD = [
    lambda t, x: t.sqrt(x * 0),
    lambda t, x: 1 / (x * 0),
    lambda t, x: t.log(x * 0),
    lambda t, x: t.where(x > 0, x, t.sqrt(x * 0)),
]
"""What makes NaN and infinity."""

STEP = st.tuples(st.integers(0, 10_000), st.integers(0, 10_000), st.integers(0, 10_000))
VALUES = st.lists(st.integers(-2, 2).map(float), min_size=6, max_size=6)


def computed(t: Any, values: list[float], steps: list[tuple[int, int, int]], wild: bool) -> tuple[list[Any], Any]:
    """Three leaves, and the last of the tensors that a program computes from them: small integers, so that sums are exact in
    whatever order they are taken."""
    leaves = [t.tensor(values[i : i + 2], dtype=t.float64, requires_grad=True) for i in (0, 2, 4)]
    tensors = list(leaves)
    operations = UNARY + BINARY + WILD * wild
    for which, i, j in steps:
        operation = operations[which % len(operations)]
        x, y = tensors[i % len(tensors)], tensors[-1 - j % 2]
        tensors.append(operation(t, x, y) if operation in BINARY else operation(t, x))
    return leaves, tensors[-1].sum()


def agrees_with_backward(t: Any, leaves: list[Any], loss: Any) -> None:
    if not loss.requires_grad:
        with pytest.raises(ValueError, match="no graph"):
            explain(loss)
        return
    answers = [explain(loss, x) for x in leaves]
    listed = {id(each.graph.nodes[each.path[-1]].value): each for each in explain(loss) if each.path}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        loss.backward()
    for x, why in zip(leaves, answers, strict=True):
        assert (why.verdict == "none") == (x.grad is None)
        assert (why.gradient is None) == (x.grad is None)
        assert keeps_to_the_form(why)
        if id(x) in listed:
            assert listed[id(x)].verdict == why.verdict
        edges = {(edge.tail, edge.head) for edge in why.graph.edges}
        assert all(step in edges for step in zip(why.path, why.path[1:], strict=False))
        assert why.place is None or why.place in why.path
        if x.grad is None:
            continue
        g = array(x.grad)
        assert np.array_equal(array(why.gradient), g, equal_nan=True)
        assert (why.verdict == "zero") == (not g.any())
        assert (why.verdict == "nan") == bool(np.isnan(g).any())
        assert (why.verdict in ("nan", "infinite")) == (not np.isfinite(g).all())
        assert why.path[0] == 0
        assert why.graph.nodes[why.path[-1]].value is x
        if why.verdict in ("zero", "nan", "infinite"):
            assert why.place is not None
            assert why.reason


@settings(max_examples=150, deadline=None)
@given(VALUES, st.lists(STEP, min_size=1, max_size=7), st.booleans())
def test_the_answer_agrees_with_backward(values: list[float], steps: list[tuple[int, int, int]], wild: bool) -> None:
    agrees_with_backward(tinygrad_rp, *computed(tinygrad_rp, values, steps, wild))


@settings(max_examples=150, deadline=None)
@given(VALUES, st.lists(STEP, min_size=1, max_size=7), st.booleans())
def test_the_answer_agrees_with_pytorchs_backward(
    values: list[float], steps: list[tuple[int, int, int]], wild: bool
) -> None:
    torch = pytest.importorskip("torch")
    agrees_with_backward(torch, *computed(torch, values, steps, wild))


def test_a_large_graph_is_drawn_folded_around_the_place_with_the_way_through_its_boxes(t):
    x = t.tensor([2.0], requires_grad=True)
    h = x
    for i in range(200):
        h = t.relu(-h) if i == 100 else t.sinh(h * 0.5) * 2
    drawing = explain(h.sum(), x).draw(theme="light")
    assert "folded" in drawing.source
    assert drawing.source.count("[label=<") < 30
    assert "▲" in drawing.source
    assert drawing.source.count("penwidth=4") >= 4


def test_a_cast_that_underflows_is_told_so() -> None:
    t = pytest.importorskip("torch")
    w = leaf(t, 1.0, 2.0, dtype="float16")
    why = explain((w.float() * 1e-9).sum(), w)
    assert why.verdict == "zero"
    assert "smallest number that float16 holds" in why.reason


def test_zeros_of_a_conjugate_are_zeros() -> None:
    t = pytest.importorskip("torch")
    w = leaf(t, 1.0, 2.0, dtype="complex64")
    assert explain((w.conj() * t.zeros(2)).real.sum(), w).verdict == "zero"


def test_hooks_on_the_way_are_told_since_they_do_not_run(t: Any) -> None:
    w, v = leaf(t, 1.0, 2.0), leaf(t, 3.0, 4.0)
    h = w * 2
    h.register_hook(lambda g: g * 0)
    loss = (h * v).sum()
    assert any("hooks" in note and "(h)" in note for note in explain(loss, w, {"h": h, "w": w, "v": v}).notes)
    assert not any("hooks" in note for note in explain(loss, v, {"h": h, "w": w, "v": v}).notes)
    assert "hooks" in str(explain(loss))


def test_what_would_write_to_grad_is_not_asked() -> None:
    t = pytest.importorskip("torch")
    linear, x = t.nn.Linear(2, 2), t.ones(1, 2, requires_grad=True)
    why = explain(pytest.importorskip("torch.utils.checkpoint").checkpoint(linear, x, use_reentrant=True).sum(), x)
    assert why.verdict == "unknown"
    assert "was not asked" in why.reason and "raises" not in why.reason
