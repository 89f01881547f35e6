"""The loops of the reparameterisation note, one sample a backward pass.

Ours and PyTorch's code is the note's. JAX has the function jitted that draws a sample and returns value and gradients, with a
key that is split in each call; HIPS autograd its ``value_and_grad``, NumPy the derivatives by hand, both with the noise of a
NumPy generator; micrograd, whose scalars know neither log nor exp, the noise of the standard library. All keep the gradients
of the samples and hand back their mean.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.peers import HIPS, JAX, MICROGRAD, NUMPY, OURS, PYTORCH
from benchmarks.row import SEED, Goal, Maker, Row, Work

MU, STD, P, TEMPERATURE = 12.0, 42.0, 0.25, 0.1
Means = tuple[float, ...]


def seeded(loop: Callable[[Any, int], Means]) -> Maker:
    """A loop on tensors, from a seed."""

    def make(torch: Any, n: int) -> Work:
        torch.manual_seed(SEED)
        return Work(lambda: loop(torch, n))

    return make


@seeded
def gaussian(torch: Any, n: int) -> Means:
    """The reparameterised Gaussian: the mean gradients with respect to mu and std."""
    mu = torch.tensor([MU], requires_grad=True)
    std = torch.tensor([STD], requires_grad=True)

    def reparametrize(mu: Any, std: Any) -> Any:
        eps = torch.randn_like(std)
        return eps * std + mu

    mu_grads, std_grads = [], []
    for _ in range(n):
        mu.grad = None
        std.grad = None
        z = reparametrize(mu, std)
        z2 = z**2
        z2.backward(retain_graph=True)
        mu_grads.append(mu.grad.detach().cpu().numpy())
        std_grads.append(std.grad.detach().cpu().numpy())
    return float(sum(mu_grads)[0] / n), float(sum(std_grads)[0] / n)


@seeded
def straight_through(torch: Any, n: int) -> Means:
    """The Bernoulli variable with a straight-through gradient."""
    p = torch.tensor([P], requires_grad=True)
    grads = []
    for _ in range(n):
        p.grad = None
        y = torch.bernoulli(p)
        y = p + (y - p).detach()
        y2 = y**2
        y2.backward()
        grads.append(p.grad.detach().cpu().numpy())
    return (float(sum(grads)[0] / n),)


@seeded
def gumbel(torch: Any, n: int) -> Means:
    """The Gumbel-softmax relaxation at temperature 0.1; exp overflows for 4 samples in 10,000, which the mean leaves out."""

    def reparametrize(p: Any, temperature: float = TEMPERATURE) -> Any:
        g = -torch.log(-torch.log(torch.rand(1)))
        h = -torch.log(-torch.log(torch.rand(1)))
        e = torch.exp(((torch.log1p(-p) + h) - (torch.log(p) + g)) / temperature)
        return 1 / (1 + e)

    grads = []
    for _ in range(n):
        p = torch.tensor([P], requires_grad=True)
        y = reparametrize(p)
        y = y**2
        y.backward()
        grads.append(p.grad.detach().cpu().numpy())
    return (float(np.nanmean(grads)),)


def loop_of_jax(jax: Any, n: int, cost: Callable[..., Any], parameters: tuple[float, ...]) -> Work:
    """A loop over a jitted step: ``cost(key, *parameters)`` with its gradients."""
    places = tuple(range(1, len(parameters) + 1))

    @jax.jit
    def step(key: Any, *parameters: Any) -> Any:
        key, now = jax.random.split(key)
        return key, jax.value_and_grad(cost, places)(now, *parameters)

    key = jax.random.key(SEED)
    arrays = [jax.numpy.array([value]) for value in parameters]

    def run() -> Means:
        nonlocal key
        grads: list[list[Any]] = [[] for _ in arrays]
        for _ in range(n):
            key, (_, gradients) = step(key, *arrays)
            for kept, gradient in zip(grads, gradients, strict=True):
                kept.append(np.asarray(gradient))  # waits for the result
        return tuple(float(np.nanmean(kept)) for kept in grads)

    return Work(run)


def gaussian_of_jax(jax: Any, n: int) -> Work:
    """The Gaussian loop."""

    def cost(key: Any, mu: Any, std: Any) -> Any:
        eps = jax.random.normal(key, std.shape)
        return ((eps * std + mu) ** 2)[0]

    return loop_of_jax(jax, n, cost, (MU, STD))


def straight_through_of_jax(jax: Any, n: int) -> Work:
    """The straight-through loop."""

    def cost(key: Any, p: Any) -> Any:
        y = jax.random.bernoulli(key, p).astype(p.dtype)
        y = p + jax.lax.stop_gradient(y - p)
        return (y**2)[0]

    return loop_of_jax(jax, n, cost, (P,))


def gumbel_of_jax(jax: Any, n: int) -> Work:
    """The Gumbel-softmax loop, with JAX's own Gumbel noise."""
    jnp = jax.numpy

    def cost(key: Any, p: Any) -> Any:
        g, h = jax.random.gumbel(key, (2, 1))
        e = jnp.exp(((jnp.log1p(-p) + h) - (jnp.log(p) + g)) / TEMPERATURE)
        return ((1 / (1 + e)) ** 2)[0]

    return loop_of_jax(jax, n, cost, (P,))


