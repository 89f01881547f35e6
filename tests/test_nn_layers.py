"""Layers against PyTorch's, as a black box: the same weights, then the same printing, names, values and gradients.

A layer is a call written out, run in both packages; `nn` is the package's.
"""

import inspect
import warnings

import numpy as np
import pytest
from against_pytorch import ref, torch


def made(call, package):
    return eval(call, {"nn": package.nn, "m": package})


def both(call, seed=0):
    """The layer in PyTorch, in float64 and with random numbers in its state, and ours with the same state."""
    theirs, ours = made(call, ref).double(), made(call, torch).double()
    rng = np.random.default_rng(seed)
    state = {
        name: rng.uniform(0.2, 1.5, tuple(t.shape)) if t.is_floating_point() else t.numpy()
        for name, t in theirs.state_dict().items()
    }
    theirs.load_state_dict({name: ref.tensor(value) for name, value in state.items()})
    ours.load_state_dict({name: torch.tensor(value) for name, value in state.items()})
    return theirs, ours


def assert_same(theirs, ours, *inputs):
    """Value, and gradients by all floating-point inputs and parameters, for a random gradient of the output."""
    peers = [ref.tensor(x, requires_grad=x.dtype.kind == "f") for x in inputs]
    leaves = [torch.tensor(x, requires_grad=x.dtype.kind == "f") for x in inputs]
    out, expected = ours(*leaves), theirs(*peers)
    assert tuple(out.shape) == tuple(expected.shape)
    np.testing.assert_allclose(out.detach().numpy(), expected.detach().numpy(), rtol=1e-10, atol=1e-12)
    g = np.random.default_rng(9).standard_normal(tuple(out.shape))
    if expected.requires_grad:
        out.backward(torch.tensor(g))
        expected.backward(ref.tensor(g))
    named = [*zip(leaves, peers, strict=True), *zip(ours.parameters(), theirs.parameters(), strict=True)]
    for ours_, theirs_ in named:
        assert (ours_.grad is None) == (theirs_.grad is None)
        if theirs_.grad is not None:
            np.testing.assert_allclose(ours_.grad.numpy(), theirs_.grad.numpy(), rtol=1e-9, atol=1e-11)
    for name, buffer in theirs.state_dict().items():
        np.testing.assert_allclose(ours.state_dict()[name].numpy(), buffer.numpy(), rtol=1e-10, err_msg=name)


def numbers(*shape, seed=3):
    return np.random.default_rng(seed).uniform(-2, 2, shape)


