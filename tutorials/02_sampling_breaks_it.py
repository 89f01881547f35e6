# %% [markdown]
# # Why does no gradient come back through a random draw?
#
# A number $z$ is drawn at random from a normal distribution with mean $\mu$ and standard deviation $\sigma$. It costs
# $z^2$. Drawn again, it would cost something else, so we look at the average cost, the expectation $E[z^2]$, and ask: if
# $\mu$ moves a little, how does the average move? And if $\sigma$ does?
#
# For this cost the answer can be written down. The second moment of a random number is its variance plus the square
# of its mean, so
#
# $$E[z^2] = \sigma^2 + \mu^2, \qquad \frac{\partial}{\partial\mu} E[z^2] = 2\mu, \qquad
#   \frac{\partial}{\partial\sigma} E[z^2] = 2\sigma.$$
#
# Usually nobody can write it down: the cost is a neural network, and all that we can do is draw samples and average.
# Here we know the truth, so that we can see when an average of samples misses it. The example is that of Hugo Gangloff's
# note *Reparametrization trick* (2023), with its numbers $\mu = 12$ and $\sigma = 42$.

# %%
import warnings

import lesson
import matplotlib.pyplot as plt
import numpy as np

try:
    import torch as pytorch
except ModuleNotFoundError:
    pytorch = None  # this lesson runs without it; section 6 is then a little shorter

import tinygrad_rp as torch
from tinygrad_rp.distributions import Normal
from visualize import draw, explain, get_graph

MU, SIGMA = 12.0, 42.0
P = 0.25
N = 1000  # samples of each loop
M = 200_000  # samples at once

print(f"truth: d/dmu = {2 * MU:g}   d/dstd = {2 * SIGMA:g}")

# %% [markdown]
# ## 1. The naive loop
#
# Draw $z$, compute the cost, call `backward()`, note down what arrived at `mu` and at `std`, and average over many draws.
# The average of the *costs* will surely come near $E[z^2]$. Will the average of the *gradients* come near 24 and 84?
#
# **Make a prediction before you read on.**

# %%
torch.manual_seed(1)
mu = torch.tensor([MU], requires_grad=True)
std = torch.tensor([SIGMA], requires_grad=True)

naive_mu, naive_std, costs = [], [], []
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    for _ in range(N):
        mu.grad = std.grad = None  # backward() adds to what is there
        z = torch.normal(mu, std)
        z2 = z**2
        z2.backward()
        naive_mu.append(mu.grad.item())
        naive_std.append(std.grad.item())
        costs.append(z2.item())

print(f"mean gradient: mu {np.mean(naive_mu):.2f}, std {np.mean(naive_std):.2f}")
assert not np.any(naive_mu) and not np.any(naive_std)

# %% [markdown]
# Not a small number: zero, each single time, and no error was raised. The costs themselves are fine. Here they stand
# together:

# %%
table = lesson.Table("The naive loop: the costs are right, the gradients are not")
table.agree("E[z²]", costs, theory=MU**2 + SIGMA**2, truth=MU**2 + SIGMA**2)
table.agree("d/dmu, naive", naive_mu, theory=0, truth=2 * MU)
table.agree("d/dstd, naive", naive_std, theory=0, truth=2 * SIGMA)
table.print()

# %% [markdown]
# How to read such a table: **truth** is what we want to know, **theory** what this way of estimating is known to give on
# average, and **bias** their difference. **Estimate** is the mean of our samples, **std.err.** how far it may be off by
# chance (one standard error), and **z** how many standard errors lie between estimate and theory. If the theory is
# right, z is rarely beyond 3, and beyond 5 the lesson would stop with an error. *Exact* means that all samples are the
# same, and chance has no part in it.
#
# And the engine did say something. It warned, in each turn of the loop (we had asked for that; as a rule, Python shows
# the warning of a line once). These are its words:

# %%
kinds = {each.category for each in caught}
assert kinds == {torch.StoppedGradientWarning} and len(caught) == N
lesson.say(f"{caught[0].category.__name__}:\n{caught[0].message}")

# %% [markdown]
# If you would rather have it stop there, turn the warning into an error. It is raised before anything was changed:

# %%
mu.grad = None
with warnings.catch_warnings():
    warnings.simplefilter("error", torch.StoppedGradientWarning)
    try:
        (torch.normal(mu, std) ** 2).backward()
    except torch.StoppedGradientWarning as stopped:
        print("stopped:", str(stopped).splitlines()[0][:72], "…")
    else:
        raise AssertionError("the warning was to be raised")
print("mu.grad is still", mu.grad)
assert mu.grad is None

# %% [markdown]
# ## 2. Where does it stop?
#
# Look at the graph of a draw. Read it from the top, the way a gradient travels: from the cost, through the square, to
# the draw. From there on the lines are dashed. `torch.normal` is *wired* to `mu` and `std`: a line exists, `backward()`
# walks along it, and what it carries is zero.

# %%
mu.grad = std.grad = None
z = torch.normal(mu, std)
z2 = z**2
names = {"mu": mu, "std": std, "z": z, "z2": z2}
lesson.show(draw(z2, names), "The naive draw: lines lead to mu and std, and they carry zeros.")

# %% [markdown]
# `explain` answers in words, for the one parameter that you ask about. It wants to be asked before `backward()`, since
# that frees the graph.

# %%
print(explain(z2, mu, names))
assert explain(z2, mu, names).verdict == "zero"

# %% [markdown]
# ## 3. What is missing
#
# Why zero, and not something better? The random generator was asked for a number, and a number came back. Nobody wrote
# down a formula that says: *had $\mu$ been a little larger, this very number would have been so much larger*. Without
# it, there is nothing to differentiate.
#
# Could there be such a formula? We can ask without any graph. Let the generator draw the same noise again, by the same
# seed, with a $\mu$ that is larger by $h$, and see how far each number moves.
#
# **Make a prediction**: with $h = 0.5$, by how much does a single draw move? And if it is $\sigma$ that grows?


# %%
def drawn(seed, make):
    """What `make` draws after this seed."""
    torch.manual_seed(seed)
    return make().numpy()


def normal(mu, std, n=M):
    return torch.normal(torch.full((n,), mu, dtype=torch.float64), torch.full((n,), std, dtype=torch.float64))


H = 0.5
before = drawn(2, lambda: normal(MU, SIGMA))
by_mu = (drawn(2, lambda: normal(MU + H, SIGMA)) - before) / H
by_std = (drawn(2, lambda: normal(MU, SIGMA + H)) - before) / H

print("draws:            ", *(f"{each:8.3f}" for each in before[:6]))
print("move by mu, / h:  ", *(f"{each:8.3f}" for each in by_mu[:6]))
print("move by std, / h: ", *(f"{each:8.3f}" for each in by_std[:6]))
print("(draw - mu) / std:", *(f"{each:8.3f}" for each in (before - MU)[:6] / SIGMA))
assert np.allclose(by_mu, 1) and np.allclose(by_std, (before - MU) / SIGMA, atol=1e-9)

# %% [markdown]
# Each draw moves by exactly $1\cdot h$ with $\mu$, and with $\sigma$ by the number of standard deviations that it lies
# away from the mean. So there *is* a path from the parameters to the number. The generator goes along it each time. It is
# only that nobody **recorded** it, and a backward pass sees nothing but the record.
#
# That is good news, and the next lesson makes use of it. First, let us see which other breaks there are.
#
# ## 4. Another kind of break: nothing is wired at all
#
# The distributions have a method `sample()`. It draws without recording anything. Now there is no line at all, not even
# one that carries zeros, and `backward()` has nowhere to go:

