# %% [markdown]
# # How do you know that a gradient is right?
#
# A wrong gradient raises no error. The loss may even fall, only more slowly, or to another place. So a gradient has to be
# checked, against something that was computed in another way. There are two such checks, for two kinds of mistake:
#
# - Is it the *derivative of what was computed*? Move the argument a little and look at the value: `gradcheck`.
# - Does it, *on average*, point where the average cost does? Draw often, and compare with a known value in units of the
#   standard error: a z-test.
#
# Each is blind where the other sees. This lesson shows how far to trust either.

# %%
import math
import warnings

import lesson
import matplotlib.pyplot as plt
import numpy as np

import tinygrad_rp as torch
from tinygrad_rp.autograd import Function, GradcheckError, gradcheck, gradgradcheck
from tinygrad_rp.distributions import Gamma, Normal, StudentT
from tinygrad_rp.estimators import LeaveOneOut, ScoreFunction
from visualize import draw


def numbers(*values):
    """A tensor in float64 that requires grad."""
    return torch.tensor(values, dtype=torch.float64, requires_grad=True)


one = torch.tensor(1.0, dtype=torch.float64)


# %% [markdown]
# ## 1. How small a step?
#
# A derivative is the limit of $\big(f(x+h) - f(x)\big)/h$ for $h \to 0$. A computer cannot go to the limit. **Make a
# prediction**: in 64-bit numbers, which $h$ gives the best result? $10^{-4}$, $10^{-8}$, $10^{-12}$, or the smaller the better?
#
# There are two errors, and they pull in opposite directions. *Truncation*: the curve is not a straight line. By Taylor's
# theorem the quotient from one side is off by $\tfrac h2 f''$. The *central* one, from both sides, is better, since what is
# even in $h$ cancels:
#
# $$\frac{f(x+h) - f(x-h)}{2h} = f'(x) + \frac{h^2}{6} f'''(x) + \dots$$
#
# *Rounding*: each value of $f$ is known to a relative precision of about $u = 2^{-53}$ only, in 32 bits $u = 2^{-24}$. The
# difference of two nearly equal values keeps the error and loses the digits; after dividing by $2h$ the error is
# about $u\,|f|/h$. The smaller the step, the larger it is. The sum of both,
#
# $$\frac{h^2}{6}\,|f'''| + \frac{u\,|f|}{h}, \qquad\text{is least at}\qquad h^* = \Big(\frac{3\,u\,|f|}{|f'''|}\Big)^{1/3}.$$
#
# For $f = \exp$, where $f$ and all its derivatives are the same, $h^* = \sqrt[3]{3u}$.

# %%
steps = 10.0 ** np.arange(-15, 0.1, 0.25)
places = np.random.default_rng(0).uniform(0.5, 1.5, 500)


def error_of_quotient(h, dtype, central):
    """Typical relative error of the difference quotient of exp, over many places."""
    x = torch.tensor(places, dtype=dtype)
    if central:
        quotient = (torch.exp(x + h) - torch.exp(x - h)) / (2 * h)
    else:
        quotient = (torch.exp(x + h) - torch.exp(x)) / h
    slope = np.exp(x.numpy().astype(np.float64))
    return float(np.median(np.abs(quotient.numpy() / slope - 1)))


measured = {
    "one side, float64": [error_of_quotient(h, torch.float64, False) for h in steps],
    "central, float64": [error_of_quotient(h, torch.float64, True) for h in steps],
    "central, float32": [error_of_quotient(h, torch.float32, True) for h in steps],
}
theory = {
    "one side, float64": (2 * math.sqrt(2.0**-53), steps / 2 + 2 * 2.0**-53 / steps),
    "central, float64": ((3 * 2.0**-53) ** (1 / 3), steps**2 / 6 + 2.0**-53 / steps),
    "central, float32": ((3 * 2.0**-24) ** (1 / 3), steps**2 / 6 + 2.0**-24 / steps),
}
for name, errors in measured.items():
    best = steps[int(np.argmin(errors))]
    print(f"{name:18}  best step: theory {theory[name][0]:.1e}, found {best:.1e}, error there {min(errors):.1e}")
    assert 0.1 < best / theory[name][0] < 10

