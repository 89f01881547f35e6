# %% [markdown]
# # What does a straight-through estimator really estimate?
#
# A coin shows 1 with probability $p$ and else 0. It costs $\xi(y)$, where $y$ is what it shows. How does the average
# cost move with $p$?
#
# With only two outcomes, the average is a sum of two terms, and the truth needs no sampling at all:
#
# $$ E[\xi(Y)] = (1 - p)\,\xi(0) + p\,\xi(1), \qquad \frac{d}{dp} E[\xi(Y)] = \xi(1) - \xi(0). $$
#
# For $\xi(y) = y^2$ this is 1, whatever $p$ is. We take $p = 1/4$ and try to find this 1 by samples, as one has to when
# there are not two outcomes but two to the power of a thousand.

# %%
import warnings

import lesson
import matplotlib.pyplot as plt
import numpy as np

import tinygrad_rp as torch
from tinygrad_rp.autograd import Function
from tinygrad_rp.distributions import Bernoulli
from visualize import compare, draw, explain

P = 0.25
N = 1000  # samples one by one
M = 1_000_000  # samples at once


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
torch.manual_seed(7)
p = torch.tensor([P], requires_grad=True)

naive = []
with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # the engine warns; what it has to say is asked for below
    for _ in range(N):
        p.grad = None
        y = torch.bernoulli(p)
        cost = y**2
        cost.backward(retain_graph=True)
        naive.append(p.grad.item())

table = lesson.Table("The naive loop")
table.agree("d/dp E[y²], naive", naive, theory=0, truth=truth_of(square))
table.print()
print()
answer = explain(cost, p)
print(answer)
lesson.show(answer.draw(), "The naive loop: where the gradient becomes 0")

# %% [markdown]
# A zero edge, as with the Gaussian of lesson 2. But this time reparameterising does not help. We can compute the coin
# from noise, 1 if $u < p$ and else 0 with a uniform $u$, and differentiate that: its slope with respect to $p$ is 0,
# except at the one place where it jumps. Here zero is even the *right* derivative of one draw. The average moves all
# the same, because of the jumps, and the derivative does not see jumps.

# %% [markdown]
# ## 2. Straight-through, in three spellings
#
# The idea is bold: pretend, on the way back only, that the draw had been the probability itself. Then the gradient that
# arrives at $y$ is handed straight through to $p$, unchanged. One finds it written in three ways.
#
# - `p + (y - p).detach()`: its value is $p + y - p = y$; its gradient sees only the first `p`, because the rest is
#   detached.
# - `y_hard - y_soft.detach() + y_soft`: the same with other names, if `y_soft` is $p$ and `y_hard` the draw.
# - An `autograd.Function`, which has a forward and a backward of its own: forward a draw, backward the identity.


# %%
def by_detach(p):
    y = torch.bernoulli(p)
    return p + (y - p).detach()


def by_hard_and_soft(p):
    y_soft = p
    y_hard = torch.bernoulli(p).detach()
    return y_hard - y_soft.detach() + y_soft


class StraightThrough(Function):
    """Forward a draw; backward, the identity."""

    @staticmethod
    def forward(ctx, p):
        return torch.bernoulli(p)

    @staticmethod
    def backward(ctx, gradient):
        return gradient  # as if y were p


SPELLINGS = {"detach": by_detach, "hard and soft": by_hard_and_soft, "Function": StraightThrough.apply}


def loop(straight_through, n=N, seed=7):
    """The gradients of n costs y², one by one."""
    torch.manual_seed(seed)
    grads = []
    for _ in range(n):
        p.grad = None
        cost = straight_through(p) ** 2
        cost.backward()
        grads.append(p.grad.item())
    return grads


gradients = {name: loop(spelling) for name, spelling in SPELLINGS.items()}
same = all(np.array_equal(gradients["detach"], other) for other in gradients.values())
print("the same gradient, sample by sample, in all three spellings:", same, "\n")
assert same

table = lesson.Table(f"Straight-through, {N} samples one by one, cost y²")
for name, grads in gradients.items():
    table.agree(name, grads, theory=2 * P, truth=truth_of(square))
table.print()