# %%
z = Normal(mu, std).sample()
cost = z**2
print("requires grad:", cost.requires_grad)
try:
    cost.backward()
except RuntimeError as error:
    lesson.say(f"backward(): {error}")
else:
    raise AssertionError("there was nothing to walk along")

# %% [markdown]
# Here it at least fails aloud. It is quieter when the cost depends on a parameter in some other way as well. Suppose
# that `std` is also penalised, by `std / 10`. Then `backward()` runs, and `mu` is simply left out.
#
# Two more lines of code do the same: `detach()`, which hands on a value without its history, and `no_grad()`, under
# which nothing is recorded. In the last two of these costs, the draw is of the right kind, and cut off afterwards. **Make
# a prediction** for `mu.grad` and `std.grad` in all three:


# %%
def penalised(z):
    return z**2 + std / 10


path = mu + std * torch.randn_like(std)  # a path that is recorded: see the next lesson
with torch.no_grad():
    unrecorded = mu + std * torch.randn_like(std)

broken = {"sample()": Normal(mu, std).sample(), "detach()": path.detach(), "no_grad()": unrecorded}
for name, z in broken.items():
    mu.grad = std.grad = None
    penalised(z).backward()
    print(f"{name:10}  mu.grad: {mu.grad}   std.grad: {std.grad}")
    assert mu.grad is None and abs(std.grad.item() - 0.1) < 1e-7

# %% [markdown]
# `mu.grad` is `None`: nothing arrived, not even a zero. And `std.grad` is the penalty's alone; its way through $z$ is
# missing, which is harder to notice, since there is a number in its place.
#
# Such a break has no step in the graph. The engine remembers all the same where a value comes from that was cut off, and
# the picture shows it with dotted lines:

# %%
mu.grad = std.grad = None
z = broken["sample()"]
cost = penalised(z)
names = {"mu": mu, "std": std, "z": z, "cost": cost}
lesson.show(draw(cost, names), "sample(): dotted lines were never wired. std is reached by its penalty alone.")

# %% [markdown]
# In words, for all three:

# %%
for name, z in broken.items():
    answer = explain(penalised(z), mu, names | {"z": z, "path": path})
    assert answer.verdict == "none"
    lesson.say(f"{name}: {answer.verdict}. {answer.reason}")

# %% [markdown]
# So there are two kinds of break, and when you hunt for one it helps to keep them apart:
#
# | | in the graph | after `backward()` | who does it |
# |---|---|---|---|
# | zero edge | wired, dashed, carries zeros | `.grad` is 0 | `torch.normal`, `torch.bernoulli`, … |
# | missing edge | not wired, dotted | `.grad` is `None` | `sample()`, `detach()`, `no_grad()`, `argmax`, … |
#
# The note says that one cannot backpropagate through a random step. That is the gist of it. To the letter, a
# *zero edge* is walked along like any other, which is just why its loop printed 0.00 and raised nothing; with
# `sample()` in it, the same loop would have ended in an error.

# %% [markdown]
# ## 5. A coin breaks it too, and for another reason
#
# A coin shows $y = 1$ with probability $p$, and else 0. It costs $y^2$. As there are two outcomes only, the average is
# $E[y^2] = (1 - p)\cdot 0 + p\cdot 1 = p$, and its derivative is 1, whatever $p$ is. The naive loop again:

# %%
torch.manual_seed(3)
p = torch.tensor([P], requires_grad=True)
naive_p, costs = [], []
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    for _ in range(N):
        p.grad = None
        y = torch.bernoulli(p)
        y2 = y**2
        y2.backward()
        naive_p.append(p.grad.item())
        costs.append(y2.item())
assert {each.category for each in caught} == {torch.StoppedGradientWarning}

table = lesson.Table("The naive coin")
table.agree("E[y²]", costs, theory=P, truth=P)
table.agree("d/dp, naive", naive_p, theory=0, truth=1)
table.print()

