# %% [markdown]
# # What does an optimiser find that sees the same few noises again and again?
#
# A pathwise gradient holds the noise $\varepsilon$ fast and differentiates the cost $J(\theta, \varepsilon)$. We
# would like to minimise the average over *all* noises. At each step an optimiser sees only a few. There is an
# argument that this does no harm: during a short stretch $\theta$ hardly moves, so the few noises drawn in it act as
# one objective of their own,
#
# $$J^\text{eff}(\theta) = \frac1N\sum_{i=1}^N J(\theta, \varepsilon_i),$$
#
# and minimising this one may be good enough, even if it is not the true one.
#
# How good is good enough? We take the argument at its word: draw $K$ noises once, and reuse them for ever. Then we
# compare with fresh noise in each step, look for an $N$ that belongs to it, and put two more hopes to the test: that
# fine wiggles average out, and that rare noises which were not seen in training will not be missed later.

# %%
import lesson
import matplotlib.pyplot as plt
import numpy as np

import tinygrad_rp as torch
from visualize import draw

K_TARGET, SIGMA = 1.0, 2.0


def cost(x):
    return (x - K_TARGET) ** 2


def descend(theta, noise_of_step, lr, steps, cost=cost, sigma=SIGMA):
    """Gradient descent in many runs at once.

    Args:
        theta: where each run starts, an array.
        noise_of_step: takes the number of a step, returns its noises, of shape [runs, noises].
        lr: the learning rate, or a function of the number of the step.
        steps: how many.

    Returns:
        Where each run was after each step, of shape [steps + 1, runs].
    """
    theta = torch.tensor(theta, dtype=torch.float64, requires_grad=True)
    path = [theta.detach().numpy().copy()]
    for step in range(steps):
        x = theta.unsqueeze(1) + sigma * noise_of_step(step)
        theta.grad = None
        cost(x).mean(1).sum().backward()
        with torch.no_grad():
            theta -= (lr(step) if callable(lr) else lr) * theta.grad
        path.append(theta.detach().numpy().copy())
    return np.array(path)


def normal_noise(*shape):
    return torch.randn(*shape, dtype=torch.float64)


# %% [markdown]
# ## 1. The optimum moves
#
# Take $x = \theta + \sigma\varepsilon$ with a fixed $\sigma$, and the cost $(x - k)^2$. The truth is
#
# $$J(\theta) = E(\theta + \sigma\varepsilon - k)^2 = (\theta - k)^2 + \sigma^2, \qquad \theta^* = k.$$
#
# With $K$ noises, of mean $\bar\varepsilon$ and mean squared deviation
# $v = \frac1K\sum(\varepsilon_i - \bar\varepsilon)^2$, it becomes
#
# $$J_K(\theta) = \frac1K\sum_i(\theta + \sigma\varepsilon_i - k)^2 = (\theta + \sigma\bar\varepsilon - k)^2 + \sigma^2 v,
# \qquad \hat\theta = k - \sigma\bar\varepsilon.$$
#
# The same parabola, moved sideways by $\sigma\bar\varepsilon$ and down or up by a little. Since $\bar\varepsilon$ has
# the standard deviation $1/\sqrt K$, the optima are spread around $k$ with standard deviation $\sigma/\sqrt K$.

# %%
torch.manual_seed(1)
theta = np.linspace(-5, 7, 300)
figure, panels = plt.subplots(1, 2, sharey=True, figsize=(8, 3.6))
for panel, many in zip(panels, [4, 64], strict=True):
    for noises in normal_noise(8, many).numpy():
        value = np.mean(cost(theta[:, None] + SIGMA * noises), 1)
        (line,) = panel.plot(theta, value, linewidth=1, alpha=0.8)
        panel.plot(theta[np.argmin(value)], value.min(), "o", color=line.get_color(), markersize=5)
    panel.plot(theta, (theta - K_TARGET) ** 2 + SIGMA**2, "k--", linewidth=2.5, label="all noises")
    panel.set(title=f"$K = {many}$ reused noises", xlabel="$\\theta$", ylim=(0, 30))
