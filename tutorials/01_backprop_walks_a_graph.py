# %% [markdown]
# # How does a gradient find its way back?
#
# You compute a number $y$ from numbers $w$ and $x$, in a few lines of code. Then you call `y.backward()`, and `w.grad`
# holds $\partial y/\partial w$. No formula for $y$ was ever handed over. So something must have been written down while
# the code ran, and something must read it backwards.
#
# This lesson looks at what is written down, walks over it by hand, and then builds a backward pass of its own. The one
# of the engine will be the judge. Nothing is random here: each number can be checked with pencil and paper.
#
# The example uses one intermediate number twice:
#
# $$a = w\,x, \qquad b = a + w, \qquad y = a\,b.$$
#
# Written out, $y = w^2(x^2 + x)$, so that
#
# $$\frac{\partial y}{\partial w} = 2w\,(x^2 + x), \qquad \frac{\partial y}{\partial x} = w^2\,(2x + 1).$$

# %%
import warnings
from collections import defaultdict

import lesson
import matplotlib.pyplot as plt
import numpy as np

import tinygrad_rp as torch
from visualize import draw, get_graph, play

W, X = 3.0, 2.0
TRUTH = {"w": 2 * W * (X**2 + X), "x": W**2 * (2 * X + 1)}


def example():
    """The tensors of the example, by name, computed anew."""
    w = torch.tensor([W], requires_grad=True)
    x = torch.tensor([X], requires_grad=True)
    a = w * x
    b = a + w
    y = a * b
    return {"w": w, "x": x, "a": a, "b": b, "y": y}


named = example()
w, x, a, b, y = named.values()
print("y =", y.item(), "  by hand, dy/dw =", TRUTH["w"], " dy/dx =", TRUTH["x"])

# %% [markdown]
# ## 1. What is written down
#
# Each tensor that was computed remembers the step that made it. The memory is called `grad_fn`, and it is an object
# with a name such as `MulBackward0`: *the way back through a multiplication*. A tensor that you made yourself was made
# by no step. It has no `grad_fn`, and is called a **leaf**.

# %%
print("      value   leaf   grad_fn")
for name, t in named.items():
    print(f"{name}  {t.item():8g}   {t.is_leaf!s:5}  {t.grad_fn and t.grad_fn.name()}")

# %% [markdown]
# `requires_grad=True` on a leaf says two things: record what is computed from it, and put its gradient into `.grad`. All
# that is computed from `w` or `x` is recorded from then on; you need not ask for it again.
#
# A step knows the steps before it. They are its `next_functions`, *next* in the direction in which the gradient will
# travel: from `y` back to the leaves. There is one for each input, in the order of the inputs.

# %%
for name in ("y", "b", "a"):
    below = ", ".join(step.name() for step, _ in named[name].grad_fn.next_functions)
    print(f"{name} was made by {named[name].grad_fn.name():13} whose next_functions are {below}")

# %% [markdown]
# (Each entry is a pair. Its second part says which *output* of that step is meant. It matters only for steps with
# several outputs, and is 0 here.)
#
# Where a way reaches a leaf, there stands an `AccumulateGrad`. It is the end of the way, and the one kind of step that
# has a `variable`: the leaf into whose `.grad` it adds what arrives.

# %%
way_to_w = b.grad_fn.next_functions[1][0]
print(way_to_w.name(), "leads to w:", way_to_w.variable is w, "  and goes on to:", way_to_w.next_functions)
assert way_to_w.variable is w

# %% [markdown]
# One more thing is kept. The derivative of a product needs the two factors, so `y.grad_fn` saved them. A sum needs
# nothing: its derivative is 1, whatever the numbers are.

# %%
print("y = a·b saved", y.grad_fn.saved)
print("b = a+w saved", b.grad_fn.saved)

# %% [markdown]
# ## 2. A walker
#
# Names and `next_functions` are all that one needs to print the whole trail. Hugo Gangloff's note *Reparametrization
# trick* (2023) shows how, with a function that prints a step and calls itself for each step below. Here is one on the
# same principle:


