# %% [markdown]
# # Does the reparameterisation trick give the right gradient, and why?
#
# The last lesson, `02_sampling_breaks_it.py`, drew $z$ from a normal distribution, took the cost $z^2$, and found
# gradients of 0 where the truth is
#
# $$\frac{\partial}{\partial\mu} E[z^2] = 2\mu, \qquad \frac{\partial}{\partial\sigma} E[z^2] = 2\sigma.$$
#
# It also found out what was missing: there is a path from $\mu$ and $\sigma$ to the number drawn, and nobody recorded it.
# So let us record it. Draw noise from a distribution *without* parameters, and *compute* $z$ from it:
#
# $$\varepsilon \sim N(0, 1), \qquad z = g_{\mu,\sigma}(\varepsilon) = \mu + \sigma\,\varepsilon.$$
#
# That is the whole trick. This lesson first sees it work, and then goes through its proof, with each line checked by
# numbers. One line of it asks something of the cost, and the last part shows a cost that breaks it.

# %%
import math
import warnings

import lesson
import matplotlib.pyplot as plt
import numpy as np

import tinygrad_rp as torch
from tinygrad_rp.distributions import Normal
from visualize import compare, draw, explain

MU, SIGMA = 12.0, 42.0
N = 1000  # samples of a loop
M = 1_000_000  # samples at once

print(f"truth: d/dmu = {2 * MU:g}   d/dstd = {2 * SIGMA:g}")

# %% [markdown]
# ## 1. The same loop, reparameterised
#
# **Make a prediction**: the true answers are 24 and 84. How far off may an average of 1000 gradients be? By 0.1, by 1,
# or by 10?


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
    z2 = z**2
    z2.backward()
    path_mu.append(mu.grad.item())
    path_std.append(std.grad.item())

table = lesson.Table(f"d/dmu and d/dstd of E[z²], reparameterised, {N} samples one by one")
table.agree("d/dmu", path_mu, theory=2 * MU)
table.agree("d/dstd", path_std, theory=2 * SIGMA)
table.print()

# %% [markdown]
# No zeros any more. The estimate is not exactly 24, nor will it ever be: it is an average of random numbers. The column
# `std.err.` says by how much such an average usually misses, and `z` counts the miss in these units. If an estimator is
# right, its `z` lies between -2 and 2 in nineteen cases of twenty; this lesson has more than twenty, so expect one or
# two a little outside.
#
# What has changed in the graph? Here are both, side by side. Frames mark what only one of them has:

# %%
mu.grad = std.grad = None
naive_z = torch.normal(mu, std)
naive = naive_z**2
eps = torch.randn_like(std)
z = mu + std * eps
z2 = z**2

leaves = {"mu": mu, "std": std}
comparison = compare(
    naive,
    z2,
    (leaves | {"z": naive_z, "z2": naive}, leaves | {"z": z, "z2": z2, "eps": eps}),
    titles=("naive", "reparameterised"),
)
lesson.show(comparison.draw(), "Left, the random draw lies on the way. Right, it stands beside it.")
assert not comparison.same

# %% [markdown]
# The draw has moved to the side. `eps` is a number that nobody wants a gradient for, as the 2 in the exponent is, and
# all ways to `mu` and `std` lead through a sum and a product.
#
# `Normal(mu, std).rsample()` of the distributions does the same; the r stands for *reparameterised*. A gradient that
# goes along the path of the sample is called **pathwise**.

# %%
torch.manual_seed(3)
by_hand = reparameterise(mu, std)
torch.manual_seed(3)
by_rsample = Normal(mu, std).rsample()
print("by hand:", by_hand.item(), "  rsample():", by_rsample.item())
assert by_hand.item() == by_rsample.item()