panels[0].set_ylabel("objective")
panels[0].legend()
lesson.show(
    figure,
    "Eight draws of the effective objective with 4 noises, and eight with 64, beside the true one (dashed). Their lowest points, "
    "marked by dots, are spread around the true optimum, with 4 noises much more than with 64",
)

# %% [markdown]
# Gradient descent does not know the difference. It goes to the optimum of what it is shown. This is the graph of one
# $J_K$ with four noises; nothing in it says that there are others:

# %%
t = torch.tensor(0.0, dtype=torch.float64, requires_grad=True)
eps = normal_noise(4)
lesson.show(draw(cost(t + SIGMA * eps).mean(), {"theta": t, "eps": eps}), "The effective objective of four noises")

# %% [markdown]
# Ten thousand draws of $K$ noises, and a gradient descent for each of them. **Prediction:** where it ends, it has
# mean $k$ and variance $\sigma^2/K$, and each single run ends at its own $k - \sigma\bar\varepsilon$.

# %%
RUNS = 10_000
torch.manual_seed(2)
counts = [1, 4, 16, 64]
ends, noises_of = {}, {}
place = lesson.Table(f"Where gradient descent ends with K reused noises, {RUNS} draws of the noises")
spread = lesson.Table("The squared distance from the true optimum")
for many in counts:
    noises_of[many] = normal_noise(RUNS, many)
    ends[many] = descend(np.zeros(RUNS), lambda step, reused=noises_of[many]: reused, lr=0.2, steps=60)[-1]
    assert np.allclose(ends[many], K_TARGET - SIGMA * noises_of[many].numpy().mean(1), atol=1e-10)
    place.agree(f"K = {many}", ends[many], theory=K_TARGET)
    spread.agree(f"K = {many}", (ends[many] - K_TARGET) ** 2, theory=SIGMA**2 / many)
place.print()
print()
spread.print()

# %%
figure, axes = plt.subplots()
fine = np.geomspace(1, 64, 50)
axes.loglog(fine, SIGMA / np.sqrt(fine), label="$\\sigma/\\sqrt{K}$")
axes.loglog(counts, [ends[many].std() for many in counts], "o", label="gradient descent")
axes.set(xlabel="$K$ reused noises", ylabel="spread of the optima", xticks=counts, xticklabels=counts)
axes.set_yticks([0.25, 0.5, 1, 2], ["0.25", "0.5", "1", "2"])
axes.minorticks_off()
axes.legend()
lesson.show(
    figure,
    "The spread of the optima over the number of reused noises, both axes logarithmic: a straight line, halved by four times as "
    "many noises",
)

# %% [markdown]
# On average over draws, the end is right. But you draw once, and more steps do not help: the descent has *converged*,
# to the wrong place. Four times as many noises halve the error.
#
# ## 2. The noises are a training set
#
# The optimum of $J_K$ was chosen for these $K$ noises. So $J_K(\hat\theta)$ looks better than what $\hat\theta$ really
# costs. With $E\,v = (K-1)/K$ and $E\,\bar\varepsilon^2 = 1/K$:
#
# $$E\,J_K(\hat\theta) = \sigma^2\,\frac{K-1}{K}, \qquad E\,J(\hat\theta) = \sigma^2\,\frac{K+1}{K}.$$
#
# The best possible, $\sigma^2$, lies in the middle. With $K = 1$ the reused noise promises a cost of 0.

# %%
table = lesson.Table("What the K noises promise, and what it really costs")
for many in counts:
    promised = cost(ends[many][:, None] + SIGMA * noises_of[many].numpy()).mean(1).round(12)
    table.agree(f"K = {many}: promised", promised, theory=SIGMA**2 * (many - 1) / many)
    table.agree(f"K = {many}: true", (ends[many] - K_TARGET) ** 2 + SIGMA**2, theory=SIGMA**2 * (many + 1) / many)
table.print()

