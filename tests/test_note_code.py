"""The published example runs with only its import changed, and prints what it should.

The code is that of Hugo Gangloff's note "Reparametrization trick" (April 2023), in short form: the loops, the two
reparameterisations, the straight-through estimator in its two spellings and the function that prints a graph.
Each estimate is compared with a value known by hand, by a z-test on a fixed seed. LIMIT = 4.5 standard errors
gives a false alarm for 7 seeds in a million.
"""

import importlib
import os
import re
import warnings

import numpy as np
import pytest

UNDER_TEST = os.environ.get("TINYGRAD_RP_UNDER_TEST", "tinygrad_rp")
torch = importlib.import_module(UNDER_TEST)
ours = pytest.mark.skipif(UNDER_TEST == "torch", reason="we differ from PyTorch on purpose")

LIMIT = 4.5
MU, STD, P = 12.0, 42.0, 0.25

# One pathwise sample of the gradient of E[z^2], z ~ N(12, 42^2): mean 2*mu and 2*std, standard deviation by hand.
SD_MU = 2 * STD
SD_STD = (4 * MU**2 + 8 * STD**2) ** 0.5
# One straight-through sample is 2*y with y ~ Bernoulli(p).
SD_STE = 2 * (P * (1 - P)) ** 0.5
# The relaxation's own expectation at temperature 0.1, by quadrature. It is not the truth, which is 1.
MEAN_GUMBEL, SD_GUMBEL = 0.94888, 3.05

NOTE = {
    "naive normal": """
N = 1000
mu_grads = []
std_grads = []

mu = torch.tensor([12.], requires_grad=True) # set mu = 12 and store gradient
std = torch.tensor([42.], requires_grad=True) # set std = 42

for i in range(N):
    mu.grad = None # reset the gradient value
    std.grad = None

    z = torch.normal(mu, std) # the random sampling happens here
    z2 = z ** 2
    z2.backward()

    mu_grads.append(mu.grad.detach().cpu().numpy())
    std_grads.append(std.grad.detach().cpu().numpy())

print(f"Estimated dE[z^2]/dmu={np.mean(mu_grads):.2f}")
print(f"Estimated dE[z^2]/dstd={np.mean(std_grads):.2f}")
""",
    "reparameterised normal": """
def reparametrize(mu, std):
    eps = torch.randn_like(std)
    return eps * std + mu

N = 1000
mu_grads = []
std_grads = []

mu = torch.tensor([12.], requires_grad=True)
std = torch.tensor([42.], requires_grad=True)

for i in range(N):
    mu.grad = None
    std.grad = None

    z = reparametrize(mu, std)
    z2 = z ** 2
    z2.backward(retain_graph=True)

    mu_grads.append(mu.grad.detach().cpu().numpy())
    std_grads.append(std.grad.detach().cpu().numpy())

print(f"Estimated dE[z^2]/dmu={np.mean(mu_grads):.2f}")
print(f"Estimated dE[z^2]/dstd={np.mean(std_grads):.2f}")
""",
    "graph": """
def get_graph(fn, level=0):
    prefix = ('│    ' * (level-1)) + '├── ' if level else ''
    print(prefix+str(fn))
    tensor = getattr(fn, 'variable', None)
    if tensor is not None:
        runningprefix = prefix.replace('├── ','    ')
        print(runningprefix+f"Tensor: {tensor}")
        print(runningprefix+f"Gradient: {tensor.grad}")
    else:
        for sub in fn.next_functions:
            if sub[0]:
                get_graph(sub[0], level+1)

get_graph(z2.grad_fn)
""",
    "naive bernoulli": """
N = 1000
p_grads = []

p = torch.tensor([0.25], requires_grad=True)

for i in range(N):
    p.grad = None

    y = torch.bernoulli(p)
    y2 = y ** 2
    y2.backward()

    p_grads.append(p.grad.detach().cpu().numpy())

print(f"Estimated dE[y^2]/dp={np.mean(p_grads):.2f}")
""",
    "straight-through, one line": """
N = 1000
p_grads = []

p = torch.tensor([0.25], requires_grad=True)

for i in range(N):
    p.grad = None

    y = torch.bernoulli(p)
    y = p + (y - p).detach() # Straight-Through Estimator
    y2 = y ** 2
    y2.backward()

    p_grads.append(p.grad.detach().cpu().numpy())

print(f"Estimated dE[y^2]/dp={np.mean(p_grads):.2f}")
""",
    "straight-through, module": """
class BernoulliSTE_FB(torch.autograd.Function):
    '''
    Implements the STE estimator
    '''
    @staticmethod
    def forward(ctx, input):
        '''
        input : p the Bernoulli parameter
        '''
        return torch.bernoulli(input)

    @staticmethod
    def backward(ctx, grad_output):
        return grad_output

class BernoulliSTE(torch.nn.Module):
    def __init__(self):
        super(BernoulliSTE, self).__init__()

    def forward(self, x):
        x = BernoulliSTE_FB.apply(x) # apply is the way we call a
        # torch.autograd function
        return x

N = 1000
p_grads = []
b_ste = BernoulliSTE()

p = torch.tensor([0.25], requires_grad=True)

for i in range(N):
    p.grad = None

    y = b_ste(p) # Straight Through Estimator
    y2 = y ** 2
    y2.backward()

    p_grads.append(p.grad.detach().cpu().numpy())

print(f"Estimated dE[y^2]/dp={np.mean(p_grads):.2f}")
""",
    "gumbel-softmax": """
def reparametrize_gumbel(p, temp=0.1):
    g = -torch.log(-torch.log(torch.rand((1))))
    g_ = -torch.log(-torch.log(torch.rand((1))))
    logits = torch.log(p)
    logits_ = torch.log1p(-p)
    e = torch.exp(((logits_ + g_) - (logits + g)) / temp)
    return 1 / (1 + e)

N = 20000
p_grads = []

for i in range(N):
    p = torch.tensor([0.25], requires_grad=True)
    y = reparametrize_gumbel(p) # Gumbel Softmax reparametrization trick
    y = y ** 2
    y.backward()

    p_grads.append(p.grad.detach().cpu().numpy())

print(f"Estimated dE[y^2]/dp={np.nanmean(p_grads):.2f}")
""",
}