LAYERS = [
    ("nn.Linear(3, 4)", (5, 3)),
    ("nn.Linear(3, 4, bias=False)", (2, 5, 3)),
    ("nn.Linear(3, 4)", (3,)),
    ("nn.Conv1d(4, 6, 3)", (2, 4, 7)),
    ("nn.Conv1d(4, 6, 3, padding='same', dilation=2, groups=2, bias=False)", (2, 4, 7)),
    ("nn.Conv2d(2, 3, 3)", (2, 2, 5, 6)),
    ("nn.Conv2d(2, 4, (3, 2), stride=(2, 1), padding=(1, 0), dilation=(1, 2), groups=2)", (2, 2, 5, 6)),
    ("nn.Conv2d(2, 3, 2, padding='valid')", (2, 5, 6)),
    ("nn.ConvTranspose1d(3, 2, 3, stride=2)", (2, 3, 4)),
    ("nn.ConvTranspose2d(4, 6, 3)", (2, 4, 3, 4)),
    ("nn.ConvTranspose2d(4, 6, (3, 2), stride=(2, 3), padding=1, output_padding=(1, 2), groups=2)", (2, 4, 3, 4)),
    ("nn.ConvTranspose2d(4, 6, 3, bias=False, dilation=2)", (4, 3, 4)),
    ("nn.LayerNorm(4)", (2, 3, 4)),
    ("nn.LayerNorm([3, 4], eps=1e-3, bias=False)", (2, 3, 4)),
    ("nn.LayerNorm((4,), elementwise_affine=False)", (2, 4)),
    ("nn.BatchNorm1d(3)", (5, 3)),
    ("nn.BatchNorm1d(3, momentum=0.3, eps=1e-3, bias=False)", (5, 3, 4)),
    ("nn.BatchNorm1d(3, affine=False)", (5, 3)),
    ("nn.BatchNorm1d(3, track_running_stats=False)", (5, 3)),
    ("nn.BatchNorm1d(3, momentum=None)", (5, 3)),
    ("nn.BatchNorm2d(3)", (2, 3, 2, 2)),
    ("nn.Identity(3, anything=4)", (2, 3)),
    ("nn.Flatten()", (2, 3, 4)),
    ("nn.Flatten(0, 1)", (2, 3, 4)),
    ("nn.Unflatten(1, (2, 3))", (2, 6)),
    ("nn.Dropout(0.0)", (2, 3)),
    ("nn.Dropout(0.3).eval()", (2, 3)),
    ("nn.Dropout(p=1.0)", (2, 3)),
    ("nn.MaxPool1d(2)", (2, 3, 7)),
    ("nn.MaxPool2d(3, stride=2, padding=1)", (2, 3, 6, 7)),
    ("nn.MaxPool2d((2, 3), dilation=2, ceil_mode=True)", (3, 6, 7)),
    ("nn.AvgPool1d(2, padding=1)", (2, 3, 7)),
    ("nn.AvgPool1d(2, 3, 1, True, False)", (2, 3, 7)),
    ("nn.AvgPool2d(2)", (2, 3, 6, 7)),
    ("nn.AvgPool2d((2, 3), 1, (1, 0), divisor_override=5)", (2, 3, 6, 7)),
    ("nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8, 2))", (3, 1, 4, 4)),
    *(
        (f"nn.{name}", (3, 4))
        for name in (
            "CELU()", "CELU(0.5)", "ELU()", "ELU(alpha=0.7)", "GELU()", "GELU(approximate='tanh')", "Hardtanh()",
            "Hardtanh(-0.5, 0.75)", "LeakyReLU()", "LeakyReLU(0.3)", "LogSigmoid()", "LogSoftmax(1)", "LogSoftmax(dim=-1)",
            "Mish()", "ReLU()", "ReLU6()", "SELU()", "SiLU()", "Sigmoid()", "Softmax(dim=0)", "Softplus()", "Softplus(2, 1.5)",
            "Softsign()", "Tanh()", "Tanhshrink()",
        )
    ),
]  # fmt: skip


@pytest.mark.parametrize("call, shape", LAYERS)
def test_a_layer_with_pytorchs_weights_prints_names_and_computes_what_pytorchs_does(call, shape):
    theirs, ours = both(call)
    assert repr(ours) == repr(theirs)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    assert [tuple(p.shape) for p in ours.parameters()] == [tuple(p.shape) for p in theirs.parameters()]
    assert_same(theirs, ours, numbers(*shape))


@pytest.mark.parametrize(
    "call",
    [
        "nn.ReLU(inplace=True)", "nn.ReLU6(inplace=True)", "nn.LeakyReLU(0.2, True)", "nn.ELU(inplace=True)",
        "nn.CELU(0.5, True)", "nn.SELU(True)", "nn.SiLU(inplace=True)", "nn.Mish(inplace=True)",
        "nn.Hardtanh(-1, 1, True)", "nn.Dropout(0.0, inplace=True)", "nn.Dropout(0.5, True).eval()",
    ],
)  # fmt: skip
def test_an_activation_in_place_changes_its_input_and_has_pytorchs_gradient(call):
    theirs, ours = both(call)
    assert repr(ours) == repr(theirs)
    results = []
    for package, layer in ((torch, ours), (ref, theirs)):
        x = package.tensor(numbers(3, 4), requires_grad=True)
        y = x * 1
        out = layer(y)
        assert out is y
        (out**2).sum().backward()
        results.append((out.detach().numpy(), x.grad.numpy()))
    for a, b in zip(*results, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12)


def test_dropout_in_place_draws_as_dropout_does():
    x = torch.ones(1000)
    torch.manual_seed(3)
    expected = torch.nn.Dropout(0.25)(x).tolist()
    torch.manual_seed(3)
    assert torch.nn.Dropout(0.25, inplace=True)(x) is x
    assert x.tolist() == expected and 600 < np.count_nonzero(expected) < 900