# %% [markdown]
# (The first line is exact: a single noise can be compensated fully.) This is *overfitting*, with noises in the role of
# data. The remedy is the same: look at the cost with noises that were not used in training.
#
# ## 3. Fresh noise in each step
#
# Now draw $K$ new noises in each step. With the learning rate $\eta$ a step is
#
# $$\theta_{t+1} = \theta_t - 2\eta\,(\theta_t + \sigma\bar\varepsilon_t - k)
# = (1 - 2\eta)\,\theta_t + 2\eta\,\hat\theta_t, \qquad \hat\theta_t = k - \sigma\bar\varepsilon_t.$$
#
# So $\theta$ is a *moving average of the optima* $\hat\theta_t$ of all steps, of which newer ones weigh more. It never
# comes to rest. In the long run it has mean $k$ and the variance
#
# $$\frac{\sigma^2}{K}\cdot\frac{\eta}{1-\eta}.$$
#
# Compare with $\sigma^2/N$ for $N$ reused noises: **fresh noise is worth $N = K(1-\eta)/\eta$ reused ones.** Here is
# the $N$ of the argument at the top: a descent remembers the noises of about its last $1/\eta$ steps.

# %%
torch.manual_seed(3)
many, lr, steps = 4, 0.05, 250
start = np.full(6, -6.0)
fixed = normal_noise(6, many)
reused = descend(start, lambda step: fixed, lr, steps)
fresh = descend(start, lambda step: normal_noise(6, many), lr, steps)
figure, panels = plt.subplots(1, 2, sharey=True, figsize=(8, 3.6))
for panel, paths, title in zip(panels, [reused, fresh], ["reused noises", "fresh noises"], strict=True):
    panel.plot(paths, linewidth=1)
    panel.axhline(K_TARGET, color="black", linestyle="--")
    panel.set(title=f"{title}, $K = {many}$", xlabel="step")
panels[0].set_ylabel("$\\theta$   (dashed: the optimum)")
lesson.show(
    figure,
    "Six descents each. With reused noises they are smooth and come to rest in different places. With fresh noises they tremble, "
    "all around the true optimum",
)

# %% [markdown]
# The smooth curves look better, and are worse. Tremble is honest: it shows how uncertain the place is.

# %%
RUNS = 2000
torch.manual_seed(4)
place = lesson.Table(f"Fresh noise, K = {many}: where {RUNS} descents are after many steps")
spread = lesson.Table("The squared distance from the true optimum")
for lr, steps in [(0.5, 20), (0.2, 40), (0.05, 150), (0.02, 300)]:
    last = descend(np.zeros(RUNS), lambda step: normal_noise(RUNS, many), lr, steps)[-1]
    place.agree(f"learning rate {lr:g}", last, theory=K_TARGET)
    worth = many * (1 - lr) / lr
    spread.agree(f"learning rate {lr:g}, worth N = {worth:.0f}", (last - K_TARGET) ** 2, theory=SIGMA**2 / worth)
steps = 100
last = descend(np.zeros(RUNS), lambda step: normal_noise(RUNS, many), lambda step: 0.5 / (step + 1), steps)[-1]
place.agree("falling learning rate", last, theory=K_TARGET)
spread.agree(f"falling, {steps} steps: N = {steps * many}", (last - K_TARGET) ** 2, theory=SIGMA**2 / (steps * many))
place.print()
print()
spread.print()

# %% [markdown]
# With $\eta = 1/2$ each step jumps to the optimum of its own noises: $N = K$, as if they were reused. Small steps
# average over more. And a learning rate that falls as $1/(2t)$ averages over *all* noises so far, $N = Kt$: it goes
# on getting better, as reused noises never do.
#
# So the argument holds, with numbers in it: the effective objective of a stretch of descent has about $K/\eta$
# noises, and its optimum is off by $\sigma\sqrt{\eta/K}$. It "does not depend too much on $t$" just in so far as this
# is small.

# %% [markdown]
# ## 4. Do fine wiggles average out?
#
# Another hope: where the cost depends on $\varepsilon$ in a fine-grained way, the gradient is weak on average, and the
# wiggles do no harm. Put one on the parabola:
#
# $$J(\theta,\varepsilon) = (x-k)^2 + A\cos(mx), \qquad x = \theta + \varepsilon.$$
#
# Averaged over all noises, the wiggle shrinks by the factor $e^{-m^2/2}$. With $m = 6$ nothing is left of it.
# Averaged over $K$ noises it shrinks like $1/\sqrt K$ only; and in the second derivative, which decides whether there
# are valleys to be caught in, it counts $m^2$ times.

