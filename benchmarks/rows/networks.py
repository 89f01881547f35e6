"""A training step of two small networks, with Adam: the gradients set to None, loss forward, backward, and the update.

All candidates start from the same parameters and see the same batch of made-up data, in float32. Ours and PyTorch's code is one
function, with ``torch.optim.Adam`` as it comes (PyTorch's goes over all parameters at once, ``foreach``). JAX has loss,
gradients and Adam's update jitted as one function, which gives the memory of parameters and moments back (``donate``).
HIPS autograd and NumPy share an Adam written in place; NumPy's gradients are by hand.

The variational autoencoder is that of PyTorch's examples (Kingma and Welling, 2013, appendix B): fully connected 784-400-20,
the loss the binary cross entropy of the pixels, here from logits, plus the KL divergence to the standard normal prior, summed
over the batch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.peers import HIPS, JAX, NUMPY, OURS, PYTORCH
from benchmarks.row import SEED, Goal, Row, Work

LR, BETA1, BETA2, EPS = 1e-3, 0.9, 0.999, 1e-8
CHECKED_STEPS = 3


@dataclass(frozen=True)
class Sizes:
    """Of a network: the batch, the pixels of an image, the hidden units, and the classes or latent variables."""

    batch: int
    pixels: int
    hidden: int
    out: int


@dataclass(frozen=True)
class Task:
    """What all candidates start from.

    Args:
        parameters: weights (out, in) and biases, in turns.
        batch: the arrays of a batch.
        noise: the shape of the normal numbers that each step draws, if any.
    """

    parameters: list[np.ndarray]
    batch: tuple[np.ndarray, ...]
    noise: tuple[int, ...] | None

    def arguments(self, rng: np.random.Generator) -> tuple[Any, ...]:
        """The batch, and fresh noise where the loss wants it."""
        return self.batch if self.noise is None else (*self.batch, rng.standard_normal(self.noise, dtype=np.float32))

    def checked(self) -> list[tuple[Any, ...]]:
        """The arguments of the steps by which candidates are compared."""
        rng = np.random.default_rng(SEED + 1)
        return [self.arguments(rng) for _ in range(CHECKED_STEPS)]


def layers(rng: np.random.Generator, *shapes: tuple[int, int]) -> list[np.ndarray]:
    """Weights and biases of linear layers, uniform within 1/√(length of the input)."""
    arrays = []
    for out, in_ in shapes:
        bound = in_**-0.5
        arrays.append(rng.uniform(-bound, bound, (out, in_)).astype(np.float32))
        arrays.append(rng.uniform(-bound, bound, out).astype(np.float32))
    return arrays


def autoencoder(sizes: Sizes) -> Task:
    """The task of the variational autoencoder."""
    rng = np.random.default_rng(SEED)
    pixels, hidden, latent = sizes.pixels, sizes.hidden, sizes.out
    parameters = layers(rng, (hidden, pixels), (latent, hidden), (latent, hidden), (hidden, latent), (pixels, hidden))
    images = rng.random((sizes.batch, pixels), dtype=np.float32)
    return Task(parameters, (images,), (sizes.batch, latent))


def classifier(sizes: Sizes) -> Task:
    """The task of the classifier with one hidden layer."""
    rng = np.random.default_rng(SEED)
    parameters = layers(rng, (sizes.hidden, sizes.pixels), (sizes.out, sizes.hidden))
    images = rng.random((sizes.batch, sizes.pixels), dtype=np.float32)
    return Task(parameters, (images, rng.integers(0, sizes.out, sizes.batch)), None)


# ---------------------------------------------------------------- training, a function for each peer


def train(torch: Any, loss: Callable[..., Any], task: Task) -> Work:
    """Steps of ``loss(torch, parameters, *arguments)`` on tensors."""

    def step(parameters: list[Any], adam: Any, *arguments: Any) -> Any:
        adam.zero_grad(set_to_none=True)
        value = loss(torch, parameters, *arguments)
        value.backward()
        adam.step()
        return value

    def start() -> tuple[list[Any], Any]:
        parameters = [torch.tensor(array, requires_grad=True) for array in task.parameters]
        return parameters, torch.optim.Adam(parameters, lr=LR)

    torch.manual_seed(SEED)
    parameters, adam = start()
    batch = tuple(map(torch.tensor, task.batch))

    def run() -> Any:
        arguments = batch if task.noise is None else (*batch, torch.randn(task.noise))
        return step(parameters, adam, *arguments)

    def check() -> Sequence[Any]:
        parameters, adam = start()
        losses = [step(parameters, adam, *map(torch.tensor, arguments)) for arguments in task.checked()]
        return *losses, *(p.grad for p in parameters)

    return Work(run, check)


def train_jitted(jax: Any, loss: Callable[..., Any], task: Task) -> Work:
    """Steps of ``loss(jax, parameters, *arguments)``, jitted with Adam's update and the draw of the noise."""
    jnp = jax.numpy

    def value_and_grad(parameters: Any, *arguments: Any) -> Any:
        return jax.value_and_grad(lambda p: loss(jax, p, *arguments))(parameters)

    def update(state: Any, gradients: Any) -> Any:
        parameters, first, second, t = state
        t = t + 1
        first = [BETA1 * m + (1 - BETA1) * g for m, g in zip(first, gradients, strict=True)]
        second = [BETA2 * v + (1 - BETA2) * g * g for v, g in zip(second, gradients, strict=True)]
        rate, scale = LR / (1 - BETA1**t), (1 - BETA2**t) ** -0.5
        parameters = [
            p - rate * m / (jnp.sqrt(v) * scale + EPS) for p, m, v in zip(parameters, first, second, strict=True)
        ]
        return parameters, first, second, t

    def step(state: Any, key: Any, *arguments: Any) -> Any:
        if task.noise is not None:
            key, now = jax.random.split(key)
            arguments = (*arguments, jax.random.normal(now, task.noise))
        value, gradients = value_and_grad(state[0], *arguments)
        return value, update(state, gradients), key

    def start() -> Any:
        zeros = [jnp.zeros(array.shape, jnp.float32) for array in task.parameters]
        return list(map(jnp.array, task.parameters)), zeros, list(map(jnp.copy, zeros)), jnp.float32(0)

    compiled = jax.jit(step, donate_argnums=(0, 1))
    state, key = start(), jax.random.key(SEED)
    batch = tuple(map(jnp.asarray, task.batch))

    def run() -> Any:
        nonlocal state, key
        value, state, key = jax.block_until_ready(compiled(state, key, *batch))
        return value

    def check() -> Sequence[Any]:
        state, losses, gradients = start(), [], []
        for arguments in task.checked():
            value, gradients = jax.jit(value_and_grad)(state[0], *arguments)
            state = jax.jit(update)(state, gradients)
            losses.append(value)
        return *losses, *gradients

    return Work(run, check)


