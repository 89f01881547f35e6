"""What is said of operations that turn a gradient into 0, NaN, infinity, or into something tiny or huge, and what to do instead:
by the name of the operation, without ``Backward0``."""

from __future__ import annotations

__all__ = [
    "ANOMALY",
    "BETTER_TOGETHER",
    "CANCELLING",
    "DOUBLE_WHERE",
    "FACTOR",
    "GROWING",
    "LARGER",
    "NOT_FINITE",
    "SHRINKING",
    "SMALLER",
    "SORTING",
    "STATIONARY",
    "ZERO",
]

SORTING = frozenset(
    "Alias AsStrided Cat Clone Diagonal Expand Flip Permute Reshape ReshapeAlias Roll Split SplitWithSizes Squeeze Stack T "
    "ToCopy Transpose Unbind UnsafeSplit UnsafeView Unsqueeze View".split()
)
"""Operations that only say where an element goes."""

STATIONARY = "nothing, if that is meant: to first order, the loss does not depend on it here"
ANOMALY = "autograd.set_detect_anomaly(True): the pass then stops at the first NaN and names the line that computed it"
DOUBLE_WHERE = (
    "a second where() inside: safe = where(ok, x, 1.0); y = where(ok, f(safe), 0.0). where() alone chooses too late: "
    "the branch that it leaves out still gets 0 · ∞"
)
SMALLER = (
    "clip gradients: nn.utils.clip_grad_norm_, or clamp what arrives",
    "smaller factors on the way: initial weights, inputs, learning rate",
)
LARGER = ("larger factors on the way, or a scale on the loss", "float64, if it is to be computed with as it is")

_SATURATED = "It is saturated: so far out, its value rounds to the limit, and its derivative to 0."
_NOT_SATURATED = "smaller inputs: scale them, or begin with smaller weights"
_CHOSEN = "Only what was chosen gets a gradient, and this was not."
_SOFT_CHOICE = "a soft choice, in which all take part: logsumexp, or a sum weighted by softmax"
FACTOR = "The other factor is 0, and it is the derivative."
_NO_ZERO_FACTOR = "a factor that is not 0: weights that are to be trained do not begin at 0 on both sides of a product"
_HELD = "Outside of its bounds the result is held: it does not change with its input."
_NOT_USED = "Only the elements that were picked get a gradient."

ZERO: dict[str, tuple[str, tuple[str, ...]]] = {
    "Relu": (
        "Below 0, relu is flat: its derivative is 0.",
        (
            "leaky_relu, elu or gelu, which have a gradient below 0 as well",
            "a smaller learning rate, or another start, so that not all inputs fall below 0",
        ),
    ),
    "Sigmoid": (
        _SATURATED,
        (_NOT_SATURATED, "a loss on logits: binary_cross_entropy_with_logits, or logsigmoid for log(sigmoid(x))"),
    ),
    "Tanh": (_SATURATED, (_NOT_SATURATED,)),
    "Softmax": (
        _SATURATED,
        ("log_softmax, or cross_entropy on the logits", _NOT_SATURATED),
    ),
    "Exp": ("e to a large negative power is rounded to 0, and so is its derivative.", ("stay with the logarithm",)),
    "Mul": (FACTOR, (_NO_ZERO_FACTOR,)),
    **dict.fromkeys(("Mm", "Mv", "Dot", "Bmm", "Addmm", "Baddbmm"), (FACTOR, (_NO_ZERO_FACTOR,))),
    **dict.fromkeys(("Max", "Min", "Maximum", "Minimum", "Amax", "Amin", "Sort", "Topk"), (_CHOSEN, (_SOFT_CHOICE,))),
    **dict.fromkeys(
        ("Clamp", "ClampMin", "ClampMax", "Hardtanh"),
        (_HELD, ("tanh or sigmoid, which bend instead", "straight-through: x + (x.clamp(…) - x).detach(), biased")),
    ),
    "Where": ("where() chose the other branch: this one does not count.", ("nothing, if the other branch was meant",)),
    **dict.fromkeys(
        ("Index", "Select", "Slice", "Gather", "IndexSelect", "Take", "MaskedSelect", "Embedding"),
        (_NOT_USED, ("use the element, if it is to be trained",)),
    ),
    "Pow": ("Its slope is 0 there: a power is flat at 0.", (STATIONARY, "another start than exactly 0")),
    **dict.fromkeys(
        ("LinalgVectorNorm", "Norm"),
        ("At 0 a norm has no derivative, and 0 is taken for it.", ("another start than 0",)),
    ),
    "Abs": ("The slope at 0 is taken to be 0.", ("another start than exactly 0",)),
}
"""Why an operation turns a gradient into 0, and what to do, by the name of the operation."""