# %% [markdown]
# ## 2. The proof, line by line
#
# Let $q_\phi$ be the distribution of $z$, with parameters $\phi$, and $p$ that of $\varepsilon$, which has none. Then
#
# $$\begin{aligned}
# \nabla_\phi\, E_{z\sim q_\phi}[f(z)]
#   &= \nabla_\phi\, E_{\varepsilon\sim p}[f(g_\phi(\varepsilon))] && \text{(a) the same distribution}\\
#   &= E_{\varepsilon\sim p}[\nabla_\phi\, f(g_\phi(\varepsilon))] && \text{(b) derivative and expectation change places}\\
#   &= E_{\varepsilon\sim p}[f'(z)\,\nabla_\phi\, g_\phi(\varepsilon)] && \text{(c) chain rule.}
# \end{aligned}$$
#
# The last line is an expectation over noise that has no parameters, so it can be estimated by drawing: what
# `backward()` leaves in `.grad` is one sample of it.
#
# ### (a) The same distribution
#
# If $\varepsilon$ is standard normal, then $\mu + \sigma\varepsilon$ is normal with mean $\mu$ and standard deviation
# $\sigma$. So it must fall below any level $t$ as often as the draws of `torch.normal` do, namely with probability
# $\Phi((t - \mu)/\sigma)$, where $\Phi$ is the distribution function of the standard normal. And the average cost must be
# the same.


# %%
def Phi(x):
    """The distribution function of the standard normal."""
    return 0.5 * math.erfc(-x / math.sqrt(2))


def phi(x):
    """Its density."""
    return math.exp(-x * x / 2) / math.sqrt(2 * math.pi)


many_mu = torch.full((M,), MU, dtype=torch.float64)
many_std = torch.full((M,), SIGMA, dtype=torch.float64)
torch.manual_seed(4)
drawn = torch.normal(many_mu, many_std).numpy()
torch.manual_seed(5)
computed = reparameterise(many_mu, many_std).numpy()

table = lesson.Table(f"Two ways to draw from N({MU:g}, {SIGMA:g}²), {M} samples each")
for t in (-60.0, 0.0, 12.0, 100.0):
    for name, sample in {"normal()": drawn, "mu + std eps": computed}.items():
        table.agree(f"P(z < {t:g}), {name}", sample < t, theory=Phi((t - MU) / SIGMA))
for name, sample in {"normal()": drawn, "mu + std eps": computed}.items():
    table.agree(f"E[z²], {name}", sample**2, theory=MU**2 + SIGMA**2)
table.print()

# %% [markdown]
# ### (b) Derivative and expectation change places
#
# On the left of this line, the average is taken first, and then its slope. On the right, each sample has a slope of its
# own, and these are averaged. For a finite sum that is no question: the derivative of a sum is the sum of the
# derivatives. An expectation is an integral, a limit of sums, and there it *is* a question. We come back to it.
#
# The left side can be measured without any derivative. Move $\mu$ by $h$ to both sides, and compare the averages:
#
# $$\frac{\partial}{\partial\mu}E[f(z)] \approx
#   \frac{E[f(\mu + h + \sigma\varepsilon)] - E[f(\mu - h + \sigma\varepsilon)]}{2h}.$$
#
# Each of the two expectations is estimated from samples. **Make a prediction**: does it matter whether they are given
# the *same* noise, or each its own? (For $f(z) = z^2$, the quotient has no error but that of chance.)

# %%
H = 0.5


def f(z):
    return z**2


torch.manual_seed(6)
noise = torch.randn(M, dtype=torch.float64)
other = torch.randn(M, dtype=torch.float64).numpy()
e = noise.numpy()

leaf_mu = torch.full((M,), MU, dtype=torch.float64, requires_grad=True)  # one for each sample
leaf_std = torch.full((M,), SIGMA, dtype=torch.float64, requires_grad=True)
f(leaf_mu + leaf_std * noise).sum().backward()  # one pass, and in .grad the gradient of each sample
grad_mu, grad_std = leaf_mu.grad.numpy(), leaf_std.grad.numpy()

common = {
    "mu": (f(MU + H + SIGMA * e) - f(MU - H + SIGMA * e)) / (2 * H),
    "std": (f(MU + (SIGMA + H) * e) - f(MU + (SIGMA - H) * e)) / (2 * H),
}
separate = (f(MU + H + SIGMA * e) - f(MU - H + SIGMA * other)) / (2 * H)

table = lesson.Table(f"Slope of the average, and average of the slopes: {M} samples, h = {H}")
table.agree("d/dmu: slope of E, own noise", separate, theory=2 * MU)
table.agree("d/dmu: slope of E, common noise", common["mu"], theory=2 * MU)
table.agree("d/dmu: average of gradients", grad_mu, theory=2 * MU)
table.agree("d/dstd: slope of E, common noise", common["std"], theory=2 * SIGMA)
table.agree("d/dstd: average of gradients", grad_std, theory=2 * SIGMA)
table.print()