def run(*parts, seed=0):
    """Run pieces of the note one after another, as a reader would, and return the names they leave behind."""
    names = {"torch": torch, "np": np}
    torch.manual_seed(seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for part in parts:
            exec(compile(NOTE[part], f"<note: {part}>", "exec"), names)
    return names


def z_score(samples, mean, sd):
    samples = np.asarray(samples, dtype=float).ravel()
    samples = samples[np.isfinite(samples)]
    return (samples.mean() - mean) / (sd / len(samples) ** 0.5)


def printed_numbers(text):
    return [float(number) for number in re.findall(r"=(-?\d+\.\d\d)$", text, flags=re.MULTILINE)]


def test_the_naive_normal_loop_prints_two_zeros(capsys):
    names = run("naive normal")
    assert capsys.readouterr().out == "Estimated dE[z^2]/dmu=0.00\nEstimated dE[z^2]/dstd=0.00\n"
    assert len(names["mu_grads"]) == len(names["std_grads"]) == 1000
    assert not np.any(names["mu_grads"]) and not np.any(names["std_grads"])


def test_the_naive_normal_loop_does_draw_samples():
    names = run("naive normal")
    assert 0 < abs(names["z"].item() - MU) < 7 * STD


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_reparameterised_loop_estimates_24_and_84(seed, capsys):
    names = run("reparameterised normal", seed=seed)
    assert abs(z_score(names["mu_grads"], 2 * MU, SD_MU)) < LIMIT
    assert abs(z_score(names["std_grads"], 2 * STD, SD_STD)) < LIMIT
    by_mu, by_std = printed_numbers(capsys.readouterr().out)
    assert by_mu == pytest.approx(np.mean(names["mu_grads"]), abs=0.0051)
    assert by_std == pytest.approx(np.mean(names["std_grads"]), abs=0.0051)


def test_the_reparameterised_loop_has_the_spread_known_by_hand():
    names = run("reparameterised normal", seed=3)
    # Gradients by mu are normal: the sample variance of 1000 has relative standard error sqrt(2/999) = 0.0447, and
    # 4.5 of these are 0.20 (7 seeds in a million).
    assert np.var(names["mu_grads"], ddof=1) / SD_MU**2 == pytest.approx(1, abs=0.20)
    # Those by std are 2*(mu + std*eps)*eps with kurtosis 13.5: relative standard error sqrt(12.5/1000) = 0.112.
    assert np.var(names["std_grads"], ddof=1) / SD_STD**2 == pytest.approx(1, abs=0.50)


def test_each_gradient_of_the_reparameterised_loop_is_exact_for_its_sample():
    names = run("reparameterised normal", seed=4)
    z, by_mu, by_std = (names[name].item() for name in ("z", "mu", "std"))
    eps = (z - by_mu) / by_std
    assert names["mu_grads"][-1].item() == pytest.approx(2 * z, rel=1e-5)
    assert names["std_grads"][-1].item() == pytest.approx(2 * z * eps, rel=1e-4)


def test_get_graph_prints_the_tree_the_note_shows(capsys):
    names = run("reparameterised normal", seed=5)
    capsys.readouterr()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        exec(NOTE["graph"], names)
    printed = re.sub(r" at 0x[0-9a-f]+>", ">", capsys.readouterr().out)
    assert printed == (
        "<PowBackward0 object>\n"
        "├── <AddBackward0 object>\n"
        "│    ├── <MulBackward0 object>\n"
        "│    │    ├── <AccumulateGrad object>\n"
        "│    │        Tensor: tensor([42.], requires_grad=True)\n"
        f"│    │        Gradient: {names['std'].grad!r}\n"
        "│    ├── <AccumulateGrad object>\n"
        "│        Tensor: tensor([12.], requires_grad=True)\n"
        f"│        Gradient: {names['mu'].grad!r}\n"
    )
    assert f"{names['mu'].grad!r}" == f"{names['mu'].grad}"


def test_a_node_prints_its_class_and_a_hexadecimal_address():
    z2 = (torch.tensor([1.0], requires_grad=True) + 1) ** 2
    assert re.fullmatch(r"<PowBackward0 object at 0x[0-9a-f]+>", str(z2.grad_fn))
    assert re.fullmatch(r"\(\(<AddBackward0 object at 0x[0-9a-f]+>, 0\),\)", str(z2.grad_fn.next_functions))


def test_the_naive_bernoulli_loop_prints_zero(capsys):
    names = run("naive bernoulli")
    assert capsys.readouterr().out == "Estimated dE[y^2]/dp=0.00\n"
    assert len(names["p_grads"]) == 1000 and not np.any(names["p_grads"])


def test_p_made_from_ones_is_not_a_leaf_and_needs_retain_grad():
    p = 0.5 * torch.ones((1), requires_grad=True)
    assert not p.is_leaf
    p.retain_grad()
    (p**2).backward()
    assert p.grad.item() == pytest.approx(1.0)


@pytest.mark.parametrize("spelling", ["straight-through, one line", "straight-through, module"])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_straight_through_loop_estimates_2p_in_both_spellings(spelling, seed, capsys):
    names = run(spelling, seed=seed)
    assert abs(z_score(names["p_grads"], 2 * P, SD_STE)) < LIMIT
    assert printed_numbers(capsys.readouterr().out) == [pytest.approx(np.mean(names["p_grads"]), abs=0.0051)]


@pytest.mark.parametrize("spelling", ["straight-through, one line", "straight-through, module"])
def test_each_straight_through_gradient_is_twice_its_sample(spelling):
    names = run(spelling, seed=3)
    assert {float(g[0]) for g in names["p_grads"]} == {0.0, 2.0}
    assert names["p_grads"][-1].item() == 2 * names["y"].item()


def test_the_straight_through_function_gives_its_name_to_its_node():
    names = run("straight-through, module")
    assert names["y"].grad_fn.name() == "BernoulliSTE_FBBackward"
    assert repr(names["y"]) in {f"tensor([{digit}.], grad_fn=<BernoulliSTE_FBBackward>)" for digit in "01"}


def test_the_gumbel_softmax_loop_estimates_the_relaxations_own_expectation(capsys):
    names = run("gumbel-softmax")
    assert len(names["p_grads"]) == 20000
    assert abs(z_score(names["p_grads"], MEAN_GUMBEL, SD_GUMBEL)) < LIMIT
    assert printed_numbers(capsys.readouterr().out) == [pytest.approx(np.nanmean(names["p_grads"]), abs=0.0051)]


def test_an_overflow_of_exp_shows_as_nan_in_the_gradient_as_in_pytorch():
    # The note's nanmean hides these: float32 exp overflows for about 4 samples in 10,000.
    p = torch.tensor([0.25], requires_grad=True)
    e = torch.exp((torch.log1p(-p) - torch.log(p) + 20.0) / 0.1)
    y = (1 / (1 + e)) ** 2
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        y.backward()
    assert e.item() == float("inf") and y.item() == 0
    assert np.isnan(p.grad.item())


@ours
def test_the_naive_loops_warn_and_can_be_told_to_fail_instead():
    mu = torch.tensor([12.0], requires_grad=True)
    with warnings.catch_warnings():
        warnings.simplefilter("error", torch.StoppedGradientWarning)
        with pytest.raises(torch.StoppedGradientWarning):
            (torch.normal(mu, torch.tensor([42.0])) ** 2).backward()
    assert mu.grad is None


@ours
@pytest.mark.parametrize("part", ["reparameterised normal", "straight-through, one line", "straight-through, module"])
def test_the_loops_that_work_do_not_warn(part):
    names = {"torch": torch, "np": np}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        exec(NOTE[part].replace("range(N)", "range(20)"), names)
    assert len(names.get("p_grads", names.get("mu_grads"))) == 20
