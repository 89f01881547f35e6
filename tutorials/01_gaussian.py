# %% [markdown]
# # How does the gradient of an expectation reach the parameters of a Gaussian?
#
# A number `z` is drawn at random from a normal distribution with mean μ and standard deviation σ. It costs `z²`. Drawn
# again, it would cost something else, so we look at the average cost, the expectation `E[z²]`, and ask: if μ moves a
# little, how does the average move? And if σ does?
#
# For this cost the answer can be written down. The second moment of a random number is its variance plus the square
# of its mean, so
#
# > E[z²] = σ² + μ², and therefore d/dμ E[z²] = 2μ and d/dσ E[z²] = 2σ.
#
# Usually nobody can write it down: the cost is a neural network, and all we can do is draw samples and average.
# Here we know the truth, so we can watch three ways of averaging samples, and see which of them finds it.

# %%
import warnings

import lesson
import numpy as np

import tinygrad_rp as torch
from tinygrad_rp.distributions import Normal
from visualize import draw, get_graph

MU, SIGMA = 12.0, 42.0
N = 1000  # samples of each loop

print(f"truth: d/dmu = {2 * MU:g}   d/dstd = {2 * SIGMA:g}")

# %% [markdown]
# ## 1. The naive way: backward through the draw
#
# Draw `z`, compute the cost, call `backward()`, note down what arrived at `mu` and `std`, and average over many draws.
# The average of the *costs* would surely come near `E[z²]`. Will the average of the *gradients* come near 24 and 84?
#
# **Make a prediction before you read on.** Then look at the first line that the cell prints.

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
        cost = z**2
        cost.backward()
        naive_mu.append(mu.grad.item())
        naive_std.append(std.grad.item())
        costs.append(cost.item())

print(f"mean gradient: mu {np.mean(naive_mu):.2f}, std {np.mean(naive_std):.2f}\n")

table = lesson.Table("The naive loop: the costs are right, the gradients are not")
table.agree("E[z²]", costs, theory=MU**2 + SIGMA**2, truth=MU**2 + SIGMA**2)
table.agree("d/dmu, naive", naive_mu, theory=0, truth=2 * MU)
table.agree("d/dstd, naive", naive_std, theory=0, truth=2 * SIGMA)
table.print()

# %% [markdown]
# How to read such a table: **truth** is what we want to know, **theory** what this way of estimating is known to give on
# average, and **bias** their difference. **Estimate** is the mean of our samples, **std.err.** how far it may be off by
# chance (one standard error), and **z** how many standard errors lie between estimate and theory. If the theory is
# right, z is rarely beyond 3.
#
# Zero, a thousand times, without an error. And yet the engine did say something. Here are the words of its warning:

# %%
lesson.say(f"{caught[0].category.__name__}:\n{caught[0].message}")

# %% [markdown]
# ### Why zero?
#
# Look at the graph of the last draw. Read it from the top, the way a gradient travels: from the cost, through `z²`, to
# the draw. There the line is dashed. `torch.normal` is *wired* to `mu` and `std`: an edge exists, `backward()` walks
# along it, and what it carries is zero.

# %%
names = {"mu": mu, "std": std, "z": z, "cost": cost}
lesson.show(draw(cost, names), "01-zero-edge")

# %% [markdown]
# The same as text, for the console:

# %%
print(get_graph(cost, names))

# %% [markdown]
# Why not something better than zero? The random generator was asked for a number, and a number came back. Nobody wrote
# down a formula that says: *had μ been a little larger, this very number would have been so much larger*. Without such
# a formula there is nothing to differentiate. PyTorch, whose manners this engine copies, answers with zeros. That is
# unlucky, because a gradient of zero looks just like a gradient that has become small because we arrived.

# %% [markdown]
# ### Another kind of break: nothing is wired at all
#
# The distributions have a method `sample()`. It draws without recording anything. Now there is no edge, not even one
# that carries zeros. The result does not require grad, and `backward()` has nowhere to go:

# %%
mu = torch.tensor([MU], requires_grad=True)
std = torch.tensor([SIGMA], requires_grad=True)
z = Normal(mu, std).sample()
cost = z**2
print("requires grad:", cost.requires_grad)
try:
    cost.backward()
except RuntimeError as error:
    lesson.say(f"backward(): {error}")

# %% [markdown]
# Here it at least fails aloud. It is quieter when the cost depends on a parameter in some other way as well. Suppose
# that `std` is also penalised, by `std / 10`. Then `backward()` runs, and `mu` is simply left out:

# %%
cost = z**2 + std / 10
cost.backward()
print("mu.grad: ", mu.grad, "  (None: no edge leads there)")
print("std.grad:", std.grad, "  (the penalty alone; the way through z is missing)")
names = {"mu": mu, "std": std, "z": z, "cost": cost}
lesson.show(draw(cost, names), "01-missing-edge")

# %% [markdown]
# So there are two kinds of break, and it helps to keep them apart when you hunt for one:
#
# | | in the graph | after `backward()` | who does it |
# |---|---|---|---|
# | zero edge | wired, dashed, carries zeros | `.grad` is 0 | `torch.normal`, `torch.bernoulli`, … |
# | missing edge | not wired, dotted | `.grad` is `None` | `sample()`, `detach()`, `no_grad()`, `argmax`, … |

# %% [markdown]
# ## 2. Reparameterise: write down the formula that was missing
#
# Draw the randomness somewhere else, from a distribution without parameters, and *compute* `z` from it:
#
# > ε ~ N(0, 1), z = μ + σ·ε.
#
# This `z` has the same distribution as before. But now there is a formula, and it can be differentiated while ε
# is held fixed: dz/dμ = 1 and dz/dσ = ε. The chain rule does the rest, 2z·1 and 2z·ε. On average these are 2μ and 2σ,
# because E[ε] = 0 and E[ε²] = 1.
#
# Such a gradient is called *pathwise*: it follows the path from the parameter through the sample to the cost.


# %%
def reparameterise(mu, std):
    """A sample of N(mu, std²) that a gradient can pass."""
    eps = torch.randn_like(std)
    return mu + std * eps


torch.manual_seed(2)
mu = torch.tensor([MU], requires_grad=True)
std = torch.tensor([SIGMA], requires_grad=True)

path_mu, path_std = [], []
for _ in range(N):
    mu.grad = std.grad = None
    z = reparameterise(mu, std)
    cost = z**2
    cost.backward()
    path_mu.append(mu.grad.item())
    path_std.append(std.grad.item())

table = lesson.Table(f"Pathwise, {N} samples one by one")
table.agree("d/dmu", path_mu, theory=2 * MU)
table.agree("d/dstd", path_std, theory=2 * SIGMA)
table.print()
names = {"mu": mu, "std": std, "z": z, "cost": cost}
lesson.show(draw(cost, names), "01-pathwise")

# %% [markdown]
# Every line is solid now. The noise hangs at the side, and nobody wants its gradient. (`Normal(mu, std).rsample()`
# does the same; the r stands for *reparameterised*.)
#
# The estimate is not exactly 24, nor will it ever be: it is an average of random numbers. The column `std.err.` says
# by how much such an average usually misses, and `z` counts the miss in these units. If an estimator is right, its `z`
# lies between -2 and 2 in nineteen cases of twenty; this lesson has more than twenty, so expect one or two a little
# outside. Beyond 5 it would be no accident, and the lesson would stop with an error.

# %% [markdown]
# ## 3. The score function: leave the sample alone, and move its probability
#
# There is a way that needs no path through `z`. If μ grows, the samples that we have stay where they are, but some
# become more probable and others less. The gradient of the average is then the average of *cost × how quickly the
# logarithm of this sample's probability grows*:
#
# > d/dμ E[z²] = E[z² · ∂/∂μ log q(z)], with q the density of N(μ, σ²).
#
# In code: the cost is detached, it is only a number, a weight; and the gradient goes through `log_prob` alone.