def test_an_activation_in_place_takes_one_input():
    for package in (torch, ref):
        x = package.tensor([-1.0])
        with pytest.raises((TypeError, ValueError)):
            package.nn.ReLU(inplace=True)(x, other=3)
        assert x.tolist() == [-1.0]


def test_a_leaf_that_requires_grad_is_not_changed_in_place():
    x = torch.tensor([-1.0, 2.0], requires_grad=True)
    with pytest.raises(RuntimeError):
        torch.nn.ReLU(inplace=True)(x)
    assert x.tolist() == [-1.0, 2.0]


# --------------------------------------------------------------------------------------------------------------- losses

P = np.random.default_rng(4).uniform(0.1, 0.9, (4, 3))
LOGS = np.log(P / P.sum(1, keepdims=True))
CLASSES = np.array([0, 2, 1, 2])
LOSSES = [
    ("L1Loss", "", (numbers(4, 3), P)),
    ("MSELoss", "", (numbers(4, 3), P)),
    ("SmoothL1Loss", "beta=0.5", (numbers(4, 3), P)),
    ("HuberLoss", "delta=0.5", (numbers(4, 3), P)),
    ("BCELoss", "", (P, P[::-1].copy())),
    ("BCELoss", "weight=m.tensor([1.0, 2.0, 0.5])", (P, P[::-1].copy())),
    ("BCEWithLogitsLoss", "pos_weight=m.tensor([1.0, 2.0, 0.5])", (numbers(4, 3), P)),
    ("KLDivLoss", "", (LOGS, P)),
    ("KLDivLoss", "log_target=True", (LOGS, LOGS[::-1].copy())),
    ("NLLLoss", "weight=m.tensor([1.0, 2.0, 0.5])", (LOGS, CLASSES)),
    ("NLLLoss", "ignore_index=2", (LOGS, CLASSES)),
    ("CrossEntropyLoss", "", (numbers(4, 3), CLASSES)),
    ("CrossEntropyLoss", "weight=m.tensor([1.0, 2.0, 0.5]), label_smoothing=0.1", (numbers(4, 3), CLASSES)),
    ("GaussianNLLLoss", "", (numbers(4, 3), numbers(4, 3, seed=5), P)),
    ("GaussianNLLLoss", "full=True, eps=0.2", (numbers(4, 3), numbers(4, 3, seed=5), P)),
    ("PoissonNLLLoss", "", (numbers(4, 3), P)),
    ("PoissonNLLLoss", "log_input=False, full=True", (P, P + 2)),
]


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("name, options, inputs", LOSSES)
def test_a_loss_is_pytorchs(name, options, inputs, reduction):
    call = f"nn.{name}({options}{', ' if options else ''}reduction={reduction!r})"
    theirs, ours = made(call, ref).double(), made(call, torch).double()
    assert repr(ours) == repr(theirs) == f"{name}()"
    assert list(ours.state_dict()) == list(theirs.state_dict())
    if name in ("BCELoss", "KLDivLoss", "GaussianNLLLoss", "PoissonNLLLoss", "NLLLoss"):
        inputs = tuple(x.copy() for x in inputs)
    peers = [ref.tensor(x, requires_grad=i == 0) for i, x in enumerate(inputs)]
    leaves = [torch.tensor(x, requires_grad=i == 0) for i, x in enumerate(inputs)]
    out, expected = ours(*leaves), theirs(*peers)
    np.testing.assert_allclose(out.detach().numpy(), expected.detach().numpy(), rtol=1e-12, atol=1e-14)
    out.sum().backward()
    expected.sum().backward()
    np.testing.assert_allclose(leaves[0].grad.numpy(), peers[0].grad.numpy(), rtol=1e-10, atol=1e-13)


def test_the_old_spelling_of_a_reduction_warns():
    for old, new in (((None, False), "none"), ((False, None), "sum"), ((True, None), "mean")):
        with pytest.warns(UserWarning):
            assert torch.nn.MSELoss(*old).reduction == new


