# %% [markdown]
# # Why does an unbiased gradient seem to undershoot?
#
# The score function is unbiased: averaged over many samples, it gives the true gradient. And yet one reads of it that
# its averages *seem to systematically undershoot (or overshoot)* the truth, even with many samples. The reason given
# is that what matters may lie where samples are rare. Can both be right, "unbiased" and "systematically too small"?
#
# This lesson sets up a cost where it happens, counts how often, and looks at what else goes wrong: the error bar,
# too. Then it asks whether reparameterisation is the cure, and tries one that is: to look for the keys where they
# were dropped.

# %%
import math

import lesson
import matplotlib.pyplot as plt
import numpy as np

import tinygrad_rp as torch
from tinygrad_rp.distributions import Normal
from tinygrad_rp.estimators import Pathwise, ScoreFunction
from visualize import draw

K = 2.0


def cost(x):
    return torch.exp(K * x)


# %% [markdown]
# ## 1. A cost whose average lives in the tail
#
# Let $x \sim N(\theta, 1)$ at $\theta = 0$, with the cost $f(x) = e^{kx}$ and $k = 2$. It grows quickly to the right,
# where samples become rare just as quickly. The average is known, $E\,f = e^{k\theta + k^2/2}$, and so is the truth
# that we are after, its derivative at $\theta = 0$:
#
# $$\frac{d}{d\theta} E\,f(x) = k\,e^{k^2/2}.$$
#
# The score of a normal distribution is $x - \theta$, so at $\theta = 0$ one sample brings
#
# $$g(x) = f(x)\,\frac{d \log q(x)}{d\theta} = x\,e^{kx}, \qquad
# \mathrm{Var}\,g = e^{2k^2}(1 + 4k^2) - k^2e^{k^2}.$$
#
# Where are the samples, and where are those that matter? Three densities say it: that of the samples, $q$; what each
# place adds to the mean, $|g|\,q$; and what each place adds to the mean square, $g^2 q$.

# %%
TRUTH = K * math.exp(K**2 / 2)
VARIANCE = math.exp(2 * K**2) * (1 + 4 * K**2) - TRUTH**2

grid = np.linspace(-10, 16, 260_001)
step = grid[1] - grid[0]
q_grid = np.exp(-(grid**2) / 2) / math.sqrt(2 * math.pi)
g_grid = grid * np.exp(K * grid)
mean_on_the_grid = np.sum(g_grid * q_grid) * step
variance_on_the_grid = np.sum((g_grid - mean_on_the_grid) ** 2 * q_grid) * step
print(f"truth:                formula {TRUTH:.4f}, grid {mean_on_the_grid:.4f}")
print(f"variance of a sample: formula {VARIANCE:.1f}, grid {variance_on_the_grid:.1f}")
print(f"one sample's standard deviation is {VARIANCE**0.5 / TRUTH:.1f} times the truth")

# %%
figure, axes = plt.subplots()
shown = (grid > -3.5) & (grid < 7.5)
places = {}
for label, weight, style in [
    ("the samples", q_grid, "-"),
    ("what the mean is made of", np.abs(g_grid) * q_grid, "--"),
    ("what the variance is made of", g_grid**2 * q_grid, "-."),
]:
    share = weight / (weight.sum() * step)
    places[label] = grid[np.argmax(share)]
    (line,) = axes.plot(grid[shown], share[shown], style, label=label)
    axes.fill_between(grid[shown], share[shown], alpha=0.15, color=line.get_color())
axes.set(xlabel="$x$", ylabel="density", ylim=(0, 0.68))
axes.legend(ncols=2, loc="upper center", fontsize=10)
lesson.show(
    figure,
    "Three humps: the samples lie around 0, the mean is made of places around 2 to 3, and the variance of places around "
    "4 to 5, where there is almost never a sample",
)
for label, place in places.items():
    beyond = 0.5 * math.erfc(place / math.sqrt(2))
    print(f"{label:29} peak at x = {place:4.2f}; one sample in {1 / beyond:,.0f} lies beyond")

# %% [markdown]
# The humps do not overlap much. Of a hundred samples, about one gets beyond the peak of the second hump, and none to
# that of the third.
#
# (The estimator is itself a kind of importance sampling: it looks for the integral of $f\,\partial q/\partial\theta$
# with samples from $q$, and divides by $q$ to make up for it. The division gives a rare place its due weight *on each
# visit*. It cannot help in a run that never visits.)

