# %% [markdown]
# # What does a straight-through estimator really estimate?
#
# A coin shows 1 with probability p and else 0. It costs ξ(y), where y is what it shows. How does the average cost move
# with p?
#
# With only two outcomes, the average is a sum of two terms, and the truth needs no sampling at all:
#
# > E[ξ(Y)] = (1 - p)·ξ(0) + p·ξ(1), and therefore d/dp E[ξ(Y)] = ξ(1) - ξ(0).
#
# For ξ(y) = y² this is 1, whatever p is. We take p = 0.25 and try to find this 1 by samples, as one has to when there
# are not two outcomes but two to the power of a thousand.

# %%
import warnings

import lesson
import numpy as np

import tinygrad_rp as torch
from tinygrad_rp import nn
from tinygrad_rp.autograd import Function
from visualize import draw

P = 0.25
N = 1000


def truth_of(xi):
    """d/dp E[ξ(Y)], exactly."""
    return xi(1.0) - xi(0.0)


def square(y):
    return y**2


print(f"truth: d/dp E[y²] = {truth_of(square):g}")

# %% [markdown]
# ## 1. Backward through the draw
#
# **Make a prediction**: what will the average of `p.grad` be?

# %%
torch.manual_seed(11)
p = torch.tensor([P], requires_grad=True)

naive = []
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    for _ in range(N):
        p.grad = None
        y = torch.bernoulli(p)
        cost = y**2
        cost.backward()
        naive.append(p.grad.item())

table = lesson.Table("The naive loop")
table.agree("d/dp E[y²], naive", naive, theory=0, truth=truth_of(square))
table.print()
print()
lesson.say(f"{caught[0].category.__name__}:\n{caught[0].message}")
lesson.show(draw(cost, {"p": p, "y": y, "cost": cost}), "02-zero-edge")

# %% [markdown]
# A zero edge again, as with the Gaussian of the first lesson. But this time reparameterising does not help. We can
# compute the coin from noise, `y = 1 if u < p else 0` with a uniform `u`, and differentiate that: its slope with
# respect to p is 0, except at the one place where it jumps. Here zero is even the *right* derivative of one draw. The
# average moves all the same, because of the jumps, and the derivative does not see jumps.

# %% [markdown]
# ## 2. Straight-through, in three spellings
#
# The idea is bold: pretend, on the way back only, that the draw had been the probability itself. Then the
# gradient that arrives at `y` is handed straight through to `p`, unchanged.
#
# **First spelling**, one line: `p + (y - p).detach()`. Its *value* is p + y - p = y. Its *gradient* sees only the
# first `p`, because the rest is detached. (We give the difference a name, so that it stays in memory and can be
# drawn.)


# %%
def loop(straight_through, n=N, seed=2):
    """The gradients of n costs y², one by one."""
    torch.manual_seed(seed)
    grads = []
    for _ in range(n):
        p.grad = None
        cost = straight_through(p) ** 2
        cost.backward()
        grads.append(p.grad.item())
    return grads


def by_detach(p):
    return p + (torch.bernoulli(p) - p).detach()


gradients = {"detach": loop(by_detach)}

p = torch.tensor([P], requires_grad=True)
d = torch.bernoulli(p) - p
y = p + d.detach()
cost = y**2
cost.backward()
lesson.show(draw(cost, {"p": p, "d": d, "y": y, "cost": cost}), "02-detach")

# %% [markdown]
# The draw is still there, grey, behind a dotted line that was never wired. All the gradient takes the other way, past
# the draw.
#
# **Second spelling**: an `autograd.Function`, which has a forward and a backward of its own.


# %%
class StraightThrough(Function):
    """Forward a draw; backward, the identity."""

    @staticmethod
    def forward(ctx, p):
        return torch.bernoulli(p)

    @staticmethod
    def backward(ctx, gradient):
        return gradient  # as if y were p


gradients["Function"] = loop(StraightThrough.apply)

p = torch.tensor([P], requires_grad=True)
y = StraightThrough.apply(p)
cost = y**2
cost.backward()
lesson.show(draw(cost, {"p": p, "y": y, "cost": cost}), "02-function")