def test_the_weights_of_a_loss_are_buffers():
    loss = torch.nn.CrossEntropyLoss(weight=torch.tensor([1.0, 2.0]))
    assert [name for name, _ in loss.named_buffers()] == ["weight"]
    assert loss.double().weight.dtype == torch.float64
    assert list(torch.nn.CrossEntropyLoss().named_buffers()) == [] and torch.nn.CrossEntropyLoss().weight is None


# ------------------------------------------------------------------------------------------------------ several inputs


def test_embedding_looks_up_rows_and_spares_the_row_of_padding():
    for call in ("nn.Embedding(5, 3)", "nn.Embedding(5, 3, padding_idx=1)", "nn.Embedding(5, 3, padding_idx=-4)"):
        theirs, ours = both(call)
        assert repr(ours) == repr(theirs)
        assert_same(theirs, ours, np.array([[0, 1, 1], [4, 2, 0]]))
    fresh = torch.nn.Embedding(5, 3, padding_idx=1)
    assert fresh.weight[1].tolist() == [0.0, 0.0, 0.0] and fresh.weight.requires_grad


def test_an_embedding_of_given_numbers_shares_their_memory_and_is_frozen():
    for package in (torch, ref):
        table = package.tensor([[1.0, 2.0], [3.0, 4.0]])
        layer = package.nn.Embedding.from_pretrained(table)
        assert not layer.weight.requires_grad and layer(package.tensor(1)).tolist() == [3.0, 4.0]
        table[1, 0] = 9
        assert layer.weight[1, 0].item() == 9.0
        assert package.nn.Embedding.from_pretrained(table, freeze=False).weight.requires_grad


def test_cosine_similarity_is_pytorchs():
    theirs, ours = both("nn.CosineSimilarity(dim=0)")
    assert repr(ours) == repr(theirs)
    assert_same(theirs, ours, numbers(3, 4), numbers(3, 4, seed=8))


def test_a_transposed_convolution_takes_the_size_of_its_output():
    theirs, ours = both("nn.ConvTranspose2d(2, 3, 3, stride=2, padding=1)")
    x = numbers(2, 2, 4, 4)
    for size in ([8, 7], (2, 3, 7, 8)):
        out = ours(torch.tensor(x), output_size=size)
        expected = theirs(ref.tensor(x), output_size=size)
        np.testing.assert_allclose(out.detach().numpy(), expected.detach().numpy(), rtol=1e-10)
    for layer, package in ((ours, torch), (theirs, ref)):
        with pytest.raises(ValueError):
            layer(package.tensor(x), output_size=[9, 7])


def test_a_transposed_convolution_turns_the_sizes_of_a_convolution_around():
    x = torch.ones(1, 2, 9, 7)
    options = {"kernel_size": (3, 2), "stride": 2, "padding": 1}
    y = torch.nn.Conv2d(2, 4, **options)(x)
    back = torch.nn.ConvTranspose2d(4, 2, **options)(y, output_size=x.shape)
    assert back.shape == x.shape


def test_return_indices_of_max_pooling():
    theirs, ours = both("nn.MaxPool2d(2, return_indices=True)")
    x = numbers(1, 2, 4, 4)
    for a, b in zip(ours(torch.tensor(x)), theirs(ref.tensor(x)), strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy())


# --------------------------------------------------------------------------------------------------- batch normalisation


@pytest.mark.parametrize("options", ["", ", momentum=None", ", momentum=0.5", ", track_running_stats=False"])
def test_running_statistics_follow_several_batches_and_serve_in_evaluation(options):
    theirs, ours = both(f"nn.BatchNorm1d(3{options})")
    for seed in range(4):
        assert_same(theirs, ours, numbers(6, 3, seed=seed) * (seed + 1))
    theirs.eval()
    ours.eval()
    for p in (*theirs.parameters(), *ours.parameters()):
        p.grad = None
    assert_same(theirs, ours, numbers(6, 3, seed=9))
    assert "track" in options or ours(torch.tensor(numbers(1, 3))).shape == (1, 3)