# %%
A, M = 2.0, 6.0


def wiggly(x):
    return (x - K_TARGET) ** 2 + A * np.cos(M * x)


print(f"left of the wiggle, all noises: {np.exp(-(M**2) / 2):.1e}")

torch.manual_seed(5)
theta = np.linspace(-4, 6, 1000)
figure, axes = plt.subplots()
for many, style in [(4, "-"), (64, "-")]:
    noises = normal_noise(many).numpy()
    value = wiggly(theta[:, None] + noises).mean(1)
    axes.plot(theta, value, style, linewidth=1.5, label=f"$K = {many}$ reused noises")
axes.plot(theta, (theta - K_TARGET) ** 2 + 1, "k--", label="all noises")
axes.set(xlabel="$\\theta$", ylabel="objective", ylim=(-1, 28))
axes.legend()
lesson.show(
    figure,
    "The true objective is a smooth parabola. With 4 reused noises it has steps and valleys, and with 64 there are "
    "still small ones near the bottom",
)

# %% [markdown]
# Now descend, from $\theta = -4$, once with 16 reused noises and once with 16 fresh ones in each step. For fresh
# noise the theory is simple: the average step knows nothing of wiggles, so the mean of $\theta_t - k$ shrinks by
# $1 - 2\eta$ in each step.

# %%
RUNS, many, lr, steps = 1000, 16, 0.01, 400
START = -4.0
torch.manual_seed(6)
fixed = normal_noise(RUNS, many)
reused = descend(np.full(RUNS, START), lambda step: fixed, lr, steps, cost=wiggly, sigma=1.0)[-1]
fresh = descend(np.full(RUNS, START), lambda step: normal_noise(RUNS, many), lr, steps, cost=wiggly, sigma=1.0)[-1]
expected = K_TARGET + (1 - 2 * lr) ** steps * (START - K_TARGET)

table = lesson.Table(f"Wiggles, {many} noises: where {RUNS} descents end")
table.agree("fresh noise", fresh, theory=expected)
table.differ("reused noise", reused, theory=expected)
table.print()
for name, last in [("fresh", fresh), ("reused", reused)]:
    near = np.mean(np.abs(last - K_TARGET) < 0.5)
    print(f"{name:6}  within 0.5 of the optimum: {near:5.1%}   median of theta: {np.median(last):.2f}")

# %% [markdown]
# With fresh noise the wiggles average out over the steps. With reused noise they are valleys, and most descents are
# caught in one on the way. So the hope is right for noise that changes, and wrong for noise that stays.
#
# *Does descent even move away from places of much noise?* That is hoped for as well: it would drift to where the cost
# is smooth in $\varepsilon$. Try a cost that is nothing but noise, $J = \varepsilon\sin\theta$. Its average is 0
# everywhere, and so is the average step. It depends least on $\varepsilon$ where $\sin\theta = 0$, and most where
# $\sin\theta = \pm1$. **Make a prediction:** start everywhere with the same probability; where do the descents
# gather?

# %%
torch.manual_seed(7)
theta = torch.tensor(np.linspace(0, np.pi, 4000, endpoint=False), requires_grad=True)
for _ in range(1000):
    theta.grad = None
    (normal_noise(4000) * torch.sin(theta)).sum().backward()
    with torch.no_grad():
        theta -= 0.1 * theta.grad
angle = theta.detach().numpy() % np.pi
table = lesson.Table("Only noise: where 4000 descents gather (a share of 0.127 would be no gathering)")
near_one = np.abs(angle - np.pi / 2) < 0.2
near_zero = np.minimum(angle, np.pi - angle) < 0.2
table.differ("within 0.2 of |sin theta| = 1", near_one, theory=0.4 / np.pi)
table.differ("within 0.2 of sin theta = 0", near_zero, theory=0.4 / np.pi)
table.print()

figure, axes = plt.subplots()
axes.hist(angle, bins=60, range=(0, np.pi), color="#56B4E9")
axes.set(xlabel="$\\theta$", ylabel="number of descents", xticks=[0, np.pi / 2, np.pi])
axes.set_xticklabels(["$0$", "$\\pi/2$", "$\\pi$"])
lesson.show(figure, "Histogram: nearly all descents have gathered at pi/2, where the cost depends most on the noise")