# %%
torch.manual_seed(3)
mu = torch.tensor([MU], requires_grad=True)
std = torch.tensor([SIGMA], requires_grad=True)

score_mu, score_std = [], []
for _ in range(N):
    mu.grad = std.grad = None
    q = Normal(mu, std)
    z = q.sample()
    weight = (z**2).detach()
    surrogate = weight * q.log_prob(z)  # its value means nothing; its gradient is the estimate
    surrogate.backward()
    score_mu.append(mu.grad.item())
    score_std.append(std.grad.item())

table = lesson.Table(f"Score function, {N} samples one by one")
table.agree("d/dmu", score_mu, theory=2 * MU)
table.agree("d/dstd", score_std, theory=2 * SIGMA)
table.print()
names = {"mu": mu, "std": std, "z": z, "weight": weight, "surrogate": surrogate}
lesson.show(draw(surrogate, names), "01-score-function")

# %% [markdown]
# In the picture the dotted lines are the ways through the sample: all of them are missing, and it does not matter. The
# solid lines, through the logarithm of the density, bring the gradient to `mu` and to `std`.
#
# Compare the standard errors with those of section 2. Both estimators are right. One of them is much noisier.

# %% [markdown]
# ## 4. How noisy is one sample?
#
# For a sharp answer we need more samples than a loop can draw. A trick: make `mu` a vector with one element for each
# sample. One `backward()` of the summed cost then leaves in `mu.grad` the gradient of every single sample.
#
# The variance of one sample's gradient is known for this cost, for both estimators (μ and σ as above):
#
# | | with respect to μ | with respect to σ |
# |---|---|---|
# | pathwise | 4σ² | 4μ² + 8σ² |
# | score function | μ⁴/σ² + 14μ² + 15σ² | 2μ⁴/σ² + 60μ² + 74σ² |


# %%
def one_gradient_a_sample(estimator, f, mu, std, n):
    """The gradients of n samples with respect to mu and to std, as two arrays."""
    mu = torch.full((n,), mu, dtype=torch.float64, requires_grad=True)
    std = torch.full((n,), std, dtype=torch.float64, requires_grad=True)
    if estimator == "pathwise":
        f(mu + std * torch.randn_like(std)).sum().backward()
    else:
        z = Normal(mu, std).sample()
        (f(z).detach() * Normal(mu, std).log_prob(z)).sum().backward()
    return mu.grad.numpy(), std.grad.numpy()


M = 1_000_000
torch.manual_seed(4)
by_path = one_gradient_a_sample("pathwise", lambda z: z**2, MU, SIGMA, M)
by_score = one_gradient_a_sample("score function", lambda z: z**2, MU, SIGMA, M)

table = lesson.Table(f"The gradient, {M} samples at once")
table.agree("d/dmu, pathwise", by_path[0], theory=2 * MU)
table.agree("d/dmu, score function", by_score[0], theory=2 * MU)
table.agree("d/dstd, pathwise", by_path[1], theory=2 * SIGMA)
table.agree("d/dstd, score function", by_score[1], theory=2 * SIGMA)
table.print()

a2, s2 = MU**2, SIGMA**2
variance = {
    "pathwise": (4 * s2, 4 * a2 + 8 * s2),
    "score function": (a2**2 / s2 + 14 * a2 + 15 * s2, 2 * a2**2 / s2 + 60 * a2 + 74 * s2),
}
print()
# a variance is a mean as well: that of the squared distances from the expectation
table = lesson.Table("The variance of one sample's gradient")
for name, (for_mu, for_std) in {"pathwise": by_path, "score function": by_score}.items():
    table.agree(f"d/dmu, {name}", (for_mu - 2 * MU) ** 2, theory=variance[name][0])
    table.agree(f"d/dstd, {name}", (for_std - 2 * SIGMA) ** 2, theory=variance[name][1])
table.print()