# %%
def walk(step, level=0):
    """Print a step, and then all that lies below it."""
    print("│   " * level + step.name())
    if hasattr(step, "variable"):
        print("│   " * (level + 1) + f"value {step.variable.tolist()}, gradient {step.variable.grad}")
    for below, _ in step.next_functions:
        if below is not None:
            walk(below, level + 1)


walk(y.grad_fn)

# %% [markdown]
# A few lines, and they work on PyTorch's graphs as well. But look twice: the multiplication $a = w\,x$ stands there
# **two times**, once below $y$ and once below $b$. It is one step, which two others use. The walker cannot say so; it
# walks down each way anew.
#
# `get_graph` of the package `visualize` visits each step once, gives it a number, and refers to the number when it
# comes by again. It also knows the names, if you hand them over:

# %%
print(get_graph(y, named))

# %% [markdown]
# The same as a picture. Read it from the top, as the gradient travels. Two arrows lead to `a`, and it stands there once:

# %%
lesson.show(draw(y, named), "The graph of y. The step a is used twice, by y and by b, and drawn once.")

# %% [markdown]
# Does it matter? **Make a prediction**: double a number $n$ times in a row, `x = x + x`. How many steps will the walker
# visit, and how many are there?


# %%
def visits(step):
    """How many steps the walker would print."""
    return 1 + sum(visits(below) for below, _ in step.next_functions if below is not None)


print("doublings   steps   visits of the walker")
for n in (1, 4, 8, 12):
    t = torch.tensor([1.0], requires_grad=True)
    for _ in range(n):
        t = t + t
    print(f"{n:9}   {n + 1:5}   {visits(t.grad_fn):6}")
    assert visits(t.grad_fn) == 2 ** (n + 1) - 1

# %% [markdown]
# The walker goes down each *way*, and there are $2^n$ ways. With sixty doublings it would not end in your lifetime. For
# printing small graphs that is no harm. A backward pass must not work like this.

# %% [markdown]
# ## 3. The rule, and the player
#
# What happens at a single step is the chain rule. A step that made $c$ from $u$ and $v$ is told $\partial y/\partial c$:
# how much $y$ changes when $c$ does. It multiplies by its own, local derivatives, and hands on
#
# $$\frac{\partial y}{\partial c}\cdot\frac{\partial c}{\partial u} \quad\text{to } u, \qquad
#   \frac{\partial y}{\partial c}\cdot\frac{\partial c}{\partial v} \quad\text{to } v.$$
#
# And where several ways meet, what they bring is **added**: $u$ acts on $y$ by all of them.
#
# You can ask a step to do its part, by calling it:

# %%
arrived = torch.ones(1)  # dy/dy
to_a, to_b = y.grad_fn(arrived)
print(f"y = a·b is told 1, and hands on {to_a.item():g} to a (that is b), and {to_b.item():g} to b (that is a)")
assert (to_a.item(), to_b.item()) == (b.item(), a.item())

# %% [markdown]
# Below is the whole pass, as a player. Step through it: first forward, as the values came to be, then backward. Stop
# at the step `a`, and see that it waits for both of its gradients.

# %%
lesson.show(play(y, named), "Forward and backward through y, step by step.")

# %% [markdown]
# ## 4. Why the order matters
#
# Now let us write a backward pass. A first idea: go down as the walker does, add up what arrives, and hand it on at
# once; and lest it take $2^n$ visits, visit each step only the first time that you come by.
#
# **Make a prediction**: the gradients are 36 and 45. What will this pass find?


# %%
def hasty(y):
    """Hand on at once, and visit each step once."""
    arrived, seen = defaultdict(float), set()

    def visit(step, gradient):
        arrived[step] = arrived[step] + gradient
        if step not in seen:
            seen.add(step)
            if not hasattr(step, "variable"):
                for (below, _), share in zip(step.next_functions, step(arrived[step]), strict=True):
                    visit(below, share)

    visit(y.grad_fn, torch.ones(1))
    return arrived