at = int(np.argmin(abs(steps - 1e-6)))
print(
    "error at the step 1e-6:", ", ".join(f"{measured[f'central, {t}'][at]:.0e} in {t}" for t in ("float64", "float32"))
)

# %%
figure, axes = plt.subplots()
for number, (name, errors) in enumerate(measured.items()):
    axes.loglog(steps, errors, ["^", "o", "s"][number], markersize=4, color=f"C{number}", label=name)
    axes.loglog(steps, theory[name][1], "-", linewidth=1, color=f"C{number}")
axes.axvline(1e-6, color="gray", linestyle=":", linewidth=1)
axes.text(1.3e-6, 2e-12, "gradcheck", color="gray", fontsize=9)
axes.set(xlabel="step h", ylabel="relative error", ylim=(1e-12, 10))
axes.legend(fontsize=9, loc="lower left")
lesson.show(
    figure,
    "Error of difference quotients over the step. To the right of each minimum truncation, with the slope 1 or 2; "
    "to the left rounding, with the slope -1. Marks: found; lines: theory. At the step of gradcheck, rounding has the upper "
    "hand in both, and float32 is of no use.",
)

# %% [markdown]
# So "the smaller the better" is wrong, and `gradcheck` takes central quotients with the step $10^{-6}$, near the optimum of
# about $u^{1/3}$ for numbers of ordinary size. In 32 bits the same step is lost in rounding, and even the best one leaves
# few digits. This is why `gradcheck` wants float64:

# %%
try:
    gradcheck(torch.exp, torch.tensor([1.0], requires_grad=True))
except ValueError as error:
    lesson.say(error)


# %% [markdown]
# ## 2. gradcheck at work
#
# `gradcheck(function, inputs)` compares, for each element of each input, what `backward` says with the quotient. Here is
# a Function whose derivative was tampered with, by a factor. (How a Function is written: `13_write_your_own_function.py`.)