# %% [markdown]
# They do gather, but not where the *cost* is free of noise: where the *step* is. The step is
# $-\eta\,\varepsilon\cos\theta$, which is still at $\pi/2$, where the cost depends on $\varepsilon$ most of all. A
# descent feels slopes, and what it flees is noise in the slope. Often both are small in the same places. Not always.

# %% [markdown]
# ## 5. "What we do not see in training, we do not see in use"
#
# The last hope is about rare noises, as in `05_rare_samples.py`. A small sample hardly ever holds one, so the
# optimiser does not know of them; but whoever uses the result will hardly ever meet one either. So what is minimised
# is the cost that one is likely to have, and that is what we care about. Is it?
#
# Say $\theta$ is how much is put into something risky. It gains $\theta$ and costs $\frac12\theta^2 h$, with a random
# $h$ that is small, $h_0 = 0.2$, but for one time in a hundred, when it is so large that the average is $E\,h = 1$:
#
# $$J(\theta, h) = -\theta + \tfrac12\theta^2 h, \qquad \theta^* = \frac{1}{E\,h} = 1, \qquad \hat\theta = \frac{1}{\bar h}.$$
#
# With $K = 20$ reused noises, $(1-p)^{20}$ of all draws hold no disaster. There $\hat\theta = 1/h_0$, five times what
# is right. With one disaster among the 20, it is much too timid instead.

# %%
P, H0, K = 0.01, 0.2, 20
H1 = (1 - (1 - P) * H0) / P
BOLD, CAREFUL = 1 / H0, 1.0
print(f"h is {H0} mostly, and {H1:.1f} in a disaster; mean {(1 - P) * H0 + P * H1:g}")
print(
    f"trained without a disaster: theta = {BOLD:g}; with one: theta = {1 / (H0 + (H1 - H0) / K):.2f}; right: {CAREFUL:g}"
)


def risk(*shape):
    return np.where(torch.rand(*shape, dtype=torch.float64).numpy() < P, H1, H0)


def average_cost(theta, h):
    return -theta + 0.5 * theta**2 * h


torch.manual_seed(8)
table = lesson.Table("Bold (trained on 20 noises without a disaster) against careful (the true optimum)")
trained = 1 / risk(20_000, K).mean(1)
table.agree("share of trainings that end bold", np.isclose(trained, BOLD), theory=(1 - P) ** K)
for uses in [20, 100, 500]:
    h = risk(20_000, uses).mean(1)
    bolder_is_better = average_cost(BOLD, h) < average_cost(CAREFUL, h)
    table.agree(f"bold is the better one in {uses} uses", bolder_is_better, theory=(1 - P) ** uses)
h = risk(1_000_000)
table.agree("mean cost of a use, bold", average_cost(BOLD, h), theory=average_cost(BOLD, 1))
table.agree("mean cost of a use, careful", average_cost(CAREFUL, h), theory=average_cost(CAREFUL, 1))
table.print()

# %% [markdown]
# (In these lines bold is the better one just if no disaster comes: with one among 500 uses, the mean of $h$ exceeds
# $1/3$, where the two are even.)
#
# It is true for those who use the result about as often as it was trained: most of them are better off bold. It is
# wrong for those who use it hundreds of times, and wrong for the average: the few who meet a disaster pay more than
# all others gain. Whether that is "what we care about" is not a question of mathematics. But one should know which of
# the two one has optimised, and reused noises do not ask.

# %% [markdown]
# ## 6. Your turn: when the spread is learned too
#
# Learn $\sigma$ as well, with a reward for being spread out: this is variational inference in its smallest form, a
# normal distribution fitted to $N(k, 1)$.
#
# $$J(\mu,\sigma) = E\,\tfrac12(\mu + \sigma\varepsilon - k)^2 - \log\sigma, \qquad \mu^* = k, \quad \sigma^* = 1.$$
#
# Write a function that takes an array of reused noises and $k$, and returns the $\mu$ and the $\sigma$ that minimise
# the effective objective. The check asks the engine whether the gradient vanishes there.