def at_leaves(arrived):
    """What arrived at w and at x."""
    found = {step.variable: gradient.item() for step, gradient in arrived.items() if hasattr(step, "variable")}
    return {"w": found[w], "x": found[x]}


result = at_leaves(hasty(y))
print("hasty:", result, "  truth:", TRUTH)
assert result == {"w": (W * X + W) * X + W * X, "x": (W * X + W) * W}
assert all(result[name] < TRUTH[name] for name in TRUTH)

# %% [markdown]
# Both are too small. Follow it: $y$ hands $b = 9$ to $a$, and $a$ hands it on to $w$ and $x$ at once. Later $b$ brings
# another 6 for $a$; but $a$ was visited already. These 6 are lost, and with them $6\cdot 2$ for $w$ and $6\cdot 3$ for $x$.
#
# A second idea: then let $a$ be visited again, and hand on all that it has by now.


# %%
def twice(y):
    """Hand on at once, and at each visit all that has arrived."""
    arrived = defaultdict(float)

    def visit(step, gradient):
        arrived[step] = arrived[step] + gradient
        if not hasattr(step, "variable"):
            for (below, _), share in zip(step.next_functions, step(arrived[step]), strict=True):
                visit(below, share)

    visit(y.grad_fn, torch.ones(1))
    return arrived


result = at_leaves(twice(y))
print("twice:", result, "  truth:", TRUTH)
assert all(result[name] > TRUTH[name] for name in TRUTH)

# %% [markdown]
# Too large: the first 9 are handed on two times, at the first visit and once more, as a part of $9 + 6$, at the second.
#
# Handing on only what is *new* at each visit would be right, and take $2^n$ visits. So the order has to change: **a
# step must wait until all that use it have handed on**. An order in which each step stands behind all that use it is
# called *topological*. One can be found by a walk that visits each step once, and notes it down when all that lies below
# it has been noted down; read in reverse, it is such an order.


# %%
def topological(root):
    """All steps; each stands behind those that use it."""
    order, seen = [], set()

    def visit(step):
        if step not in seen:
            seen.add(step)
            for below, _ in step.next_functions:
                if below is not None:
                    visit(below)
            order.append(step)

    visit(root)
    return order[::-1]


def patient(y):
    """Hand on when all has arrived."""
    arrived = defaultdict(float, {y.grad_fn: torch.ones(1)})
    for step in topological(y.grad_fn):
        if not hasattr(step, "variable"):
            for (below, _), share in zip(step.next_functions, step(arrived[step]), strict=True):
                if below is not None:
                    arrived[below] = arrived[below] + share
    return arrived


result = at_leaves(patient(y))
print("patient:", result, "  truth:", TRUTH)
assert result == TRUTH

y.backward()  # the engine's own
print("engine: ", {"w": w.grad.item(), "x": x.grad.item()})
assert result == {"w": w.grad.item(), "x": x.grad.item()}

# %% [markdown]
# This is backpropagation: *in topological order, hand on the sum of what arrived, times the local derivatives*. Each
# step runs once, however many ways there are.
#
# The engine finds its order without a search. Steps are numbered as they are recorded, and a step is always recorded
# after those that it was computed from. So it takes, of the steps that something has arrived at, the one with the
# highest number. Nothing calls itself, so a chain of a million steps is no deeper for Python than one of three.

# %% [markdown]
# ## 5. A leaf adds up
#
# `AccumulateGrad` does what its name says. **Make a prediction** for two calls of `backward()` in a row.

# %%
w, x, a, b, y = example().values()
y.backward(retain_graph=True)
print("after the first call: ", w.grad, x.grad)
y.backward()
print("after the second call:", w.grad, x.grad)
assert w.grad.item() == 2 * TRUTH["w"] and x.grad.item() == 2 * TRUTH["x"]

