# %% [markdown]
# # Score function or pathwise: which gradient is less noisy?
#
# Two estimators find the gradient of an expectation from samples, and both are unbiased: averaged long enough, they
# agree. But nobody averages for ever. With a given number of samples, one of them is nearer to the truth, and it is
# often said that this is always the pathwise one, that of the reparameterisation trick. Is it?
#
# The measure is the *variance* of one sample's gradient: to come as near to the truth, an estimator with four times the
# variance needs four times as many samples. In this lesson every variance is known in advance, as a formula or as an
# integral, and each is held against samples.

# %%
import lesson
import matplotlib.pyplot as plt
import numpy as np

import tinygrad_rp as torch
from tinygrad_rp.distributions import Exponential, Normal
from tinygrad_rp.estimators import LeaveOneOut, MovingAverage, Pathwise, ScoreFunction
from visualize import draw

MU, SIGMA, K = 3.0, 2.0, 1.0


def cost(x):
    return (x - K) ** 2


# %% [markdown]
# ## 1. Two ways to the same number
#
# A sample $x \sim N(\mu, \sigma^2)$ costs $f(x) = (x-k)^2$. With $a = \mu - k$, the average cost is $a^2 + \sigma^2$,
# so the truth is
#
# $$\frac{\partial}{\partial\mu} E\,f(x) = 2a, \qquad \frac{\partial}{\partial\sigma} E\,f(x) = 2\sigma.$$
#
# **Score function.** The samples stay where they are, and their probabilities change. Each sample's cost is
# multiplied by the *score*, the derivative of the logarithm of its density $q$:
#
# $$\frac{\partial}{\partial\mu} E\,f(x) = E\left[f(x)\,\frac{\partial \log q(x)}{\partial\mu}\right]
# = E\left[f(x)\,\frac{\varepsilon}{\sigma}\right], \qquad \varepsilon = \frac{x-\mu}{\sigma}.$$
#
# **Pathwise.** The probabilities stay as they are, and the samples move: $x = \mu + \sigma\varepsilon$, with
# $\varepsilon$ held fast, moves as much as $\mu$ does, and the cost changes by its slope:
#
# $$\frac{\partial}{\partial\mu} E\,f(x) = E\left[f'(x)\right].$$
#
# The first asks for the *values* of the cost, the second for its *slopes*. In the engine each is an object. It is
# called with a cost, a distribution and a number of samples, and returns the estimated cost, through which a gradient
# passes.

# %%
torch.manual_seed(1)
mu = torch.tensor(MU, requires_grad=True)
sigma = torch.tensor(SIGMA, requires_grad=True)
for estimator in [ScoreFunction(), Pathwise()]:
    mu.grad = sigma.grad = None
    estimate = estimator(cost, Normal(mu, sigma), 1000)
    estimate.backward()
    print(f"{estimator.name:15}  cost {estimate.item():6.3f}  d/dmu {mu.grad:6.3f}  d/dsigma {sigma.grad:6.3f}")
print(f"{'truth':15}  cost {(MU - K) ** 2 + SIGMA**2:6.3f}  d/dmu {2 * (MU - K):6.3f}  d/dsigma {2 * SIGMA:6.3f}")

# %% [markdown]
# In the graph of the pathwise estimate, the gradient goes through the samples. In that of the score function no
# gradient goes through them: the way to `mu` and `sigma` leads through the logarithm of the density. The costs are
# multiplied by the exponential of $\log q$ minus that same number held fast: it is 1, and its derivative is the score.

# %%
mu.grad = sigma.grad = None
names = {"mu": mu, "sigma": sigma}
lesson.show(draw(Pathwise()(cost, Normal(mu, sigma), 4), names), "Pathwise: through the samples")
lesson.show(
    draw(ScoreFunction()(cost, Normal(mu, sigma), 4), names),
    "Score function: past the samples, through the density",
)