# %% [markdown]
# One estimator; and it is wrong by half. (As a layer of a network it is a `nn.Module` whose `forward` calls the
# `Function`: the same again.)
#
# The graphs look different, though. Here are the first and the third, with the same draw:

# %%
p = torch.tensor([P], requires_grad=True)
graphs = {}
for name, spelling in SPELLINGS.items():
    torch.manual_seed(2)
    graphs[name] = spelling(p) ** 2

pictures = compare(graphs["detach"], graphs["Function"], {"p": p}, titles=("detach", "Function"))
lesson.say(pictures.summary)
lesson.show(pictures.draw(), "Straight-through, spelled with detach (left) and as a Function (right)")

# %%
compared = compare(graphs["detach"], graphs["hard and soft"], {"p": p}, titles=("detach", "hard and soft"))
lesson.say(compared.summary)

# %% [markdown]
# Left, the draw hangs behind a dotted line that was never wired, and the gradient takes the other way, past the draw.
# Right, the line is double, a third kind of edge, a *surrogate edge*: a gradient flows, but it is not the derivative of
# what was computed. The engine knows, because it saw that `forward` goes through a draw. The first sentence is what
# counts: at `p` the same gradient arrives.
#
# Is the value really $y$? On paper $p + (y - p)$ is; in floating-point numbers it is rounded twice. Let us count, for
# coins that show 1, and for another use of the trick, where a number is replaced by the nearest of a few codes:

# %%
torch.manual_seed(3)
coin = torch.sigmoid(3 * torch.randn(M)), torch.ones(M)
number = torch.randn(M)
code = number, torch.where(number < 0.4, 0.1, 0.7)
for name, (soft, hard) in {"coin": coin, "code": code}.items():
    first = int((soft + (hard - soft) != hard).sum())
    second = int((hard + (soft - soft) != hard).sum())
    print(f"{name}: of {M} values, p + (y - p) is not y for {first}, and y + (p - p) for {second}")

# %% [markdown]
# For coins nothing is lost: the error of $1 - p$ is at most half of the distance from 1 to the number below it, so the
# sum is rounded to 1 again. For other values something is. Where the value must be exact, write `y + (p - p.detach())`,
# whose last term is exactly 0, as `BernoulliStraightThrough` in the distributions does.

# %% [markdown]
# ## 3. So what does it estimate?
#
# Where does 0.5 come from? A tempting answer, which can be read in good places: straight-through puts the mean $p$ in
# the place of the draw $y$, so it differentiates $\xi(E[Y]) = \xi(p)$, and gives $\xi'(p) = 2p$. For $y^2$ the numbers
# fit.
#
# Look at the code again, though. Only the *backward* step pretends. The forward step hands the drawn $y$ on, and $\xi$
# is differentiated *there*, at 0 or at 1, never at $p$. On average this gives
#
# $$ E[\xi'(Y)] = (1 - p)\,\xi'(0) + p\,\xi'(1). $$
#
# For $y^2$ the two formulas happen to agree: a slope that is a straight line has its mean at the mean. **Make a
# prediction** for $\xi(y) = y^3$, whose truth is 1 as well: which of the two will the samples choose?


# %%
def cube(y):
    return y**3


def line(y):
    return 3 * y + 1


SLOPES = {square: lambda y: 2 * y, cube: lambda y: 3 * y**2, line: lambda y: 3.0}


def mean_slope(xi, p):
    """E[ξ'(Y)]."""
    return (1 - p) * SLOPES[xi](0) + p * SLOPES[xi](1)


def straight_through_gradients(xi, p, n=M):
    """The gradients of n samples at once: one element of p for each."""
    p = torch.full((n,), p, dtype=torch.float64, requires_grad=True)
    xi(by_detach(p)).sum().backward()
    return p.grad.numpy()


torch.manual_seed(3)
table = lesson.Table(f"Straight-through, {M} samples at once, p = {P}")
grads = straight_through_gradients(square, P)
table.agree("y²: E[ξ'(Y)]", grads, theory=mean_slope(square, P), truth=truth_of(square))
table.agree("y²: ξ'(p)", grads, theory=SLOPES[square](P))
grads = straight_through_gradients(cube, P)
table.agree("y³: E[ξ'(Y)]", grads, theory=mean_slope(cube, P), truth=truth_of(cube))
table.differ("y³: ξ'(p)", grads, theory=SLOPES[cube](P))
table.print()

