# %% [markdown]
# # Which distributions can be reparameterised by turning their distribution function around?
#
# For the Gaussian there was a formula, $z = \mu + \sigma\varepsilon$: noise without parameters goes in, a sample comes
# out, and a gradient passes through. Was the Gaussian lucky? This lesson looks at a recipe that makes such a formula
# for every continuous distribution of one dimension whose distribution function can be inverted.
#
# The distribution function is $F(z) = P(Z \le z)$, and its inverse $F^{-1}$ is called the *quantile function*. The
# recipe:
#
# $$ u \sim \text{uniform on } (0, 1), \qquad z = F^{-1}(u). $$
#
# It is right because $P(F^{-1}(u) \le z) = P(u \le F(z)) = F(z)$. If $F^{-1}$ can be differentiated with respect to the
# parameters, it is a reparameterisation: the noise is $u$, and all parameters are in the formula.

# %%
import math

import lesson
import matplotlib.pyplot as plt
import numpy as np

import tinygrad_rp as torch
from tinygrad_rp.distributions import Exponential, InverseCDF, Kumaraswamy
from visualize import draw

M = 1_000_000  # samples at once

# %% [markdown]
# ## 1. What moves when the parameter moves
#
# Take the exponential distribution with rate $\lambda$, the time until something happens that happens $\lambda$ times
# an hour. Its distribution function is $F(z) = 1 - e^{-\lambda z}$. Pick a height $u$ on the left, go to the right
# until you meet the curve, and down to $z$.

# %%
z = np.linspace(0, 3, 200)
heights = np.array([0.2, 0.5, 0.8, 0.95])
figure, axes = plt.subplots()
for rate, colour, style in [(1.0, "C0", "-"), (1.5, "C1", "--")]:
    axes.plot(z, 1 - np.exp(-rate * z), style, color=colour, label=f"rate {rate:g}")
    axes.plot(-np.log1p(-heights) / rate, np.zeros_like(heights), "o", color=colour, clip_on=False)
    axes.vlines(-np.log1p(-heights) / rate, 0, heights, color=colour, linewidth=1, linestyle=style)
axes.hlines(heights, 0, -np.log1p(-heights), color="grey", linewidth=1)
axes.set(xlabel="z", ylabel="u, the height at which we look", xlim=(0, 3), ylim=(0, 1))
axes.legend(loc="lower right")
lesson.show(
    figure, "The same four heights u, and the samples z that they become, for two rates: each sample moves to the left"
)

# %% [markdown]
# The heights do not know the rate. When the rate grows, each sample moves to the left, and by how much is what the
# derivative of the quantile function tells: $\partial z / \partial\lambda$ at this very height. That is the path in
# "pathwise".

# %% [markdown]
# ## 2. The exponential distribution
#
# Solved for $z$, the equation $u = 1 - e^{-\lambda z}$ says $z = -\log(1 - u) / \lambda$. Since $1 - u$ is as uniform
# as $u$, one also finds it written with $\varepsilon = 1 - u$:
#
# $$ z = -\frac{\log\varepsilon}{\lambda}. $$
#
# Let the cost be $z^2$. Its mean is $2/\lambda^2$, so the truth is $-4/\lambda^3$. **Make a prediction**: which way
# does the gradient of one sample point, always?

# %%
RATE = 2.0

torch.manual_seed(1)
rate = torch.tensor([RATE], requires_grad=True)
eps = torch.rand(1)
z = -torch.log(eps) / rate
cost = z**2
cost.backward()
print(f"z = {z.item():.4f}   d cost / d rate = {rate.grad.item():.4f}   -2z²/rate = {-2 * z.item() ** 2 / RATE:.4f}")
lesson.show(
    draw(cost, {"rate": rate, "eps": eps, "z": z, "cost": cost}),
    "Solid lines from the cost to the rate; the noise stands beside them",
)

# %% [markdown]
# The gradient of one sample is $2z \cdot \partial z/\partial\lambda = 2z \cdot (-z/\lambda) = -2z^2/\lambda$. It is
# never positive: a higher rate makes each single $z$ smaller. Now a million of them at once. Each sample gets a rate of
# its own, so that one `backward()` leaves the gradient of every single sample in `rate.grad`. Beside it stands the
# score function, which leaves the samples where they are and moves their probability (lesson 4):