# %%
def tampered(factor):
    """Sine, with a derivative that is off by a factor."""

    class Sine(Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return torch.sin(x)

        @staticmethod
        def backward(ctx, g):
            (x,) = ctx.saved_tensors
            return g * factor * torch.cos(x)

    return Sine.apply


x = numbers(0.3, 1.0)
for factor in (1.0, 1.01, 1.0005):
    default = gradcheck(tampered(factor), x, raise_exception=False)
    strict = gradcheck(tampered(factor), x, rtol=1e-6, atol=1e-8, raise_exception=False)
    print(f"factor {factor:<7}  by default: {default!s:6} with rtol 1e-6: {strict}")
try:
    gradcheck(tampered(1.01), x)
except GradcheckError as error:
    lesson.say(error)

# %% [markdown]
# An error of one in two thousand passes by default: `rtol` is $10^{-3}$. Formulas that are wrong are seldom wrong by so
# little, but a missing small term can be. The plot above says how far one may go: in float64 the quotient itself is much
# better than that, so that stricter tolerances can be asked for.
#
# `gradgradcheck` does the same with the gradient in the place of the function, and so checks second derivatives. Here it
# notices a slope that was treated as a constant:


# %%
class DetachedSlope(Function):
    @staticmethod
    def forward(ctx, x):
        ctx.slope = 3 * x**2  # computed in forward, and so without a history
        return x**3

    @staticmethod
    def backward(ctx, g):
        return g * ctx.slope


print("gradcheck:    ", gradcheck(DetachedSlope.apply, x, raise_exception=False))
print("gradgradcheck:", gradgradcheck(DetachedSlope.apply, x, raise_exception=False))

# %% [markdown]
# ## 3. What gradcheck does not see
#
# ### Where nobody looked
#
# It looks at the points that you give it. This one is right for positive numbers:


# %%
class Root(Function):
    """The square root of |x|."""

    @staticmethod
    def forward(ctx, x):
        root = torch.sqrt(torch.abs(x))
        ctx.save_for_backward(root)
        return root

    @staticmethod
    def backward(ctx, g):
        (root,) = ctx.saved_tensors
        return g / (2 * root)  # the sign of x is missing


print("positive points:        ", gradcheck(Root.apply, numbers(0.5, 2.0), raise_exception=False))
print("points of both signs:   ", gradcheck(Root.apply, numbers(0.5, -2.0), raise_exception=False))

# %% [markdown]
# Give it both signs, large and small, equal elements, shapes that broadcast, and the ends of what is allowed.
#
# ### Kinks
#
# **Make a prediction**: what does the central quotient of $\max(x, 0)$ say at 0? And that of $|x|$?

# %%
for name, function in [("max(x, 0)", lambda x: torch.clamp(x, min=0)), ("|x|", torch.abs)]:
    for place in (0.0, 4e-7, 1e-3):
        try:
            said = f"agrees: {gradcheck(function, numbers(place))}"
        except GradcheckError as error:
            said = str(error).split(" is ")[1].split("(step")[0]
        print(f"{name:9} at {place:<6g} {said}")

# %% [markdown]
# At a kink there is no derivative, only a convention, and the quotient mixes both sides. Within $10^{-6}$ of the kink,
# that is within the step, `gradcheck` objects though `backward` is right. At 0 itself, $|x|$ passes by symmetry. A failure
# so near a kink says nothing: move the points away.
#
# ### Chance
#
# A random function gives another value each time, and `gradcheck` refuses it. So one fixes the seed inside. Then the
# function is deterministic, and the check runs. But what does it check? Four estimators, all at a fixed seed:


# %%
def at_a_fixed_seed(function):
    def fixed(*arguments):
        torch.manual_seed(0)
        return function(*arguments)

    return fixed


class StraightThrough(Function):
    @staticmethod
    def forward(ctx, p):
        return torch.bernoulli(p)

    @staticmethod
    def backward(ctx, g):
        return g


try:
    gradcheck(lambda mu: torch.normal(mu, 1.0), numbers(0.4))
except GradcheckError as error:
    lesson.say(f"without a seed: {error}")

candidates = [
    ("normal, rsample()", lambda mu: Normal(mu, one).rsample(), 0.4, "right"),
    ("bernoulli()", torch.bernoulli, 0.4, "wrong: the truth is 1, backward() gives 0"),
    ("bernoulli, straight-through", StraightThrough.apply, 0.4, "right, since the cost is linear"),
    ("gamma, rsample()", lambda a: Gamma(a, one).rsample(), 2.3, "right"),
]
print(f"{'as cost, the sample itself':30} gradcheck   as an estimate of d/dθ E[sample]")
with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # the engine warns of bernoulli's zeros; here the question is what gradcheck says
    for name, sample, theta, verdict in candidates:
        accepted = gradcheck(at_a_fixed_seed(sample), numbers(theta), raise_exception=False)
        print(f"{name:30} {'accepts' if accepted else 'refuses':11} {verdict}")

# %% [markdown]
# All four combinations! For a fixed seed the coin is a step: it is flat, with quotient 0, `backward` says 0 too, and
# `gradcheck` is content. Yet the *average* rises with $p$, by 1, because the place of the step moves. The other way round,
# straight-through and the gamma sample are refused, because they do not claim to be the derivative of the sampler's code.
# (A gamma number is made by trying candidates until one is accepted. The gradient follows the quantile instead; see
# `15_implicit_reparameterisation.py`.)
#
# What `gradcheck` accepted, the picture shows to be broken:

# %%
torch.manual_seed(0)
p = numbers(0.4)
y = torch.bernoulli(p)
lesson.show(draw(y, {"p": p, "y": y}), "a zero edge: gradcheck finds zeros on both sides of the comparison")

# %% [markdown]
# So for a random function, `gradcheck` answers another question than the one we have. Ours is about an average.
#
# ## 4. The z-test
#
# Let $g_1, \dots, g_n$ be independent estimates of a gradient whose true value $G$ we know. The mean $\bar g$ misses $G$ even if
# all is right. By how much it does so typically is the standard error, and it can be estimated from the same samples:
#
# $$z = \frac{\bar g - G}{\mathrm{se}}, \qquad \mathrm{se} = \frac{s}{\sqrt n}, \qquad
# s^2 = \frac{1}{n-1}\sum_i (g_i - \bar g)^2.$$
#
# If the estimator is right, $z$ is nearly a standard normal number, and $|z| > 2$ is rare. But how rare? Take one that is
# right, the pathwise estimator of the Gaussian: $x = \mu + \sigma\varepsilon$, cost $x^2$, gradient $2\mu$. Test it with 100
# samples. Then do the whole test again, a thousand times and more. **Make a prediction**: how many of a thousand tests will
# say $|z| > 2$?

# %%
MU, SIGMA = 12.0, 42.0
RUNS, N = 20_000, 100


def z_of(gradients, truth):
    """One z for each row of gradients."""
    n = gradients.shape[1]
    return (gradients.mean(1) - truth) / (gradients.std(1, ddof=1) / math.sqrt(n))


def pathwise(runs, n):
    """The gradients of runs · n samples of the Gaussian, d/dmu of E[x²]."""
    mu = torch.full((runs, n), MU, dtype=torch.float64, requires_grad=True)
    ((mu + SIGMA * torch.randn_like(mu)) ** 2).sum().backward()
    return mu.grad.numpy()


def false_alarms(limit, n):
    """P(|z| > limit) for n normal samples: that of Student's t with n - 1 degrees of freedom."""
    return (
        2 * StudentT(torch.tensor(n - 1.0, dtype=torch.float64)).cdf(torch.tensor(-limit, dtype=torch.float64)).item()
    )


torch.manual_seed(1)
z = z_of(pathwise(RUNS, N), 2 * MU)
print(f"of the first 1000 tests of a right estimator, {int((abs(z[:1000]) > 2).sum())} have |z| > 2")

table = lesson.Table(f"False alarms, {RUNS} tests of {N} samples")
table.agree("share with |z| > 2", abs(z) > 2, theory=false_alarms(2.0, N))
table.agree("share with |z| > 3", abs(z) > 3, theory=false_alarms(3.0, N))
table.print()
print(f"largest |z| of all: {abs(z).max():.2f};  P(|z| > 5) for many samples: {math.erfc(5 / math.sqrt(2)):.1e}")

# %%
figure, axes = plt.subplots()
edges = np.arange(-5, 5.01, 0.25)
axes.hist(z, edges, density=True, color="C0", alpha=0.5, label=f"{RUNS} tests of a right estimator")
axes.plot(edges, np.exp(-(edges**2) / 2) / math.sqrt(2 * math.pi), color="C1", label="standard normal density")
for limit in (-2, 2):
    axes.axvline(limit, color="gray", linestyle=":")
axes.set(xlabel="z", ylabel="density")
axes.legend(fontsize=9, loc="upper right")
outside = 100 * np.mean(abs(z) > 2)
lesson.show(
    figure, f"z of a right estimator is spread like a standard normal number; {outside:.1f} % lie outside of ±2."
)

# %% [markdown]
# About fifty false alarms in a thousand, with nothing wrong at all. A test is a smoke detector: a low limit rings for toast.
#
# ### With few samples
#
# The standard error is itself an estimate, and with five samples a poor one. Then $z$ is spread more widely (as Student's $t$):

# %%
torch.manual_seed(2)
few = z_of(pathwise(RUNS, 5), 2 * MU)
table = lesson.Table(f"False alarms, {RUNS} tests of 5 samples")
table.agree("share with |z| > 2", abs(few) > 2, theory=false_alarms(2.0, 5))
table.agree("share with |z| > 5", abs(few) > 5, theory=false_alarms(5.0, 5))
table.print()

# %% [markdown]
# Use some hundreds of samples at least, and more if single samples can be very large, as with a heavy tail
# (`05_rare_samples.py`).
#
# ### Many comparisons
#
# These lessons have tables of some lines, together perhaps forty. If all forty are right, what is the probability that
# at least one has $|z| > 2$? For independent lines it is $1 - (1 - p)^{40}$, with $p$ from above:

# %%
LINES = 40
groups = abs(z).reshape(-1, LINES).max(1)
table = lesson.Table(f"At least one alarm among {LINES} right lines, {len(groups)} tries")
for limit in (2.0, 3.0):
    table.agree(f"some |z| > {limit:g}", groups > limit, theory=1 - (1 - false_alarms(limit, N)) ** LINES)
table.print()
one_line = math.erfc(lesson.LIMIT / math.sqrt(2))
print(f"limit {lesson.LIMIT:g}, as in the tables here: {1 - (1 - one_line) ** LINES:.1e}")
limit = Normal(0.0 * one, one).icdf(one - 0.05 / (2 * LINES)).item()
print(f"limit for one alarm in twenty tries of {LINES} lines: {limit:.2f}")

# %% [markdown]
# So a $z$ of 2.3 somewhere in forty lines is what chance does, and no reason to look for a bug. Nor is it honest to try
# other seeds until it is gone. Fix the seed beforehand, and put the limit where even many lines seldom come to. The tables
# here take 5. What does such a high limit cost?
#
# ## 5. Power: would it have noticed?
#
# A test that never fails is of no use. The *power* is the probability that it notices a wrong estimator. With bias $b$ and
# the standard deviation $s$ of one sample, $z$ is about normal around $b\sqrt n/s$, and
#
# $$P(|z| > c) = \Phi\!\Big(\frac{b\sqrt n}{s} - c\Big) + \Phi\!\Big(-\frac{b\sqrt n}{s} - c\Big).$$
#
# To be noticed in 19 cases of 20, the bias must be $c + 1.64$ standard errors, so $n = \big((c + 1.64)\,s/b\big)^2$. **Make a
# prediction**: for the Gaussian above, $s = 2\sigma = 84$ and $G = 24$. How many samples does it take to see an error of 5 %?


# %%
def Phi(a):
    return (1 + math.erf(a / math.sqrt(2))) / 2


def power(bias, n, limit):
    shift = bias * math.sqrt(n) / (2 * SIGMA)
    return Phi(shift - limit) + Phi(-shift - limit)


for percent in (1, 5, 20, 100):
    bias = percent / 100 * 2 * MU
    needed = {limit: ((limit + 1.645) * 2 * SIGMA / bias) ** 2 for limit in (2, 5)}
    print(f"an error of {percent:3} %: {needed[2]:9,.0f} samples for limit 2, {needed[5]:10,.0f} for limit 5")

# %% [markdown]
# Now try it: the pathwise estimator with a planted error of 20 %, a factor 1.2, as if somebody had confused two constants.

# %%
torch.manual_seed(3)
BIAS, TESTS = 0.2 * 2 * MU, 500
counts = np.array([100, 300, 1000, 3000])
noticed = {}
table = lesson.Table(f"How often an error of 20 % is noticed, limit 2, {TESTS} tests each")
for n in counts:
    wrong = pathwise(TESTS, n) + BIAS
    noticed[n] = abs(z_of(wrong, 2 * MU)) > 2
    table.agree(f"{n} samples", noticed[n], theory=power(BIAS, n, 2))
table.print()

# %%
figure, axes = plt.subplots()
sizes = np.logspace(1, 6, 200)
for number, percent in enumerate((20, 5, 1)):
    bias = percent / 100 * 2 * MU
    axes.semilogx(sizes, [power(bias, n, 2) for n in sizes], color=f"C{number}", label=f"error {percent} %, limit 2")
    axes.semilogx(sizes, [power(bias, n, 5) for n in sizes], "--", color=f"C{number}", linewidth=1)
axes.plot(counts, [noticed[n].mean() for n in counts], "o", color="C0")
axes.set(xlabel="samples", ylabel="probability to be noticed")
axes.legend(fontsize=9, loc="upper left")
lesson.show(
    figure, "Power over the number of samples. Lines: theory, dashed with limit 5; dots: tests of an error of 20 %."
)

# %% [markdown]
# A small $z$ from few samples acquits nobody: it says that the bias is no more than a few standard errors. Report the
# standard error, and you have said what could have been seen. A limit of 5 in the place of 2 costs about three times as
# many samples. With arrays, samples are cheap; false alarms are not.
#
# ## 6. Find the bug
#
# Four versions of the score function, each written by hand, for $x \sim N(\theta, 1)$ and the cost $x^2$, with $n$ samples an
# estimate. The truth is $2\theta$. They differ in the *baseline*, which is subtracted from the cost to make it less noisy.
# All look reasonable. **Which are right?**


# %%
def surrogate(theta, x, baseline):
    """What is differentiated: weights that are only numbers, and the logarithm of the density."""
    costs = (x**2).detach()
    return ((costs - baseline(costs)) * Normal(theta, one).log_prob(x)).mean(0)


baselines = {
    "A: none": lambda costs: 0.0,
    "B: the mean cost": lambda costs: costs.mean(0),
    "C: the mean of the other costs": lambda costs: (costs.sum(0) - costs) / (costs.shape[0] - 1),
    "D: half of the cost itself": lambda costs: costs / 2,
}

fixed = torch.tensor([0.3, 2.0, 1.1, 3.2], dtype=torch.float64)
for name, baseline in baselines.items():
    accepted = gradcheck(lambda theta, b=baseline: surrogate(theta, fixed, b), numbers(2.0), raise_exception=False)
    print(f"{name:32} gradcheck, samples held fixed: {accepted}")

# %% [markdown]
# `gradcheck` has nothing against any of them. Of course not: each `backward` is the derivative of its surrogate. The question
# is whether this is an estimate of what we want, and for that we need the z-test, against the truth:

# %%
THETA, ESTIMATES = 2.0, 50_000


def estimates(baseline, n):
    """Gradients of many estimates of n samples each."""
    theta = torch.full((ESTIMATES,), THETA, dtype=torch.float64, requires_grad=True)
    x = Normal(theta, one).sample((n,))
    surrogate(theta, x, baseline).sum().backward()
    return theta.grad.numpy()


torch.manual_seed(4)
found = {name: estimates(baseline, 8) for name, baseline in baselines.items()}
for name, gradients in found.items():
    z = z_of(gradients[None], 2 * THETA)[0]
    print(f"{name:32} z = {z:8.1f}   {'alarm' if abs(z) > lesson.LIMIT else ''}")

# %% [markdown]
# B and D are wrong, and not by chance. Why? A baseline $b$ does no harm if it knows nothing of the sample that it is used
# for. Then $\mathbb{E}[b \cdot \partial_\theta \log q(x_i)] = \mathbb{E}[b] \cdot 0$. The mean of *all* costs contains the own
# cost, as one part of $n$:
#
# $$\mathbb{E}\big[\bar c\;\partial_\theta \log q(x_i)\big]
# = \frac1n\,\mathbb{E}\big[c_i\,\partial_\theta\log q(x_i)\big] = \frac1n \cdot 2\theta.$$
#
# So B estimates $(1 - \tfrac1n)\,2\theta$, and D half of the truth. This is a claim about numbers, so it is tested as well:

# %%
table = lesson.Table(f"Four baselines, d/dθ of E[x²] at θ = {THETA:g}, {ESTIMATES} estimates of 8 samples")
expected = dict(zip(baselines, (1, 1 - 1 / 8, 1, 1 / 2), strict=True))
for name, gradients in found.items():
    table.agree(name, gradients, theory=expected[name] * 2 * THETA, truth=2 * THETA)
table.print()

# %% [markdown]
# The bug of B hides in large batches: with $n = 100$ it is 1 %, and you know from section 5 what it takes to see that. With
# $n = 2$ it is one half. **Test an estimator where its mistakes are large**: at the smallest $n$ that it takes.

# %%
torch.manual_seed(5)
table = lesson.Table("B, the mean cost as a baseline")
for n in (2, 4, 16):
    table.agree(
        f"n = {n}", estimates(baselines["B: the mean cost"], n), theory=(1 - 1 / n) * 2 * THETA, truth=2 * THETA
    )
table.print()

# %% [markdown]
# The engine's own estimator, at $n = 2$, for comparison. It takes C, the *leave-one-out* baseline:

# %%
torch.manual_seed(6)
theta = torch.full((ESTIMATES,), THETA, dtype=torch.float64, requires_grad=True)
ScoreFunction(LeaveOneOut())(lambda x: x**2, Normal(theta, one), 2).sum().backward()
table = lesson.Table("ScoreFunction(LeaveOneOut()), n = 2")
table.agree("d/dθ", theta.grad, theory=2 * THETA, truth=2 * THETA)
table.print()

# %% [markdown]
# And if nobody knows the truth? Then choose a cost for which somebody does: the code of an estimator is the same for $x^2$
# and for a network. Or compare two estimators that have nothing in common, such as pathwise and score function.
#
# ## What to take along
#
# - Difference quotients have a best step, near $u^{1/3}$; and float32 has no good one.
# - `gradcheck` asks whether `backward` is the derivative of the code. Use it for every Function, away from kinks, at many
#   kinds of points.
# - For anything random it is the wrong question: it accepts a coin without a gradient, and refuses right estimators.
# - A z-test asks the right one. Hundreds of samples or more, a seed fixed beforehand, a limit that suits the number of lines.
# - A test has a power. Say what it could have seen, and test where mistakes are large.
#
# ## Try it
#
# Write a baseline, `answer(costs)`, for costs of shape `(n, estimates)`. The estimate must stay right at $n = 4$, and its
# variance must be less than without a baseline.


# %%
@lesson.exercise
def good_baseline(answer):
    torch.manual_seed(7)
    plain = estimates(lambda costs: 0.0, 4)
    better = estimates(answer, 4)
    z = z_of(better[None], 2 * THETA)[0]
    assert abs(z) < 5, (
        f"the mean is {better.mean():.3f}, the truth {2 * THETA:g}, and z = {z:.1f}: does it know its own sample?"
    )
    ratio = better.var() / plain.var()
    assert ratio < 0.9, f"unbiased, but its variance is {ratio:.2f} of that without a baseline"


good_baseline(...)  # put your function here


# %% tags=["hide-cell"]
def leave_one_out(costs):
    return (costs.sum(0) - costs) / (costs.shape[0] - 1)


good_baseline.solution(leave_one_out)

# %% [markdown]
# ## What to read next
#
# - The next lesson, `15_implicit_reparameterisation.py`: a gradient that `gradcheck` refuses, and that is right.
# - `04_score_function_or_pathwise.py`: baselines, and how much they help.
# - Nocedal and Wright, *Numerical Optimization* (2006), section 8.1: finite differences.
# - Kool, van Hoof and Welling, *Buy 4 REINFORCE samples, get a baseline for free!* (2019): leave-one-out.
# - Mohamed, Rosca, Figurnov and Mnih, *Monte Carlo gradient estimation in machine learning* (2020): all of these estimators.