# %% [markdown]
# The samples choose $E[\xi'(Y)]$; with $y^3$ the other formula is off by hundreds of standard errors. For all $p$ at
# once, it looks like this:

# %%
torch.manual_seed(4)
some = np.linspace(0.05, 0.95, 10)
grid = np.linspace(0, 1, 101)
means, errors = [], []
for q in some:
    grads = straight_through_gradients(cube, q, 1000)
    means.append(grads.mean())
    errors.append(2 * grads.std(ddof=1) / np.sqrt(len(grads)))

figure, axes = plt.subplots()
axes.plot(grid, np.full_like(grid, truth_of(cube)), label="truth, ξ(1) − ξ(0)")
axes.plot(grid, [mean_slope(cube, q) for q in grid], "--", label="E[ξ′(Y)]")
axes.plot(grid, SLOPES[cube](grid), ":", label="ξ′(p)")
axes.errorbar(some, means, errors, fmt="ko", markersize=4, capsize=3, label="straight-through, ± 2 std.err.")
axes.set(xlabel="p", ylabel="d/dp of the mean of y³")
axes.legend()
lesson.show(figure, "Straight-through of y³ follows the straight line E[ξ′(Y)], and meets the truth at a single p")

# %% [markdown]
# Now the bias can be understood as well. The truth $\xi(1) - \xi(0)$ is the integral of $\xi'$ from 0 to 1.
# Straight-through puts in its place a weighted mean of the slopes at the two ends, with weights $1 - p$ and $p$. If
# $\xi$ is a straight line, this is exact. For $p = 1/2$ it is the trapezoid rule, which is exact for parabolas, so with
# $p = 1/2$ and $y^2$ there is no bias; though it would be rash to conclude anything from that.

# %%
torch.manual_seed(5)
table = lesson.Table("Where straight-through has no bias, and where it has one all the same")
for name, xi, q in [
    ("a line, 3y + 1, p = 0.25", line, 0.25),
    ("a parabola, y², p = 0.5", square, 0.5),
    ("a parabola, y², p = 0.9", square, 0.9),
    ("a cubic, y³, p = 0.5", cube, 0.5),
]:
    table.agree(name, straight_through_gradients(xi, q), theory=mean_slope(xi, q), truth=truth_of(xi))
table.print()

# %% [markdown]
# ## 4. Two ways without bias
#
# **Sum over all values.** If they are few, there is no need to draw. The mean is a sum, weighted with probabilities,
# and these can be differentiated:

# %%
p = torch.tensor(P, requires_grad=True)
q = Bernoulli(p)
values = q.enumerate_support()
probabilities = q.log_prob(values).exp()
mean_cost = (probabilities * cube(values)).sum()
mean_cost.backward()
print("values:", values.tolist(), "  E[y³] =", mean_cost.item(), "  d/dp =", p.grad.item())

# %% [markdown]
# Exact, without any noise. But $n$ coins have $2^n$ values together.
#
# **The score function.** It needs no derivative of the cost and no path through the sample (lesson 4), so it does not
# mind the jump. It weighs the gradient of the logarithm of the probability, $\log q(y) = y\log p + (1 - y)\log(1 - p)$,
# by the cost:

# %%
p = torch.tensor(P, requires_grad=True)
q = Bernoulli(p)
torch.manual_seed(2)
y = q.sample()
surrogate = cube(y) * q.log_prob(y)  # its value means nothing; its gradient is the estimate
lesson.show(draw(surrogate, {"p": p, "y": y, "surrogate": surrogate}), "The score function: past the sample, to p")

many = torch.full((M,), P, dtype=torch.float64, requires_grad=True)
y = Bernoulli(many).sample()
(cube(y) * Bernoulli(many).log_prob(y)).sum().backward()
by_score = many.grad.numpy()