# %%
torch.manual_seed(2)
rates = torch.full((M,), RATE, dtype=torch.float64, requires_grad=True)
eps = 1 - torch.rand(M, dtype=torch.float64)  # why 1 - …: see below
((-torch.log(eps) / rates) ** 2).sum().backward()
by_path = rates.grad.numpy()

rates = torch.full((M,), RATE, dtype=torch.float64, requires_grad=True)
drawn = Exponential(rates).sample()
(drawn.detach() ** 2 * Exponential(rates).log_prob(drawn)).sum().backward()
by_score = rates.grad.numpy()

truth = -4 / RATE**3
table = lesson.Table(
    f"Exponential distribution, rate {RATE:g}, cost z²: gradient, and variance of one sample's gradient"
)
table.agree("pathwise", by_path, theory=truth)
table.agree("score function", by_score, theory=truth)
table.agree("pathwise, its variance", (by_path - truth) ** 2, theory=80 / RATE**6)
table.agree("score function, its variance", (by_score - truth) ** 2, theory=488 / RATE**6)
table.print()
print(f"\nthe variances, score function / pathwise: {table.rows[3].theory / table.rows[2].theory:.1f}")

# %% [markdown]
# The two variances follow from the moments of the distribution, $E[z^n] = n!/\lambda^n$: the pathwise sample
# $-2z^2/\lambda$ has the variance $4 \cdot (24 - 4)/\lambda^6 = 80/\lambda^6$, and $z^2(1/\lambda -
# z)$, the sample of the score function, has $(24 - 240 + 720 - 16)/\lambda^6 = 488/\lambda^6$. So for the same accuracy
# the score function needs six times as many samples here.

# %% [markdown]
# ### A trap: which end of the interval is open?
#
# The formula $-\log\varepsilon$ wants $\varepsilon$ from the *open* interval, without 0. But `torch.rand` draws from
# $[0, 1)$: 0 belongs to it, 1 does not. A float32 number drawn this way is a multiple of $2^{-24}$, so a 0 comes once
# in $2^{24}$ draws, on average. That is rare enough to pass all tests, and frequent enough to spoil a long training
# run.

# %%
torch.manual_seed(3)
draws, zeros = 2**28, 0
for _ in range(64):
    zeros += draws // 64 - int(torch.count_nonzero(torch.rand(draws // 64)))
print(f"exact zeros in 2²⁸ draws: {zeros} (expected: {draws / 2**24:g}, give or take {math.sqrt(draws / 2**24):g})")

u = torch.tensor([0.0, 0.3])  # what rand may give
for name, quantile in {"-log(u)": lambda u: -torch.log(u), "-log1p(-u)": lambda u: -torch.log1p(-u)}.items():
    rate = torch.tensor(RATE, requires_grad=True)
    z = quantile(u) / rate
    (z**2).mean().backward()
    print(f"{name:10}  z: {z.tolist()}   gradient of the mean cost: {rate.grad.item():.4g}")

# %% [markdown]
# One such draw, and the average of a whole batch is infinite. Therefore write `-log1p(-u)`, the logarithm of $1 - u$,
# which lies in $(0, 1]$: where $u$ is 0, $z$ is 0 as well. (`log1p(x)` is $\log(1 + x)$ with all its digits also for
# small $x$; a small $u$ would lose them in `1 - u`.) `Exponential(rate).rsample()` draws from the open interval in the
# first place.

# %% [markdown]
# ## 3. The Weibull distribution
#
# Lifetimes of things that wear out, or wind speeds: the Weibull distribution bends the exponential one by a second
# parameter, the exponent $k$. Its quantile function, again with $\varepsilon = 1 - u$, is
#
# $$ z = \lambda\,(-\log\varepsilon)^{1/k}. $$
#
# Here $\lambda$ is a scale, where in the exponential distribution it was a rate: for $k = 1$ this is an exponential
# number with mean $\lambda$. How does a sample move with $k$? Follow some of them:

# %%
k = np.linspace(0.7, 4, 200)
figure, axes = plt.subplots()
for eps in [0.05, 0.15, math.exp(-1), 0.6, 0.9]:
    axes.plot(k, (-np.log(eps)) ** (1 / k), label=f"{eps:.2f}")
axes.set(xlabel="exponent k", ylabel="sample z, at scale 1", ylim=(0, 4))
axes.legend(title="noise ε")
lesson.show(
    figure, "Five paths of a Weibull sample: as k grows, all of them move towards the scale, from above and from below"
)