# %% [markdown]
# ## 2. Baselines: subtract what costs nothing
#
# The score has mean 0: where some samples become more probable, others must become less so. So subtracting a number
# $b$ from all costs, the *baseline*, leaves the average of $(f(x) - b)\,\partial\log q(x)$ as it was. Its variance
# changes. It is a parabola in $b$, with the lowest point at
#
# $$b^* = \frac{E[f s^2]}{E[s^2]}, \qquad s = \frac{\partial\log q(x)}{\partial\mu}.$$
#
# This is a mean of the costs that are weighted by the squared score, and it is not the mean cost. For our cost it is
# $a^2 + 3\sigma^2$ for $\mu$, and $a^2 + 5\sigma^2$ for $\sigma$; the mean cost is $a^2 + \sigma^2$.
#
# In practice nobody knows $b^*$, so a baseline is made of costs. Of the very costs that it is subtracted from? That
# would make the estimate biased, since $b$ must not depend on the sample. Two ways out:
#
# - *leave-one-out*: for each sample, the mean cost of the **others**;
# - *moving average*: a mean of the costs of **earlier** estimates.
#
# Variances of one sample, with what these baselines cost in addition:
#
# | | with respect to $\mu$ | with respect to $\sigma$ |
# |---|---|---|
# | score function | $a^4/\sigma^2 + 14a^2 + 15\sigma^2$ | $2a^4/\sigma^2 + 60a^2 + 74\sigma^2$ |
# | … with the mean cost as baseline | $8a^2 + 10\sigma^2$ | $40a^2 + 56\sigma^2$ |
# | … best constant baseline | $8a^2 + 6\sigma^2$ | $40a^2 + 24\sigma^2$ |
# | … leave-one-out, $n$ samples | mean-cost row $+\,(8a^2 + 2\sigma^2)/(n-1)$ | mean-cost row $+\,(8a^2 + 8\sigma^2)/(n-1)$ |
# | … moving average with decay $d$ | mean-cost row $+\,r\,(4a^2 + 2\sigma^2)$ | mean-cost row $+\,2r\,(4a^2 + 2\sigma^2)$ |
# | pathwise | $4\sigma^2$ | $4a^2 + 8\sigma^2$ |
#
# With $n$ samples an estimate has these variances divided by $n$. The leave-one-out estimate is the *sample
# covariance* of cost and score, whose variance the textbooks have. The moving average trembles around the mean cost
# with the variance of an average of $n$ costs times $(1-d)/(1+d)$, so $r = (1-d)/((1+d)\,n)$.

# %%
N = 10  # samples in an estimate
RUNS = 50_000
DECAY = 0.9


def gradients(estimator, mu, sigma, n=1, runs=RUNS, cost=cost):
    """The gradients of many independent estimates with respect to mu and to sigma, as two arrays."""
    mu = torch.full((runs,), mu, dtype=torch.float64, requires_grad=True)
    sigma = torch.full((runs,), sigma, dtype=torch.float64, requires_grad=True)
    estimator(cost, Normal(mu, sigma), n).sum().backward()  # one distribution for each run
    return mu.grad.numpy(), sigma.grad.numpy()


def moving_average(runs=RUNS, decay=DECAY, before=60):
    """A baseline that has seen some estimates already, in each run its own."""
    baseline = MovingAverage(decay)
    with torch.no_grad():
        for _ in range(before):
            q = Normal(torch.full((runs,), MU, dtype=torch.float64), SIGMA)
            ScoreFunction(baseline)(cost, q, N)
    return baseline