def test_statistics_of_many_numbers_far_from_zero_keep_their_digits():
    """NumPy adds up float32 numbers one by one along a dimension that is not the last in memory."""
    x = (1000 + numbers(200_000, 2)).astype(np.float32)
    layer = torch.nn.BatchNorm1d(2, momentum=1.0)
    exact = x.astype(np.float64)
    out = layer(torch.tensor(x))
    np.testing.assert_allclose(out.detach().numpy(), (exact - exact.mean(0)) / exact.std(0), atol=2e-4)
    np.testing.assert_allclose(layer.running_mean.numpy(), exact.mean(0), rtol=1e-6)
    np.testing.assert_allclose(layer.running_var.numpy(), exact.var(0, ddof=1), rtol=1e-5)
    out.backward(torch.tensor(x))
    np.testing.assert_allclose(layer.bias.grad.numpy(), exact.sum(0), rtol=1e-6)


def test_a_convolution_adds_up_the_gradient_of_its_bias_without_loss_of_digits():
    layer = torch.nn.Conv1d(1, 1, 1)
    layer(torch.zeros(3000, 1, 100)).backward(torch.full((3000, 1, 100), 0.1))
    np.testing.assert_allclose(layer.bias.grad.numpy(), 300_000 * float(np.float32(0.1)), rtol=1e-6)


def test_batch_norm_of_one_value_a_channel_is_refused_and_changes_nothing():
    for package in (torch, ref):
        layer = package.nn.BatchNorm1d(2)
        with pytest.raises(ValueError):
            layer(package.ones(1, 2))
        with pytest.raises(ValueError):
            layer(package.ones(2, 2, 2, 2))
        with pytest.raises(RuntimeError):
            layer(package.ones(3, 4))
        layer.eps = 0.0
        with pytest.raises(ValueError):
            layer(package.ones(2, 2))
        assert layer.running_mean.tolist() == [0.0, 0.0]
    assert torch.nn.BatchNorm1d(2).num_batches_tracked.item() == 0


def test_the_function_batch_norm_needs_statistics_outside_of_training():
    for package in (torch, ref):
        x = package.tensor([[1.0, 2.0], [3.0, 5.0]])
        out = package.nn.functional.batch_norm(x, None, None, training=True)
        np.testing.assert_allclose(out.numpy(), [[-1, -1], [1, 1]], atol=1e-4)
        with pytest.raises(RuntimeError):
            package.nn.functional.batch_norm(x, None, None)


@pytest.mark.skipif(torch is ref, reason="PyTorch counts versions of the buffers as it likes")
def test_a_pass_through_statistics_that_were_changed_since_is_refused():
    layer = torch.nn.BatchNorm1d(2)
    layer.eval()
    x = torch.ones(3, 2, requires_grad=True)
    out = layer(x)
    layer.train()(torch.randn(4, 2))
    with pytest.raises(RuntimeError, match="changed"):
        out.sum().backward()


# --------------------------------------------------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    "call, error",
    [
        ("nn.Conv2d(3, 4, 2, groups=2)", ValueError),
        ("nn.Conv2d(4, 4, 2, groups=0)", ValueError),
        ("nn.Conv2d(4, 4, 2, padding='other')", ValueError),
        ("nn.Conv2d(4, 4, 2, padding='same', stride=2)", ValueError),
        ("nn.Conv2d(4, 4, 2, padding_mode='other')", ValueError),
        ("nn.ConvTranspose2d(4, 4, 2, padding_mode='reflect')", ValueError),
        ("nn.ConvTranspose2d(1, 1, 2)(m.ones(1, 2, 3, 3))", RuntimeError),
        ("nn.ConvTranspose2d(1, 1, 2, output_padding=1)(m.ones(1, 1, 3, 3))", RuntimeError),
        ("nn.ConvTranspose2d(1, 1, 2, padding=5)(m.ones(1, 1, 3, 3))", RuntimeError),
        ("nn.ConvTranspose2d(1, 1, 2)(m.ones(3, 3))", RuntimeError),
        ("nn.functional.conv_transpose2d(m.ones(1, 1, 3, 3), m.ones(1, 1, 2, 2), m.ones(2))", RuntimeError),
        ("nn.Conv2d(1, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13)", TypeError),
        ("nn.Embedding(3, 2, padding_idx=3)", AssertionError),
        ("nn.Embedding(3, 2)(m.tensor([3]))", IndexError),
        ("nn.Embedding(3, 2)(m.tensor([1.0]))", RuntimeError),
        ("nn.Dropout(1.5)", ValueError),
        ("nn.Dropout(-0.1)", ValueError),
        ("nn.Hardtanh(1.0, 1.0)", AssertionError),
        ("nn.Unflatten(1, 3)", TypeError),
        ("nn.Unflatten(1, (2, 2.5))", TypeError),
        ("nn.Linear(-1, 2)", RuntimeError),
        ("nn.Linear(2, 2)(m.ones(3))", RuntimeError),
        ("nn.LayerNorm(3)(m.ones(2, 4))", RuntimeError),
        ("nn.MSELoss(reduction='other')(m.ones(2), m.ones(2))", ValueError),
        ("nn.MaxPool2d()", TypeError),
        ("nn.ReLU(1, 2)", TypeError),
        ("nn.ELU(beta=2)", TypeError),
        ("nn.GaussianNLLLoss(True)", TypeError),
        ("nn.Linear(2, 2, device='nowhere')", RuntimeError),
    ],
)
def test_wrong_arguments_raise_pytorchs_kind_of_error(call, error):
    for package in (torch, ref):
        with pytest.raises(error), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            made(call, package)


