# %% [markdown]
# # How do you teach the engine a derivative of your own?
#
# The engine has a rule for each of its operations: how the value is computed, and what to make of a gradient that
# comes back. Sometimes that is not enough. A formula overflows, though its value is harmless. A step of the
# computation has no useful derivative, and you want to put something in its place. Or a gradient is to be changed on
# its way. Then you write both halves yourself: a class with a `forward` and a `backward`, a *Function*.
#
# The engine believes what a Function says. So with each one that we write here comes the question of how we would
# notice that it is wrong.

# %%
import math

import lesson
import matplotlib.pyplot as plt
import numpy as np

import tinygrad_rp as torch
from tinygrad_rp.autograd import Function, GradcheckError, grad, gradcheck, gradgradcheck
from visualize import draw, explain


def numbers(*values):
    """A tensor in float64 that requires grad: checks need all the digits."""
    return torch.tensor(values, dtype=torch.float64, requires_grad=True)


# %% [markdown]
# ## 1. Two halves of one operation
#
# Let the operation be $y = x^3$. Its derivative is $3x^2$, and by the chain rule a gradient $g = \partial L/\partial y$
# that arrives from above becomes
#
# $$\frac{\partial L}{\partial x} = g \cdot 3x^2.$$
#
# `backward` is given $g$, and returns this product, not the derivative alone. It needs $x$, so `forward` puts it aside.
# What the two share is the `ctx`, the context.