# %% [markdown]
# All agree with the truth. But look at the standard errors. With noise of its own for each side, two large averages that
# have nothing to do with each other are subtracted, and what is left is mostly chance. With *common random numbers* the
# chance is the same on both sides, and cancels.
#
# And with common noise, slope and average of gradients agree far better than within their standard errors. They are the
# same numbers, sample by sample: for a parabola, the central difference *is* the derivative.

# %%
print(
    "largest difference of any sample:",
    max(np.abs(common["mu"] - grad_mu).max(), np.abs(common["std"] - grad_std).max()),
)
assert np.allclose(common["mu"], grad_mu, atol=1e-7) and np.allclose(common["std"], grad_std, atol=1e-7)

# %% [markdown]
# This is what a reparameterisation does, at bottom: it says which sample at $\mu + h$ is *the same* sample as the one at
# $\mu$. Without a pairing, a single draw has no slope.
#
# ### (c) The chain rule
#
# What `backward()` computed for each sample must be $f'(z) = 2z$, times $\partial z/\partial\mu = 1$ or
# $\partial z/\partial\sigma = \varepsilon$. No chance is left in this; it holds for each sample:

# %%
z = MU + SIGMA * e
assert np.array_equal(grad_mu, 2 * z) and np.array_equal(grad_std, 2 * z * e)
print("2z and 2z·ε, for each of", M, "samples: exactly what is in .grad")

# %% [markdown]
# And on average, because $E[\varepsilon] = 0$ and $E[\varepsilon^2] = 1$,
#
# $$E[2z] = 2\mu + 2\sigma E[\varepsilon] = 2\mu, \qquad
#   E[2z\,\varepsilon] = 2\mu E[\varepsilon] + 2\sigma E[\varepsilon^2] = 2\sigma.$$
#
# ### A slip of the pen
#
# Gangloff's note, which has this example, derives the theory by hand. In the second of its two formulas it has
# $E[z]$ under the derivative with respect to $\sigma$; what it means, and goes on to compute, is $E[z^2]$. It matters if
# one takes it to the letter. The mean of $z$ is $\mu$, wherever $\sigma$ is, so the derivative of $E[z]$ with respect to
# $\sigma$ is 0, and not $2\sigma$. Its pathwise samples are $1\cdot\varepsilon$:

# %%
leaf_std.grad = None
(MU + leaf_std * noise).sum().backward()

table = lesson.Table("With respect to std: E[z], and E[z²]")
table.agree("d/dstd E[z]: 0", leaf_std.grad.numpy(), theory=0)
table.agree("d/dstd E[z²]: 2 std", grad_std, theory=2 * SIGMA)
table.differ("is d/dstd E[z] = 2 std?", leaf_std.grad.numpy(), theory=2 * SIGMA)
table.print()

# %% [markdown]
# ## 3. How far off is one sample?
#
# A sample of the gradient with respect to $\mu$ is $2z = 2\mu + 2\sigma\varepsilon$. Its variance is $4\sigma^2$. One with
# respect to $\sigma$ is $2\mu\varepsilon + 2\sigma\varepsilon^2$. The variances of $\varepsilon$ and $\varepsilon^2$ are 1
# and 2, and the two do not correlate, so its variance is $4\mu^2 + 8\sigma^2$.

# %%
variance = {"mu": 4 * SIGMA**2, "std": 4 * MU**2 + 8 * SIGMA**2}
sd = {name: math.sqrt(each) for name, each in variance.items()}
print(f"standard deviation of one sample: {sd['mu']:.1f} for mu, {sd['std']:.1f} for std\n")

# a variance is a mean as well: that of the squared distances from the expectation
table = lesson.Table(f"The variance of one sample's gradient, {M} samples")
table.agree("d/dmu: 4 std²", (grad_mu - 2 * MU) ** 2, theory=variance["mu"])
table.agree("d/dstd: 4 mu² + 8 std²", (grad_std - 2 * SIGMA) ** 2, theory=variance["std"])
table.print()

# %% [markdown]
# One sample is off by far more than what it estimates. An average of $n$ is off by $1/\sqrt n$ of that. So we can say
# how good the loop of section 1 could be, and whether what the note printed after its loop of 1000 was any good:

# %%
NOTE = {"mu": 26.72, "std": 79.62}  # what the note's own loop printed
for name, theory in {"mu": 2 * MU, "std": 2 * SIGMA}.items():
    error = sd[name] / math.sqrt(N)
    away = (NOTE[name] - theory) / error
    print(
        f"d/d{name}: the average of {N} is {theory:g} ± {error:.2f}; the note's {NOTE[name]} lies {away:+.1f} of these away"
    )
    assert abs(away) < 2
percent = {name: (sd[name] / (0.01 * theory)) ** 2 for name, theory in {"mu": 2 * MU, "std": 2 * SIGMA}.items()}
print(f"samples for an error of one percent: {percent['mu']:,.0f} for mu, {percent['std']:,.0f} for std")

# %% [markdown]
# It is a fine result, and 26.72 is not a hint that something is wrong: such figures are what chance makes of 24. An
# estimate without its standard error cannot tell you that.
#
# Here are twelve runs of the loop, as they go on:

# %%
n = np.arange(1, N + 1)
runs = grad_mu[: 12 * N].reshape(12, N).cumsum(1) / n

figure, axes = plt.subplots()
axes.plot(n, runs.T, color="C0", linewidth=1, alpha=0.7)
axes.fill_between(n, 2 * MU - 2 * sd["mu"] / np.sqrt(n), 2 * MU + 2 * sd["mu"] / np.sqrt(n), color="C1", alpha=0.25)
axes.axhline(2 * MU, color="C1")
axes.set_ylim(2 * MU - 30, 2 * MU + 30)
axes.set_xlabel("samples")
axes.set_ylabel("average of the gradients, d/dμ")
lesson.show(
    figure,
    "Averages of the gradient over more and more samples, twelve runs. They close in on the truth, within a band of two "
    "standard errors that narrows with the square root of the number of samples.",
)

# %% [markdown]
# ## 4. Where line (b) fails
#
# Now another cost: 1 if $z > 0$, and else 0. Its average is the probability of a positive number, which moves smoothly,
# and its slope is known:
#
# $$E[1_{z>0}] = P(z > 0) = \Phi\!\left(\frac{\mu}{\sigma}\right), \qquad
#   \frac{\partial}{\partial\mu}\, P(z > 0) = \frac1\sigma\, \varphi\!\left(\frac{\mu}{\sigma}\right),$$
#
# with $\varphi$ the density of the standard normal. The slope is the density of $z$ at 0: as $\mu$ grows, that is how
# much probability crosses the step.
#
# In code we write the step as $(1 + \operatorname{sign}(z))/2$. **Make a prediction**: what will the average of the
# pathwise gradients be? And that of the difference quotients?


# %%
def step(z):
    """1 where z is positive, and else 0."""
    return (1 + torch.sign(z)) / 2


slope_of_the_average = phi(MU / SIGMA) / SIGMA

leaf_mu.grad = None
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    step(leaf_mu + SIGMA * noise).sum().backward()
pathwise = leaf_mu.grad.numpy()


def quotient(f, h):
    """The central difference of each sample, with common noise."""
    return (f(MU + h + SIGMA * e) - f(MU - h + SIGMA * e)) / (2 * h)


def indicator(z):
    """The same step, of an array."""
    return (1 + np.sign(z)) / 2


table = lesson.Table(f"d/dmu of P(z > 0), {M} samples")
table.agree("average of slopes", pathwise, theory=0, truth=slope_of_the_average)
for h in (10.0, 1.0, 0.1):
    theory = (Phi((MU + h) / SIGMA) - Phi((MU - h) / SIGMA)) / (2 * h)
    table.agree(f"slope of average, h = {h:g}", quotient(indicator, h), theory=theory, truth=slope_of_the_average)
table.print()

# %% [markdown]
# The slope of the average is right, up to a small bias that vanishes with $h$. The average of the slopes is 0, exactly,
# with any number of samples. So they have *not* changed places: line (b) is wrong for this cost. The trick was applied
# as before, the derivative of each sample is right, and the answer is wrong.
#
# The engine cannot know what you are going to average. But it knows that `sign` is a step, and says so:

# %%
assert [each.category for each in caught] == [torch.StoppedGradientWarning]
lesson.say(caught[0].message)

