"""The note's three estimators with many samples in one array: the mean cost and its gradient, forward and backward.

Ours and PyTorch's code is one function. JAX has the whole jitted, value and gradients, with a key that is split in each call
(its default generator, Threefry). HIPS autograd draws from a NumPy generator; NumPy has the derivatives by hand, in as few
passes as are natural, in place where that saves an array. All compute in float32.

The relaxation is written with sigmoid, where the note's loop writes ``1 / (1 + exp(…))``: exp overflows for 4 samples in
10,000, and in one array a single NaN would be the gradient of all.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.peers import HIPS, JAX, NUMPY, OURS, PYTORCH
from benchmarks.row import SEED, Goal, Maker, Row, Work
from benchmarks.rows.note_loops import GAUSSIAN, GUMBEL, MU, STD, STRAIGHT_THROUGH, TEMPERATURE, P


def gaussian(torch: Any, n: int) -> Work:
    """The reparameterised Gaussian."""
    torch.manual_seed(SEED)
    mu = torch.tensor([MU], requires_grad=True)
    std = torch.tensor([STD], requires_grad=True)

    def run() -> Any:
        mu.grad = std.grad = None
        eps = torch.randn(n)
        z = eps * std + mu
        cost = (z**2).mean()
        cost.backward()
        return cost, mu.grad, std.grad

    return Work(run)


def straight_through(torch: Any, n: int) -> Work:
    """The Bernoulli variable with a straight-through gradient."""
    torch.manual_seed(SEED)
    p = torch.tensor([P], requires_grad=True)

    def run() -> Any:
        p.grad = None
        y = torch.bernoulli(p.expand(n))
        y = p + (y - p).detach()
        cost = (y**2).mean()
        cost.backward()
        return cost, p.grad

    return Work(run)


def gumbel(torch: Any, n: int) -> Work:
    """The Gumbel-softmax relaxation."""
    torch.manual_seed(SEED)
    p = torch.tensor([P], requires_grad=True)

    def run() -> Any:
        p.grad = None
        g = -torch.log(-torch.log(torch.rand(n)))
        h = -torch.log(-torch.log(torch.rand(n)))
        y = torch.sigmoid(((torch.log(p) + g) - (torch.log1p(-p) + h)) / TEMPERATURE)
        cost = (y**2).mean()
        cost.backward()
        return cost, p.grad

    return Work(run)


def jitted(jax: Any, cost: Callable[..., Any], parameters: tuple[float, ...]) -> Work:
    """Value and gradients of ``cost(key, *parameters)``, in one jitted function that splits the key."""
    places = tuple(range(1, len(parameters) + 1))

    @jax.jit
    def step(key: Any, *parameters: Any) -> Any:
        key, now = jax.random.split(key)
        return key, jax.value_and_grad(cost, places)(now, *parameters)

    key = jax.random.key(SEED)
    arrays = [jax.numpy.array([value]) for value in parameters]

    def run() -> Any:
        nonlocal key
        key, (value, gradients) = jax.block_until_ready(step(key, *arrays))
        return value, *gradients

    return Work(run)


def gaussian_of_jax(jax: Any, n: int) -> Work:
    """The Gaussian."""

    def cost(key: Any, mu: Any, std: Any) -> Any:
        eps = jax.random.normal(key, (n,))
        return ((eps * std + mu) ** 2).mean()

    return jitted(jax, cost, (MU, STD))


def straight_through_of_jax(jax: Any, n: int) -> Work:
    """The straight-through estimator."""

    def cost(key: Any, p: Any) -> Any:
        y = jax.random.bernoulli(key, p, (n,)).astype(p.dtype)
        y = p + jax.lax.stop_gradient(y - p)
        return (y**2).mean()

    return jitted(jax, cost, (P,))


def gumbel_of_jax(jax: Any, n: int) -> Work:
    """The relaxation, with JAX's own Gumbel noise."""

    def cost(key: Any, p: Any) -> Any:
        g, h = jax.random.gumbel(key, (2, n))
        y = jax.nn.sigmoid(((jax.numpy.log(p) + g) - (jax.numpy.log1p(-p) + h)) / TEMPERATURE)
        return (y**2).mean()

    return jitted(jax, cost, (P,))


def traced(
    autograd: Any, cost: Callable[..., Any], draw: Callable[[np.random.Generator], Any], parameters: tuple[float, ...]
) -> Work:
    """Value and gradients of ``cost(noise, *parameters)`` by HIPS autograd."""
    rng = np.random.default_rng(SEED)
    arrays = [np.array([value], np.float32) for value in parameters]
    step = autograd.value_and_grad(cost, tuple(range(1, len(parameters) + 1)))

    def run() -> Any:
        with np.errstate(over="ignore"):
            value, gradients = step(draw(rng), *arrays)
        return value, *gradients

    return Work(run)


def gaussian_of_hips(autograd: Any, n: int) -> Work:
    """The Gaussian."""

    def cost(eps: Any, mu: Any, std: Any) -> Any:
        return autograd.numpy.mean((eps * std + mu) ** 2)

    return traced(autograd, cost, lambda rng: rng.standard_normal(n, dtype=np.float32), (MU, STD))


