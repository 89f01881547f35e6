"""Modules and their containers: registration, names, state, hooks and printing, in PyTorch and here."""

import collections
import copy
import pickle
import re

import numpy as np
import pytest
from against_pytorch import ref, torch
from hypothesis import given, settings
from hypothesis import strategies as st

BOTH = pytest.mark.parametrize("m", [torch, ref] if torch is not ref else [ref], ids=lambda m: m.__name__)
ours = pytest.mark.skipif(torch is ref, reason="what only this package promises")


def net_of(m):
    class Block(m.nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = m.nn.Parameter(m.tensor([2.0]))
            self.register_buffer("count", m.tensor(3))
            self.register_buffer("scratch", m.tensor([1.0, 2.0]), persistent=False)
            self.linear = m.nn.Linear(2, 2)

        def forward(self, x):
            return self.linear(x) * self.scale

    class Net(m.nn.Module):
        def __init__(self):
            super().__init__()
            self.blocks = m.nn.ModuleList([Block(), Block()])
            self.head = m.nn.Sequential(m.nn.Linear(2, 3), m.nn.ReLU())
            self.offset = m.nn.Parameter(m.zeros(3))
            self.register_parameter("nothing", None)
            self.shared = self.blocks[0]

        def forward(self, x):
            for block in self.blocks:
                x = block(x)
            return self.head(x) + self.offset

    return Net()


# ----------------------------------------------------------------------------------------------- against PyTorch, as a whole


def test_names_and_their_order_are_pytorchs():
    a, b = net_of(torch), net_of(ref)
    for ask in (
        lambda n: [name for name, _ in n.named_parameters()],
        lambda n: [name for name, _ in n.named_parameters(prefix="net", recurse=False)],
        lambda n: [name for name, _ in n.named_parameters(remove_duplicate=False)],
        lambda n: [name for name, _ in n.named_buffers()],
        lambda n: [(name, type(module).__name__) for name, module in n.named_modules()],
        lambda n: [name for name, _ in n.named_modules(prefix="net", remove_duplicate=False)],
        lambda n: [type(module).__name__ for module in n.modules()],
        lambda n: [(name, type(module).__name__) for name, module in n.named_children()],
        lambda n: len(list(n.children())),
        lambda n: list(n.state_dict()),
        lambda n: list(n.state_dict(prefix="net.")),
        lambda n: [name for name in dir(n.blocks[0]) if name in ("scale", "count", "scratch", "linear", "0")],
        repr,
    ):
        assert ask(a) == ask(b)


def test_a_network_with_pytorchs_state_computes_what_pytorchs_does():
    a, b = net_of(torch), net_of(ref)
    result = a.load_state_dict({name: torch.tensor(t.numpy()) for name, t in b.state_dict().items()})
    assert repr(result) == "<All keys matched successfully>"
    x = np.random.default_rng(1).standard_normal((4, 2)).astype(np.float32)
    np.testing.assert_allclose(a(torch.tensor(x)).detach().numpy(), b(ref.tensor(x)).detach().numpy(), rtol=1e-5)


# ------------------------------------------------------------------------------------------------------------ registration


@BOTH
def test_an_assignment_goes_where_the_kind_of_the_value_belongs(m):
    n = m.nn.Module()
    n.plain = m.tensor([1.0])
    n.p = m.nn.Parameter(m.tensor([1.0]))
    n.part = m.nn.Linear(1, 1)
    assert list(dict(n.named_parameters())) == ["p", "part.weight", "part.bias"] and list(n.named_buffers()) == []
    n.plain = m.nn.Parameter(m.tensor([2.0]))
    assert "plain" in dict(n.named_parameters()) and "plain" not in n.__dict__
    n.p = None
    assert n.p is None and "p" not in dict(n.named_parameters())
    n.p = m.nn.Parameter(m.tensor([5.0]))
    assert n.p.item() == 5
    n.part = None
    assert n.part is None and list(n.children()) == [] and list(n.named_children()) == []
    n.part = m.nn.ReLU()
    del n.part, n.p
    assert not hasattr(n, "part") and not hasattr(n, "p")
    with pytest.raises(AttributeError):
        del n.part


@BOTH
def test_an_assignment_of_the_wrong_kind_is_refused_and_changes_nothing(m):
    n = m.nn.Module()
    n.p, n.part = m.nn.Parameter(m.tensor([1.0])), m.nn.ReLU()
    n.register_buffer("b", m.tensor([1.0]))
    before = n.p, n.part, n.b
    for name, value in (
        ("p", m.tensor([2.0])),
        ("p", 3),
        ("p", m.nn.ReLU()),
        ("part", m.tensor([1.0])),
        ("part", 3),
        ("b", 3),
    ):
        with pytest.raises(TypeError):
            setattr(n, name, value)
    assert (n.p, n.part, n.b) == before
    n.b = m.tensor([7.0])
    assert n.b.item() == 7 and dict(n.named_buffers())["b"].item() == 7
    n.part = m.nn.Parameter(m.tensor([1.0]))
    assert "part" in dict(n.named_parameters()) and list(n.children()) == []
    n.b = m.nn.ReLU()
    assert list(n.named_buffers()) == [] and [name for name, _ in n.named_children()] == ["b"]


@BOTH
def test_registering_checks_name_and_kind(m):
    class HasName(m.nn.Module):
        taken = 3

    n, p = HasName(), m.nn.Parameter(m.tensor([1.0]))
    for register, value in (
        (n.register_parameter, p),
        (n.register_buffer, m.tensor([1.0])),
        (n.add_module, m.nn.ReLU()),
    ):
        for name, error in (("a.b", KeyError), ("", KeyError), ("taken", KeyError), (3, TypeError)):
            with pytest.raises(error):
                register(name, value)
        with pytest.raises(TypeError):
            register("fine", "wrong")
        register("nothing_" + register.__name__, None)
    n.register_module("part", m.nn.ReLU())
    assert list(n.state_dict()) == [] and [name for name, _ in n.named_children()] == ["part"]


@BOTH
def test_nothing_can_be_registered_before_the_modules_own_init(m):
    class Hasty(m.nn.Module):
        def __init__(self, what):
            what(self)

    for what in (
        lambda n: setattr(n, "p", m.nn.Parameter(m.tensor([1.0]))),
        lambda n: setattr(n, "part", m.nn.ReLU()),
        lambda n: n.register_buffer("b", m.tensor([1.0])),
        lambda n: n.register_parameter("p", None),
        lambda n: n.unknown,
    ):
        with pytest.raises(AttributeError):
            Hasty(what)
    Hasty(lambda n: setattr(n, "number", 3))


@BOTH
def test_modules_parameters_and_buffers_can_be_had_by_their_dotted_names(m):
    n = net_of(m)
    assert n.get_submodule("") is n and n.get_submodule("blocks.1.linear") is n.blocks[1].linear
    assert n.get_parameter("blocks.1.linear.weight") is n.blocks[1].linear.weight
    assert n.get_buffer("blocks.0.count") is n.blocks[0].count
    for ask, name in (
        (n.get_submodule, "blocks.2"),
        (n.get_submodule, "offset"),
        (n.get_parameter, "blocks.0.count"),
        (n.get_parameter, "nothing.here"),
        (n.get_buffer, "offset"),
    ):
        with pytest.raises(AttributeError):
            ask(name)


# ------------------------------------------------------------------------------------------------------------------- state


@BOTH
def test_the_state_shares_memory_and_has_no_history(m):
    n = m.nn.Linear(2, 1)
    state = n.state_dict()
    assert type(state) is collections.OrderedDict and not state["weight"].requires_grad
    state["weight"].fill_(3.0)
    assert n.weight.tolist() == [[3.0, 3.0]]
    assert n.state_dict(keep_vars=True)["weight"] is n.weight
    into = {}
    assert n.state_dict(destination=into) is into and list(into) == ["weight", "bias"]


@BOTH
def test_a_state_is_copied_into_the_parameters_that_are_there(m):
    n = m.nn.Linear(2, 1)
    weight = n.weight
    new = {"weight": m.tensor([[1.0, 2.0]], dtype=m.float64), "bias": m.tensor([3.0])}
    assert n.load_state_dict(new) == ([], [])
    assert n.weight is weight and weight.tolist() == [[1.0, 2.0]] and weight.dtype == m.float32 and weight.requires_grad
    new["bias"].fill_(9.0)
    assert n.bias.tolist() == [3.0]


@BOTH
def test_what_does_not_fit_is_named_and_nothing_is_changed(m):
    n = m.nn.Sequential(m.nn.Linear(2, 1), m.nn.BatchNorm1d(1))
    before = {name: t.tolist() for name, t in n.state_dict().items()}
    state = {name: t + 1 for name, t in n.state_dict().items()}
    del state["1.bias"]
    state |= {"extra": m.tensor(1.0), "0.extra": m.tensor(1.0), "9.weight": m.tensor(1.0), "0.weight": m.zeros(3, 3)}
    with pytest.raises(RuntimeError) as caught:
        n.load_state_dict(state)
    message = str(caught.value)
    assert 'Missing key(s) in state_dict: "1.bias".' in message
    unexpected = next(line for line in message.split("\n") if "Unexpected key(s) in state_dict: " in line)
    assert set(re.findall('"(.*?)"', unexpected)) == {"extra", "0.extra", "9.weight"}
    assert "size mismatch for 0.weight" in message and "[3, 3]" in message and "[1, 2]" in message
    if m is not ref:
        assert {name: t.tolist() for name, t in n.state_dict().items()} == before
    with pytest.raises(RuntimeError, match="size mismatch"):
        n.load_state_dict(state, strict=False)
    del state["0.weight"]
    result = n.load_state_dict(state, strict=False)
    assert sorted(result.missing_keys) == ["0.weight", "1.bias"]
    assert sorted(result.unexpected_keys) == ["0.extra", "9.weight", "extra"]
    assert type(result).__name__ == "_IncompatibleKeys" and "missing_keys" in repr(result)
    assert n[0].bias.tolist() == state["0.bias"].tolist() != before["0.bias"]
    with pytest.raises(TypeError):
        n.load_state_dict([1, 2])


@BOTH
def test_a_value_that_is_no_tensor_is_refused(m):
    n = m.nn.Linear(1, 1)
    with pytest.raises(RuntimeError, match="weight"):
        n.load_state_dict({"weight": [[1.0]], "bias": m.tensor([0.0])})


@ours
def test_a_state_that_cannot_be_written_leaves_all_as_it_was():
    n = torch.nn.Module()
    n.first = torch.nn.Parameter(torch.tensor([1.0]))
    fixed = np.ones(2, np.float32)
    fixed.flags.writeable = False
    n.register_buffer("fixed", torch.from_numpy(fixed))
    n.register_buffer("wide", torch.zeros(1).expand(3))
    with pytest.raises(RuntimeError) as caught:
        n.load_state_dict({"first": torch.tensor([2.0]), "fixed": torch.zeros(2), "wide": torch.ones(3)})
    assert '"fixed" cannot be copied to' in str(caught.value) and '"wide" cannot be copied to' in str(caught.value)
    assert n.first.tolist() == [1.0]


@ours
def test_a_graph_that_was_recorded_before_a_state_was_loaded_says_so():
    n = torch.nn.Linear(1, 1)
    loss = (n(torch.ones(1, 1, requires_grad=True)) ** 2).sum()
    n.load_state_dict({"weight": torch.tensor([[5.0]]), "bias": torch.tensor([0.0])})
    with pytest.raises(RuntimeError, match="changed"):
        loss.backward()


# ---------------------------------------------------------------------------------------------- changing all that lies below


@BOTH
def test_the_dtype_of_a_module_changes_and_its_parameters_stay_the_same_objects(m):
    n = m.nn.Sequential(m.nn.Linear(2, 1), m.nn.BatchNorm1d(1))
    weight = n[0].weight
    n[0](m.ones(3, 2)).sum().backward()
    assert n.double() is n and n[0].weight is weight
    assert weight.dtype == m.float64 and weight.grad.dtype == m.float64 and weight.requires_grad and weight.is_leaf
    assert n[1].running_mean.dtype == m.float64 and n[1].num_batches_tracked.dtype == m.int64
    n[0](m.ones(3, 2, dtype=m.float64)).sum().backward()
    assert weight.grad.tolist() == [[6.0, 6.0]]
    assert n.to(m.float32)[0].weight.dtype == m.float32
    assert n.to(m.zeros(1, dtype=m.float64))[0].weight.dtype == m.float64
    assert n.to("cpu").to(dtype=m.float32).float()[0].weight.dtype == m.float32
    with pytest.raises(TypeError):
        n.to(m.int64)


@ours
def test_a_graph_recorded_before_a_conversion_gives_the_gradient_at_what_it_was_computed_from():
    n, x = torch.nn.Linear(1, 1), torch.ones(1, 1, requires_grad=True)
    out = n(x)
    (out**2 * n.weight).sum().backward(retain_graph=True)
    expected = n.weight.grad.tolist(), x.grad.tolist()
    n.zero_grad()
    x.grad = None
    loss = (n(x) ** 2 * n.weight).sum()
    n.double()
    loss.backward()
    assert n.weight.grad.dtype == torch.float64
    np.testing.assert_allclose([n.weight.grad.item(), x.grad.item()], np.ravel(expected), rtol=1e-6)


@ours
def test_a_parameter_with_a_view_cannot_be_converted():
    n = torch.nn.Sequential(torch.nn.Linear(1, 1), torch.nn.Linear(1, 1))
    with torch.no_grad():
        view = n[1].weight[0]
    with pytest.raises(RuntimeError, match="views"):
        n.double()
    assert n[0].weight.dtype == n[1].weight.dtype == view.dtype == torch.float32


@BOTH
def test_apply_goes_from_below_upwards(m):
    n, seen = net_of(m), []
    assert n.apply(lambda module: seen.append(type(module).__name__)) is n
    assert seen == [
        "Linear",
        "Block",
        "Linear",
        "Block",
        "ModuleList",
        "Linear",
        "ReLU",
        "Sequential",
        "Linear",
        "Block",
        "Net",
    ]


@BOTH
def test_training_grad_and_requires_grad_reach_all_that_lies_below(m):
    n = net_of(m)
    assert n.eval() is n and not any(module.training for module in n.modules())
    assert n.train() is n and all(module.training for module in n.modules())
    for mode in (1, "yes", None):
        with pytest.raises(ValueError):
            n.train(mode)
    n(m.ones(1, 2)).sum().backward()
    n.zero_grad(set_to_none=False)
    assert all(p.grad is not None and not p.grad.any() for p in n.parameters())
    n.zero_grad()
    assert all(p.grad is None for p in n.parameters())
    assert n.requires_grad_(False) is n and not any(p.requires_grad for p in n.parameters())
    assert not n(m.ones(1, 2)).requires_grad


# ------------------------------------------------------------------------------------------------------------------- hooks


@BOTH
def test_hooks_see_and_may_replace_arguments_and_output(m):
    n, seen = m.nn.Identity(), []
    before = n.register_forward_pre_hook(lambda module, args: seen.append(("before", module is n, args)))
    after = n.register_forward_hook(lambda module, args, output: seen.append(("after", args, output)))
    assert n(1) == 1 and seen == [("before", True, (1,)), ("after", (1,), 1)]
    changes = n.register_forward_pre_hook(lambda module, args: args[0] + 1)
    with n.register_forward_hook(lambda module, args, output: output * 10):
        assert n(1) == 20
    assert n(1) == 2
    changes.remove()
    changes.remove()
    before.remove()
    after.remove()
    seen.clear()
    assert n(1) == 1 and seen == []


@ours
def test_a_hook_does_not_take_the_place_of_one_that_a_module_brought_from_elsewhere():
    n, seen = torch.nn.Identity(), []
    number = n.register_forward_hook(lambda module, args, output: None).id
    n._forward_hooks.clear()
    for later in range(number + 1, number + 4):  # as a module has them that another process pickled
        n._forward_hooks[later] = (lambda module, args, output: seen.append("brought"), False)
    n.register_forward_hook(lambda module, args, output: seen.append("own"))
    n(1)
    assert seen == ["brought", "brought", "brought", "own"]


@BOTH
def test_hooks_run_in_order_and_may_ask_for_keyword_arguments(m):
    class Power(m.nn.Module):
        def forward(self, x, to=1):
            return x**to

    n, seen = Power(), []
    n.register_forward_hook(lambda module, args, output: seen.append("second"))
    n.register_forward_hook(lambda module, args, output: seen.append("first"), prepend=True)
    n.register_forward_hook(lambda module, args, kwargs, output: seen.append(kwargs), with_kwargs=True)
    n.register_forward_pre_hook(lambda module, args, kwargs: (args, {"to": 3}), with_kwargs=True)
    n.register_forward_pre_hook(lambda module, args: (args[0], args[0])[:1], prepend=True)
    assert n(2, to=2) == 8 and seen == ["first", "second", {"to": 3}]
    n.register_forward_pre_hook(lambda module, args, kwargs: 3, with_kwargs=True)
    with pytest.raises(RuntimeError):
        n(2)


# -------------------------------------------------------------------------------------------------------- copies and printing


@BOTH
def test_a_module_can_be_copied_and_pickled(m):
    n = m.nn.Sequential(m.nn.Linear(2, 2), m.nn.BatchNorm1d(2), m.nn.MaxPool1d(2))
    for made in (copy.deepcopy(n), pickle.loads(pickle.dumps(n))):
        assert repr(made) == repr(n) and made[0].weight is not n[0].weight
        for name, t in n.state_dict().items():
            assert made.state_dict()[name].tolist() == t.tolist()
        made[0].weight.data.fill_(0)
        assert n[0].weight.any()


def test_modules_print_as_pytorchs_do():
    def some(m):
        class Described(m.nn.Module):
            def __init__(self, text, parts=0):
                super().__init__()
                self.text = text
                for i in range(parts):
                    self.add_module(f"part{i}", m.nn.ReLU())

            def extra_repr(self):
                return self.text

        nn = m.nn
        return [
            nn.Module(), Described("a=1"), Described("a\nb"), Described("a", 2), Described("a\nb", 1),
            nn.Sequential(), nn.Sequential(nn.Sequential(nn.ReLU()), nn.Tanh()), nn.ModuleList(),
            nn.ModuleList([nn.Linear(1, 1) for _ in range(3)] + [nn.ReLU()] + [nn.Sequential(nn.ReLU())] * 2),
            nn.ModuleDict({"a": nn.ReLU(), "b": nn.Linear(1, 2)}),
            nn.ParameterList([nn.Parameter(m.zeros(2, 3)), m.zeros(2).double(), "text", 3]),
            nn.Sequential(nn.ParameterList([nn.Parameter(m.zeros(()))])),
            nn.Parameter(m.tensor([1.0, 2.0])),
        ]  # fmt: skip

    assert list(map(repr, some(torch))) == list(map(repr, some(ref)))


# -------------------------------------------------------------------------------------------------------------- containers


def names(container):
    return [(name, type(module).__name__) for name, module in container.named_children()]


SEQUENTIAL = [
    "s[0]", "s[-1]", "s[1:]", "s[::2]", "s[:-1]", "len(s)", "list(s)", "s.append(nn.Tanh())", "s.extend([nn.Tanh(), nn.ELU()])",
    "s.insert(1, nn.Tanh())", "s.insert(-1, nn.Tanh())", "s.pop(1)", "s.pop(-1)", "s.__delitem__(0)",
    "s.__delitem__(slice(1, None))", "s.__setitem__(1, nn.Tanh())", "s + nn.Sequential(nn.Tanh())", "s * 2", "2 * s",
    "s.__iadd__(nn.Sequential(nn.Tanh()))", "s.__imul__(3)",
    "s[3]", "s[-4]", "s.pop(7)", "s + [nn.ReLU()]", "s * 0", "s * 1.5", "s.append(3)", "s.insert(7, nn.ReLU())",
    "s.insert(0, 3)", "s['a']", "nn.Sequential(3)", "nn.Sequential({'a': 3})",
]  # fmt: skip


def outcome(m, make, call):
    """What a call returned, and what is left of the container; or the kind of error."""
    s = make(m.nn)
    try:
        result = eval(call, {"s": s, "nn": m.nn})
    except Exception as error:
        return type(error)
    shown = [repr(r) for r in result] if isinstance(result, list) else repr(result)
    return shown, names(s)


@pytest.mark.parametrize("call", SEQUENTIAL)
def test_sequential_is_a_list_as_pytorchs_is(call):
    for make in (
        lambda nn: nn.Sequential(nn.ReLU(), nn.Sigmoid(), nn.GELU()),
        lambda nn: nn.Sequential(collections.OrderedDict([("a", nn.ReLU()), ("b", nn.Sigmoid()), ("c", nn.GELU())])),
    ):
        if ("imul" in call or "s.insert" in call) and make(torch.nn)._modules.keys() != {"0", "1", "2"}:
            continue  # PyTorch's looks for modules by number
        assert outcome(torch, make, call) == outcome(ref, make, call)


@pytest.mark.parametrize(
    "call",
    [
        "s[0]", "s[-1]", "s[1:]", "len(s)", "list(s)", "s.append(nn.Tanh())", "s.extend([nn.Tanh(), nn.ELU()])", "s.pop(1)",
        "s.__delitem__(0)", "s.__delitem__(slice(None, None, 2))", "s.__setitem__(1, nn.Tanh())", "s + [nn.Tanh()]",
        "s.__iadd__([nn.Tanh()])", "s[3]", "s.extend(3)", "s.append(3)", "s(1)",
    ],
)  # fmt: skip
def test_a_module_list_is_a_list_as_pytorchs_is(call):
    def make(nn):
        return nn.ModuleList([nn.ReLU(), nn.Sigmoid(), nn.GELU()])

    assert outcome(torch, make, call) == outcome(ref, make, call)


@ours
def test_a_layer_whose_name_is_a_later_number_is_not_lost():
    """A part of a Sequential keeps the names; PyTorch then replaces the last layer."""
    part = torch.nn.Sequential(torch.nn.ReLU(), torch.nn.Tanh(), torch.nn.Sigmoid())[1:]
    before = repr(part)
    for change in (
        lambda: part.append(torch.nn.ReLU()),
        lambda: part.extend([torch.nn.ReLU()]),
        lambda: part.__imul__(2),
    ):
        with pytest.raises(KeyError, match="is named '2' already"):
            change()
        assert repr(part) == before
    assert len(torch.nn.Sequential(*part).append(torch.nn.ReLU())) == 3


@BOTH
def test_what_is_no_module_is_not_added(m):
    for made in (m.nn.Sequential(), m.nn.ModuleList()):
        with pytest.raises(TypeError):
            made.extend([m.nn.ReLU(), 3])
        assert m is not torch or len(made) == 0
    made = m.nn.ModuleDict({"a": m.nn.Tanh()})
    with pytest.raises(TypeError):
        made.update({"a": m.nn.ReLU(), "b": 3})
    assert m is not torch or repr(made["a"]) == "Tanh()"


def test_inserting_into_a_module_list_numbers_it_anew():
    for m in (torch, ref):
        s = m.nn.ModuleList([m.nn.ReLU(), m.nn.Sigmoid()])
        s.insert(1, m.nn.Tanh())
        assert names(s) == [("0", "ReLU"), ("1", "Tanh"), ("2", "Sigmoid")]


@pytest.mark.parametrize(
    "call",
    [
        "s['a']", "list(s)", "len(s)", "'a' in s", "list(s.keys())", "list(s.values())", "[k for k, _ in s.items()]",
        "s.pop('a')", "s.clear()", "s.update({'b': nn.Tanh(), 'c': nn.ELU()})", "s.update([('d', nn.Tanh())])",
        "s.__setitem__('e', nn.ELU())",
        "s.__delitem__('a')", "s['z']", "s.pop('z')", "s.update(3)", "s.__setitem__('x', 3)", "s.__setitem__(3, nn.ELU())",
        "s.update([('d', 3, 4)])", "s.__setitem__('keys', nn.ELU())",
    ],
)  # fmt: skip
def test_a_module_dict_is_a_dictionary_as_pytorchs_is(call):
    def make(nn):
        return nn.ModuleDict({"a": nn.ReLU(), "b": nn.Sigmoid()})

    assert outcome(torch, make, call) == outcome(ref, make, call)


@BOTH
def test_a_parameter_list_makes_parameters_of_tensors(m):
    s = m.nn.ParameterList([m.zeros(1), m.nn.Parameter(m.ones(2))])
    s.append(m.zeros(3)).extend([m.zeros(4)])
    s += [m.zeros(5)]
    assert [tuple(p.shape) for p in s] == [(1,), (2,), (3,), (4,), (5,)] and len(s) == 5
    assert all(isinstance(p, m.nn.Parameter) for p in s) and len(list(s.parameters())) == 5
    assert list(s.state_dict()) == ["0", "1", "2", "3", "4"]
    s[-1] = m.ones(6)
    assert tuple(s[4].shape) == (6,) and [tuple(p.shape) for p in s[1:3]] == [(2,), (3,)]
    for wrong, error in (
        (lambda: s[5], IndexError),
        (lambda: s.extend(m.zeros(2)), TypeError),
        (lambda: s(1), RuntimeError),
    ):
        with pytest.raises(error):
            wrong()


# ------------------------------------------------------------------------------------------------------- random structures

leaf = st.sampled_from(["nn.Linear(2, 2)", "nn.ReLU()", "nn.BatchNorm1d(2)", "nn.Dropout()"])
structure = st.recursive(
    leaf,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda parts: f"nn.Sequential({', '.join(parts)})"),
        st.lists(inner, max_size=3).map(lambda parts: f"nn.ModuleList([{', '.join(parts)}])"),
        st.lists(inner, min_size=1, max_size=3).map(
            lambda parts: "nn.ModuleDict({" + ", ".join(f"'k{i}': {p}" for i, p in enumerate(parts)) + "})"
        ),
    ),
    max_leaves=8,
)


@settings(max_examples=60, deadline=None)
@given(structure)
def test_any_nested_structure_prints_and_names_as_pytorchs_does(call):
    a, b = eval(call, {"nn": torch.nn}), eval(call, {"nn": ref.nn})
    assert repr(a) == repr(b) and list(a.state_dict()) == list(b.state_dict())
    assert [name for name, _ in a.named_modules()] == [name for name, _ in b.named_modules()]
    a.load_state_dict({name: torch.tensor(t.numpy()) for name, t in b.state_dict().items()})
    assert [t.tolist() for t in a.state_dict().values()] == [t.tolist() for t in b.state_dict().values()]