print()
for i, parameter in enumerate(["mu", "std"]):
    path, score = variance["pathwise"][i], variance["score function"][i]
    print(
        f"d/d{parameter}: standard deviation of one sample: pathwise {path**0.5:.1f}, score function {score**0.5:.1f}"
    )
    print(f"{'':8}variance of the score function / pathwise: {score / path:.2f}")

# %% [markdown]
# So to reach the same accuracy for μ, the score function needs about four times as many samples.
#
# ## 5. Is the pathwise gradient always the quieter one?
#
# It is often said that reparameterising lowers the variance. **Make a prediction** for another cost, a narrow bump:
# f(x) = exp(-10x²), with μ = σ = 1.
#
# Almost everywhere this cost is 0. Near 0 it rises to 1 and falls again, steeply. The pathwise gradient multiplies by
# the *slope* of the cost, which is large, and of both signs. The score function multiplies by the *cost itself*, which
# is never more than 1.
#
# The theory has no loop of samples in it: expectations over ε are integrals, added up on a fine grid.

# %%
grid = np.linspace(-12, 12, 200_001)
density = np.exp(-(grid**2) / 2) / np.sqrt(2 * np.pi)


def expectation(values):
    """E[values(ε)] of a standard normal ε, by adding up on the grid."""
    return float(np.sum(values * density) * (grid[1] - grid[0]))


x = 1 + grid  # mu + sigma * eps
bump = np.exp(-10 * x**2)
sample = {"pathwise": -20 * x * bump, "score function": bump * grid}  # f'(x)·1 and f(x)·ε/σ
truth = expectation(sample["pathwise"])
print(f"truth: d/dmu = {truth:.5f}; by the other formula {expectation(sample['score function']):.5f}\n")

torch.manual_seed(5)
table = lesson.Table("The bump exp(-10x²), mu = std = 1: gradient and variance of one sample, d/dmu")
for name, values in sample.items():
    gradient, _ = one_gradient_a_sample(name, lambda z: torch.exp(-10 * z**2), 1.0, 1.0, M)
    table.agree(f"gradient, {name}", gradient, theory=truth)
    table.agree(f"variance, {name}", (gradient - truth) ** 2, theory=expectation((values - truth) ** 2))
table.print()
print(f"\nthe variances, pathwise / score function: {table.rows[1].theory / table.rows[3].theory:.1f}")

# %% [markdown]
# Here the score function wins, by a factor of more than ten. "Lower variance" is a property of the estimator *and the
# cost*: if the cost is smooth and changes gently over the width of the distribution, as z² does, the pathwise gradient
# is usually the quieter one. If the cost is narrow and steep it need not be. And if it is a step, the pathwise
# gradient is no use at all: the slope of a step is 0 wherever it has one.
#
# ## What to take along
#
# - A draw from a random generator is where a gradient stops. A **zero edge** leaves `.grad` at 0, a **missing edge**
#   at `None`. Neither is an error, so look at the graph, or heed the warning.
# - **Reparameterise**: compute the sample from noise that has no parameters. Unbiased; needs a differentiable cost,
#   and is at its best with a gentle one.
# - **Score function**: weight the gradient of the log-probability by the cost. Unbiased, needs nothing of the cost,
#   often noisy.
# - Report a standard error. Of two estimators that both aim at 24, one may need four times as many samples.
#
# ## Try it
#
# 1. Subtract a constant b = μ² + 3σ² from the weight in section 4, as in `f(z).detach() - b`. The expectation stays
#    the same (why?). What happens to the variance for μ?
# 2. Replace z² by a step, 1 where z > 0 and else 0 (`torch.where`). Which estimator survives? Draw the graph.
#
# ## What to read next
#
# - The next lesson, `02_bernoulli_straight_through.py`: what if the sample is 0 or 1, and there is no formula?
# - Kingma and Welling, *Auto-Encoding Variational Bayes* (2014): where the reparameterised Gaussian became famous.
# - Mohamed, Rosca, Figurnov and Mnih, *Monte Carlo Gradient Estimation in Machine Learning* (2020): all three families
#   of estimators, and when each is the quieter one.