# %%
mu.grad = std.grad = None
eps = torch.randn_like(std)
z = mu + std * eps
cost = step(z)
names = {"mu": mu, "std": std, "eps": eps, "z": z, "cost": cost}
lesson.show(
    draw(cost, names), "The sample is reparameterised, and the cost is a step: the gradient stops above z, at the sign."
)
lesson.say(explain(cost, mu, names).reason)
assert explain(cost, mu, names).verdict == "zero"

# %% [markdown]
# Written with a comparison, as `(z > 0) * 1.0`, the step would leave no line at all, and `None` instead of 0.
#
# ### Why it fails
#
# Draw the cost as a function of $\mu$, one curve for each piece of noise:

# %%
mus = np.linspace(MU - 100, MU + 100, 801)
some = e[:8]

figure, (left, right) = plt.subplots(1, 2)
for each in some:
    left.plot(mus, indicator(mus + SIGMA * each), color="C0", linewidth=1)
left.plot(mus, [Phi(each / SIGMA) for each in mus], color="C1", linewidth=3)
left.set_title("1 if z > 0")
for each in some:
    right.plot(mus, np.maximum(mus + SIGMA * each, 0), color="C0", linewidth=1)
right.plot(
    mus,
    [each * Phi(each / SIGMA) + SIGMA * phi(each / SIGMA) for each in mus],
    color="C1",
    linewidth=3,
    label="average",
)
right.set_title("max(z, 0)")
left.set_xlabel("μ")
right.set_xlabel("μ")
right.legend(loc="upper left")
lesson.show(
    figure,
    "Two costs as functions of μ, for eight pieces of noise (thin) and on average (thick). Left, a cost with a jump: each "
    "curve is flat, and the average rises. Right, a cost with a kink: the average is as steep as the curves are on average.",
)

# %% [markdown]
# The average rises only because curves *jump*, one after another. A derivative does not see a jump. The difference
# quotient does: at a given $h$, a few samples have crossed the step and count $1/(2h)$, all others 0. As $h$ shrinks,
# fewer and fewer samples count more and more, and their average stays what it is; but in the limit of each sample on
# its own, nothing is left.
#
# That is what the theorem behind line (b), *dominated convergence*, rules out. It asks that the quotients of a sample
# stay below some bound $B(\varepsilon)$, the same for all $h$, with $E[B] < \infty$. A sample at a distance $|z|$ from the
# step has quotients of up to $1/(2|z|)$, namely when $h$ is just large enough to cross it. So $B$ cannot be less than
# that; and $E[1/|z|]$ is infinite, since $z$ comes near 0 too often. One can see it in the variance of a quotient, which
# grows as $1/h$:

# %%
table = lesson.Table("The variance of one difference quotient of the step, against that of z²")
for h in (10.0, 1.0, 0.1):
    crossing = Phi((MU + h) / SIGMA) - Phi((MU - h) / SIGMA)  # how many samples count, each 1 / 2h
    mean = crossing / (2 * h)
    values = quotient(indicator, h)
    table.agree(f"step, h = {h:g}", (values - mean) ** 2, theory=crossing / (2 * h) ** 2 - mean**2)
for h in (10.0, 0.1):
    table.agree(f"z², h = {h:g}", (quotient(f, h) - 2 * MU) ** 2, theory=variance["mu"])
table.print()

# %% [markdown]
# So what does the trick need of a cost? Not that it is smooth everywhere. It must not **jump**. (More exactly: it must be
# the integral of its own slope, and the slope, times $\partial z/\partial\phi$, must have a finite mean around the
# parameters in question.) A kink does no harm. The quotients of $\max(z, 0)$ lie between 0 and 1 at all $h$, and
#
# $$E[\max(z, 0)] = \mu\,\Phi\!\left(\tfrac{\mu}{\sigma}\right) + \sigma\,\varphi\!\left(\tfrac{\mu}{\sigma}\right), \qquad
#   \frac{\partial}{\partial\mu} E[\max(z, 0)] = \Phi\!\left(\tfrac{\mu}{\sigma}\right), \qquad
#   \frac{\partial}{\partial\sigma} E[\max(z, 0)] = \varphi\!\left(\tfrac{\mu}{\sigma}\right).$$

# %%
leaf_mu.grad = leaf_std.grad = None
torch.relu(leaf_mu + leaf_std * noise).sum().backward()