def straight_through_of_hips(autograd: Any, n: int) -> Work:
    """The straight-through estimator."""
    detached = autograd.extend.primitive(lambda x: x)
    autograd.extend.defvjp(detached, None)

    def cost(u: Any, p: Any) -> Any:
        y = (u < P).astype(np.float32)
        y = p + detached(y - p)
        return autograd.numpy.mean(y**2)

    return traced(autograd, cost, lambda rng: rng.random(n, dtype=np.float32), (P,))


def gumbel_of_hips(autograd: Any, n: int) -> Work:
    """The relaxation; HIPS autograd has no sigmoid, which is written with tanh."""
    anp = autograd.numpy

    def draw(rng: np.random.Generator) -> Any:
        u = rng.random((2, n), dtype=np.float32)
        u[u == 0] = np.finfo(np.float32).tiny
        return -np.log(-np.log(u))

    def cost(noise: Any, p: Any) -> Any:
        g, h = noise
        y = 0.5 + 0.5 * anp.tanh(((anp.log(p) + g) - (anp.log1p(-p) + h)) / (2 * TEMPERATURE))
        return anp.mean(y**2)

    return traced(autograd, cost, draw, (P,))


def gaussian_by_hand(np: Any, n: int) -> Work:
    """The Gaussian: dz²/dmu = 2z, dz²/dstd = 2z·eps."""
    rng = np.random.default_rng(SEED)
    mu, std = np.float32(MU), np.float32(STD)

    def run() -> Any:
        eps = rng.standard_normal(n, dtype=np.float32)
        z = eps * std
        z += mu
        return np.dot(z, z) / n, 2 * z.mean(), 2 * np.dot(z, eps) / n

    return Work(run)


def straight_through_by_hand(np: Any, n: int) -> Work:
    """The straight-through estimator: the cost is the share of ones, the gradient twice that."""
    rng = np.random.default_rng(SEED)

    def run() -> Any:
        share = np.count_nonzero(rng.random(n, dtype=np.float32) < np.float32(P)) / n
        return share, 2 * share

    return Work(run)


def gumbel_by_hand(np: Any, n: int) -> Work:
    """The relaxation: y = sigmoid(a) has dy/da = y·(1 − y), and a = (logit(p) + noise) / T."""
    rng = np.random.default_rng(SEED)
    p = np.float32(P)

    def noise() -> Any:
        u = rng.random(n, dtype=np.float32)
        np.maximum(u, np.finfo(np.float32).tiny, out=u)
        np.log(u, out=u)
        np.negative(u, out=u)
        np.log(u, out=u)
        return u

    def run() -> Any:
        a = noise()  # −g
        a -= noise()  # −g + h
        a -= np.log(p) - np.log1p(-p)
        a *= np.float32(0.5 / TEMPERATURE)
        np.tanh(a, out=a)  # sigmoid(x) = 1/2 − tanh(−x/2) / 2, which does not overflow
        y = np.float32(0.5) - np.float32(0.5) * a
        y2 = y * y
        slope = 2 * (y2.mean() - np.dot(y2, y) / n)  # the mean of 2y · y(1 − y)
        return y2.mean(), slope / (TEMPERATURE * p * (1 - p))

    return Work(run)


# What is expected of the mean cost: E z² and the variance of z²; p; the relaxation's own mean and deviation, by quadrature
VALUES = {
    "gaussian": (MU**2 + STD**2, (2 * STD**4 + 4 * MU**2 * STD**2) ** 0.5),
    "straight-through": (P, (P * (1 - P)) ** 0.5),
    "gumbel": (0.23281, 0.40490),
}
GOAL = (Goal(limit=0.7),)
POWERS = {10**4: "10⁴", 10**6: "10⁶", 10**7: "10⁷"}

FAMILIES: tuple[tuple[str, str, dict[str, Maker], tuple[tuple[float, float], ...]], ...] = (
    (
        "gaussian",
        "Gaussian",
        {
            OURS: gaussian,
            PYTORCH: gaussian,
            JAX: gaussian_of_jax,
            HIPS: gaussian_of_hips,
            NUMPY: gaussian_by_hand,
        },
        GAUSSIAN,
    ),
    (
        "straight-through",
        "Bernoulli, straight-through",
        {
            OURS: straight_through,
            PYTORCH: straight_through,
            JAX: straight_through_of_jax,
            HIPS: straight_through_of_hips,
            NUMPY: straight_through_by_hand,
        },
        STRAIGHT_THROUGH,
    ),
    (
        "gumbel",
        "Gumbel-softmax",
        {
            OURS: gumbel,
            PYTORCH: gumbel,
            JAX: gumbel_of_jax,
            HIPS: gumbel_of_hips,
            NUMPY: gumbel_by_hand,
        },
        GUMBEL,
    ),
)

ROWS = tuple(
    Row(
        name=f"{name}-1e{len(str(n)) - 1}",
        title=f"{title}, {power} samples in one array",
        measures="Drawing the noise, the mean cost forward, and its gradient.",
        size=n,
        tiny=4000,
        unit="",
        candidates=candidates,
        goals=GOAL if n == 10**6 else (),
        expects=(VALUES[name], *expects),
        long=n > 10**6,
    )
    for n, power in POWERS.items()
    for name, title, candidates, expects in FAMILIES
)