# %% [markdown]
# ## 2. Most runs are too small, and the mean of the runs is right
#
# A *run* is an estimate from $n$ samples. **Make a prediction**: of many runs with $n = 100$, how many lie below the
# truth?


# %%
def runs_of(estimator, n, total=4_000_000, cost=cost, theta=0.0):
    """The gradients of many independent runs with n samples each."""
    theta = torch.full((total // n,), theta, dtype=torch.float64, requires_grad=True)
    estimator(cost, Normal(theta, 1.0), n).sum().backward()
    return theta.grad.numpy()


torch.manual_seed(1)
COUNTS = [1, 10, 100, 1000, 10_000]
score = {n: runs_of(ScoreFunction(), n) for n in COUNTS}

print("         n     runs   median / truth   runs below the truth   mean / truth")
for n, estimates in score.items():
    below = np.mean(estimates < TRUTH)
    print(f"{n:10}{len(estimates):9}{np.median(estimates) / TRUTH:17.3f}{below:22.1%}{estimates.mean() / TRUTH:15.3f}")

# %%
hundred = score[100]
figure, axes = plt.subplots()
axes.hist(hundred[hundred > 0], bins=np.geomspace(0.5, 2000, 90), color="#56B4E9")
axes.axvline(TRUTH, color="black", label="truth")
axes.axvline(np.median(hundred), color="#D55E00", linestyle="--", label="median of the runs")
axes.set(xscale="log", xlabel="estimate from 100 samples", ylabel="number of runs")
axes.legend()
lesson.show(
    figure,
    "Histogram of runs with 100 samples each, on a logarithmic axis: most lie below the truth, and a long tail reaches to "
    f"{hundred.max() / TRUTH:.0f} times the truth",
)

# %% [markdown]
# So both are right. **The median lies below the truth, the mean does not.** Most runs miss the rare samples and come
# out too small; a few catch one and come out far too large; and these few make the mean of all runs right. Who makes
# *one* run sees the typical one. More samples help, but slowly.
#
# The claims as a table. For a single sample, the share below the truth is known: $x e^{kx}$ is below $k e^{k^2/2}$
# where $x$ is below the solution of $x e^{kx} = k e^{k^2/2}$, which we find by bisection.

# %%
low, high = 0.0, 10.0
for _ in range(80):
    middle = (low + high) / 2
    low, high = (middle, high) if middle * math.exp(K * middle) < TRUTH else (low, middle)
share_below = 0.5 * math.erfc(-low / math.sqrt(2))

table = lesson.Table("An unbiased estimate that lies below the truth most of the time")
table.agree("the mean of all runs with 1000 samples", score[1000], theory=TRUTH)
table.agree("share of runs below the truth, 1 sample", score[1] < TRUTH, theory=share_below)
table.differ("share of runs below the truth, 100 samples", score[100] < TRUTH, theory=0.5)
table.differ("share of runs below the truth, 1000 samples", score[1000] < TRUTH, theory=0.5)
table.print()

# %% [markdown]
# In the last two lines the claim is that the share is *not* one half, and the table confirms that. The standard error
# in the first line is made of the samples, and section 3 shows that such a number is not to be trusted here. The
# variance is known, so we can do without:

# %%
by_formula = math.sqrt(VARIANCE / (1000 * len(score[1000])))
z = (score[1000].mean() - TRUTH) / by_formula
print(
    f"first line: standard error as seen {table.rows[0].error:.3f}, by the formula {by_formula:.3f}, z by the formula {z:.1f}"
)

# %% [markdown]
# How does it look while the samples come in? Eight runs, each with its average so far:

# %%
torch.manual_seed(2)
samples = torch.randn(8, 30_000, dtype=torch.float64).numpy()
running = np.cumsum(samples * np.exp(K * samples), axis=1) / np.arange(1, samples.shape[1] + 1)
kept = np.unique(np.geomspace(10, samples.shape[1], 400).astype(int)) - 1
figure, axes = plt.subplots()
axes.plot(kept + 1, running[:, kept].T, linewidth=1)
axes.axhline(TRUTH, color="black", linestyle="--", label="truth")
axes.set(xscale="log", xlabel="samples so far", ylabel="average so far", ylim=(0, 45))
axes.legend()
lesson.show(
    figure,
    "Averages of eight runs over the number of samples. They creep along below the truth, then leap up at a rare sample, and "
    "sink again until the next one",
)

# %% [markdown]
# Below, a leap, a slow decline, and below again. An average that looks settled may just be waiting.
#
# *Undershoot or overshoot?* It depends on the side on which the rare samples pull. Turn the cost around, $e^{-kx}$,
# and the truth is negative: now most runs lie above it. In both cases they are too near to 0. And the much gentler
# cost $x^2$ at $\theta = 1$ has hardly any rare samples that matter, and hardly a trace of the effect:

# %%
torch.manual_seed(3)
flipped = runs_of(ScoreFunction(), 100, cost=lambda x: torch.exp(-K * x))
square = runs_of(ScoreFunction(), 100, cost=lambda x: x**2, theta=1.0)
print(f"cost e^(-kx), truth {-TRUTH:6.2f}: runs with 100 samples below it: {np.mean(flipped < -TRUTH):.1%}")
print(f"cost x²,      truth {2:6.2f}: runs with 100 samples below it: {np.mean(square < 2):.1%}")

# %% [markdown]
# ## 3. The error bar is too small as well
#
# "But I looked at the standard error!" It is made of the same samples. The variance comes from the third hump, which
# a run sees even less than the second, so the standard error undershoots worse than the mean. A truth within two
# standard errors of the estimate should happen in about 95 runs of 100.
#
# The *effective sample size* asks how many samples an average really rests on. With $w_i$ the sizes of the terms,
#
# $$n_\text{eff} = \frac{(\sum w_i)^2}{\sum w_i^2},$$
#
# which is $n$ if all are alike, and 1 if one outweighs the rest. Long sums tend to $n\,(E\,w)^2/E\,w^2$.


# %%
def look_inside(n, total=4_000_000, shift=0.0):
    """Of runs with n samples: the means, the standard errors and the effective sample sizes."""
    x = shift + torch.randn(total // n, n, dtype=torch.float64).numpy()
    terms = x * np.exp(K * x) * np.exp(shift**2 / 2 - shift * x)  # the last factor: see section 5
    sizes = np.abs(terms)
    return terms.mean(1), terms.std(1, ddof=1) / math.sqrt(n), sizes.sum(1) ** 2 / (sizes**2).sum(1)


torch.manual_seed(4)
effective = (np.sum(np.abs(g_grid) * q_grid) * step) ** 2 / (np.sum(g_grid**2 * q_grid) * step)
print("         n   runs whose truth lies        standard error,   effective sample size:")
print("             within 2 standard errors   median / right one     as seen   long sums")
for n in COUNTS[1:]:
    means, errors, sizes = look_inside(n)
    within = np.mean(np.abs(means - TRUTH) < 2 * errors)
    right = math.sqrt(VARIANCE / n)
    print(f"{n:10}{within:24.0%}{np.median(errors) / right:24.2f}{np.median(sizes):12.1f}{effective * n:12.2f}")

# %% [markdown]
# A hundred samples are worth less than one. And the effective sample size *as seen* in a run is itself too rosy, as
# it knows nothing of samples that did not come. So a small effective size is a reliable alarm; a large one is no
# all-clear. No number made of the samples can tell you what the samples never saw. Something else has to: knowledge
# of the cost.

# %% [markdown]
# ## 4. Is reparameterisation the cure?
#
# It is sometimes said to be. The pathwise gradient of a sample is the slope of the cost, $k\,e^{kx}$, with the variance
# $k^2(e^{2k^2} - e^{k^2})$. **Make a prediction**: same samples, another formula; does the undershooting go away?

# %%
torch.manual_seed(5)
PATH_VARIANCE = K**2 * (math.exp(2 * K**2) - math.exp(K**2))
path = {n: runs_of(Pathwise(), n) for n in COUNTS}
print("         n   pathwise: median / truth   runs below the truth")
for n, estimates in path.items():
    print(f"{n:10}{np.median(estimates) / TRUTH:27.3f}{np.mean(estimates < TRUTH):23.1%}")
print(f"\nvariance of the score function / pathwise: {VARIANCE / PATH_VARIANCE:.1f}")

table = lesson.Table("Pathwise, cost exp(2x)")
table.agree("the mean of all runs with 1000 samples", path[1000], theory=TRUTH)
table.differ("share of runs below the truth, 100 samples", path[100] < TRUTH, theory=0.5)
table.print()

# %% [markdown]
# Less noise, but the same illness. Pathwise uses other numbers at the same places, and the places are the trouble. It
# helps where the *slope* has no rare large values: for $x^2$ the slope is $2x$, and for such gentle costs the trick
# earns its fame.

# %% [markdown]
# ## 5. The cure: sample where it matters
#
# *Importance sampling* draws from another distribution, the *proposal* $p$, and makes up for it by weights:
#
# $$E_q f(x) = \int f(x)\,\frac{q(x)}{p(x)}\,p(x)\,dx = E_p\!\left[f(x)\,w(x)\right], \qquad w = \frac{q}{p}.$$
#
# The proposal is ours to choose. It must reach every place where $f q$ is not 0, and should look like $|g|\,q$, the
# second hump. Here that is nearly a normal distribution around $k$, so take $p = N(s, 1)$ with a shift $s$, and
# $w(x) = e^{s^2/2 - sx}$.
#
# In the engine, the weight $w$ holds $q$, and $q$ holds $\theta$. So differentiating $f w$ gives $f\,\partial q/p$,
# which is the score function with weights. No further code is needed.


# %%
def importance(cost, q, proposal, n):
    """An estimate of E_q[cost], and through it of its gradient, with samples of the proposal."""
    x = proposal.sample((n,))
    weight = torch.exp(q.log_prob(x) - proposal.log_prob(x))
    return (cost(x) * weight).mean(0)


torch.manual_seed(6)
theta = torch.tensor(0.0, dtype=torch.float64, requires_grad=True)
estimate = importance(cost, Normal(theta, 1.0), Normal(K, 1.0), 4)
lesson.show(
    draw(estimate, {"theta": theta}), "Importance sampling: the gradient reaches theta through the weights alone"
)
estimate.backward()
print(f"with 4 samples: {theta.grad.item():.2f}, and the truth is {TRUTH:.2f}")

# %% [markdown]
# Four samples! The variance of one sample follows by completing the square, with $u = 2k - s$:
#
# $$\mathrm{Var}_s = e^{(s^2 + u^2)/2}\,(1 + u^2) - k^2 e^{k^2}.$$
#
# At $s = 0$ it is that of section 1. It is lowest a little to the right of $s = k$, since $g = x e^{kx}$ grows a
# little faster than $e^{kx}$.


# %%
def variance_at(s, k=K):
    u = 2 * k - s
    return np.exp((s**2 + u**2) / 2) * (1 + u**2) - k**2 * np.exp(k**2)


def runs_with_importance(s, n, total=1_000_000, scale=1.0):
    theta = torch.zeros(total // n, dtype=torch.float64, requires_grad=True)
    proposal = Normal(torch.full((total // n,), s, dtype=torch.float64), scale)
    importance(cost, Normal(theta, 1.0), proposal, n).sum().backward()
    return theta.grad.numpy()


shifts = np.linspace(0, 5, 501)
best = float(shifts[np.argmin(variance_at(shifts))])
torch.manual_seed(7)
tried = [1.5, 2.0, best, 3.0, 3.5]
by_shift = {s: runs_with_importance(s, 1) for s in tried}
gradient = lesson.Table("Importance sampling: the gradient, from a million samples each")
noise = lesson.Table("The variance of one sample")
for s, grads in by_shift.items():
    gradient.agree(f"shift {s:.2f}", grads, theory=TRUTH)
    noise.agree(f"shift {s:.2f}", (grads - TRUTH) ** 2, theory=variance_at(s))
gradient.print()
print()
noise.print()

print("\nsamples for a standard error of 1% of the truth:")
for name, variance in [
    ("score function", VARIANCE),
    ("pathwise", PATH_VARIANCE),
    ("importance sampling, shift k", variance_at(K)),
    (f"importance sampling, shift {best:.2f}", variance_at(best)),
]:
    print(f"{name:32}{variance / (0.01 * TRUTH) ** 2:14,.0f}")

# %%
figure, axes = plt.subplots()
axes.semilogy(shifts, variance_at(shifts), label="formula")
axes.semilogy(tried, [np.mean((by_shift[s] - TRUTH) ** 2) for s in tried], "o", label="a million samples")
axes.axvline(best, color="0.5", linewidth=1)
axes.set(xlabel="shift $s$ of the proposal $N(s, 1)$", ylabel="variance of one sample")
axes.legend()
lesson.show(
    figure,
    f"Variance over the shift of the proposal, on a logarithmic axis: from {variance_at(0):,.0f} at 0 down to "
    f"{variance_at(best):.1f} at {best:.2f}, and up again beyond",
)

# %% [markdown]
# Is the undershooting gone, and can the error bar be trusted again? The same questions as before, of runs with shift
# $k$:

# %%
torch.manual_seed(8)
for n in [10, 100]:
    means, errors, sizes = look_inside(n, shift=K)
    within = np.mean(np.abs(means - TRUTH) < 2 * errors)
    print(
        f"n = {n:4}: median / truth {np.median(means) / TRUTH:.3f}, below the truth {np.mean(means < TRUTH):.1%}, "
        f"within 2 standard errors {within:.1%}, effective size {np.median(sizes):.0f}"
    )

# %% [markdown]
# Half of the runs below, half above, and, with 100 samples, nineteen of twenty within two standard errors. That is
# what numbers look like that one can believe.
#
# *Pathwise with weights.* The slope $k e^{kx}$ never changes its sign, so there is a proposal that is proportional to
# slope times density: $N(k, 1)$ exactly. Each single sample then gives the truth, without any variance:

# %%
torch.manual_seed(9)
theta = torch.zeros(5, dtype=torch.float64, requires_grad=True)
eps = K + torch.randn(5, dtype=torch.float64)  # noise from the proposal N(k, 1)
weight = torch.exp(K**2 / 2 - K * eps)  # of N(0, 1) against N(k, 1): the noise has no parameters, nor has its weight
(weight * cost(theta + eps)).sum().backward()
print("five samples:", [round(v, 10) for v in theta.grad.tolist()], "  truth:", round(TRUTH, 10))
assert np.allclose(theta.grad.numpy(), TRUTH, rtol=1e-12)

# %% [markdown]
# Nobody has such a proposal for a cost that is not known. But even a rough one helps: look how far to both sides the
# curve above is far below its left end.
#
# **A proposal can also hurt.** If its tails are thinner than those of $g q$, weights explode where it seldom goes,
# and we are back where we began. With $p = N(s, \tau^2)$ the variance is infinite as soon as $\tau^2 \le 1/2$, and
# the samples do not show it. If in doubt, take a wide one.

# %% [markdown]
# ## 6. All or nothing: a rare event
#
# The sharpest case is a cost that is 1 beyond a far limit $c$, else 0: a dam that overflows. Now $E\,f$ is a
# probability, and its derivative is the density at the limit:
#
# $$E\,f = Q(c - \theta), \qquad \frac{d}{d\theta}E\,f = \varphi(c-\theta),$$
#
# with $\varphi$ the standard normal density and $Q$ its upper tail. A run without an event estimates 0, and $(1-Q)^n$
# of all runs are without one. A single event is at least $c/n$. There is nothing in between.
#
# Pathwise is out: the slope of a step is 0 (`04_score_function_or_pathwise.py`). Importance sampling with the shift
# $s = c$ has the variance $e^{c^2}(1 + c^2)\,Q(2c) - \varphi(c)^2$, by the same completed square.

# %%
LIMIT, N = 4.0, 1000


def tail(x):
    return 0.5 * math.erfc(x / math.sqrt(2))


def overflow(x):
    return (x > LIMIT).double()


rare_truth = math.exp(-(LIMIT**2) / 2) / math.sqrt(2 * math.pi)
variance_plain = LIMIT * rare_truth + tail(LIMIT) - rare_truth**2
variance_shifted = math.exp(LIMIT**2) * (1 + LIMIT**2) * tail(2 * LIMIT) - rare_truth**2

torch.manual_seed(10)
plain = runs_of(ScoreFunction(), N, total=10_000_000, cost=overflow)
theta = torch.zeros(1_000_000, dtype=torch.float64, requires_grad=True)
proposal = Normal(torch.full((1_000_000,), LIMIT, dtype=torch.float64), 1.0)
importance(overflow, Normal(theta, 1.0), proposal, 1).sum().backward()
shifted = theta.grad.numpy()

table = lesson.Table(f"A rare event, beyond {LIMIT:g} standard deviations; gradients in units of the truth")
table.agree(f"share of runs that estimate 0, {N} samples", plain == 0, theory=(1 - tail(LIMIT)) ** N)
table.agree("gradient, score function", plain / rare_truth, theory=1)
table.agree("gradient, importance sampling", shifted / rare_truth, theory=1)
table.agree(
    "variance of a sample, importance sampling",
    (shifted / rare_truth - 1) ** 2,
    theory=variance_shifted / rare_truth**2,
)
table.print()
print(f"\nevents: one in {1 / tail(LIMIT):,.0f} samples")
print(f"an estimate with an event is at least {LIMIT / N / rare_truth:.1f} times the truth", end="; ")
print(f"the smallest here: {plain[plain != 0].min() / rare_truth:.1f} times")
print(f"variance of the score function, without / with importance sampling: {variance_plain / variance_shifted:,.0f}")

# %% [markdown]
# Nearly all runs say: *no gradient here*. An optimiser that follows them stands still, until an event throws it off
# by many times the true slope. Unbiased, and useless. With weights the same number of samples gives an answer that
# can be used.

# %% [markdown]
# ## 7. Your turn: the best shift
#
# Write a function of $k$ that returns the shift $s$ with the lowest variance for the cost $e^{kx}$.
# (`variance_at(s, k)` is above. Or set the derivative to 0: with $u = 2k - s$ it says $k = u + u/(1+u^2)$.)


# %%
@lesson.exercise
def best_shift(answer):
    for k in [0.5, 1.0, 2.0, 3.0]:
        s = float(answer(k))
        u = 2 * k - s
        off = u + u / (1 + u**2) - k
        assert abs(off) < 0.02, (
            f"for k = {k:g}, the shift {s:.3f} has the variance {variance_at(s, k):.4g}; "
            f"a little {'more' if off > 0 else 'less'} of a shift has less"
        )


best_shift(...)  # your function here

# %% [markdown]
# A solution: look at all shifts between 0 and $3k$ on a fine grid.


# %% tags=["hide-cell"]
def on_a_grid(k):
    shifts = np.linspace(0, 3 * k, 10_001)
    return shifts[np.argmin(variance_at(shifts, k))]


best_shift.solution(on_a_grid)

# %% [markdown]
# ## What to take along
#
# - **Unbiased is a word about the mean of many runs; you make one.** If the terms have a heavy tail, most runs lie on
#   the same side of the truth, and rare ones far on the other.
# - The standard error and the effective sample size come from the same samples, and are fooled with them. A small
#   effective size is an alarm; a large one proves little.
# - Reparameterisation lowers the noise for many costs, but it looks at the same places. It does not find what is rare.
# - **Importance sampling** looks elsewhere, and corrects by weights. A proposal like $|g|\,q$ is the best, a wide
#   one is safe, a narrow one is a trap.
#
# ## Try it
#
# 1. Use a proposal that is too narrow: `runs_with_importance(K, 100, scale=0.5)`. Compare median and mean with the
#    truth, with several seeds.
# 2. Set `K = 1` at the top, and then `K = 3`. How do the shares in section 2 change? (With 3, a table may stop the
#    lesson: its standard error is no longer to be trusted.)
# 3. Take the proposal for the *wrong side*, `runs_with_importance(-2.0, 100)`. What does a typical run say?
#
# ## What to read next
#
# - The next lesson, `06_reused_noise.py`: what happens to an optimiser that sees only a few noises, again and again.
# - Owen, *Monte Carlo theory, methods and examples* (2013), chapter 9: importance sampling, its diagnostics and its
#   traps.
# - Chatterjee and Diaconis, *The sample size required in importance sampling* (2018): how many samples it takes until
#   the rare ones have come, and why a variance from samples does not tell.