@pytest.mark.skipif(torch is ref, reason="what PyTorch can do")
@pytest.mark.parametrize(
    "call",
    [
        "nn.Conv2d(1, 1, 2, padding_mode='reflect')",
        "nn.Embedding(3, 2, max_norm=1.0)",
        "nn.Embedding(3, 2, sparse=True)",
        "nn.ConvTranspose2d(1, 1, 2, dilation=3, output_padding=2)(m.ones(1, 1, 3, 3))",
    ],
)
def test_what_is_not_supported_says_so(call):
    with pytest.raises(NotImplementedError):
        made(call, torch)


@pytest.mark.skipif(torch is ref, reason="our messages")
def test_a_module_of_a_function_names_itself_in_errors_and_shows_its_signature():
    with pytest.raises(TypeError, match=r"MaxPool2d\(\): missing a required argument: 'kernel_size'"):
        torch.nn.MaxPool2d()
    assert str(inspect.signature(torch.nn.ELU)) == "(alpha: 'float' = 1.0, inplace: 'bool' = False)"


def test_a_subclass_of_a_module_of_a_function_may_have_an_init_and_fields_of_its_own():
    class Scaled(torch.nn.ELU):
        count: int = 3

        def __init__(self, scale):
            super().__init__(alpha=0.5)
            self.scale = scale

        def forward(self, input):
            return super().forward(input) * self.scale

    layer = Scaled(2.0)
    assert layer.count == 3 and layer.alpha == 0.5 and repr(layer) == "Scaled(alpha=0.5)"
    assert layer(torch.tensor([1.0])).tolist() == [2.0]
    assert layer(input=torch.tensor([1.0])).tolist() == [2.0]


# --------------------------------------------------------------------------------------------- gradients of new functions


@pytest.mark.skipif(torch is ref, reason="second derivatives of our operations")
def test_layers_can_be_differentiated_twice():
    x = torch.tensor(numbers(3, 2, 3, 3), requires_grad=True)
    convolution = torch.nn.ConvTranspose2d(2, 1, 2, stride=2, padding=1).double()
    norm = torch.nn.BatchNorm2d(2, track_running_stats=False).double()
    assert torch.autograd.gradgradcheck(lambda x, *_: convolution(x), (x, *convolution.parameters()))
    assert torch.autograd.gradgradcheck(lambda x, *_: norm(x), (x, *norm.parameters()))


@pytest.mark.skipif(torch is ref, reason="names of our nodes")
def test_a_layer_is_one_node_with_pytorchs_name():
    x = numbers(3, 2, 3, 3)
    for call in ("nn.ConvTranspose2d(2, 1, 2)", "nn.BatchNorm2d(2)", "nn.BatchNorm2d(2).eval()"):
        theirs, ours = both(call)
        nodes = [layer(package.tensor(x)).grad_fn for layer, package in ((ours, torch), (theirs, ref))]
        assert nodes[0].name() == nodes[1].name()