# %% [markdown]
# What is there is added to. Who forgets that, in a loop, walks along the sum of all gradients so far; hence
# `w.grad = None` (or `optimizer.zero_grad()`) before each pass.
#
# It is meant so, since the gradient of a sum is the sum of the gradients. The cost of a large set of data can be taken
# in parts, one `backward()` a part, and the parts need not be in memory together:

# %%
data = torch.tensor([0.5, -1.0, 2.0, 4.0])
v = torch.tensor([1.5], requires_grad=True)

((v * data - 1) ** 2).sum().backward()
at_once = v.grad.item()

v.grad = None
for part in (data[:2], data[2:]):
    ((v * part - 1) ** 2).sum().backward()
print("all at once:", at_once, "  in two parts:", v.grad.item())
assert at_once == v.grad.item() == (2 * (1.5 * data - 1) * data).sum().item()

# %% [markdown]
# Why `retain_graph=True` in the first of the two calls? A pass lets go of what the steps had saved, since the numbers
# take memory and few need them again. A second pass over the same graph finds nothing left, and says so:

# %%
try:
    y.backward()
except RuntimeError as error:
    lesson.say(error)
else:
    raise AssertionError("the graph was to be freed")

# %% [markdown]
# In a loop that computes its cost anew in each turn, as loops of training do, there is a new graph in each turn, and
# `retain_graph` is not needed. (The note passes it in one of its loops all the same, which does no harm.)
#
# A last surprise: tensors in the middle keep no gradient, though one passed by. It was needed on the way and is
# dropped. Ask with `retain_grad()` if you want to see it.

# %%
w, x, a, b, y = example().values()
a.retain_grad()
y.backward()
with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # the engine says what is wrong with asking for b.grad
    print("a.grad:", a.grad, "  b.grad:", b.grad)
assert a.grad.item() == b.item() + a.item()

# %% [markdown]
# ## 6. Is it right? Ask without any graph
#
# There is a way to a derivative that knows nothing of graphs: move an input a little, compute again, and see what
# happens. The *central difference*
#
# $$\frac{f(w + h) - f(w - h)}{2h} = f'(w) + \frac{h^2}{6} f'''(w) + \dots$$
#
# misses by a multiple of $h^2$. So should $h$ be as small as possible? **Make a prediction**, for a function with more
# bends than the one above: $f(w) = \sin(w\,x)\,e^{w/2} + w\,x$.


# %%
def f(w, x):
    a = w * x
    return a.sin() * (w / 2).exp() + a


def value(w, x):
    return f(torch.tensor(w, dtype=torch.float64), torch.tensor(x, dtype=torch.float64)).item()


w = torch.tensor(W, dtype=torch.float64, requires_grad=True)
x = torch.tensor(X, dtype=torch.float64, requires_grad=True)
f(w, x).backward()

h = np.logspace(-13, 0, 27)
difference = np.array([(value(W + each, X) - value(W - each, X)) / (2 * each) for each in h])
error = np.abs(difference - w.grad.item())
best = int(error.argmin())
print(f"backward: {w.grad.item():.12f}")
for i in (0, best, -1):
    print(f"h = {h[i]:7.1e}: {difference[i]:.12f}  off by {error[i]:.1e}")

# %%
figure, axes = plt.subplots()
axes.loglog(h, error, "o-", label="central difference − backward")
axes.loglog(h[13:], error[-1] * h[13:] ** 2, "--", label="slope of h²")
axes.loglog(h[:15], np.finfo(np.float64).eps * abs(value(W, X)) / h[:15], ":", label="rounding: ε |f| / h")
axes.set_xlabel("h")
axes.set_ylabel("difference to backward()")
axes.legend()
lesson.show(
    figure,
    "How far the central difference lies from the gradient of backward(), against the step h: it falls as h² does, "
    "down to where rounding takes over, and rises again as 1/h.",
)

