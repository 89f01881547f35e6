# %% [markdown]
# # Can a random choice be softened until a gradient passes?
#
# One of several categories is chosen at random, with probabilities $\pi_1, \pi_2, \dots$ The choice is a jump from one
# category to another, and lesson 9 has shown what jumps do to a gradient. This lesson keeps the randomness but melts
# the jump: the *Gumbel-softmax* makes a smooth mixture of categories out of a choice among them. A temperature $\tau$
# says how soft it is.
#
# Three questions: does the construction draw from the right distribution? What does its gradient estimate? And what
# does the temperature buy?

# %%
import lesson
import matplotlib.pyplot as plt
import numpy as np

import tinygrad_rp as torch
from tinygrad_rp.nn.functional import gumbel_softmax, one_hot, sigmoid, softmax
from visualize import draw, explain

PI = [0.2, 0.3, 0.5]
P = 0.25
M = 1_000_000  # samples at once

# %% [markdown]
# ## 1. A choice, made from noise: Gumbel-max
#
# Take one random number $g_i$ for each category, from the Gumbel distribution: $g = -\log(-\log u)$ with $u$ uniform
# between 0 and 1. Add $\log \pi_i$. Choose the category with the largest sum.
#
# **Make a prediction**: how often will each of the categories 0.2, 0.3, 0.5 win?


# %%
def gumbel(*shape):
    """Noise of the standard Gumbel distribution."""
    u = torch.rand(*shape, dtype=torch.float64)
    return -torch.log(-torch.log(u))


torch.manual_seed(1)
CHOICES = 200_000
pi = torch.tensor(PI, dtype=torch.float64)
wins = one_hot(torch.argmax(torch.log(pi) + gumbel(CHOICES, 3), 1), 3).numpy()

table = lesson.Table(f"How often a category wins, {CHOICES} choices")
for i, probability in enumerate(PI):
    table.agree(f"category {i}", wins[:, i], theory=probability)
table.print()

expected = CHOICES * np.array(PI)
chi_square = float(np.sum((wins.sum(0) - expected) ** 2 / expected))
print(f"\nchi-square, all three together: {chi_square:.2f} (2 is usual; more than 14, once in a thousand times)")

# %% [markdown]
# As often as they should, as far as so many choices can tell. Why? $-\log u$ is a waiting time with rate 1 (lesson 7),
# so $-\log u / \pi_i$ is one with rate $\pi_i$, and $\log\pi_i + g_i$ is minus its logarithm. The largest sum belongs
# to the shortest waiting time. It is a race, and in a race of waiting times each runner wins in proportion to its rate.
#
# So here is a formula from the parameters and from noise without parameters to the choice: a reparameterisation! Does a
# gradient come through?

# %%
pi = torch.tensor(PI, requires_grad=True)
price = torch.tensor([1.0, 2.0, 4.0])  # what each category costs

g = gumbel(3).float()
scores = torch.log(pi) + g
choice = one_hot(torch.argmax(scores), 3)
cost = (choice * price).sum()

print("the choice:", choice.tolist(), "  cost:", cost.item(), "  requires grad:", cost.requires_grad)
names = {"pi": pi, "gumbel": g, "scores": scores, "choice": choice, "cost": cost}
lesson.show(draw(cost, names), "A missing edge: behind argmax, nothing is wired")

# %% [markdown]
# No: a missing edge. `argmax` answers with the *number* of a category, an integer. Integers do not move a little, so
# nothing is wired; the picture says so on the dotted line. All that lies behind it, the logarithm and `pi`, is grey.

# %% [markdown]
# ## 2. Melt it: Gumbel-softmax
#
# Replace "1 for the largest, 0 for the others" by a softmax of the same scores, divided by $\tau$:
#
# $$ y = \operatorname{softmax}\left(\frac{\log\pi + g}{\tau}\right). $$
#
# For a small $\tau$ it is nearly the choice itself; for a large one, an even mixture.