# %% [markdown]
# The double line is a third kind of edge, a *surrogate edge*: a gradient flows, but it is not the derivative of what
# was computed. The engine knows, because it saw that `forward` goes through a draw.
#
# **Third spelling**: the same inside an `nn.Module`, to be used as a layer of a network.


# %%
class Coin(nn.Module):
    """A layer that tosses a coin for each of its inputs."""

    def forward(self, p):
        return StraightThrough.apply(p)


gradients["Module"] = loop(Coin())

same = all(np.array_equal(gradients["detach"], other) for other in gradients.values())
print("the same gradient, sample by sample, in all three spellings:", same, "\n")
assert same

table = lesson.Table(f"Straight-through, {N} samples one by one, cost y²")
for name, grads in gradients.items():
    table.agree(name, grads, theory=2 * P, truth=truth_of(square))
table.print()

# %% [markdown]
# Three spellings, one estimator; and it is wrong by half. The samples agree very well with one another and with 0.5.
# It is only that 0.5 is not the question we asked. More samples would not help: this error is a *bias*.

# %% [markdown]
# ## 3. So what does it estimate?
#
# Where does 0.5 come from? A tempting answer is: straight-through puts the mean p in the place of the draw y, so it
# differentiates ξ(E[Y]) = ξ(p), and gives ξ'(p) = 2p = 0.5. It fits, and it can be read in good places.
#
# Look at the code again, though. Only the *backward* step pretends. The forward step hands the drawn y on, and ξ is
# differentiated *there*, at 0 or at 1, never at p. On average this gives
#
# > E[ξ'(Y)] = (1 - p)·ξ'(0) + p·ξ'(1).
#
# For y² the two formulas happen to agree. **Make a prediction** for ξ(y) = y³, whose truth is 1 as well: which of the
# two will the samples choose?


# %%
def cube(y):
    return y**3


COSTS = {"y²": (square, lambda y: 2 * y), "y³": (cube, lambda y: 3 * y**2)}
M = 1_000_000


def straight_through_gradients(xi, p, n):
    """The gradients of n samples at once: one element of p for each."""
    p = torch.full((n,), p, dtype=torch.float64, requires_grad=True)
    xi(by_detach(p)).sum().backward()
    return p.grad.numpy()


torch.manual_seed(3)
table = lesson.Table(f"Straight-through, {M} samples at once, p = {P}")
for name, (xi, slope) in COSTS.items():
    grads = straight_through_gradients(xi, P, M)
    mean_of_slope = (1 - P) * slope(0) + P * slope(1)
    table.agree(f"{name}: E[ξ'(Y)]", grads, theory=mean_of_slope, truth=truth_of(xi))
    if slope(P) == mean_of_slope:
        table.agree(f"{name}: ξ'(p)", grads, theory=slope(P))
    else:
        table.differ(f"{name}: ξ'(p)", grads, theory=slope(P))
table.print()

# %% [markdown]
# The samples choose E[ξ'(Y)]. With y³ the other formula is off by hundreds of standard errors.
#
# Now the bias can be understood as well. The truth is ξ(1) - ξ(0), the integral of ξ' from 0 to 1. Straight-through
# puts in its place a weighted mean of the slopes at the two ends, with weights 1 - p and p. For a straight line ξ this
# is exact. For p = 1/2 it is the trapezoid rule, which is exact for parabolas; so with p = 1/2 and y² there is no
# bias, though it would be rash to conclude anything from that.

# %%
torch.manual_seed(4)
table = lesson.Table("Where straight-through has no bias, and where it has one all the same")
for name, xi, slope, q in [
    ("a line, 3y + 1, p = 0.25", lambda y: 3 * y + 1, lambda y: 3, 0.25),
    ("a parabola, y², p = 0.5", square, lambda y: 2 * y, 0.5),
    ("a parabola, y², p = 0.9", square, lambda y: 2 * y, 0.9),
    ("a cubic, y³, p = 0.5", cube, lambda y: 3 * y**2, 0.5),
]:
    grads = straight_through_gradients(xi, q, M)
    table.agree(name, grads, theory=(1 - q) * slope(0) + q * slope(1), truth=truth_of(xi))