# %% [markdown]
# From the right: the error falls with $h^2$, as the formula says. Then it turns. The two values of $f$ agree in more
# and more digits, their difference has fewer and fewer left, and it is divided by a small number: an error of about
# $\varepsilon |f| / h$, with $\varepsilon = 2.2\cdot 10^{-16}$ in float64. In between, the two derivatives agree in ten
# digits.
#
# `backward()` has no $h$. It computes the derivative by rules, with the precision of the numbers themselves. And it
# gets all inputs in one pass, where differences take two computations an input: for a network of a million weights, two
# million. Differences are for checking, and `gradcheck` does so for all inputs:

# %%
assert error[best] < 1e-10 * abs(w.grad.item())
print("gradcheck:", torch.autograd.gradcheck(f, (w, x)))

# %% [markdown]
# ## What to take along
#
# - A computed tensor remembers its step (`grad_fn`), a step those before it (`next_functions`). At the end of each way
#   stands an `AccumulateGrad` with a leaf.
# - A step multiplies what arrived by its local derivatives. Where ways meet, gradients are **added**.
# - A step that is used twice must wait for both gradients: hence the topological order. To go without it gives wrong
#   sums, or takes as long as there are ways.
# - `.grad` is added to, not set. A pass frees the graph, and keeps gradients at leaves alone.
# - Differences check a gradient; they are slow, and never exact.
#
# ## Try it
#
# Write a pass that does not call itself, so that it survives a chain of 5,000 steps, where Python would give up
# `topological` (it allows about 1,000 calls within each other). One way: first count for each step how many *uses* it
# has. A step is ready when so many gradients have arrived. Your function takes `y`, which has one element, and returns
# a dictionary from each leaf to its gradient.


# %%
@lesson.exercise
def a_pass_without_recursion(answer):
    u = torch.tensor([W], requires_grad=True)
    v = torch.tensor([X], requires_grad=True)
    a = u * v
    y = a * (a + u)
    found = answer(y)
    assert set(found) == {u, v}, f"there are two leaves, and your answer has {len(found)}"
    assert found[u].item() == TRUTH["w"], f"dy/dw is {TRUTH['w']:g}, and yours is {found[u].item():g}"
    assert found[v].item() == TRUTH["x"], f"dy/dx is {TRUTH['x']:g}, and yours is {found[v].item():g}"
    t = u
    for _ in range(5000):
        t = t + 0.001
    found = answer(t * 2)
    assert found[u].item() == 2, f"through 5,000 additions, the gradient stays 2, and yours is {found[u].item():g}"
    t = u
    for _ in range(60):
        t = t + t
    found = answer(t)
    assert found[u].item() == 2.0**60, f"after 60 doublings it is 2⁶⁰, and yours is {found[u].item():g}"


a_pass_without_recursion(...)  # your function in the place of the dots

# %% tags=["hide-cell"]


def by_counting(y):
    """A gradient goes on when all uses of a step have handed on theirs."""
    uses, seen, todo = defaultdict(int), {y.grad_fn}, [y.grad_fn]
    while todo:
        for below, _ in todo.pop().next_functions:
            if below is not None:
                uses[below] += 1
                if below not in seen:
                    seen.add(below)
                    todo.append(below)
    arrived = defaultdict(float, {y.grad_fn: torch.ones(1)})
    ready, leaves = [y.grad_fn], {}
    while ready:
        step = ready.pop()
        if hasattr(step, "variable"):
            leaves[step.variable] = arrived[step]
            continue
        for (below, _), share in zip(step.next_functions, step(arrived[step]), strict=True):
            if below is not None:
                arrived[below] = arrived[below] + share
                uses[below] -= 1
                if uses[below] == 0:
                    ready.append(below)
    return leaves


a_pass_without_recursion.solution(by_counting)

# %% [markdown]
# ## What to read next
#
# - The next lesson, `02_sampling_breaks_it.py`: one of the steps draws a random number. What does it hand on?
# - Rumelhart, Hinton and Williams, *Learning representations by back-propagating errors* (1986): the algorithm, and
#   what it was made for.
# - Baydin, Pearlmutter, Radul and Siskind, *Automatic Differentiation in Machine Learning: a Survey* (2018): what else
#   can be done with a trail of steps.