# %%
print("the scores:", [round(s, 3) for s in scores.tolist()])
for tau in [0.05, 0.5, 1.0, 5.0]:
    print(f"tau {tau:4}:  {[round(y, 3) for y in softmax(scores / tau, 0).tolist()]}")

mixture = softmax(scores / 0.5, 0)
cost = (mixture * price).sum()
cost.backward()
print("pi.grad:", pi.grad)
names = {"pi": pi, "gumbel": g, "scores": scores, "mixture": mixture, "cost": cost}
lesson.show(draw(cost, names), "Softmax in the place of argmax: solid lines from top to bottom")

# %%
torch.manual_seed(2)
corners = np.array([[0, 0], [1, 0], [0.5, np.sqrt(3) / 2]])
figure, panels = plt.subplots(1, 3, figsize=(7, 2.6))
for axes, tau in zip(panels, [0.1, 0.5, 2.0], strict=True):
    places = softmax((torch.log(pi.detach().double()) + gumbel(300, 3)) / tau, 1).numpy() @ corners
    axes.plot(*corners[[0, 1, 2, 0]].T, color="grey", linewidth=1)
    axes.plot(*places.T, "o", markersize=3, alpha=0.4, clip_on=False)
    axes.set(title=f"τ = {tau:g}", aspect="equal")
    axes.axis("off")
lesson.show(
    figure,
    "300 mixtures of three categories each, the corners of the triangle: at a low temperature nearly all are in a corner, at a "
    "high one they gather in the middle",
)

# %% [markdown]
# But read the cost: it is now the cost of a *mixture*, which nobody ever chooses. We have a perfect gradient of a
# slightly different question. How different?

# %% [markdown]
# ## 3. What does its gradient estimate?
#
# Back to the coin of lesson 9, $p = 1/4$ and cost $y^2$, where the truth is 1. With two categories the softmax is a
# sigmoid, of the difference of the two scores. The difference of two Gumbel numbers has a name as well, it is *logistic
# noise*, and it can be made of one uniform number:
#
# $$ y = \operatorname{sigmoid}(t), \qquad t = \frac{\log p - \log(1 - p) + \ell}{\tau}, \qquad \ell = \log u - \log(1 - u). $$
#
# The expectation of this estimator is a one-dimensional integral. The cost $y^2$ has the slope $2y \cdot y(1 - y)/\tau
# \cdot 1/(p(1 - p))$ with respect to $p$, and $\ell$ is $\tau t$ minus the log-odds. We add it up on a fine grid.


# %%
def theory_of(tau, cost_slope=lambda t, y: 2 * y, p=P):
    """Mean and standard deviation of one sample of the gradient by p, by adding up on a grid."""
    t = np.linspace(-60, 60, 200_001)
    y = 0.5 * (1 + np.tanh(t / 2))
    density = 0.25 * (1 - np.tanh((tau * t - np.log(p / (1 - p))) / 2) ** 2) * tau * (t[1] - t[0])
    slope = cost_slope(t, y) * y * (1 - y) / tau / (p * (1 - p))
    mean = np.sum(slope * density)
    return float(mean), float(np.sqrt(np.sum(slope**2 * density) - mean**2))


def relaxed_coin(p, tau):
    """A coin between 0 and 1, through which a gradient passes."""
    u = torch.rand(*p.shape, dtype=p.dtype)  # a u of exactly 0 does no harm: sigmoid(-inf) is 0
    logistic = torch.log(u) - torch.log1p(-u)
    return sigmoid((torch.log(p) - torch.log1p(-p) + logistic) / tau)


truth = 1.0
N, TAU = 20_000, 0.1
mean, sd = theory_of(TAU)
print(f"tau = {TAU}: expectation {mean:.5f}, standard deviation of one sample {sd:.2f}, truth {truth:g}\n")