def train_arrays(value_and_grad: Callable[..., Any], task: Task) -> Work:
    """Steps of ``value_and_grad(parameters, *arguments)`` on NumPy's arrays, with Adam in place."""

    def start() -> Any:
        parameters = [array.copy() for array in task.parameters]
        moments = [tuple(np.zeros_like(array) for _ in range(3)) for array in parameters]
        return parameters, moments

    def step(parameters: Any, moments: Any, t: int, *arguments: Any) -> Any:
        value, gradients = value_and_grad(parameters, *arguments)
        rate, scale = LR / (1 - BETA1**t), (1 - BETA2**t) ** -0.5
        for p, g, (m, v, change) in zip(parameters, gradients, moments, strict=True):
            m *= BETA1
            np.multiply(g, 1 - BETA1, out=change)
            m += change
            v *= BETA2
            np.multiply(g, g, out=change)
            change *= 1 - BETA2
            v += change
            np.sqrt(v, out=change)
            change *= scale
            change += EPS
            np.divide(m, change, out=change)
            change *= rate
            p -= change
        return value, gradients

    parameters, moments = start()
    rng = np.random.default_rng(SEED)
    t = 0

    def run() -> Any:
        nonlocal t
        t += 1
        return step(parameters, moments, t, *task.arguments(rng))

    def check() -> Sequence[Any]:
        parameters, moments = start()
        losses, gradients = [], []
        for t, arguments in enumerate(task.checked(), 1):
            value, gradients = step(parameters, moments, t, *arguments)
            losses.append(value)
        return *losses, *gradients

    return Work(run, check)