def loop_of_hips(
    autograd: Any,
    n: int,
    cost: Callable[..., Any],
    draw: Callable[[np.random.Generator], Any],
    parameters: tuple[float, ...],
) -> Work:
    """A loop over ``cost(noise, *parameters)`` with its gradients."""
    rng = np.random.default_rng(SEED)
    arrays = [np.array([value], np.float32) for value in parameters]
    step = autograd.value_and_grad(cost, tuple(range(1, len(parameters) + 1)))

    def run() -> Means:
        grads: list[list[Any]] = [[] for _ in arrays]
        with np.errstate(over="ignore", invalid="ignore"):
            for _ in range(n):
                _, gradients = step(draw(rng), *arrays)
                for kept, gradient in zip(grads, gradients, strict=True):
                    kept.append(gradient)
        return tuple(float(np.nanmean(kept)) for kept in grads)

    return Work(run)


def normal(rng: np.random.Generator) -> Any:
    """One normal number."""
    return rng.standard_normal(1, dtype=np.float32)


def uniform(rng: np.random.Generator) -> Any:
    """One uniform number."""
    return rng.random(1, dtype=np.float32)


def gaussian_of_hips(autograd: Any, n: int) -> Work:
    """The Gaussian loop."""

    def cost(eps: Any, mu: Any, std: Any) -> Any:
        return ((eps * std + mu) ** 2)[0]

    return loop_of_hips(autograd, n, cost, normal, (MU, STD))


def straight_through_of_hips(autograd: Any, n: int) -> Work:
    """The straight-through loop."""
    detached = autograd.extend.primitive(lambda x: x)
    autograd.extend.defvjp(detached, None)

    def cost(u: Any, p: Any) -> Any:
        y = (u < P).astype(np.float32)
        y = p + detached(y - p)
        return (y**2)[0]

    return loop_of_hips(autograd, n, cost, uniform, (P,))


def gumbel_of_hips(autograd: Any, n: int) -> Work:
    """The Gumbel-softmax loop, with NumPy's own Gumbel noise."""
    anp = autograd.numpy

    def draw(rng: np.random.Generator) -> Any:
        return rng.gumbel(size=2).astype(np.float32)

    def cost(noise: Any, p: Any) -> Any:
        g, h = noise
        e = anp.exp(((anp.log1p(-p) + h) - (anp.log(p) + g)) / TEMPERATURE)
        return ((1 / (1 + e)) ** 2)[0]

    return loop_of_hips(autograd, n, cost, draw, (P,))


def gaussian_by_hand(np: Any, n: int) -> Work:
    """The Gaussian loop: dz²/dmu = 2z, dz²/dstd = 2z·eps."""
    rng = np.random.default_rng(SEED)
    mu, std = np.array([MU], np.float32), np.array([STD], np.float32)

    def run() -> Means:
        mu_grads, std_grads = [], []
        for _ in range(n):
            eps = normal(rng)
            gradient = 2 * (eps * std + mu)
            mu_grads.append(gradient)
            std_grads.append(gradient * eps)
        return float(sum(mu_grads)[0] / n), float(sum(std_grads)[0] / n)

    return Work(run)


def straight_through_by_hand(np: Any, n: int) -> Work:
    """The straight-through loop: 2y."""
    rng = np.random.default_rng(SEED)
    p = np.array([P], np.float32)

    def run() -> Means:
        grads = []
        for _ in range(n):
            y = (uniform(rng) < p).astype(np.float32)
            grads.append(2 * y)
        return (float(sum(grads)[0] / n),)

    return Work(run)