torch.manual_seed(7)
p = torch.tensor([P], requires_grad=True)
one_by_one = []
for _ in range(N):
    p.grad = None
    y = relaxed_coin(p, TAU)
    cost = y**2
    cost.backward()
    one_by_one.append(p.grad.item())

table = lesson.Table(f"The relaxed coin, d/dp E[y²], {N} samples one by one")
table.agree(f"tau {TAU}", one_by_one, theory=mean, truth=truth)
table.print()
lesson.show(draw(cost, {"p": p, "y": y, "cost": cost}), "The relaxed coin, with logistic noise")

# %% [markdown]
# Without the column `bias`, one would take this estimate for a slightly noisy 1, and call it correct; it is easy to
# find it called so. But the expectation in the first line is what this estimator *aims at*, with any number of samples.
# The standard error of the loop is nearly half as large as the difference, so it cannot tell the two apart with
# certainty. A million samples at once can:


# %%
def relaxed_gradients(tau, n=M):
    """The gradients of n samples at once."""
    p = torch.full((n,), P, dtype=torch.float64, requires_grad=True)
    (relaxed_coin(p, tau) ** 2).sum().backward()
    return p.grad.numpy()


torch.manual_seed(3)
table = lesson.Table(f"The relaxed coin at tau {TAU}, {M} samples at once")
grads = relaxed_gradients(TAU)
table.agree("the relaxation's own expectation", grads, theory=mean, truth=truth)
table.differ("the truth", grads, theory=truth)
table.print()

# %% [markdown]
# ## 4. What the temperature buys
#
# **Make a prediction**: as $\tau$ falls, the relaxed coin comes nearer to the real one. What happens to the bias, and
# what to the noise?

# %%
torch.manual_seed(4)
gradient = lesson.Table(f"The gradient at several temperatures, {M} samples each")
variance = lesson.Table("The variance of one sample")
for tau in [0.05, 0.1, 0.5, 1.0, 2.0]:
    mean, sd = theory_of(tau)
    grads = relaxed_gradients(tau)
    gradient.agree(f"tau {tau:g}", grads, theory=mean, truth=truth)
    variance.agree(f"tau {tau:g}", (grads - mean) ** 2, theory=sd**2)
gradient.print()
print()
variance.print()

# %%
taus = np.geomspace(0.02, 5, 40)
means, deviations = np.array([theory_of(tau) for tau in taus]).T
figure, (left, right) = plt.subplots(1, 2, sharex=True)
left.loglog(taus, truth - means, label="bias (downwards)")
left.loglog(taus, deviations, "--", label="std. dev. of one sample")
for n, style in [(1, "-"), (100, "--"), (10_000, ":")]:
    error = np.sqrt((means - truth) ** 2 + deviations**2 / n)
    (drawn,) = right.loglog(taus, error, style, label=f"n = {n}")
    right.plot(taus[error.argmin()], error.min(), "o", color=drawn.get_color())
left.set(xlabel="temperature τ", title="one sample")
right.set(xlabel="temperature τ", title="error of the average of n")
left.legend()
right.legend()
lesson.show(
    figure,
    "Left: with the temperature the bias rises and the noise falls. Right: the root mean squared error of an average has its "
    "least value (dots) at a lower temperature, the more samples are averaged",
)

# %% [markdown]
# Bias falls with $\tau$, and variance rises: a cold coin is nearly flat almost everywhere and very steep in one narrow
# place, so most samples bring almost nothing, and a few bring a lot. There is no best temperature. The more samples you
# average, the colder it should be.

# %% [markdown]
# ## 5. A trap: overflow, and the average that hides it
#
# The same coin is often written as `1 / (1 + exp(-t))`. In real numbers this is the sigmoid. In 32-bit floating-point
# numbers `exp` ends at about $3 \cdot 10^{38}$; beyond that it gives `inf`. Forward this does no harm, since 1 / inf is
# 0. Backward it does. Here is a sample whose noise is far out:


# %%
def fragile_coin(p, tau, g, h):
    """The relaxed coin of two Gumbel numbers, written with exp."""
    e = torch.exp(((torch.log1p(-p) + h) - (torch.log(p) + g)) / tau)
    return 1 / (1 + e)


p = torch.tensor([P], requires_grad=True)
g, h = torch.tensor([-1.5]), torch.tensor([7.0])  # Gumbel numbers, rare ones
y = fragile_coin(p, TAU, g, h)
cost = y**2
answer = explain(cost, p)
print(answer)
lesson.show(answer.draw(), "Where the gradient becomes NaN")

# %% [markdown]
# The value is a plain 0. On the way back, the rule of `exp` multiplies what arrives, 0, by its own value, `inf`, and
# $0 \cdot \infty$ is NaN: not a number.
#
# How often does it happen? The argument of `exp` must be above the logarithm of the largest number, and the noise is
# logistic, so we can tell beforehand. It is customary to average such gradients with `nanmean`, which leaves the NaN
# out:

# %%
largest = np.log(float(np.finfo(np.float32).max))
chance = 1 / (1 + np.exp(TAU * largest + np.log(P / (1 - P))))
mean, _ = theory_of(TAU)

torch.manual_seed(5)
p = torch.full((M,), P, requires_grad=True)
g, h = gumbel(2, M).float()
(fragile_coin(p, TAU, g, h) ** 2).sum().backward()
fragile = p.grad.numpy()

table = lesson.Table(f"Written with exp in float32, tau {TAU}, {M} samples")
table.agree("share of samples whose gradient is NaN", np.isnan(fragile), theory=chance)
table.agree("the mean of the others", fragile[~np.isnan(fragile)], theory=mean / (1 - chance))
table.print()
print(f"\nNaN: {1e4 * chance:.1f} in 10,000 expected; {np.isnan(fragile).sum()} of {M} found")
print(f"np.mean:    {np.mean(fragile):.3f}")
print(f"np.nanmean: {np.nanmean(fragile, dtype=np.float64):.3f}  (looks healthy)")

torch.manual_seed(5)
p = torch.full((M,), P, requires_grad=True)
(relaxed_coin(p, TAU) ** 2).sum().backward()
print(f"NaN with sigmoid((log-odds + logistic noise) / tau): {int(np.isnan(p.grad.numpy()).sum())}")

# %% [markdown]
# In this very case the harm is small: the samples that are lost had a gradient of almost 0, so the mean of the others
# is too large by as much as their share. (The theory in the second line says just that.) But the first NaN that reaches
# a parameter of a network makes that parameter NaN, and soon all others. Use a function that does not overflow, such as
# `sigmoid` or `softmax`, which subtract the largest score before `exp`, and never average over a NaN before you know
# where it comes from.

# %% [markdown]
# ## 6. Hard outside, soft inside: straight-through Gumbel
#
# A mixture is not always acceptable: what comes next may need a real choice, a 0 or a 1. Then the two lessons can be
# joined: forward the choice, backward the gradient of the mixture that was made of the same noise, `choice -
# mixture.detach() + mixture`. `gumbel_softmax(logits, tau, hard=True)` does it:

# %%
torch.manual_seed(6)
pi = torch.tensor(PI, requires_grad=True)
logits = torch.log(pi)
choice = gumbel_softmax(logits, tau=0.5, hard=True)
cost = (choice * price).sum()
cost.backward()
print("the choice:", choice.tolist(), "  pi.grad:", pi.grad.tolist())
names = {"pi": pi, "logits": logits, "choice": choice, "cost": cost}
lesson.show(draw(cost, names), "The value is a choice; the gradient goes through the softmax")

# %% [markdown]
# What does it aim at? The slope of the cost is now taken at the choice, 0 or 1, as in lesson 9, and the slope of the
# sample at the mixture. The grid of section 3 adds that up as well. **Make a prediction**: is it unbiased for a cost
# that is a straight line, as the straight-through of lesson 9 is?