# %% [markdown]
# As $k$ grows, the distribution gathers around its scale: large samples shrink, small ones grow, and the one with
# $-\log\varepsilon = 1$ stays where it is. The slopes of these curves are what the pathwise gradient averages. The
# truth, with the gamma function and its logarithmic derivative $\psi$ (`digamma`):
#
# $$ E[z^2] = \lambda^2\,\Gamma(1 + 2/k), \qquad
#    \frac{\partial}{\partial\lambda} = 2\lambda\,\Gamma(1 + 2/k), \qquad
#    \frac{\partial}{\partial k} = -\frac{2\lambda^2}{k^2}\,\Gamma(1 + 2/k)\,\psi(1 + 2/k). $$

# %%
SCALE, K = 1.5, 1.8


def weibull(u, scale, k):
    """The quantile function of the Weibull distribution."""
    return scale * (-torch.log1p(-u)) ** (1 / k)


def gradients(quantile, *parameters, n=M):
    """The gradients of n costs z², one array for each parameter."""
    each = [torch.full((n,), value, dtype=torch.float64, requires_grad=True) for value in parameters]
    (quantile(torch.rand(n, dtype=torch.float64), *each) ** 2).sum().backward()
    return [t.grad.numpy() for t in each]


gamma = math.gamma(1 + 2 / K)
psi = torch.digamma(torch.tensor(1 + 2 / K, dtype=torch.float64)).item()

torch.manual_seed(4)
by_scale, by_k = gradients(weibull, SCALE, K)
table = lesson.Table(f"Weibull distribution, scale {SCALE:g}, k = {K:g}, cost z²")
table.agree("d/dscale", by_scale, theory=2 * SCALE * gamma)
table.agree("d/dk", by_k, theory=-2 * SCALE**2 / K**2 * gamma * psi)
table.print()

# %% [markdown]
# ## 4. A distribution of your own
#
# Nothing in this depends on the name of the distribution. `InverseCDF` makes a distribution of any quantile function,
# as long as it is written in operations that have a derivative. As an example take a distribution on the interval from
# 0 to 1 with two shape parameters, which Kumaraswamy invented for the filling of water reservoirs:
#
# $$ F(z) = 1 - (1 - z^a)^b, \qquad F^{-1}(u) = \left(1 - (1 - u)^{1/b}\right)^{1/a}. $$
#
# (It resembles the beta distribution, whose $F^{-1}$ has no such formula.) If the distribution function is given as
# well, the engine differentiates it, and so knows the density, which the score function needs.


# %%
def quantile(u, a, b):
    return (1 - (1 - u) ** (1 / b)) ** (1 / a)


def distribution_function(z, a, b):
    return 1 - (1 - z**a) ** b


a = torch.tensor(2.0, requires_grad=True)
b = torch.tensor(3.0, requires_grad=True)
mine = InverseCDF(quantile, cdf=distribution_function, a=a, b=b)
torch.manual_seed(5)
z = mine.rsample()
cost = z**2
print("one sample:", z.item(), "  log of its density:", mine.log_prob(z.detach()).item())
print("the engine's own class says:             ", Kumaraswamy(a, b).log_prob(z.detach()).item())
lesson.show(
    draw(cost, {"a": a, "b": b, "z": z, "cost": cost}), "Every step of the quantile function, as it was recorded"
)

# %% [markdown]
# For the truth we need $E[z^2] = b\,B(1 + 2/a,\, b)$, with the beta function $B(x, y) = \Gamma(x)\Gamma(y)/\Gamma(x +
# y)$. We could differentiate it by hand. But there is an engine for that: the *theory* in the next table is the
# gradient of this formula, without any sample.

# %%
exact = [torch.tensor(value, dtype=torch.float64, requires_grad=True) for value in (2.0, 3.0)]
a, b = exact
(b * (torch.lgamma(1 + 2 / a) + torch.lgamma(b) - torch.lgamma(1 + 2 / a + b)).exp()).backward()

torch.manual_seed(6)
by_a, by_b = gradients(quantile, 2.0, 3.0)

each = [torch.full((M,), value, dtype=torch.float64, requires_grad=True) for value in (2.0, 3.0)]
mine = InverseCDF(quantile, cdf=distribution_function, a=each[0], b=each[1])
drawn = mine.sample()
(drawn**2 * mine.log_prob(drawn)).sum().backward()

