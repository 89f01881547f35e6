# %% [markdown]
# # Can a random choice be softened until a gradient passes?
#
# One of several categories is chosen at random, with probabilities π. The choice is a jump from one category to
# another, and lesson 2 has shown what jumps do to a gradient. This lesson keeps the randomness but melts the jump:
# the *Gumbel-softmax* makes a smooth mixture of categories out of a choice among them. A temperature τ says how soft
# it is.
#
# Three questions: does the construction draw from the right distribution? What does its gradient estimate? And what
# does the temperature buy?

# %%
import lesson
import numpy as np

import tinygrad_rp as torch
from tinygrad_rp.nn.functional import one_hot, sigmoid, softmax
from visualize import draw

PI = [0.2, 0.3, 0.5]
P = 0.25

# %% [markdown]
# ## 1. A choice, made from noise: Gumbel-max
#
# Take one random number g for each category, from the Gumbel distribution: `g = -log(-log(u))` with u uniform between
# 0 and 1. Add log π. Choose the category with the largest sum.
#
# **Make a prediction**: how often will each of the categories 0.2, 0.3, 0.5 win?


# %%
def gumbel(*shape):
    """Noise of the standard Gumbel distribution."""
    u = torch.rand(*shape, dtype=torch.float64)
    return -torch.log(-torch.log(u))


torch.manual_seed(1)
M = 200_000
pi = torch.tensor(PI, dtype=torch.float64)
wins = one_hot(torch.argmax(torch.log(pi) + gumbel(M, 3), 1), 3).numpy()

table = lesson.Table(f"How often a category wins, {M} choices")
for i, probability in enumerate(PI):
    table.agree(f"category {i}", wins[:, i], theory=probability)
table.print()

expected = M * np.array(PI)
chi_square = float(np.sum((wins.sum(0) - expected) ** 2 / expected))
print(f"\nchi-square, all three together: {chi_square:.2f} (2 is usual; more than 14, once in a thousand times)")

# %% [markdown]
# As often as they should, as far as so many choices can tell. So here is a formula from the parameters and from noise
# without parameters to the choice: a reparameterisation! Does a gradient come through?

# %%
pi = torch.tensor(PI, requires_grad=True)
price = torch.tensor([1.0, 2.0, 4.0])  # what each category costs

g = gumbel(3).float()
scores = torch.log(pi) + g
choice = one_hot(torch.argmax(scores), 3)
cost = (choice * price).sum()

print("the choice:", choice.tolist(), "  cost:", cost.item(), "  requires grad:", cost.requires_grad)
names = {"pi": pi, "gumbel": g, "scores": scores, "choice": choice, "cost": cost}
lesson.show(draw(cost, names), "03-argmax")

# %% [markdown]
# No: a missing edge. `argmax` answers with the *number* of a category, an integer. Integers do not move a little, so
# nothing is wired; the picture says so on the dotted line. All that lies behind it, the logarithm and `pi`, is grey.

# %% [markdown]
# ## 2. Melt it: Gumbel-softmax
#
# Replace "1 for the largest, 0 for the others" by a softmax of the same scores, divided by τ. For a small τ it is
# nearly the choice itself; for a large one, an even mixture.

# %%
print("the scores:", [round(s, 3) for s in scores.tolist()])
for tau in [0.05, 0.5, 1.0, 5.0]:
    print(f"tau {tau:4}:  {[round(y, 3) for y in softmax(scores / tau, 0).tolist()]}")

mixture = softmax(scores / 0.5, 0)
cost = (mixture * price).sum()
cost.backward()
print("pi.grad:", pi.grad)
names = {"pi": pi, "gumbel": g, "scores": scores, "mixture": mixture, "cost": cost}
lesson.show(draw(cost, names), "03-softmax")

# %% [markdown]
# Solid lines from top to bottom. But read the cost: it is now the cost of a *mixture*, which nobody ever chooses. We
# have a perfect gradient of a slightly different question. How different?

# %% [markdown]
# ## 3. What does its gradient estimate?
#
# Back to the coin of lesson 2, p = 0.25 and cost y², where the truth is 1. With two categories the softmax is a
# sigmoid, of the difference of the two scores. The difference of two Gumbel numbers has a name as well, it is
# *logistic noise*, and it can be made of one uniform number, log u - log(1 - u):
#
# > y = sigmoid((log p - log(1 - p) + logistic noise) / τ).
#
# The expectation of this estimator is a one-dimensional integral. Writing t for what stands inside the sigmoid, y²
# has the slope 2y · y(1 - y)/τ · 1/(p(1 - p)) with respect to p, and the noise is τt minus the log-odds. We add it up
# on a fine grid.


# %%
def theory_of(tau, p=P):
    """Mean and standard deviation of one sample of the relaxation's gradient, d/dp of y², by adding up on a grid."""
    t = np.linspace(-150, 150, 1_000_001)
    y = 0.5 * (1 + np.tanh(t / 2))
    density = 0.25 / np.cosh((tau * t - np.log(p / (1 - p))) / 2) ** 2 * tau * (t[1] - t[0])
    slope = 2 * y * y * (1 - y) / tau / (p * (1 - p))
    mean = float(np.sum(slope * density))
    return mean, float(np.sqrt(np.sum(slope**2 * density) - mean**2))


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
lesson.show(draw(cost, {"p": p, "y": y, "cost": cost}), "03-relaxed-coin")

# %% [markdown]
# Without the column `bias`, one would take this estimate for a slightly noisy 1. It is not: the expectation in the
# first line is what this estimator *aims at*, with any number of samples. The standard error of the loop is nearly
# half as large as the difference, so it cannot tell the two apart with certainty. A million samples at once can:


# %%
def relaxed_gradients(tau, n):
    """The gradients of n samples at once."""
    p = torch.full((n,), P, dtype=torch.float64, requires_grad=True)
    (relaxed_coin(p, tau) ** 2).sum().backward()
    return p.grad.numpy()


torch.manual_seed(3)
M = 1_000_000
table = lesson.Table(f"The relaxed coin at tau {TAU}, {M} samples at once")
grads = relaxed_gradients(TAU, M)
table.agree("the relaxation's own expectation", grads, theory=mean, truth=truth)
table.differ("the truth", grads, theory=truth)
table.print()

# %% [markdown]
# ## 4. What the temperature buys
#
# **Make a prediction**: as τ falls, the relaxed coin comes nearer to the real one. What happens to the bias, and what
# to the noise?

# %%
torch.manual_seed(4)
temperatures = [0.05, 0.1, 0.5, 1.0, 2.0]
gradient = lesson.Table(f"The gradient at several temperatures, {M} samples each")
variance = lesson.Table("The variance of one sample")
for tau in temperatures:
    mean, sd = theory_of(tau)
    grads = relaxed_gradients(tau, M)
    gradient.agree(f"tau {tau:g}", grads, theory=mean, truth=truth)
    variance.agree(f"tau {tau:g}", (grads - mean) ** 2, theory=sd**2)
gradient.print()
print()
variance.print()

print("\nroot mean squared error of an average of n samples")
counts = [1, 100, 10_000]
print("tau   " + "".join(f"  n = {n:<6}" for n in counts))
for tau in temperatures:
    mean, sd = theory_of(tau)
    print(f"{tau:<6g}" + "".join(f"  {np.sqrt((mean - truth) ** 2 + sd**2 / n):<10.3f}" for n in counts))

# %% [markdown]
# Bias falls with τ, and variance rises: a cold coin is nearly flat almost everywhere and very steep in one narrow
# place, so most samples bring almost nothing, and a few bring a lot. There is no best temperature. The more samples
# you average, the colder it should be.

# %% [markdown]
# ## 5. A trap: overflow, and the average that hides it
#
# The same coin is often written as `1 / (1 + exp(-x / τ))`. In real numbers this is the sigmoid. In 32-bit
# floating-point numbers `exp` ends at about 3·10³⁸; beyond that it gives `inf`. Forward this does no harm, since 1 /
# inf is 0. Backward it does: the rules multiply 0 by inf, and that is NaN, not a number.
#
# How often? The argument of `exp` must be above log(3.4·10³⁸), and the noise is logistic, so we can tell beforehand:


# %%
def fragile_coin(p, tau):
    g = -torch.log(-torch.log(torch.rand(*p.shape)))
    h = -torch.log(-torch.log(torch.rand(*p.shape)))
    e = torch.exp(((torch.log1p(-p) + h) - (torch.log(p) + g)) / tau)
    return 1 / (1 + e)


largest = np.log(float(np.finfo(np.float32).max))
chance = 1 / (1 + np.exp(TAU * largest + np.log(P / (1 - P))))

torch.manual_seed(5)
p = torch.full((M,), P, requires_grad=True)
(fragile_coin(p, TAU) ** 2).sum().backward()
fragile = p.grad.numpy()

table = lesson.Table(f"Written with exp in float32, tau {TAU}, {M} samples")
table.agree("share of samples whose gradient is NaN", np.isnan(fragile), theory=chance)
table.print()
print(f"\nthat is {1e4 * chance:.1f} in 10,000")
print(f"np.mean:    {np.mean(fragile):.3f}")
print(f"np.nanmean: {np.nanmean(fragile, dtype=np.float64):.3f}  (looks healthy)")

torch.manual_seed(5)
p = torch.full((M,), P, requires_grad=True)
(relaxed_coin(p, TAU) ** 2).sum().backward()
print(f"NaN with sigmoid((log-odds + logistic noise) / tau): {int(np.isnan(p.grad.numpy()).sum())}")

# %% [markdown]
# `nanmean` leaves the NaN out, and the average looks healthy. In this very case the harm is small, because the
# samples that are lost had a gradient of almost 0. But the first NaN that reaches a parameter of a network makes that
# parameter NaN, and soon all others. Use a function that does not overflow, such as `sigmoid`, and never average over
# a NaN before you know where it comes from.

# %% [markdown]
# ## What to take along
#
# - Gumbel-max draws exactly from π. Its `argmax` is a **missing edge**, so it has no gradient.
# - Gumbel-softmax has a gradient, low in noise if τ is high: the exact pathwise gradient of *another* expectation.
#   Compared with the truth it is **biased**.
# - Temperature trades bias for variance. Say which τ you used.
# - An estimate that looks about right can be a precise estimate of something else. Ask first what an estimator aims
#   at, then test it against that, with a standard error.
#
# ## Try it
#
# 1. Straight-through Gumbel-softmax: `mixture + (choice - mixture).detach()`. Draw its graph. What is its value, and
#    which way does its gradient go?
# 2. Draw a histogram of `grads` at τ = 0.05. Where does the variance come from?
#
# ## What to read next
#
# - Jang, Gu and Poole, *Categorical Reparameterization with Gumbel-Softmax* (2017), and Maddison, Mnih and Teh, *The
#   Concrete Distribution* (2017): the same idea, found twice at the same time.
# - Tucker, Mnih, Maddison, Lawson and Sohl-Dickstein, *REBAR: Low-variance, unbiased gradient estimates for discrete
#   latent variable models* (2017): how to use a relaxation and yet be unbiased.