# %%
def straight_through_gradients(cost_of, tau, n=M):
    """The gradients of n samples at once: the value is a coin, the gradient that of the relaxed coin."""
    p = torch.full((n,), P, dtype=torch.float64, requires_grad=True)
    soft = relaxed_coin(p, tau)
    hard = (soft > 0.5).double()
    cost_of(hard + (soft - soft.detach())).sum().backward()
    return p.grad.numpy()


torch.manual_seed(8)
table = lesson.Table(f"Straight-through Gumbel, {M} samples")
for tau in [0.1, 1.0]:
    mean, _ = theory_of(tau, lambda t, y: 2 * np.heaviside(t, 0.5))
    grads = straight_through_gradients(lambda y: y**2, tau)
    table.agree(f"cost y², tau {tau:g}", grads, theory=mean, truth=truth)
for tau in [0.1, 1.0]:
    mean, _ = theory_of(tau, lambda t, y: np.ones_like(t))
    grads = straight_through_gradients(lambda y: y, tau)
    table.agree(f"cost y, tau {tau:g}", grads, theory=mean, truth=truth)
table.print()

# %% [markdown]
# Even for the straight line there is a bias: the mean of the *soft* coin is not $p$, and it is the soft coin that is
# differentiated. So this estimator aims neither at the gradient of the softened cost nor at the truth.
#
# ## What to take along
#
# - Gumbel-max draws exactly from $\pi$. Its `argmax` is a **missing edge**, so it has no gradient.
# - Gumbel-softmax has a gradient, low in noise if $\tau$ is high: the exact pathwise gradient of *another* expectation.
#   Compared with the truth it is **biased**.
# - Temperature trades bias for variance. Say which $\tau$ you used.
# - An estimate that looks about right can be a precise estimate of something else. Ask first what an estimator aims at,
#   then test it against that, with a standard error.
# - A NaN that is left out of an average is still there. `explain` says where it was made.
#
# ## Try it
#
# At which temperature is the error of an average of $n = 1000$ samples smallest? The error is
# $\sqrt{\text{bias}^2 + \text{variance}/n}$, and `theory_of(tau)` gives mean and standard deviation. An answer within a
# tenth of the best error will do.


# %%
def error_of(tau, n=1000):
    mean, sd = theory_of(tau)
    return np.sqrt((mean - truth) ** 2 + sd**2 / n)


@lesson.exercise
def best_temperature(tau):
    best = min(error_of(each) for each in np.geomspace(0.02, 2, 60))
    assert 0.01 <= tau <= 5, f"try temperatures between 0.01 and 5, not {tau:g}"
    error = error_of(tau)
    assert error <= 1.1 * best, f"at tau = {tau:g} the error is {error:.4f}, {error / best:.2f} times the least"


best_temperature(...)  # your temperature here

# %% [markdown]
# A solution, if you want to compare:

# %% tags=["hide-cell"]
found = min(np.geomspace(0.02, 2, 60), key=error_of)
print(f"tau = {found:.3f}, with an error of {error_of(found):.4f}")
best_temperature.solution(found)

# %% [markdown]
# Other things to do: draw a histogram of `relaxed_gradients(0.05)`. Where does the variance come from? And write
# `-log(-log(u))` with `torch.rand(10_000_000)` in float32: how many of these Gumbel numbers are infinite?
#
# ## What to read next
#
# - Lesson 11, `11_vae.py`: reparameterisation at work, in a network.
# - Jang, Gu and Poole, *Categorical Reparameterization with Gumbel-Softmax* (2017), and Maddison, Mnih and Teh, *The
#   Concrete Distribution* (2017): the same idea, found twice at the same time.
# - Tucker, Mnih, Maddison, Lawson and Sohl-Dickstein, *REBAR: Low-variance, unbiased gradient estimates for discrete
#   latent variable models* (2017): how to use a relaxation and yet be unbiased.