table = lesson.Table(f"A cost with a kink, max(z, 0): pathwise, {M} samples")
table.agree("d/dmu: Φ(mu / std)", leaf_mu.grad.numpy(), theory=Phi(MU / SIGMA))
table.agree("d/dstd: φ(mu / std)", leaf_std.grad.numpy(), theory=phi(MU / SIGMA))
table.print()

# %% [markdown]
# Nor is the step without remedy. The **score function** needs no derivative of the cost. It leaves the samples where
# they are and asks how their probability changes: each gradient is $f(z)\cdot\partial\log q(z)/\partial\mu$. The
# next lesson is about it. For the step, it finds what the path could not:

# %%
leaf_mu.grad = None
q = Normal(leaf_mu, torch.tensor(SIGMA, dtype=torch.float64))
z = q.sample()
(step(z) * q.log_prob(z)).sum().backward()  # z is drawn by sample(): the gradient goes through log_prob alone

table = lesson.Table(f"d/dmu of P(z > 0), {M} samples")
table.agree("score function", leaf_mu.grad.numpy(), theory=slope_of_the_average)
table.print()

# %% [markdown]
# ## What to take along
#
# - **Reparameterise**: compute the sample from noise without parameters, $z = \mu + \sigma\varepsilon$. The draw moves to
#   the side, and the gradient passes through a sum and a product.
# - The proof has three lines. The same distribution: a matter of the sampler. Derivative and expectation change places:
#   a matter of the cost, which **must not jump**. The chain rule: that is `backward()`.
# - The estimate is unbiased. One sample may be off by several times what it estimates, so report a standard error.
# - Differences of an expectation want common random numbers.
# - Where the cost jumps, the pathwise gradient is wrong, however many samples one takes.
#
# ## Try it
#
# Let $z$ be uniform between $a$ and $b$. Then $E[z^2] = (a^2 + ab + b^2)/3$, with the derivatives $(2a + b)/3$ and
# $(a + 2b)/3$. Write a function of $a$ and $b$, two tensors of the same shape, that returns samples of this distribution,
# one for each element, which a gradient can pass. `torch.rand_like` draws uniform numbers between 0 and 1.


# %%
@lesson.exercise
def uniform_between(answer):
    low, high = 1.0, 4.0
    torch.manual_seed(7)
    a = torch.full((100_000,), low, dtype=torch.float64, requires_grad=True)
    b = torch.full((100_000,), high, dtype=torch.float64, requires_grad=True)
    z = answer(a, b)
    assert z.shape == a.shape, f"there is to be a sample for each element: {tuple(a.shape)}, not {tuple(z.shape)}"
    assert z.requires_grad, "your samples do not require grad: no way leads from them to a and b"
    assert (z >= low).all() and (z <= high).all(), f"some samples lie outside of {low:g} and {high:g}"
    (z**2).sum().backward()
    assert a.grad is not None and b.grad is not None, "no gradient reaches a, or none reaches b"
    table = lesson.Table("E[z²] of uniform numbers, and its gradient")
    table.agree("E[z²]", (z**2).detach().numpy(), theory=(low**2 + low * high + high**2) / 3)
    table.agree("d/da", a.grad.numpy(), theory=(2 * low + high) / 3)
    table.agree("d/db", b.grad.numpy(), theory=(low + 2 * high) / 3)
    table.print()


uniform_between(...)  # your function in the place of the dots

# %% tags=["hide-cell"]


def by_stretching(a, b):
    """Uniform numbers between a and b: stretch those between 0 and 1, and move them."""
    return a + (b - a) * torch.rand_like(a)


uniform_between.solution(by_stretching)

# %% [markdown]
# ## What to read next
#
# - The next lesson, `04_score_function_or_pathwise.py`: two right estimators. Which is the quieter one?
# - `07_any_inverse_cdf.py`: the trick for distributions that are not a stretched and moved standard one.
# - Kingma and Welling, *Auto-Encoding Variational Bayes* (2014), and Rezende, Mohamed and Wierstra, *Stochastic
#   Backpropagation* (2014): where the reparameterised Gaussian became famous.
# - Mohamed, Rosca, Figurnov and Mnih, *Monte Carlo Gradient Estimation in Machine Learning* (2020): when derivative and
#   expectation change places, and what else there is.