def train_traced(autograd: Any, loss: Callable[..., Any], task: Task) -> Work:
    """Steps of ``loss(autograd, parameters, *arguments)`` by HIPS autograd."""
    return train_arrays(autograd.value_and_grad(lambda p, *arguments: loss(autograd, p, *arguments)), task)


# ---------------------------------------------------------------- the losses, a function for each peer


def vae_loss(torch: Any, parameters: list[Any], x: Any, eps: Any) -> Any:
    """The negative evidence lower bound, in nats, summed over the batch."""
    w1, b1, w21, b21, w22, b22, w3, b3, w4, b4 = parameters
    F = torch.nn.functional
    h = F.relu(F.linear(x, w1, b1))
    mu, logvar = F.linear(h, w21, b21), F.linear(h, w22, b22)
    z = mu + eps * torch.exp(0.5 * logvar)
    logits = F.linear(F.relu(F.linear(z, w3, b3)), w4, b4)
    bce = F.binary_cross_entropy_with_logits(logits, x, reduction="sum")
    kld = -0.5 * torch.sum(1 + logvar - mu.pow(2) - logvar.exp())
    return bce + kld


def vae_loss_of_jax(jax: Any, parameters: list[Any], x: Any, eps: Any) -> Any:
    """The same in JAX."""
    w1, b1, w21, b21, w22, b22, w3, b3, w4, b4 = parameters
    jnp = jax.numpy
    h = jax.nn.relu(x @ w1.T + b1)
    mu, logvar = h @ w21.T + b21, h @ w22.T + b22
    z = mu + eps * jnp.exp(0.5 * logvar)
    logits = jax.nn.relu(z @ w3.T + b3) @ w4.T + b4
    bce = jnp.sum(jax.nn.softplus(logits) - x * logits)
    return bce - 0.5 * jnp.sum(1 + logvar - mu**2 - jnp.exp(logvar))


def vae_loss_of_hips(autograd: Any, parameters: list[Any], x: Any, eps: Any) -> Any:
    """The same in HIPS autograd."""
    w1, b1, w21, b21, w22, b22, w3, b3, w4, b4 = parameters
    anp = autograd.numpy
    h = anp.maximum(anp.dot(x, w1.T) + b1, 0)
    mu, logvar = anp.dot(h, w21.T) + b21, anp.dot(h, w22.T) + b22
    z = mu + eps * anp.exp(0.5 * logvar)
    logits = anp.dot(anp.maximum(anp.dot(z, w3.T) + b3, 0), w4.T) + b4
    bce = anp.sum(anp.logaddexp(0, logits) - x * logits)
    return bce - 0.5 * anp.sum(1 + logvar - mu**2 - anp.exp(logvar))


def vae_by_hand(parameters: list[Any], x: Any, eps: Any) -> Any:
    """The same, and its gradients, by hand."""
    w1, b1, w21, b21, w22, b22, w3, b3, w4, b4 = parameters
    h = x @ w1.T
    h += b1
    np.maximum(h, 0, out=h)
    mu, logvar = h @ w21.T + b21, h @ w22.T + b22
    std = np.exp(0.5 * logvar)
    noise = eps * std
    z = mu + noise
    k = z @ w3.T
    k += b3
    np.maximum(k, 0, out=k)
    logits = k @ w4.T
    logits += b4
    e = np.exp(-np.abs(logits))  # softplus(x) = max(x, 0) + log(1 + e), sigmoid(x) = 1 / (1 + e) or e / (1 + e)
    bce = np.sum(np.maximum(logits, 0) + np.log1p(e) - x * logits)
    variance = std * std
    value = bce - 0.5 * np.sum(1 + logvar - mu * mu - variance)

    d_logits = np.where(logits >= 0, np.float32(1), e)
    e += 1
    d_logits /= e
    d_logits -= x
    d_k = d_logits @ w4
    d_k *= k > 0
    d_z = d_k @ w3
    d_mu = d_z + mu
    d_logvar = 0.5 * (d_z * noise + variance - 1)
    d_h = d_mu @ w21
    d_h += d_logvar @ w22
    d_h *= h > 0
    inputs_and_slopes = ((x, d_h), (h, d_mu), (h, d_logvar), (z, d_k), (k, d_logits))
    return value, [g for a, d in inputs_and_slopes for g in (d.T @ a, d.sum(0))]