CANCELLING = {
    "Softmax": "softmax always adds up to 1: a gradient that is the same for all elements cancels.",
    "NativeLayerNorm": "What is normalised has a fixed mean: a gradient that is the same for all elements cancels.",
    "NativeBatchNorm": "What is normalised has a fixed mean: a gradient that is the same for all elements cancels.",
}
"""Why the parts of an operation's gradient cancel."""

NOT_FINITE: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("Log", "Log2", "Log10"), ("log of what cannot be 0: x.clamp_min(1e-12).log(), or log1p near 0",)),
    "Log1P": ("an argument that stays above -1",),
    **dict.fromkeys(
        ("Sqrt", "Rsqrt", "Pow"),
        ("a small number inside the root: (x + 1e-12).sqrt(); at 0 a root is infinitely steep",),
    ),
    **dict.fromkeys(
        ("LinalgVectorNorm", "Norm", "Std"),
        ("a small number inside the root: (x * x).sum().add(1e-12).sqrt()",),
    ),
    **dict.fromkeys(
        ("Div", "Reciprocal"), ("a denominator that cannot be 0: x / (y + 1e-12), or a safe y before the division",)
    ),
    **dict.fromkeys(
        ("Exp", "Expm1", "Exp2"),
        ("stay with logarithms: logsumexp, log_softmax, softplus; or clamp what goes into exp",),
    ),
    **dict.fromkeys(("Acos", "Asin", "Atanh"), ("an argument held a little inside of -1 … 1",)),
    **dict.fromkeys(
        ("Softmax", "LogSoftmax", "Logsumexp"),
        ("no row that is -inf throughout: a mask has to leave at least one element of each",),
    ),
    "Mul": ("no infinite factor: 0 · ∞ is NaN",),
    **dict.fromkeys(
        ("LinalgEigh", "LinalgEig", "LinalgSvd"),
        (
            "a Cholesky factor, if a square root is wanted: where two eigenvalues are equal, eigenvectors have no derivative",
        ),
    ),
}
"""What to do where an operation makes NaN or infinity, by the name of the operation."""

BETTER_TOGETHER = {
    ("Log", "Softmax"): "log_softmax(x) instead of log(softmax(x)): the same, and finite everywhere",
    ("Log", "Sigmoid"): "logsigmoid(x) instead of log(sigmoid(x)), or binary_cross_entropy_with_logits",
    ("Log", "Sum"): "logsumexp(x) instead of log(sum(exp(x)))",
    ("Log", "Exp"): "x instead of log(exp(x))",
    ("Log", "Rsub"): "log1p(-x) instead of log(1 - x)",
}

_DEEP = "residual connections (x + f(x)), so that a gradient has a way around"
SHRINKING: dict[str, tuple[str, ...]] = {
    "Tanh": (_NOT_SATURATED, _DEEP, "normalisation between layers"),
    "Sigmoid": ("tanh, relu or gelu in deep layers: a sigmoid's slope is at most 1/4", _DEEP),
    "Softmax": ("log_softmax, or cross_entropy on the logits", _NOT_SATURATED),
    "Mul": ("larger factors", _DEEP),
    **dict.fromkeys(("Mm", "Mv", "Addmm", "Bmm"), ("larger initial weights (Xavier, Kaiming)", _DEEP)),
    "Mean": ("sum() instead of mean(), or a larger learning rate: it divides by the number of elements",),
    "Div": ("a smaller denominator, or a scale on the loss",),
    "Exp": ("stay with the logarithm",),
    "LogSoftmax": ("nothing, if the prediction is right already: the gradient is the error that is left",),
}
GROWING: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("Mm", "Mv", "Addmm", "Bmm", "Mul"), (SMALLER[1], SMALLER[0])),
    **dict.fromkeys(
        ("Log", "Sqrt", "Div", "Reciprocal", "Pow", "Rsqrt"),
        ("keep away from 0, where it is infinitely steep", SMALLER[0]),
    ),
    "Exp": ("stay with logarithms: logsumexp, log_softmax, softplus", SMALLER[0]),
}