def gumbel_by_hand(np: Any, n: int) -> Work:
    """The Gumbel-softmax loop: y = sigmoid(a / T) has dy/da = y·(1 − y) / T, and the logit of p has the slope 1 / (p·(1 − p))."""
    rng = np.random.default_rng(SEED)
    p = np.array([P], np.float32)

    def run() -> Means:
        grads = []
        with np.errstate(over="ignore"):
            for _ in range(n):
                g = -np.log(-np.log(uniform(rng)))
                h = -np.log(-np.log(uniform(rng)))
                e = np.exp(((np.log1p(-p) + h) - (np.log(p) + g)) / TEMPERATURE)
                y = 1 / (1 + e)
                grads.append(2 * y * y * (1 - y) / TEMPERATURE / (p * (1 - p)))
        return (float(np.nanmean(grads)),)

    return Work(run)


def gaussian_of_micrograd(engine: Any, n: int) -> Work:
    """The Gaussian loop on scalars."""
    rng = random.Random(SEED)

    def run() -> Means:
        mu, std = engine.Value(MU), engine.Value(STD)
        mu_grads, std_grads = [], []
        for _ in range(n):
            mu.grad = 0
            std.grad = 0
            z = rng.gauss(0, 1) * std + mu
            z2 = z**2
            z2.backward()
            mu_grads.append(mu.grad)
            std_grads.append(std.grad)
        return sum(mu_grads) / n, sum(std_grads) / n

    return Work(run)


def straight_through_of_micrograd(engine: Any, n: int) -> Work:
    """The straight-through loop on scalars."""
    rng = random.Random(SEED)

    def run() -> Means:
        p = engine.Value(P)
        grads = []
        for _ in range(n):
            p.grad = 0
            y = p + ((rng.random() < p.data) - p.data)
            y2 = y**2
            y2.backward()
            grads.append(p.grad)
        return (sum(grads) / n,)

    return Work(run)


A_FIFTH = Goal(limit=0.2, of=(PYTORCH,))

# What one sample of each gradient has for a mean and a standard deviation: by hand for the first two; the relaxation's by
# quadrature
GAUSSIAN = ((2 * MU, 2 * STD), (2 * STD, (4 * MU**2 + 8 * STD**2) ** 0.5))
STRAIGHT_THROUGH = ((2 * P, 2 * (P * (1 - P)) ** 0.5),)
GUMBEL = ((0.94888, 3.05),)

COUNT = 200

ROWS = (
    Row(
        name="gaussian-1",
        title="Gaussian, one sample a backward",
        measures="The note's loop: draw, z = eps·std + mu, z², backward, keep the gradients.",
        size=COUNT,
        tiny=500,
        unit="a sample",
        count=COUNT,
        candidates={
            OURS: gaussian,
            PYTORCH: gaussian,
            JAX: gaussian_of_jax,
            HIPS: gaussian_of_hips,
            MICROGRAD: gaussian_of_micrograd,
            NUMPY: gaussian_by_hand,
        },
        goals=(A_FIFTH, Goal(limit=1.0, of=(MICROGRAD,))),
        expects=GAUSSIAN,
    ),
    Row(
        name="straight-through-1",
        title="Bernoulli, straight-through, one sample a backward",
        measures="The note's loop: draw, y = p + (y − p).detach(), y², backward, keep the gradient.",
        size=COUNT,
        tiny=500,
        unit="a sample",
        count=COUNT,
        candidates={
            OURS: straight_through,
            PYTORCH: straight_through,
            JAX: straight_through_of_jax,
            HIPS: straight_through_of_hips,
            MICROGRAD: straight_through_of_micrograd,
            NUMPY: straight_through_by_hand,
        },
        goals=(A_FIFTH,),
        expects=STRAIGHT_THROUGH,
    ),
    Row(
        name="gumbel-1",
        title="Gumbel-softmax, one sample a backward",
        measures="The note's loop: two Gumbel numbers, the relaxation at temperature 0.1, y², backward, keep the gradient.",
        size=COUNT,
        tiny=500,
        unit="a sample",
        count=COUNT,
        candidates={
            OURS: gumbel,
            PYTORCH: gumbel,
            JAX: gumbel_of_jax,
            HIPS: gumbel_of_hips,
            NUMPY: gumbel_by_hand,
        },
        goals=(A_FIFTH,),
        expects=GUMBEL,
    ),
)