truth = truth_of(cube)
variance = 1 / P - 1  # the estimate is y³·(y/p - (1-y)/(1-p)), that is y/p
table = lesson.Table("Score function, cost y³")
table.agree("d/dp", by_score, theory=truth, truth=truth)
table.agree("its variance, one sample", (by_score - truth) ** 2, theory=variance)
table.print()

# %% [markdown]
# No bias. The price is variance: one sample of the score function scatters more than one of straight-through, whose
# variance is $9p(1 - p)$ here. Which error is the worse one? It depends on how many samples you can afford, since
# averaging shrinks the variance and leaves the bias: the mean squared error of an average of $n$ is
# $\text{bias}^2 + \text{variance}/n$.

# %%
bias = mean_slope(cube, P) - truth
variance_through = 9 * P * (1 - P)  # its samples are 3y²
n = np.arange(1, 201)
figure, axes = plt.subplots()
axes.semilogx(n, np.sqrt(bias**2 + variance_through / n), label="straight-through")
axes.semilogx(n, np.sqrt(variance / n), "--", label="score function")
axes.axhline(abs(bias), color="grey", linewidth=1)
axes.text(1, abs(bias), "the bias", va="bottom")
axes.set(xlabel="samples in the average", ylabel="root mean squared error", ylim=(0, None))
axes.legend()
lesson.show(figure, "The error of straight-through levels off at its bias; that of the score function goes on falling")
equal = (variance - variance_through) / bias**2
print(f"with more than {equal:.0f} samples, the unbiased estimator is the better one here")

# %% [markdown]
# So a biased estimator is not a foolish one. With one sample a step, as networks are often trained, straight-through
# can be the better choice. One should only know what it aims at.
#
# ## What to take along
#
# - One draw of a coin has a derivative of 0, and rightly so. The average moves through jumps, which no chain rule sees.
# - Straight-through computes $E[\xi'(Y)]$: the slope of the cost at what was drawn. It is not the truth
#   $\xi(1) - \xi(0)$. Nor is it $\xi'(p)$, although a cost of $y^2$ cannot tell those two apart.
# - It is exact where the cost is a straight line.
# - All its spellings are the same estimator. In the picture it is a **surrogate edge**, or a missing edge with a way
#   around.
# - Sum over the values if they are few. Else the score function is unbiased, and noisier.
#
# ## Try it
#
# Find a cost for which straight-through gets the *sign* wrong at $p = 1/4$: following it, one would go uphill. (Its
# slopes at 0 and at 1 must tell another story than its values there.)


# %%
@lesson.exercise
def wrong_sign(xi):
    truth = float(xi(torch.tensor(1.0)) - xi(torch.tensor(0.0)))
    q = torch.tensor([P]).expand(10_000).clone().requires_grad_()
    torch.manual_seed(13)
    xi(by_detach(q)).sum().backward()
    estimate = q.grad.mean().item()
    assert abs(truth) > 0.1, f"the truth ξ(1) - ξ(0) should not be 0, and is {truth:g}"
    assert truth * estimate < 0, f"the truth is {truth:g} and straight-through estimates {estimate:g}: the same sign"
    print(f"truth {truth:g}, straight-through {estimate:g}")


wrong_sign(...)  # your function of y here

# %% [markdown]
# A solution, if you want to compare: a curve that rises from 0 to 1, but falls at both ends.

# %% tags=["hide-cell"]
wrong_sign.solution(lambda y: 2 * (3 * y**2 - 2 * y**3) - y)

# %% [markdown]
# Another thing to do: write `p - (p - y).detach()`, and `y.detach() + p - p.detach()`. Are the gradients the same?
# Compare their graphs.
#
# ## What to read next
#
# - The next lesson, `10_gumbel.py`: replace the jump by a steep slope, and see what that costs.
# - Lesson 13, `13_write_your_own_function.py`: more about a forward and a backward of your own.
# - Bengio, Léonard and Courville, *Estimating or Propagating Gradients Through Stochastic Neurons for Conditional
#   Computation* (2013): straight-through and its rivals.
# - Williams, *Simple Statistical Gradient-Following Algorithms for Connectionist Reinforcement Learning* (1992): the
#   score function, under the name REINFORCE.