a2, s2 = (MU - K) ** 2, SIGMA**2
truth = (2 * (MU - K), 2 * SIGMA)
mean_cost = (8 * a2 + 10 * s2, 40 * a2 + 56 * s2)
r = (1 - DECAY) / ((1 + DECAY) * N)
variance = {
    "score function": (a2**2 / s2 + 14 * a2 + 15 * s2, 2 * a2**2 / s2 + 60 * a2 + 74 * s2),
    "… mean cost": mean_cost,
    "… best constant": (8 * a2 + 6 * s2, 40 * a2 + 24 * s2),
    "… leave-one-out": (mean_cost[0] + (8 * a2 + 2 * s2) / (N - 1), mean_cost[1] + (8 * a2 + 8 * s2) / (N - 1)),
    "… moving average": (mean_cost[0] + r * (4 * a2 + 2 * s2), mean_cost[1] + 2 * r * (4 * a2 + 2 * s2)),
    "pathwise": (4 * s2, 4 * a2 + 8 * s2),
}

torch.manual_seed(2)
best_mu, best_sigma = ScoreFunction(a2 + 3 * s2), ScoreFunction(a2 + 5 * s2)
found = {
    "score function": gradients(ScoreFunction(), MU, SIGMA, N),
    "… mean cost": gradients(ScoreFunction(a2 + s2), MU, SIGMA, N),
    "… best constant": (gradients(best_mu, MU, SIGMA, N)[0], gradients(best_sigma, MU, SIGMA, N)[1]),
    "… leave-one-out": gradients(ScoreFunction(LeaveOneOut()), MU, SIGMA, N),
    "… moving average": gradients(ScoreFunction(moving_average()), MU, SIGMA, N),
    "pathwise": gradients(Pathwise(), MU, SIGMA, N),
}

# %% [markdown]
# First: are they unbiased? (**theory** is what an estimator should give on average, **estimate** the mean of our
# runs, **std.err.** by how much this mean may be off by chance, and **z** how many standard errors lie between the
# two. Beyond 5 the lesson would stop with an error.)

# %%
for i, parameter in enumerate(["mu", "sigma"]):
    table = lesson.Table(f"The gradient with respect to {parameter}: {RUNS} estimates of {N} samples each")
    for name, grads in found.items():
        table.agree(name, grads[i], theory=truth[i])
    table.print()
    print()

# %% [markdown]
# They all are. Now their variances. A variance is a mean as well, that of squared distances from the truth, so
# the same kind of table holds it against the formulas:

# %%
for i, parameter in enumerate(["mu", "sigma"]):
    table = lesson.Table(f"Variance with respect to {parameter}, of one sample (that of an estimate times {N})")
    for name, grads in found.items():
        table.agree(name, N * (grads[i] - truth[i]) ** 2, theory=variance[name][i])
    table.print()
    print()

plain, best, path = (variance[name][0] for name in ["score function", "… best constant", "pathwise"])
print(f"for mu, as multiples of pathwise: score function {plain / path:.1f}, with the best constant {best / path:.1f}")

# %% [markdown]
# A baseline is nearly free and more than worth its price, and those made of costs come close to the true mean cost.
# But on this cost pathwise stays ahead of them all. Does that depend on where we are?

# %% [markdown]
# ## 3. Variance over the mean
#
# Let $\mu$ wander. **Make a prediction**: far from the optimum at $k$ the costs are large. Which of the three curves
# $4\sigma^2$, $8a^2 + 6\sigma^2$ and $a^4/\sigma^2 + 14a^2 + 15\sigma^2$ mind that?

# %%
torch.manual_seed(3)
means = np.linspace(K - 20, K + 20, 5)
measured = {"score function": [], "best constant baseline": [], "pathwise": []}
table = lesson.Table(f"Variance of one sample with respect to mu, {RUNS} samples each")
for mean in means:
    square = (mean - K) ** 2
    for name, estimator, theory in [
        ("score function", ScoreFunction(), square**2 / s2 + 14 * square + 15 * s2),
        ("best constant baseline", ScoreFunction(square + 3 * s2), 8 * square + 6 * s2),
        ("pathwise", Pathwise(), 4 * s2),
    ]:
        squares = (gradients(estimator, mean, SIGMA)[0] - 2 * (mean - K)) ** 2
        measured[name].append(squares.mean())
        table.agree(f"mu = {mean:g}, {name}", squares, theory=theory)