# %%
@lesson.exercise
def effective_optimum(answer):
    for seed, many in [(1, 2), (2, 5), (3, 50)]:
        noises = np.random.default_rng(seed).standard_normal(many)
        found = [torch.tensor(float(v), dtype=torch.float64, requires_grad=True) for v in answer(noises, K_TARGET)]
        mu, sigma = found
        assert sigma.item() > 0, f"sigma must be positive, and is {sigma.item():.3g}"
        objective = (0.5 * (mu + sigma * torch.tensor(noises) - K_TARGET) ** 2).mean() - torch.log(sigma)
        objective.backward()
        for name, t in zip(["mu", "sigma"], found, strict=True):
            assert abs(t.grad.item()) < 1e-8, (
                f"with {many} noises the gradient of {name} is {t.grad.item():.3g} at mu = {mu.item():.4g}, "
                f"sigma = {sigma.item():.4g}"
            )


effective_optimum(...)  # your function here

# %% [markdown]
# The solution: for any $\sigma$ the best $\mu$ is $k - \sigma\bar\varepsilon$. What remains is
# $\frac12\sigma^2 v - \log\sigma$, with its lowest point at $\sigma = 1/\sqrt v$.


# %% tags=["hide-cell"]
def solution(noises, k):
    sigma = 1 / noises.std()
    return k - sigma * noises.mean(), sigma


effective_optimum.solution(solution)

# %% [markdown]
# The noises' own spread $v$ is too small on average, so $\hat\sigma$ is too large:
# $E\,\hat\sigma^2 = E(1/v) = K/(K-3)$ for more than three noises. With a **single** reused noise $v = 0$, and there
# is no optimum: $\mu$ cancels the noise whatever $\sigma$ is, and $\sigma$ grows for ever.

# %%
torch.manual_seed(9)
table = lesson.Table("The variance that reused noises find, where 1 is right")
for many in [10, 20, 100]:
    v = normal_noise(100_000, many).numpy().var(1)
    table.agree(f"K = {many}", 1 / v, theory=many / (many - 3), truth=1)
table.print()

mu = torch.tensor(0.0, dtype=torch.float64, requires_grad=True)
sigma = torch.tensor(1.0, dtype=torch.float64, requires_grad=True)
print("\na single reused noise:")
for step in range(10_001):
    mu.grad = sigma.grad = None
    (0.5 * (mu + sigma * 0.7 - K_TARGET) ** 2 - torch.log(sigma)).backward()
    if step in (0, 100, 1000, 10_000):
        print(f"step {step:6}: mu = {mu.item():7.2f}, sigma = {sigma.item():6.2f}")
    with torch.no_grad():
        mu -= 0.1 * mu.grad
        sigma -= 0.1 * sigma.grad

# %% [markdown]
# ## What to take along
#
# - $K$ reused noises are an objective of their own. Its optimum is off by about $\sigma/\sqrt K$, more steps do not
#   help, and its value is too good to be true. **Noises can be overfitted, as data can.**
# - Fresh noise in each step makes a descent tremble around the *right* place. A learning rate $\eta$ averages over
#   about $K/\eta$ noises, and one that falls averages over all.
# - Wiggles average out over fresh noise. In reused noise they become valleys.
# - What is rare in training is missing in the result. Whether it is missed later depends on how often, and by how
#   many, the result is used.
#
# ## Try it
#
# 1. Mix both: reuse the same noises for 10 steps, then draw new ones. What is the spread in section 3 then? (Work out
#    how far one stretch of 10 steps goes towards its own optimum.)
# 2. In section 4, how many reused noises does it take until half of the descents arrive?
# 3. Reused noise has its place: it makes two values of $\theta$ comparable. Estimate $J(1.1) - J(1)$ with the same
#    noises for both, and with different ones, and compare the variances.
#
# ## What to read next
#
# - The next lesson, `07_any_inverse_cdf.py`: reparameterise more than the normal distribution.
# - Shapiro, Dentcheva and Ruszczyński, *Lectures on stochastic programming* (2009), chapter 5: reused noise under its
#   proper name, *sample average approximation*.
# - Polyak and Juditsky, *Acceleration of stochastic approximation by averaging* (1992): how to get the average of all
#   noises with steps that stay large.