# %% [markdown]
# The picture is that of section 2, with other names. (We draw until the coin shows 1: at $y = 0$ the slope of $y^2$ is
# 0 by itself, and would hide what we want to see.)

# %%
y = torch.bernoulli(p)
while y.item() == 0:
    y = torch.bernoulli(p)
y2 = y**2
p.grad = None
names = {"p": p, "y": y, "y2": y2}
lesson.show(draw(y2, names), "The coin: a line leads to p, and it carries zeros.")
print()
print(explain(y2, p, names))
assert explain(y2, p, names).verdict == "zero"

# %% [markdown]
# Zero, as before. Is it again that a path exists, and is not recorded? We ask as we did in section 3: the same noise,
# and a $p$ that is larger by $h = 0.01$. **Make a prediction**: how does a single coin move?


# %%
def coins(p, n=M):
    return torch.bernoulli(torch.full((n,), p, dtype=torch.float64))


H = 0.01
quotients = (drawn(4, lambda: coins(P + H)) - drawn(4, lambda: coins(P))) / H
values, counts = np.unique(quotients, return_counts=True)
for value, count in zip(values, counts, strict=True):
    print(f"{count:7} of {M} coins: move / h = {value:g}")

table = lesson.Table(f"How the coins move on average, {M} of them")
table.agree("(y(p + h) - y(p)) / h", quotients, theory=1)
table.print()

# %% [markdown]
# Nearly all coins stay where they are, and a few jump, from 0 to 1. On average that comes to the truth, 1. But no single
# coin says anything of it: its derivative *is* zero, except at the one place where it jumps, and there it has none. Here
# the zeros are the right derivative of each draw, and the average of the derivatives is still not the derivative of the
# average.
#
# Drawn as curves, one curve for each piece of noise, the two look like this:

# %%
torch.manual_seed(5)
eps = torch.randn(6, dtype=torch.float64).numpy()
u = torch.rand(6, dtype=torch.float64).numpy()
mus, ps = np.linspace(MU - 40, MU + 40, 2), np.linspace(0, 1, 501)

figure, (left, right) = plt.subplots(1, 2)
for each in eps:
    left.plot(mus, mus + SIGMA * each, color="C0", linewidth=1)
left.plot(mus, mus, color="C1", linewidth=3, label="average of all")
left.set_xlabel("μ")
left.set_ylabel("z")
left.legend(loc="upper left")
for each in u:
    right.plot(ps, ps > each, color="C0", linewidth=1)
right.plot(ps, ps, color="C1", linewidth=3)
right.set_xlabel("p")
right.set_ylabel("y")
lesson.show(
    figure,
    "Six draws (thin) as functions of the parameter, each with its noise held fixed, and the average over all noise "
    "(thick). Left, normal numbers: parallel lines, each as steep as the average. Right, coins: steps, each flat almost "
    "everywhere, and the average rises all the same.",
)

# %% [markdown]
# Left, each line knows the slope of the average. Right, none does. So the two naive loops print the same 0.00, and need
# different remedies. `explain` offers for each what helps there:

# %%
for cost, leaf in ((torch.normal(mu, std) ** 2, mu), (y2, p)):
    answer = explain(cost, leaf, {"mu": mu, "std": std, "p": p})
    lesson.say("\n".join([f"{answer.parameter}: {answer.verdict}", *(f"- {remedy}" for remedy in answer.remedies)]))

# %% [markdown]
# ## 6. What PyTorch does
#
# The same, and without a word. Its `normal` and `bernoulli` have a `grad_fn` and hand back zeros; `sample()` and
# `detach()` leave `None`. A gradient of zero looks just like one that has become small because the search has arrived at
# the best place, so such a mistake can live long.
#
# Where PyTorch is installed, here is its naive step, and what our tools see of it. They read PyTorch's graphs too:

# %%
if pytorch is None:
    print("PyTorch is not installed here, so there is nothing to see in this cell and the next.")