table.print()

# %%
fine = np.linspace(K - 20, K + 20, 401)
curve = (fine - K) ** 2
curves = {
    "score function": curve**2 / s2 + 14 * curve + 15 * s2,
    "best constant baseline": 8 * curve + 6 * s2,
    "pathwise": np.full_like(fine, 4 * s2),
}
figure, axes = plt.subplots()
for (name, theory), marker in zip(curves.items(), "os^", strict=True):
    (line,) = axes.plot(fine, theory)
    axes.plot(means, measured[name], marker, color=line.get_color(), label=name)
axes.set(yscale="log", ylim=(5, None), xlabel="$\\mu$   (the optimum is at $k = 1$)", ylabel="variance of one sample")
axes.legend(loc="upper center", ncols=3, bbox_to_anchor=(0.5, 1.16))
lesson.show(
    figure,
    "Variance of one sample's gradient over mu: lines are formulas, marks are samples. That of the score function grows "
    "with the fourth power of the distance from the optimum, with the best baseline with the second; pathwise is flat",
)

# %% [markdown]
# The plain score function pays for the *height* of the cost. Far away, all samples cost about $a^2$, which says
# nothing about the direction to go, and yet the score is multiplied by it. The baseline takes this common part away;
# the slope of the cost within the width of the distribution remains. Pathwise sees slopes only, and the slope
# $2(x-k)$ varies by $2\sigma$, wherever we are.
#
# For this cost pathwise wins everywhere, and there is a reason: the slope is gentle. So look for a cost whose slope
# is not.

# %% [markdown]
# ## 4. A cost where pathwise loses
#
# A narrow bump: $f(x) = e^{-cx^2}$ with $c = 10$, at $\mu = \sigma = 1$. **Make a prediction** before you look: is it
# the values or the slopes of this cost that vary more?
#
# The theory is two integrals over $x$, which NumPy adds up on a fine grid. The truth is known as a formula as well,
# which checks the grid: a Gaussian bump under a Gaussian density has the average
# $E\,f = e^{-c\mu^2/(1+2c\sigma^2)}/\sqrt{1+2c\sigma^2}$, and its derivative follows from it.

# %%
grid = np.linspace(-11, 13, 240_001)
step = grid[1] - grid[0]
density = np.exp(-((grid - 1) ** 2) / 2) / np.sqrt(2 * np.pi)  # of N(1, 1)


def on_the_grid(c):
    """The gradient that a sample at each place of the grid has, by each of the estimators."""
    f = np.exp(-c * grid**2)
    return {"score function": f * (grid - 1), "pathwise": -2 * c * grid * f}


def mean_and_variance(values):
    mean = np.sum(values * density) * step
    return mean, np.sum((values - mean) ** 2 * density) * step


C = 10.0
bump_truth = -2 * C / (1 + 2 * C) ** 1.5 * np.exp(-C / (1 + 2 * C))
torch.manual_seed(4)
table = lesson.Table("The bump exp(-10 x²), mu = sigma = 1, with respect to mu")
for name, estimator in [("score function", ScoreFunction()), ("pathwise", Pathwise())]:
    integral, bump_variance = mean_and_variance(on_the_grid(C)[name])
    print(f"{name:15}  gradient: formula {bump_truth:.6f}, grid {integral:.6f}   variance: grid {bump_variance:.4f}")
    grads = gradients(estimator, 1.0, 1.0, runs=1_000_000, cost=lambda x: torch.exp(-C * x**2))[0]
    table.agree(f"gradient, {name}", grads, theory=bump_truth)
    table.agree(f"variance, {name}", (grads - bump_truth) ** 2, theory=bump_variance)
print()
table.print()
print(f"\nvariance of pathwise / score function: {table.rows[3].theory / table.rows[1].theory:.1f}")