def mlp_loss(torch: Any, parameters: list[Any], x: Any, labels: Any) -> Any:
    """The cross entropy of a classifier with one hidden layer, in nats, averaged over the batch."""
    w1, b1, w2, b2 = parameters
    F = torch.nn.functional
    return F.cross_entropy(F.linear(F.relu(F.linear(x, w1, b1)), w2, b2), labels)


def mlp_loss_of_jax(jax: Any, parameters: list[Any], x: Any, labels: Any) -> Any:
    """The same in JAX."""
    w1, b1, w2, b2 = parameters
    log_p = jax.nn.log_softmax(jax.nn.relu(x @ w1.T + b1) @ w2.T + b2)
    return -jax.numpy.take_along_axis(log_p, labels[:, None], 1).mean()


def mlp_loss_of_hips(autograd: Any, parameters: list[Any], x: Any, labels: Any) -> Any:
    """The same in HIPS autograd."""
    w1, b1, w2, b2 = parameters
    anp = autograd.numpy
    logits = anp.dot(anp.maximum(anp.dot(x, w1.T) + b1, 0), w2.T) + b2
    shifted = logits - anp.max(logits, axis=1, keepdims=True)
    log_p = shifted - anp.log(anp.sum(anp.exp(shifted), axis=1, keepdims=True))
    return -anp.mean(log_p[anp.arange(len(labels)), labels])


def mlp_by_hand(parameters: list[Any], x: Any, labels: Any) -> Any:
    """The same, and its gradients, by hand."""
    w1, b1, w2, b2 = parameters
    h = np.maximum(x @ w1.T + b1, 0)
    logits = h @ w2.T + b2
    logits -= logits.max(1, keepdims=True)
    d = np.exp(logits)
    total = d.sum(1, keepdims=True)
    rows = np.arange(len(labels))
    value = np.mean(np.log(total[:, 0]) - logits[rows, labels])
    d /= total
    d[rows, labels] -= 1
    d /= len(labels)
    d_h = d @ w2
    d_h *= h > 0
    return value, [d_h.T @ x, d_h.sum(0), d.T @ h, d.sum(0)]


ROWS = (
    Row(
        name="vae",
        title="VAE step: 784-400-20, batch 128, Adam",
        measures="One step on a batch in memory: noise, loss, gradients, Adam.",
        size=Sizes(batch=128, pixels=784, hidden=400, out=20),
        tiny=Sizes(batch=6, pixels=30, hidden=16, out=4),
        candidates={
            OURS: lambda torch, sizes: train(torch, vae_loss, autoencoder(sizes)),
            PYTORCH: lambda torch, sizes: train(torch, vae_loss, autoencoder(sizes)),
            JAX: lambda jax, sizes: train_jitted(jax, vae_loss_of_jax, autoencoder(sizes)),
            HIPS: lambda autograd, sizes: train_traced(autograd, vae_loss_of_hips, autoencoder(sizes)),
            NUMPY: lambda _, sizes: train_arrays(vae_by_hand, autoencoder(sizes)),
        },
        goals=(Goal(limit=0.65),),
    ),
    Row(
        name="mlp",
        title="MLP step: 784-100-10, batch 32, Adam",
        measures="One step on a batch in memory: cross entropy, gradients, Adam.",
        size=Sizes(batch=32, pixels=784, hidden=100, out=10),
        tiny=Sizes(batch=5, pixels=20, hidden=12, out=4),
        candidates={
            OURS: lambda torch, sizes: train(torch, mlp_loss, classifier(sizes)),
            PYTORCH: lambda torch, sizes: train(torch, mlp_loss, classifier(sizes)),
            JAX: lambda jax, sizes: train_jitted(jax, mlp_loss_of_jax, classifier(sizes)),
            HIPS: lambda autograd, sizes: train_traced(autograd, mlp_loss_of_hips, classifier(sizes)),
            NUMPY: lambda _, sizes: train_arrays(mlp_by_hand, classifier(sizes)),
        },
    ),
)
