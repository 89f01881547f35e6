"""A chain of operations on one element, ``x = x * a + b``: what an operation costs, whatever the length.

Forward and backward are timed separately. Freeing the graph belongs to the backward pass, for everybody.

JAX runs the short chain operation by operation, by ``jax.vjp``: a jitted chain is one fused kernel, which measures no operation,
and takes minutes to compile when it is long. Operation by operation it is too slow for the long chain, as is HIPS autograd;
micrograd walks the graph recursively and fails on both.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, NamedTuple

from benchmarks.peers import HIPS, JAX, NUMPY, OURS, PYTORCH
from benchmarks.row import Goal, Maker, Row, Work

A, B = 0.999, 0.001
SHORT, LONG = 10**3, 10**6


class Chains(NamedTuple):
    """How many operations a chain has, and how many chains are computed one after the other."""

    operations: int
    times: int = 1


def work(chains: Chains, forward: Callable[[int], Any], backward: Callable[[Any], Any]) -> Work:
    """Time ``forward(links)``, which returns a list of what the pass needs, and ``backward`` of that list, which empties it."""
    links = chains.operations // 2

    def run() -> tuple[float, float]:
        forwards = backwards = 0.0
        for _ in range(chains.times):
            start = time.perf_counter()
            recorded = forward(links)
            middle = time.perf_counter()
            backward(recorded)
            end = time.perf_counter()
            forwards += middle - start
            backwards += end - middle
        return forwards, backwards

    return Work(run, lambda: (backward(forward(links)),))


def chain(torch: Any, chains: Chains) -> Work:
    """On tensors."""

    def forward(links: int) -> Any:
        x = torch.ones(1, requires_grad=True)
        y = x
        for _ in range(links):
            y = y * A + B
        return [x, y]

    def backward(recorded: Any) -> Any:
        y = recorded.pop()
        y.backward()
        del y
        return recorded.pop().grad

    return work(chains, forward, backward)


def chain_of_jax(jax: Any, chains: Chains) -> Work:
    """Operation by operation."""

    def forward(links: int) -> Any:
        def links_of(y: Any) -> Any:
            for _ in range(links):
                y = y * A + B
            return y

        y, pull = jax.vjp(links_of, jax.numpy.ones(1))
        jax.block_until_ready(y)
        return [pull, y]

    def backward(recorded: Any) -> Any:
        cotangent = jax.numpy.ones_like(recorded.pop())
        (gradient,) = recorded.pop()(cotangent)
        return jax.block_until_ready(gradient)

    return work(chains, forward, backward)


def chain_of_hips(autograd: Any, chains: Chains) -> Work:
    """By ``make_vjp``."""
    anp = autograd.numpy

    def forward(links: int) -> Any:
        def links_of(y: Any) -> Any:
            for _ in range(links):
                y = y * A + B
            return y

        pull, y = autograd.make_vjp(links_of)(anp.ones(1, anp.float32))
        return [pull, y]

    def backward(recorded: Any) -> Any:
        cotangent = anp.ones_like(recorded.pop())
        return recorded.pop()(cotangent)

    return work(chains, forward, backward)


def chain_by_hand(np: Any, chains: Chains) -> Work:
    """Arrays of one element, the derivative of a link by hand."""

    def forward(links: int) -> Any:
        y = np.ones(1, np.float32)
        for _ in range(links):
            y = y * A + B
        return [links]

    def backward(recorded: Any) -> Any:
        gradient = np.ones(1, np.float32)
        for _ in range(recorded.pop()):
            gradient = gradient * A  # the sum hands it on as it is
        return gradient

    return work(chains, forward, backward)


def in_pieces(make: Maker) -> Maker:
    """The same number of operations in short chains."""
    return lambda module, chains: make(module, Chains(SHORT, max(1, chains.operations // SHORT)))


QUARTER = Goal(limit=0.25)
PIECES = f"{OURS}, chains of 10³"

ROWS = (
    Row(
        name="chain-1e3",
        title="chain of 10³ operations",
        measures="An operation on one element, recorded; and its part of the backward pass.",
        size=Chains(SHORT),
        tiny=Chains(60),
        unit="an operation",
        count=SHORT,
        parts=("forward", "backward"),
        candidates={
            OURS: chain,
            PYTORCH: chain,
            JAX: chain_of_jax,
            HIPS: chain_of_hips,
            NUMPY: chain_by_hand,
        },
        goals=(QUARTER,),
    ),
    Row(
        name="chain-1e6",
        title="chain of 10⁶ operations",
        measures="The same in one long chain; and, on our side, as many operations in chains of 10³.",
        size=Chains(LONG),
        tiny=Chains(SHORT),
        unit="an operation",
        count=LONG,
        parts=("forward", "backward"),
        candidates={OURS: chain, PYTORCH: chain, NUMPY: chain_by_hand, PIECES: in_pieces(chain)},
        goals=(QUARTER, Goal(limit=1.1, of=(PIECES,))),
        long=True,
    ),
)