table = lesson.Table("A distribution of our own, a = 2, b = 3, cost z²")
for name, path, parameter, truth in zip(["d/da", "d/db"], [by_a, by_b], each, exact, strict=True):
    table.agree(f"{name}, pathwise", path, theory=truth.grad.item())
    table.agree(f"{name}, score function", parameter.grad.numpy(), theory=truth.grad.item())
table.print()
for name, path, parameter in zip(["d/da", "d/db"], [by_a, by_b], each, strict=True):
    print(f"{name}: variance of the score function / pathwise: {parameter.grad.numpy().var() / path.var():.1f}")

# %% [markdown]
# ## 5. Where the recipe ends
#
# Two conditions were hidden in it. The quantile function must be *known*: that of the gamma distribution, for example,
# is no formula of elementary functions. (There is a way around, lesson 15.) And it must be *smooth* in the parameters.
# A coin has a quantile function too: 1 if $u > 1 - p$, else 0. It is a staircase, and a staircase is flat wherever it
# has a slope. To see what happens to the gradient, let the coin cost $y^2$, and a tenth of $p$ besides:

# %%
torch.manual_seed(7)
p = torch.tensor(0.25, requires_grad=True)
y = InverseCDF(lambda u, p: (u > 1 - p).float(), p=p).rsample()
cost = y**2 + p / 10
cost.backward()
print("y requires grad:", y.requires_grad, "  p.grad:", p.grad.item(), "  (of p / 10 alone)")
lesson.show(draw(cost, {"p": p, "y": y, "cost": cost}), "The way through the sample ends at the comparison")

# %% [markdown]
# The comparison gives a truth value, and truth values do not move a little. So the recipe wants a distribution with a
# density. Lesson 9 is about coins.

# %% [markdown]
# ## What to take along
#
# - **Any quantile function is a reparameterisation**, if it is differentiable in the parameters: $z = F^{-1}(u)$.
# - The slope of $F^{-1}$ at a fixed height $u$ says how this sample moves. Large samples and small ones may move in
#   opposite directions, as with the exponent of the Weibull distribution.
# - `rand` can be exactly 0. Write `-log1p(-u)`, not `-log(u)`.
# - For the cost $z^2$ the pathwise gradient was the quieter one each time, by a factor that depends on the
#   distribution.
#
# ## Try it
#
# The logistic distribution has the distribution function $F(z) = 1 / (1 + e^{-(z - m)/s})$, with a centre $m$ and a
# scale $s$. Write its quantile function. The check holds it against $F$, and its gradient against
# $E[z^2] = m^2 + s^2\pi^2/3$.


# %%
@lesson.exercise
def logistic(answer):
    u = torch.tensor([1e-6, 0.1, 0.5, 0.9], dtype=torch.float64)
    z = answer(u, torch.tensor(1.0, dtype=torch.float64), torch.tensor(2.0, dtype=torch.float64))
    back = torch.sigmoid((z - 1) / 2)
    assert torch.allclose(back, u), (
        f"F of your quantiles of {u.tolist()} should be these numbers again, and is {back.tolist()}"
    )
    torch.manual_seed(8)
    by_m, by_s = gradients(answer, 1.0, 2.0, n=100_000)
    table = lesson.Table("Logistic distribution, m = 1, s = 2")
    table.agree("d/dm", by_m, theory=2)
    table.agree("d/ds", by_s, theory=4 * math.pi**2 / 3)
    table.print()


logistic(...)  # your function of u, m and s here

# %% [markdown]
# A solution, if you want to compare:

# %% tags=["hide-cell"]
logistic.solution(lambda u, m, s: m + s * (torch.log(u) - torch.log1p(-u)))

# %% [markdown]
# Other things to do: draw a histogram of samples of your own distribution beside its density, `mine.log_prob(z).exp()`.
# Or take the quantile function $z = u^{1/a}$, and find the gradient of $E[z]$ by $a$ with pencil and paper first.
#
# ## What to read next
#
# - The next lesson, `08_multivariate_normal.py`: what takes the place of $F^{-1}$ when a sample is a vector.
# - Lesson 15, `15_implicit_reparameterisation.py`: what to do where only $F$ is known, and not its inverse.
# - Devroye, *Non-Uniform Random Variate Generation* (1986), chapter II.2: inversion, with a long list of quantile
#   functions.
# - Mohamed, Rosca, Figurnov and Mnih, *Monte Carlo Gradient Estimation in Machine Learning* (2020), section 5.