# %% [markdown]
# Pathwise loses, by more than a factor of ten. To see why, look at what a sample at $x$ brings with each
# estimator, and at how much each place adds to the mean square, which is the square of that times the density.

# %%
figure, (above, below) = plt.subplots(2, 1, sharex=True, figsize=(7, 5.6))
bump = on_the_grid(C)
slope = bump["pathwise"]
shown = np.abs(grid) <= 2.2
above.fill_between(grid[shown], density[shown], color="0.6", alpha=0.35, label="density of the samples")
above.plot(grid[shown], np.exp(-C * grid[shown] ** 2), "--", color="#009E73", label="the cost")
for name, values in bump.items():
    above.plot(grid[shown], values[shown], label=f"one sample's gradient, {name}")
    below.fill_between(grid[shown], (values**2 * density)[shown], alpha=0.55, label=name)
above.legend(fontsize=9)
below.legend(fontsize=9)
below.set(xlabel="$x$", ylabel="gradient² · density")
lesson.show(
    figure,
    f"Above: the cost is a narrow bump at 0. Its slope swings from {slope.max():.1f} to {slope.min():.1f} within a short "
    f"way, while cost times score goes down to {bump['score function'].min():.2f} and up again. Below: the areas are the "
    "mean squares of the two estimators; pathwise's is much larger",
)

# %% [markdown]
# The slope is steep exactly where the cost is not 0: it goes up on the left of the bump and down on the right. Both
# sides nearly cancel *on average*, but a sample is on one side or the other, and brings a large number of either
# sign. The score function multiplies a value between 0 and 1 by a score of about $-1$. Nothing has to cancel.
#
# So it depends on the cost. How narrow must the bump be?

# %%
sharpness = np.geomspace(0.01, 100, 200)
by_sharpness = {
    name: np.array([mean_and_variance(on_the_grid(c)[name])[1] for c in sharpness])
    for name in ["score function", "pathwise"]
}
crossing = sharpness[np.argmax(by_sharpness["pathwise"] > by_sharpness["score function"])]

figure, axes = plt.subplots()
for (name, variances), style in zip(by_sharpness.items(), ["-", "--"], strict=True):
    axes.loglog(sharpness, variances, style, label=name)
axes.axvline(crossing, color="0.5", linewidth=1)
axes.set(xlabel="sharpness $c$ of the bump $e^{-cx^2}$", ylabel="variance of one sample")
axes.legend()
lesson.show(
    figure,
    "Variance over the sharpness of the bump. On the left, where the bump is wide, pathwise is lower; the curves cross, and "
    "for narrow bumps the score function is lower, the more so the narrower they are",
)
print(
    f"they cross at c = {crossing:.2f}: a bump as wide as a density of standard deviation {(2 * crossing) ** -0.5:.2f}"
)

# %% [markdown]
# A rule to remember: **pathwise is at its best where the cost changes little over the width of the distribution.**
# Where the cost is narrower than the distribution, compare. And where it is a step, the slope is 0 almost everywhere:
# pathwise then estimates 0, without any variance, and is wrong. The engine says so rather than answering with zeros:

# %%
try:
    Pathwise()(lambda x: (x > 0).double(), Normal(mu, sigma), 10)
except ValueError as error:
    lesson.say(error)

# %% [markdown]
# ## 5. It is not about Gaussians
#
# Another distribution: $z \sim \mathrm{Exponential}(\lambda)$, of mean $1/\lambda$, with the cost $z^2$. Then
# $E\,z^2 = 2/\lambda^2$, so the truth is $-4/\lambda^3$.
#
# *Pathwise:* $z = e/\lambda$ with $e$ standard exponential, and a sample brings $-2e^2/\lambda^3$, of variance
# $80/\lambda^6$. *Score function:* $\log q(z) = \log\lambda - \lambda z$, so the score is $1/\lambda - z$, and a
# sample brings $z^2(1/\lambda - z)$, of variance $488/\lambda^6$. The best constant baseline is $14/\lambda^2$ (seven
# times the mean cost!), and brings this down to $292/\lambda^6$. All follow from $E\,e^m = m!$.