table.print()

# %% [markdown]
# ## 4. The unbiased alternative: the score function
#
# The score function of the first lesson needs no derivative of the cost and no path through the sample, so it does not
# mind the jump. It needs the logarithm of the probability of what was drawn:
#
# > log q(y) = y·log p + (1 - y)·log(1 - p).


# %%
def log_probability(y, p):
    return y * torch.log(p) + (1 - y) * torch.log(1 - p)


torch.manual_seed(11)
p = torch.tensor([P], requires_grad=True)
one_by_one = []
for _ in range(N):
    p.grad = None
    drawn = torch.bernoulli(p)
    y = drawn.detach()  # from here on, y is a number
    surrogate = y**2 * log_probability(y, p)
    surrogate.backward()
    one_by_one.append(p.grad.item())

many_p = torch.full((M,), P, dtype=torch.float64, requires_grad=True)
y_many = torch.bernoulli(many_p).detach()
(y_many**2 * log_probability(y_many, many_p)).sum().backward()
at_once = many_p.grad.numpy()

truth = truth_of(square)
variance = 1 / P - 1  # the estimate is y²·(y/p - (1-y)/(1-p)), that is y/p
table = lesson.Table("Score function, cost y²")
table.agree(f"d/dp, {N} one by one", one_by_one, theory=truth)
table.agree(f"d/dp, {M} at once", at_once, theory=truth)
table.agree("its variance, one sample", (at_once - truth) ** 2, theory=variance)
table.print()
names = {"p": p, "drawn": drawn, "surrogate": surrogate}
lesson.show(draw(surrogate, names), "02-score-function")

# %% [markdown]
# No bias. The price is variance: one sample of the score function scatters more than one of straight-through. Which
# error is the worse one? It depends on how many samples you can afford, since averaging shrinks the variance and
# leaves the bias:
#
# > mean squared error of an average of n = bias² + variance / n.

# %%
bias = 2 * P - truth
variance_through = 4 * P * (1 - P)  # its samples are 2y
print("samples  straight-through  score function")
for n in [1, 3, 10, 30, 100]:
    print(f"{n:7}  {bias**2 + variance_through / n:16.3f}  {variance / n:14.3f}")
equal = (variance - variance_through) / bias**2
print(f"\nwith more than {equal:.0f} samples, the unbiased estimator is the better one here")

# %% [markdown]
# So a biased estimator is not a foolish one. With one sample a step, as networks are often trained, straight-through
# can be the better choice. One should only know what it aims at.
#
# ## What to take along
#
# - One draw of a coin has a derivative of 0, and rightly so. The average moves through jumps, which no chain rule
#   sees.
# - Straight-through computes **E[ξ'(Y)]**: the slope of the cost at what was drawn. It is not the truth
#   ξ(1) - ξ(0). Nor is it ξ'(p), although a cost of y² cannot tell those two apart: there both are 2p.
# - All its spellings are the same estimator. In the picture it is a **surrogate edge**, or a missing edge with a way
#   around.
# - The score function is unbiased, and noisier.
#
# ## Try it
#
# 1. Find a cost for which straight-through gets the *sign* wrong. (Its slopes at 0 and 1 must tell another story than
#    its values there.)
# 2. Write `p - (p - y).detach()`, and `y.detach() + p - p.detach()`. Are the gradients the same?
#
# ## What to read next
#
# - The next lesson, `03_gumbel.py`: replace the jump by a steep slope, and see what that costs.
# - Bengio, Léonard and Courville, *Estimating or Propagating Gradients Through Stochastic Neurons for Conditional
#   Computation* (2013): straight-through and its rivals.
# - Williams, *Simple Statistical Gradient-Following Algorithms for Connectionist Reinforcement Learning* (1992): the
#   score function, under the name REINFORCE.