# %%
class Cube(Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x**3

    @staticmethod
    def backward(ctx, g):
        (x,) = ctx.saved_tensors
        return g * 3 * x**2


x = numbers(2.0)
y = Cube.apply(x)
loss = 10 * y
loss.backward()
print(f"y = {y.item():g}, dL/dx = {x.grad.item():g} = 10 · 3 · 2²")
lesson.show(draw(loss, {"x": x, "y": y, "loss": loss}), "one node for the whole Function")

# %% [markdown]
# What happens inside `forward` is not recorded: the power in there has left no node, and `Cube` is a single one.
#
# **Make a prediction.** What happens if `backward` is wrong, say with `2 * x**2` in the place of `3 * x**2`?


# %%
class WrongCube(Cube):
    @staticmethod
    def backward(ctx, g):
        (x,) = ctx.saved_tensors
        return g * 2 * x**2


x = numbers(2.0)
(10 * WrongCube.apply(x)).backward()
print(f"dL/dx = {x.grad.item():g}, and no error")

# %% [markdown]
# A wrong number, without a word. But the value of `forward` can be trusted, since it is what it is. So move $x$ a little,
# look how the value moves, and compare: that is what `gradcheck` does, for each element of each argument.
# (How it works, and what it does not see, is the subject of the next lesson, `14_check_your_gradients.py`.)

# %%
print("Cube:", gradcheck(Cube.apply, numbers(2.0, -0.7)))
try:
    gradcheck(WrongCube.apply, numbers(2.0, -0.7))
except GradcheckError as error:
    lesson.say(f"WrongCube: {error}")

# %% [markdown]
# ## 2. A formula that overflows
#
# The function $\log(1 + e^x)$ is about $0$ on the left and about $x$ on the right. It is nowhere large, but $e^x$ is.
#
# **Make a prediction**: written as it stands, what are its value and its gradient at $x = -40$, at $0$ and at $1000$?


# %%
def naive(x):
    return torch.log(1 + torch.exp(x))


PLACES = (-40.0, 0.0, 30.0, 1000.0)
x = numbers(*PLACES)
y = naive(x)
y.sum().backward()
for place, value, slope in zip(PLACES, y.tolist(), x.grad.tolist(), strict=True):
    print(f"x = {place:5g}   value {value:<22.12g} gradient {slope:.12g}")

# %% [markdown]
# On the right, $e^{1000}$ is infinite in floating point. The backward rule of the logarithm divides by it, that of the
# exponential multiplies by it, and $\infty/\infty$ is NaN. On the left, $1 + e^{-40}$ is rounded to 1, and the value is 0
# where it should be $e^{-40}$. Both halves can be repaired on paper:
#
# $$\log(1+e^x) = \max(x, 0) + \log\!\big(1 + e^{-|x|}\big), \qquad
# \frac{d}{dx}\log(1+e^x) = \frac{e^x}{1+e^x} = \operatorname{sigmoid}(x).$$
#
# Now the exponent is never positive, and `log1p(a)` is $\log(1+a)$ with all its digits, however small $a$ is. The
# derivative is not to be computed by way of $\max$ and $|x|$, which have kinks at 0 that the whole has not. We know better,
# and say so:


# %%
class Log1pExp(Function):
    """log(1 + exp(x)), for any x."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return torch.clamp(x, min=0) + torch.log1p(torch.exp(-torch.abs(x)))

    @staticmethod
    def backward(ctx, g):
        (x,) = ctx.saved_tensors
        return g * torch.sigmoid(x)


x = numbers(*PLACES)
y = Log1pExp.apply(x)
y.sum().backward()
for place, value, slope in zip(PLACES, y.tolist(), x.grad.tolist(), strict=True):
    print(f"x = {place:5g}   value {value:<22.12g} gradient {slope:.12g}")
print("gradcheck:", gradcheck(Log1pExp.apply, numbers(*PLACES, -3.0, 0.5)))

# %% [markdown]
# `gradcheck` allows an absolute error of $10^{-5}$, so at $x=-40$, where the derivative is far below that, it would have
# accepted 0 as well. Where relative precision matters, compare with a formula:

# %%
exact = math.exp(-40) / (1 + math.exp(-40))
print(f"relative error of the gradient at -40: {abs(x.grad[0].item() / exact - 1):.1e}")
assert abs(x.grad[0].item() / exact - 1) < 1e-14

# %% [markdown]
# How far does either formula carry in 32 bits, in which networks are trained? Against values in 64 bits:

# %%
grid = np.linspace(-60, 140, 801)
exact = np.logaddexp(0, grid)
figure, axes = plt.subplots()
for name, function, style in [("log(1 + exp(x))", naive, "-"), ("Log1pExp", Log1pExp.apply, "--")]:
    value = function(torch.tensor(grid, dtype=torch.float32)).numpy().astype(np.float64)
    error = np.abs(value - exact) / exact
    error[~np.isfinite(error)] = 1e3  # an infinite value, drawn at the upper edge
    axes.semilogy(grid, np.maximum(error, 1e-9), style, label=name)
axes.set(xlabel="x", ylabel="relative error", ylim=(3e-10, 1e3))
axes.legend()
lost, overflow = math.log(2.0**-24), math.log(np.finfo(np.float32).max)
lesson.show(
    figure,
    f"Relative error in float32. The naive value has no digit left of {lost:.1f}, and is infinite right of {overflow:.1f}; "
    "the other one has about seven digits everywhere.",
)

# %% [markdown]
# (The engine has this function: `nn.functional.softplus`. Look for an operation before you write one.)
#
# ## 3. Several arguments, and work that nobody asked for
#
# `backward` returns one gradient for each argument of `forward`, in the same order. An argument that is no tensor, a
# number or a name, gets `None`. And a tensor may be one whose gradient nobody wants: frozen weights, or the data.
# `ctx.needs_input_grad` tells which ones are wanted, so that the work for the others can be left undone.


# %%
class ScaledProduct(Function):
    """factor · matrix · x."""

    @staticmethod
    def forward(ctx, matrix, x, factor):
        ctx.save_for_backward(matrix, x)
        ctx.factor = factor  # what is no tensor can be an attribute
        return factor * (matrix @ x)

    @staticmethod
    def backward(ctx, g):
        matrix, x = ctx.saved_tensors
        print("wanted:", ctx.needs_input_grad)
        for_matrix = ctx.factor * torch.outer(g, x) if ctx.needs_input_grad[0] else None
        for_x = ctx.factor * (matrix.T @ g) if ctx.needs_input_grad[1] else None
        return for_matrix, for_x, None


matrix = torch.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]], dtype=torch.float64)
x = numbers(1.0, -1.0)
ScaledProduct.apply(matrix, x, 0.5).sum().backward()
print("x.grad:", x.grad)

# %% [markdown]
# The same with a matrix that is learned. `gradcheck` calls `backward` once for each element of the result, which is why
# the line comes several times:

# %%
print("gradcheck:", gradcheck(lambda m, x: ScaledProduct.apply(m, x, 0.5), [matrix.requires_grad_(), x]))

# %% [markdown]
# ## 4. Several results, one of them without a gradient
#
# A point $(x, y)$ in polar coordinates has a radius $r$ and an angle $\varphi$. One Function returns both, and its
# `backward` is given two gradients and adds up what they bring:
#
# $$\frac{\partial L}{\partial x} = g_r\,\frac{x}{r} - g_\varphi\,\frac{y}{r^2}, \qquad
# \frac{\partial L}{\partial y} = g_r\,\frac{y}{r} + g_\varphi\,\frac{x}{r^2}.$$
#
# As a third result let it tell the quadrant, 1 to 4. That number only jumps, so it is marked as not differentiable.


# %%
class Polar(Function):
    @staticmethod
    def forward(ctx, x, y):
        r = torch.sqrt(x**2 + y**2)
        quadrant = torch.where(y >= 0, torch.where(x >= 0, 1.0, 2.0), torch.where(x < 0, 3.0, 4.0))
        ctx.save_for_backward(x, y, r)
        ctx.mark_non_differentiable(quadrant)
        return r, torch.atan2(y, x), quadrant

    @staticmethod
    def backward(ctx, g_r, g_angle, g_quadrant):
        x, y, r = ctx.saved_tensors
        for_x = g_r * x / r - g_angle * y / r**2
        for_y = g_r * y / r + g_angle * x / r**2
        return for_x, for_y


x, y = numbers(3.0, -1.0), numbers(4.0, 0.5)
r, angle, quadrant = Polar.apply(x, y)
print("r", r.tolist(), "  angle", [round(a, 3) for a in angle.tolist()], "  quadrant", quadrant.tolist())
print("require grad:", r.requires_grad, angle.requires_grad, quadrant.requires_grad)
loss = (r**2).sum() + angle.sum()
lesson.show(draw(loss, {"x": x, "y": y, "r": r, "angle": angle, "loss": loss}), "one node with two live outputs")
print("gradcheck:", gradcheck(Polar.apply, [x, y]))

# %% [markdown]
# **Make a prediction**: if only $r$ is used, what is `g_angle`? It is zeros, so that `backward` needs no special case:

# %%
r, angle, quadrant = Polar.apply(x, y)
x.grad = y.grad = None
(r**2).sum().backward()  # r² = x² + y²
print("x.grad:", x.grad.tolist(), "= 2x;  y.grad:", y.grad.tolist(), "= 2y")
assert np.allclose(x.grad.numpy(), 2 * x.detach().numpy()) and np.allclose(y.grad.numpy(), 2 * y.detach().numpy())

# %% [markdown]
# ## 5. A backward that is not the derivative, on purpose
#
# Rounding is flat between its jumps. Its derivative is 0, which is correct and useless. The *straight-through* rule
# hands the gradient on as if nothing had been rounded.


# %%
class Round(Function):
    @staticmethod
    def forward(ctx, x):
        return torch.round(x)

    @staticmethod
    def backward(ctx, g):
        return g


x = numbers(2.3)
y = Round.apply(x)
cost = (y - 5) ** 2
lesson.show(draw(cost, {"x": x, "y": y, "cost": cost}), "the double line: a gradient flows, but a surrogate")
lesson.say(explain(cost, x))

# %% [markdown]
# The engine saw `round` inside `forward`, and draws the edge behind it as a *surrogate*: something flows here that is not
# the derivative of what was computed. `gradcheck` objects, as it should:

# %%
try:
    gradcheck(Round.apply, x)
except GradcheckError as error:
    lesson.say(error)

# %% [markdown]
# Is it any good? Give rounding some noise, and there is a truth to compare with. Let $u$ be uniform between $-\tfrac12$ and
# $\tfrac12$, and $x = n + t$ with an integer $n$ and $0 \le t < 1$. Then $Y = \operatorname{round}(x+u)$ is $n+1$ with
# probability $t$, and else $n$. So
#
# $$\mathbb{E}[f(Y)] = (1-t)\,f(n) + t\,f(n+1), \qquad \frac{d}{dx}\mathbb{E}[f(Y)] = f(n+1) - f(n).$$
#
# The straight-through gradient is $f'(Y)$, with the expectation $(1-t)\,f'(n) + t\,f'(n+1)$. **Make a prediction**: are they
# equal for $f(y) = 3y$? For $f(y) = y^2$?

# %%
X, M = 2.3, 100_000
n, t = math.floor(X), X - math.floor(X)
costs = {
    "f(y) = 3y": (lambda y: 3 * y, lambda y: 3.0),
    "f(y) = y²": (lambda y: y**2, lambda y: 2.0 * y),
    "f(y) = y³": (lambda y: y**3, lambda y: 3.0 * y**2),
}
torch.manual_seed(1)
table = lesson.Table(f"Straight-through rounding with noise, x = {X}, {M} samples")
for name, (f, slope) in costs.items():
    x = torch.full((M,), X, dtype=torch.float64, requires_grad=True)
    f(Round.apply(x + torch.rand_like(x) - 0.5)).sum().backward()
    table.agree(name, x.grad, theory=(1 - t) * slope(n) + t * slope(n + 1), truth=f(n + 1) - f(n))
table.print()

# %% [markdown]
# Right for straight lines, biased for curves: the tangent at one of two points is not the line through both of them.
# `09_straight_through.py` looks closer at this.
#
# ## 6. A backward that changes the gradient
#
# A Function may leave the value alone and do something to the gradient only. Two that are in use:
#
# - *clipping*: what is too large is cut off, on the spot, so that nothing behind it sees it;
# - *reversal*: the sign is turned round, so that what lies behind learns to do the opposite (Ganin and Lempitsky 2015).
#
# A Function with arguments is best hidden behind an ordinary function:


# %%
class ClipGradient(Function):
    @staticmethod
    def forward(ctx, x, limit):
        ctx.limit = limit
        return x

    @staticmethod
    def backward(ctx, g):
        return torch.clamp(g, -ctx.limit, ctx.limit), None


class ReverseGradient(Function):
    @staticmethod
    def forward(ctx, x):
        return x

    @staticmethod
    def backward(ctx, g):
        return -g


def clip_gradient(x, limit):
    """x itself, but no gradient beyond the limit goes back to it."""
    return ClipGradient.apply(x, limit)


# %% [markdown]
# ### Reversal, in a game for two
#
# The loss is $x^2/2 + xy - y^2/2$. One player moves $x$ and wants it small, the other moves $y$ and wants it large. They
# agree at $(0, 0)$. One optimiser that goes downhill in both, what does it do? And with the gradient of $y$ reversed?


# %%
def play_the_game(reverse, steps=60):
    x, y = numbers(1.0), numbers(0.5)
    optimiser = torch.optim.SGD([x, y], lr=0.1)
    way = []
    for _ in range(steps):
        way.append((x.item(), y.item()))
        mine = ReverseGradient.apply(y) if reverse else y
        loss = (x**2 / 2 + x * mine - mine**2 / 2).sum()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return np.array(way)


ways = {reverse: play_the_game(reverse) for reverse in (False, True)}
for reverse, way in ways.items():
    print(
        f"{'reversed' if reverse else 'downhill in both'}: after {len(way)} steps, x = {way[-1, 0]:.3g}, y = {way[-1, 1]:.3g}"
    )
assert abs(ways[True][-1]).max() < 0.01 and abs(ways[False][-1]).max() > 10

# %%
figure, axes = plt.subplots(figsize=(5, 4))
axes.plot(*ways[False][:24].T, "s-", markersize=4, label="downhill in both")
axes.plot(*ways[True].T, "o--", markersize=4, label="y reversed")
axes.plot(0, 0, "k+", markersize=14)
axes.set(xlabel="x", ylabel="y")
axes.legend()
lesson.show(
    figure, "The ways of both players from (1, 0.5): without reversal away from 0 for ever, with it in a spiral to 0."
)

# %% [markdown]
# ### Clipping, and what it costs
#
# In the picture, nothing tells of it: `forward` neither samples nor compares, and the engine cannot know what `backward`
# should have been. Only `gradcheck` can:

# %%
x = numbers(1.0)
y = clip_gradient(x, 0.5)
cost = y**2
lesson.show(
    draw(cost, {"x": x, "y": y, "cost": cost}), "an ordinary line, though the gradient 2 becomes 0.5 on its way"
)
try:
    gradcheck(lambda x: clip_gradient(x, 0.5) ** 2, x)
except GradcheckError as error:
    lesson.say(error)

# %% [markdown]
# Clipping tames single gradients; does it leave their average alone? Take the Gaussian of the first lessons,
# $z = \mu + \sigma\varepsilon$ with the cost $z^2$. One gradient is $g = 2z$, a normal number with mean $m = 2\mu$ and standard
# deviation $s = 2\sigma$. Cut at $\pm c$, with $\alpha = (-c-m)/s$ and $\beta = (c-m)/s$, its mean is
#
# $$-c\,\Phi(\alpha) + c\,(1 - \Phi(\beta)) + m\,(\Phi(\beta) - \Phi(\alpha)) - s\,(\varphi(\beta) - \varphi(\alpha)).$$


# %%
def mean_of_clipped(m, s, c):
    def distribution(a):
        return (1 + math.erf(a / math.sqrt(2))) / 2

    def density(a):
        return math.exp(-a * a / 2) / math.sqrt(2 * math.pi)

    a, b = (-c - m) / s, (c - m) / s
    inside = m * (distribution(b) - distribution(a)) - s * (density(b) - density(a))
    return c * (1 - distribution(b) - distribution(a)) + inside


MU, SIGMA = 12.0, 42.0
torch.manual_seed(2)
table = lesson.Table(f"d/dmu of E[z²], mu = {MU:g}, sigma = {SIGMA:g}, gradients clipped, {M} samples")
for limit in (1.0, 50.0, 200.0, 1000.0):
    mu = torch.full((M,), MU, dtype=torch.float64, requires_grad=True)
    z = clip_gradient(mu + SIGMA * torch.randn_like(mu), limit)
    (z**2).sum().backward()
    table.agree(f"limit {limit:g}", mu.grad, theory=mean_of_clipped(2 * MU, 2 * SIGMA, limit), truth=2 * MU)
table.print()

# %% [markdown]
# The large gradients are cut most, and the average is biased towards 0. The standard error falls as well: less noise is
# paid for with bias, and the limit sets the price.
#
# ## 7. What goes wrong, and what the engine says
#
# The usual mistakes, each made once. **Before you read on**: which of them does the engine notice by itself?


# %%
def made(mistake, do):
    try:
        found = do()
    except (RuntimeError, TypeError) as error:
        lesson.say(f"{mistake}\n- {type(error).__name__}: {error}")
    else:
        lesson.say(f"{mistake}\n- no error; gradient {found}")


def gradient_of(function, *others, x=(1.0, 2.0)):
    x = numbers(*x)
    function(x, *others).sum().backward()
    return x.grad.tolist()


class WrongShape(Cube):
    @staticmethod
    def backward(ctx, g):
        (x,) = ctx.saved_tensors
        return (g * 3 * x**2).sum()


class ForgottenNone(ClipGradient):
    @staticmethod
    def backward(ctx, g):
        return g


class NumPyGradient(Cube):
    @staticmethod
    def backward(ctx, g):
        (x,) = ctx.saved_tensors
        return g.numpy() * 3 * x.detach().numpy() ** 2


made("A gradient of the wrong shape:", lambda: gradient_of(WrongShape.apply))
made("No None for the argument that is a number:", lambda: gradient_of(ForgottenNone.apply, 0.5))
made("An array in the place of a tensor:", lambda: gradient_of(NumPyGradient.apply))
made("apply() forgotten:", lambda: gradient_of(lambda x: Cube()(x)))


# %% [markdown]
# The next ones have to do with what was saved. Memory may be written to between `forward` and `backward`, and then the
# gradient is computed from other numbers than the value was. What went through `save_for_backward` is watched. What was
# kept as an attribute is not:


# %%
class KeptAsAttribute(Function):
    @staticmethod
    def forward(ctx, x):
        ctx.x = x  # a tensor belongs into save_for_backward
        return x**3

    @staticmethod
    def backward(ctx, g):
        return g * 3 * ctx.x**2


def changed_too_early(function):
    x = numbers(1.0, 2.0)
    z = 1.0 * x
    y = function.apply(z)
    z += 1  # after it was saved, before it is used
    y.sum().backward()
    return x.grad.tolist()


def walked_twice():
    y = Cube.apply(numbers(1.0, 2.0)).sum()
    y.backward()
    y.backward()


made("What was saved is changed in place:", lambda: changed_too_early(Cube))
made("The same, kept as ctx.x:", lambda: changed_too_early(KeptAsAttribute))
made("backward() twice:", walked_twice)
right = [3 * v**2 for v in (1.0, 2.0)]
print(f"\nright would have been {right}")
assert changed_too_early(KeptAsAttribute) != right

# %% [markdown]
# So: shapes, counts and types are checked, and saved tensors are watched. What cannot be checked is the mathematics,
# and what goes past `save_for_backward`. For the first there is `gradcheck`; for the second, the habit.
#
# ## 8. Second derivatives
#
# With `create_graph=True`, the steps of `backward` are recorded like any others, and can be differentiated again. It
# needs nothing but that `backward` is made of the engine's operations, on tensors from `saved_tensors`:

# %%
x = numbers(0.5)
y = Log1pExp.apply(x)
(first,) = grad(y, x, create_graph=True)
(second,) = grad(first, x, create_graph=True)
s = 1 / (1 + math.exp(-0.5))
print(f"first {first.item():.10f}, sigmoid(x) = {s:.10f}")
print(f"second {second.item():.10f}, s·(1 - s) = {s * (1 - s):.10f}")
lesson.show(draw(first, {"x": x, "first": first}), "the graph of the first derivative")
print("gradgradcheck:", gradgradcheck(Log1pExp.apply, numbers(*PLACES, -3.0, 0.5)))

# %% [markdown]
# It is tempting to save work: the derivative could be computed in `forward` at once, and `backward` would only have to
# multiply. **Make a prediction**: is the first derivative still right? And the second?


# %%
class Frozen(Function):
    """log(1 + exp(x)), with its slope computed in advance."""

    @staticmethod
    def forward(ctx, x):
        ctx.slope = torch.sigmoid(x)
        return torch.clamp(x, min=0) + torch.log1p(torch.exp(-torch.abs(x)))

    @staticmethod
    def backward(ctx, g):
        return g * ctx.slope


print("gradcheck:", gradcheck(Frozen.apply, numbers(-3.0, 0.5)))
try:
    gradgradcheck(Frozen.apply, numbers(-3.0, 0.5))
except GradcheckError as error:
    lesson.say(f"gradgradcheck: {error}")

# %% [markdown]
# `forward` is not recorded, so the slope is a plain number, which no longer knows that it depends on $x$. In a larger
# expression this goes unnoticed, because part of the second derivative is there. With $y = \log(1+e^x)$ and $s$ its slope,
#
# $$\frac{d^2}{dx^2}\,y^2 = 2s^2 + 2y\,s\,(1-s),$$
#
# and the frozen Function knows the first term only:


# %%
def second_derivative_of_square(function):
    x = numbers(0.5)
    (first,) = grad(function.apply(x) ** 2, x, create_graph=True)
    (second,) = grad(first, x)
    return second.item()


y = math.log1p(math.exp(0.5))
print(f"theory    {2 * s**2 + 2 * y * s * (1 - s):.8f}")
print(f"Log1pExp  {second_derivative_of_square(Log1pExp):.8f}")
print(f"Frozen    {second_derivative_of_square(Frozen):.8f}   (2s² = {2 * s**2:.8f})")
assert math.isclose(second_derivative_of_square(Log1pExp), 2 * s**2 + 2 * y * s * (1 - s))
assert math.isclose(second_derivative_of_square(Frozen), 2 * s**2)

# %% [markdown]
# ## What to take along
#
# - `forward` computes, `backward` turns the gradient of the result into that of each argument, `None` where there is none.
# - Tensors go through `save_for_backward`, and nothing else does.
# - A derivative of your own is worth it where the formula overflows or cancels, or where you want something else than
#   the derivative. In the second case say so, where others read it.
# - The engine marks a **surrogate** where `forward` samples or compares. Where it does neither, only `gradcheck` tells
#   that `backward` is not the derivative.
# - Run `gradcheck` on each Function, and `gradgradcheck` if anybody may differentiate twice.
#
# ## Try it
#
# Write `LogCosh`, a Function for $\log\cosh x$. It is a smooth $|x|$, used as a loss. As it stands, $\cosh$ overflows
# long before 1000, even in 64 bits. Your Function is to be right at $\pm 1000$ as well, and twice differentiable. Two hints:
# $\cosh x = \tfrac12 e^{|x|}\,(1 + e^{-2|x|})$, and the derivative is $\tanh x$.


# %%
@lesson.exercise
def log_cosh(answer):
    x = numbers(-1000.0, -2.0, -0.3, 0.7, 3.0, 1000.0)
    y = answer(x)
    assert hasattr(y.grad_fn, "ctx"), "the result is not that of a Function: pass LogCosh.apply"
    for place, value in zip(x.tolist(), y.tolist(), strict=True):
        expected = abs(place) + math.log1p(math.exp(-2 * abs(place))) - math.log(2)
        assert math.isclose(value, expected, rel_tol=1e-9), (
            f"at {place:g}, log cosh is {expected:.10g}, not {value:.10g}"
        )
    y.sum().backward()
    for place, slope in zip(x.tolist(), x.grad.tolist(), strict=True):
        assert math.isclose(slope, math.tanh(place)), (
            f"at {place:g}, the slope is {math.tanh(place):.10g}, not {slope:.10g}"
        )
    assert gradcheck(answer, x, raise_exception=False), "gradcheck does not agree"
    assert gradgradcheck(answer, x, raise_exception=False), "the first derivative is right, and the second is not"


log_cosh(...)  # put LogCosh.apply here


# %% tags=["hide-cell"]
class LogCosh(Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        a = torch.abs(x)
        return a + torch.log1p(torch.exp(-2 * a)) - math.log(2)

    @staticmethod
    def backward(ctx, g):
        (x,) = ctx.saved_tensors
        return g * torch.tanh(x)


log_cosh.solution(LogCosh.apply)

# %% [markdown]
# ## What to read next
#
# - The next lesson, `14_check_your_gradients.py`: how such a check works, and what it cannot see.
# - `15_implicit_reparameterisation.py`: a Function that lets a gradient through a random number with no formula.
# - Bengio, Léonard and Courville, *Estimating or propagating gradients through stochastic neurons for conditional
#   computation* (2013): the straight-through rule.
# - Ganin and Lempitsky, *Unsupervised domain adaptation by backpropagation* (2015): gradient reversal.
# - Pascanu, Mikolov and Bengio, *On the difficulty of training recurrent neural networks* (2013): why gradients are clipped.