# %%
RATE = 2.0
torch.manual_seed(5)
gradient = lesson.Table(f"Exponential, rate {RATE:g}, cost z²: the gradient")
noise = lesson.Table("The variance of one sample")
for name, estimator, factor in [
    ("score function", ScoreFunction(), 488),
    ("… best constant baseline", ScoreFunction(14 / RATE**2), 292),
    ("pathwise", Pathwise(), 80),
]:
    rate = torch.full((1_000_000,), RATE, dtype=torch.float64, requires_grad=True)
    estimator(lambda z: z**2, Exponential(rate), 1).sum().backward()
    grads = rate.grad.numpy()
    gradient.agree(name, grads, theory=-4 / RATE**3)
    noise.agree(name, (grads + 4 / RATE**3) ** 2, theory=factor / RATE**6)
gradient.print()
print()
noise.print()

# %% [markdown]
# ## 6. Your turn: find the best baseline from samples
#
# Write a function of two arrays, the costs and the scores of many samples, that returns the constant baseline with the
# least variance. The check holds it to $a^2 + 3\sigma^2$ for $\mu$, and to $a^2 + 5\sigma^2$ for $\sigma$.


# %%
@lesson.exercise
def best_baseline(answer):
    noise = np.random.default_rng(6).standard_normal(2_000_000)
    costs = cost(MU + SIGMA * noise)
    for parameter, scores, right in [
        ("mu", noise / SIGMA, a2 + 3 * s2),
        ("sigma", (noise**2 - 1) / SIGMA, a2 + 5 * s2),
    ]:
        b = float(answer(costs, scores))
        hint = " (that is the mean cost; which costs matter more than others?)" if abs(b - costs.mean()) < 0.01 else ""
        assert abs(b - right) < 0.2, f"for {parameter} it is {right:g}, and yours is {b:.2f}{hint}"


best_baseline(...)  # your function here

# %% [markdown]
# The solution: the variance of $(f-b)s$ is $E[(f-b)^2s^2]$ less a square that does not depend on $b$. Its
# derivative with respect to $b$ is $-2E[(f-b)s^2]$, which is 0 where $b = E[fs^2]/E[s^2]$.

# %% tags=["hide-cell"]
best_baseline.solution(lambda costs, scores: np.sum(costs * scores**2) / np.sum(scores**2))

# %% [markdown]
# ## What to take along
#
# - Score function and pathwise are both unbiased for a cost without jumps. They differ in noise, and in what they
#   need: the score function needs *values* of the cost and the density, pathwise the cost's *slope* and a formula for
#   the sample.
# - Give the score function a **baseline**. Leave-one-out needs no tuning and no memory, only two samples or more.
# - The best constant baseline is not the mean cost, though here the mean cost does most of the work.
# - "Pathwise has the lower variance" is a statement about **gentle costs**. If the cost is steep within the width of
#   the distribution, measure both; if it has jumps, pathwise is biased.
#
# ## Try it
#
# 1. Use the best constant baseline on the bump of section 4. By how much does the variance fall? Work it out on the
#    grid.
# 2. Repeat section 2 with `N = 2`. Which of the baselines suffers most, and what does its formula say?
# 3. Replace the bump by $\sin(cx)$. For which $c$ does pathwise lose?
#
# ## What to read next
#
# - The next lesson, `05_rare_samples.py`: why an unbiased estimate can lie below the truth nearly every time.
# - Mohamed, Rosca, Figurnov and Mnih, *Monte Carlo gradient estimation in machine learning* (2020): all of this, and
#   a third family of estimators.
# - Mnih and Rezende, *Variational inference for Monte Carlo objectives* (2016), section 2.5, and Kool, van Hoof and
#   Welling, *Buy 4 REINFORCE samples, get a baseline for free!* (2019): leave-one-out.