else:
    their_mu = pytorch.tensor([MU], requires_grad=True)
    their_std = pytorch.tensor([SIGMA], requires_grad=True)
    pytorch.manual_seed(1)
    their_z2 = pytorch.normal(their_mu, their_std) ** 2
    print(get_graph(their_z2, {"mu": their_mu, "std": their_std}))
    print()
    print(explain(their_z2, their_mu, {"mu": their_mu, "std": their_std}))
    assert explain(their_z2, their_mu).verdict == "zero"
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        their_z2.backward()
    print(f"\nPyTorch's mu.grad: {their_mu.grad.item():g}   warnings: {len(caught)}")
    assert their_mu.grad.item() == their_std.grad.item() == 0

# %% [markdown]
# That much can be told from the graph, as the step has a name that is known. A *missing* edge, however, leaves no
# trace there. PyTorch keeps nothing of where a cut-off value came from, so the answer must be shorter than above:

# %%
if pytorch is not None:
    their_z = pytorch.distributions.Normal(their_mu, their_std).sample()
    their_cost = their_z**2 + their_std / 10
    their_mu.grad = their_std.grad = None
    print(explain(their_cost, their_mu, {"mu": their_mu, "std": their_std}))
    their_cost.backward()
    print(f"\nPyTorch's mu.grad: {their_mu.grad}   std.grad: {their_std.grad.item():g}")
    assert their_mu.grad is None

# %% [markdown]
# ## What to take along
#
# - A draw from a random generator is where a gradient stops. A **zero edge** leaves `.grad` at 0, a **missing edge** at
#   `None`. Neither is an error. Look at the graph, ask `explain`, or heed the warning.
# - A **normal draw** moves smoothly with its parameters. There is a path, and it only has to be recorded.
# - A **coin** does not move, or jumps. Its zeros are true, and no record would help.
# - The average of derivatives need not be the derivative of the average.
#
# ## Try it
#
# Write a function that is given a cost and a leaf, calls `backward()`, and answers `"missing"`, `"zero"` or `"flows"`. It
# must not be fooled by what an earlier pass left in `.grad`. (It cannot tell a broken way from one that happens to have
# slope 0; for that one needs the graph, and `explain`.)


# %%
@lesson.exercise
def which_break(answer):
    a = torch.tensor([MU], requires_grad=True)
    b = torch.tensor([SIGMA], requires_grad=True)
    cases = {
        "normal(a, b)": (lambda: torch.normal(a, b), "zero"),
        "Normal(a, b).sample() + b": (lambda: Normal(a, b).sample() + b, "missing"),
        "Normal(a, b).rsample()": (lambda: Normal(a, b).rsample(), "flows"),
        "a.detach() + b": (lambda: a.detach() + b, "missing"),
        "sign(a) * b": (lambda: torch.sign(a) * b, "zero"),
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", torch.StoppedGradientWarning)
        for name, (cost, right) in cases.items():
            a.grad = torch.ones(1)  # from an earlier pass
            found = answer(cost(), a)
            assert found == right, f"for {name}, a is {right!r}, and your answer is {found!r}"


which_break(...)  # your function in the place of the dots

# %% tags=["hide-cell"]


def by_grad(cost, leaf):
    """What the leaf's gradient says of the way to it."""
    leaf.grad = None
    cost.backward()
    if leaf.grad is None:
        return "missing"
    return "flows" if (leaf.grad != 0).any() else "zero"


which_break.solution(by_grad)

# %% [markdown]
# ## What to read next
#
# - The next lesson, `03_reparameterisation.py`: record the path, and prove that it gives the right gradient.
# - `09_straight_through.py` and `10_gumbel.py`: what to do about the coin.
# - Schulman, Heess, Weber and Abbeel, *Gradient Estimation Using Stochastic Computation Graphs* (2015): graphs with
#   random steps in them, and how to differentiate their averages.
