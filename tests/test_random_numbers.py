"""Random numbers: known answers, what a number depends on, and statistics.

A statistical test here computes the probability that a right sampler gives a value as far off as the one seen, or farther, and
fails below ALARM = 1e-7: that is the rate of false alarms of each comparison. There are about 300, on fixed seeds, so that
right samplers fail somewhere for one choice of seeds in 30,000.
"""

import copy
import math
import os
import pickle
import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

import tinygrad_rp as tg
from tinygrad_rp import random
from tinygrad_rp.kernels import choice, rejection, samplers
from tinygrad_rp.random import Generator

ALARM = 1e-7
N = 100_000
FLOAT32, FLOAT64 = np.dtype(np.float32), np.dtype(np.float64)
BOTH = pytest.mark.parametrize("dtype", [FLOAT32, FLOAT64], ids=str)

CDF = {
    "uniform": stats.uniform.cdf,
    "normal": stats.norm.cdf,
    "exponential": stats.expon.cdf,
    "gumbel": stats.gumbel_r.cdf,
}
CONTINUOUS = pytest.mark.parametrize("kind", CDF)


def seeded(seed):
    return Generator().manual_seed(seed)


def assert_mean(x, mean, sd):
    """z-test of the mean of independent numbers whose standard deviation is known."""
    z = (np.mean(x, dtype=np.float64) - mean) / (sd / math.sqrt(np.size(x)))
    assert 2 * stats.norm.sf(abs(z)) > ALARM, f"z = {z:.2f}"


def assert_counts(counts, probabilities):
    """Chi-square test of how often each outcome came; outcomes that are expected less than 10 times are taken together."""
    counts, expected = np.asarray(counts, float), np.sum(counts) * np.asarray(probabilities, float)
    assert not counts[expected == 0].any()
    rare = expected < 10
    if rare.any():
        counts, expected = (
            np.append(counts[~rare], counts[rare].sum()),
            np.append(expected[~rare], expected[rare].sum()),
        )
    if expected[-1] < 10 and len(expected) > 1:
        counts[-2], expected[-2] = counts[-2:].sum(), expected[-2:].sum()
        counts, expected = counts[:-1], expected[:-1]
    p = stats.chi2.sf(((counts - expected) ** 2 / expected).sum(), len(counts) - 1)
    assert p > ALARM, f"p = {p:.1e}"


def assert_distribution(x, cdf):
    """Kolmogorov's test."""
    p = stats.kstest(np.asarray(x, np.float64).ravel(), cdf).pvalue
    assert p > ALARM, f"p = {p:.1e}"


def choose(monkeypatch, compiled):
    """Whether numbers are to come from compiled loops, however many are drawn."""
    if compiled and not choice.usable():
        pytest.skip("Numba is not installed")
    monkeypatch.setattr(samplers, "MODE", "numpy")
    monkeypatch.setattr(samplers, "LARGE", 0 if compiled else sys.maxsize)


# -------------------------------------------------------------------------------------------------------------- Philox

# Random123 1.14, tests/kat_vectors, the lines "philox4x32 10": counter, key, words
KNOWN_ANSWERS = """
00000000 00000000 00000000 00000000  00000000 00000000  6627e8d5 e169c58d bc57ac4c 9b00dbd8
ffffffff ffffffff ffffffff ffffffff  ffffffff ffffffff  408f276d 41c83b0e a20bc7c6 6d5451fd
243f6a88 85a308d3 13198a2e 03707344  a4093822 299f31d0  d16cfe09 94fdcceb 5001e420 24126ea1
"""


@pytest.mark.parametrize("line", KNOWN_ANSWERS.split("\n")[1:-1])
def test_philox_gives_the_published_words(line):
    words = [int(word, 16) for word in line.split()]
    assert [int(w) for w in samplers.philox(*np.array(words[:6], np.uint64))] == words[6:]
    drawn = samplers.philox(*np.repeat(np.array(words[:6], np.uint64)[:, None], 3, 1))
    assert np.array_equal(np.stack(drawn), np.repeat(np.array(words[6:], np.uint64)[:, None], 3, 1))


def test_a_number_is_where_the_documentation_says_that_it_is():
    seed, place = 0x0123456789ABCDEF, 256 * (5 + 2**40) + 64 * 2 + 17
    block = 64 * (5 + 2**40) + 17
    word = 2 * samplers.KINDS.index("uniform") << 24
    counter = (block & 0xFFFFFFFF, block >> 32, 0, word, seed & 0xFFFFFFFF, seed >> 32)
    words = samplers.philox(*np.array(counter, np.uint64))
    assert seeded(seed).at("uniform", place, (1,), FLOAT32).item() == (int(words[2]) >> 8) * 2.0**-24


FIRST_NUMBERS = {
    "uniform": [0.4310784339904785, 0.9882805943489075],
    "normal": [0.6145947366674032, 0.39887411371585835],
    "integers": [710, 597, 934, 249],
    "permutation": [5, 3, 4, 1, 2, 0],
    "gamma": [1.985702806738555, 2.9139534581395665],
    "poisson": [4.0, 379.0],
    "binomial": [3.0, 609.0],
    "von_mises": [2.804602957137341, -0.23130693278512557],
    "log_gamma": [-774.0458073493813, 1.2693348032473073],
    "child": 10167241226305577288,
}


def test_the_first_numbers_of_a_seed_are_what_they_always_were():
    """A seed stands for its numbers, from one version to the next."""
    g = seeded(2026)
    drawn = {
        "uniform": g.uniform((2,), FLOAT32).tolist(),
        "normal": g.normal((2,), FLOAT64).tolist(),
        "integers": g.integers(0, 1000, (4,)).tolist(),
        "permutation": g.permutation(6).tolist(),
        "gamma": g.gamma([0.5, 3.0]).tolist(),
        "poisson": g.poisson([4.0, 400.0]).tolist(),
        "binomial": g.binomial([10, 1000], [0.3, 0.6]).tolist(),
        "von_mises": g.von_mises([0.5, 20.0]).tolist(),
        "log_gamma": g.log_gamma([1e-3, 3.0]).tolist(),
        "child": (child := g.fork())._key ^ child._stream,
    }
    assert drawn == FIRST_NUMBERS


# -------------------------------------------------------------------------------------- a number depends on its place only

METHODS = {
    **{f"{kind} {d}": lambda g, n, kind=kind, d=d: g.draw(kind, (n,), d) for kind in CDF for d in (FLOAT32, FLOAT64)},
    "bernoulli": lambda g, n: g.bernoulli(0.3, (n,)),
    "categorical": lambda g, n: g.categorical(np.array([[1.0, 2.0, 3.0]]), n)[0],
    "choice": lambda g, n: g.choice(np.tile([1.0, 2.0, 3.0], (n, 1)), 1)[:, 0],
    "integers": lambda g, n: g.integers(-5, 2**40, (n,)),
    "integers that are rejected": lambda g, n: g.integers(-(2**62), 2**62 + 2**61, (n,)),
    "gamma": lambda g, n: g.gamma(np.full(n, 0.7)),
    "gamma float32": lambda g, n: g.gamma(np.full(n, 2.5), FLOAT32),
    "poisson, few": lambda g, n: g.poisson(np.full(n, 3.0)),
    "poisson, many": lambda g, n: g.poisson(np.full(n, 50.0)),
    "log_gamma": lambda g, n: g.log_gamma(np.full(n, 0.01)),
    "log_gamma float32": lambda g, n: g.log_gamma(np.full(n, 2.5), FLOAT32),
    "binomial, few": lambda g, n: g.binomial(7, np.full(n, 0.4)),
    "binomial, many": lambda g, n: g.binomial(np.full(n, 100), 0.8),
    "binomial float32": lambda g, n: g.binomial(np.full(n, 1000), 0.3, FLOAT32),
    "von_mises": lambda g, n: g.von_mises(np.full(n, 3.0)),
    "von_mises float32": lambda g, n: g.von_mises(np.full(n, 0.2), FLOAT32),
}


@pytest.mark.parametrize("name", METHODS)
def test_numbers_do_not_depend_on_how_many_are_drawn_at_a_time(name):
    draw = METHODS[name]
    g, h = seeded(3), seeded(3)
    whole = draw(g, 30_000)
    sizes = [1, 1, 3, 0, 16, 250, 1, 1000, 7, 256, 5000, 2, 12_000, 1, 9000]
    sizes.append(30_000 - sum(sizes))
    assert np.array_equal(np.concatenate([draw(h, n) for n in sizes]), whole)
    assert np.array_equal(draw(g, 5), draw(h, 5))


@pytest.mark.parametrize("name", METHODS)
def test_arrays_and_compiled_loops_give_bitwise_the_same_numbers(name, monkeypatch):
    drawn = []
    for compiled in (False, True):
        choose(monkeypatch, compiled)
        g = seeded(-1)
        drawn.append(np.concatenate([METHODS[name](g, n) for n in (3, 20_000, 301)]))
    assert drawn[0].dtype == drawn[1].dtype and drawn[0].tobytes() == drawn[1].tobytes()


@pytest.mark.parametrize("name", METHODS)
def test_numbers_do_not_depend_on_the_number_of_threads(name, monkeypatch):
    choose(monkeypatch, True)
    before, drawn = tg.get_num_threads(), []
    try:
        for threads in (1, 4):
            tg.set_num_threads(threads)
            drawn.append(METHODS[name](seeded(11), 300_001))
    finally:
        tg.set_num_threads(before)
    assert np.array_equal(*drawn)


@pytest.mark.parametrize("parameters", ["gamma", "poisson", "log_gamma", "von_mises"])
def test_parameters_of_all_sizes_give_the_same_numbers_compiled(parameters, monkeypatch):
    values = np.exp(np.random.default_rng(0).uniform(-12, 25, 20_000))
    drawn = []
    for compiled in (False, True):
        choose(monkeypatch, compiled)
        drawn.append(getattr(seeded(5), parameters)(values))
    assert drawn[0].tobytes() == drawn[1].tobytes()
    # a number has its own attempts: those of its neighbours do not move it
    assert np.array_equal(seeded(5).at(parameters, 700, values[700:720]), drawn[0][700:720])


@CONTINUOUS
@BOTH
def test_a_range_can_be_computed_alone_and_changes_nothing(kind, dtype):
    g = seeded(5)
    whole = g.draw(kind, (20_000,), dtype)
    state = bytes(g.get_state().numpy())
    for start, n in ((0, 3), (255, 2), (127, 130), (4096, 4096), (19_990, 10), (777, 18_000), (5, 0)):
        assert np.array_equal(g.at(kind, start, (n,), dtype), whole[start : start + n])
    assert bytes(g.get_state().numpy()) == state
    assert np.isfinite(g.at(kind, 2**61, (10,), dtype)).all()


def test_ranges_of_kinds_with_parameters():
    g = seeded(8)
    p = np.linspace(0, 1, 500)
    assert np.array_equal(g.bernoulli(p)[100:200], g.at("bernoulli", 100, p[100:200]))
    assert np.array_equal(g.integers(0, 99, (500,))[100:200], g.at("integers", 100, 0, 99, (100,)))
    g.permutation(10)
    assert np.array_equal(g.permutation(20), g.at("permutation", 10, 20))
    with pytest.raises(ValueError, match="no kind of number 'cauchy'"):
        g.at("cauchy", 0, (1,), FLOAT32)
    with pytest.raises(ValueError, match="start"):
        g.at("normal", -1, (1,), FLOAT32)


def test_each_kind_and_dtype_is_a_stream_of_its_own():
    g, h = seeded(1), seeded(1)
    for name in METHODS:
        if not name.startswith("normal"):
            METHODS[name](g, 100)
    g.permutation(10)
    g.fork()
    for dtype in (FLOAT32, FLOAT64):
        assert np.array_equal(g.normal((50,), dtype), h.normal((50,), dtype))


# ---------------------------------------------------------------------------------------------- seeds, states and forks


def used():
    g = seeded(9)
    for name in METHODS:
        METHODS[name](g, 37)
    g.permutation(3)
    g.fork()
    return g


def next_numbers(g):
    drawn = [METHODS[name](g, 400).tolist() for name in METHODS]
    return [*drawn, g.permutation(9).tolist(), g.fork().normal((3,), FLOAT32).tolist()]


@pytest.mark.parametrize(
    "copied",
    [
        lambda g: Generator().set_state(g.get_state()),
        lambda g: Generator().set_state(g.get_state().numpy().copy()),
        lambda g: g.clone_state(),
        lambda g: pickle.loads(pickle.dumps(g)),
        copy.deepcopy,
        copy.copy,
    ],
)
def test_a_state_says_all_that_the_next_numbers_depend_on(copied):
    g = used()
    h = copied(g)
    expected = next_numbers(g)
    assert next_numbers(h) == expected and h.initial_seed() == 9
    assert bytes(h.get_state().numpy()) == bytes(g.get_state().numpy())


def test_a_state_is_a_tensor_of_bytes():
    state = used().get_state()
    assert isinstance(state, tg.Tensor) and state.dtype == np.uint8 and state.ndim == 1


@pytest.mark.parametrize(
    "wrong, error",
    [
        (lambda s: s[:-8], RuntimeError),
        (lambda s: s.reshape(2, -1), RuntimeError),
        (lambda s: np.concatenate([s[:1] + np.uint8(1), s[1:]]), RuntimeError),
        (lambda s: np.concatenate([s[:20], s[:4] | np.uint8(255), s[24:]]), RuntimeError),
        (lambda s: np.concatenate([s[:-1], s[:1] | np.uint8(255)]), RuntimeError),
        (lambda s: s.astype(np.int64), TypeError),
        (lambda s: s.tolist(), TypeError),
        (lambda s: s.tobytes(), TypeError),
        (lambda s: None, TypeError),
    ],
)
def test_what_is_no_state_is_refused_and_changes_nothing(wrong, error):
    g, h = used(), used()
    with pytest.raises(error, match="state"):
        g.set_state(wrong(g.get_state().numpy()))
    assert next_numbers(g) == next_numbers(h)


def test_the_default_generator_has_a_state_and_a_seed():
    before = tg.get_rng_state()
    try:
        assert tg.manual_seed(5) is tg.default_generator and tg.initial_seed() == 5
        state, first = tg.get_rng_state(), tg.randn(3).tolist()
        with random.fork_rng():
            assert tg.randn(3).tolist() != first
            tg.manual_seed(6)
        second = tg.randn(3).tolist()
        tg.set_rng_state(state)
        assert tg.randn(3).tolist() == first and tg.randn(3).tolist() == second
        seed = tg.seed()
        assert tg.initial_seed() == seed and 0 <= seed < 2**64
    finally:
        tg.set_rng_state(before)


@pytest.mark.parametrize("seed", [2**64, -(2**63) - 1])
def test_a_seed_that_does_not_fit_is_refused(seed):
    with pytest.raises(ValueError, match="64 bits"):
        Generator().manual_seed(seed)


@pytest.mark.parametrize("seed", [1.5, True, "1", None])
def test_a_seed_that_is_no_integer_is_refused(seed):
    with pytest.raises(RuntimeError, match="must be an integer"):
        Generator().manual_seed(seed)


def test_a_negative_seed_stands_for_its_bits():
    assert seeded(-1).initial_seed() == 2**64 - 1
    assert np.array_equal(seeded(-1).normal((5,), FLOAT32), seeded(2**64 - 1).normal((5,), FLOAT32))


def test_forks_are_the_same_in_each_run_and_differ_from_each_other():
    g = seeded(4)
    forks = [*g.split(3), g.fork(), g.fork().fork()]
    numbers = [f.normal((4,), FLOAT32).tolist() for f in forks]
    again = [f.normal((4,), FLOAT32).tolist() for f in seeded(4).split(4)]
    assert numbers[:4] == again and len({tuple(n) for n in numbers}) == 5
    assert g.normal((4,), FLOAT32).tolist() == seeded(4).normal((4,), FLOAT32).tolist()
    child = seeded(4).fork()
    assert child.clone_state().normal((2,), FLOAT32).tolist() == child.normal((2,), FLOAT32).tolist()
    assert g.split(0) == []
    with pytest.raises(ValueError, match="negative"):
        g.split(-1)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_forked_process_goes_on_with_the_same_numbers_even_while_another_thread_draws():
    code = """
import os, threading, numpy as np
from tinygrad_rp.random import Generator
d = np.dtype(np.float32)
g, busy = Generator().manual_seed(1), Generator().manual_seed(2)
g.normal((10,), d)
expected = g.clone_state().normal((20000,), d)
stop = threading.Event()
def draw():
    while not stop.is_set():
        busy.normal((300,), d)
thread = threading.Thread(target=draw)
thread.start()
codes = []
for _ in range(20):
    pid = os.fork()
    if pid == 0:
        os._exit(0 if np.array_equal(g.normal((20000,), d), expected) and len(busy.normal((5,), d)) else 1)
    codes.append(os.waitpid(pid, 0)[1])
stop.set()
thread.join()
assert codes == [0] * 20, codes
"""
    subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], check=True, timeout=120, cwd=Path(__file__).parent.parent
    )


def test_threads_that_share_a_generator_share_out_its_numbers():
    g, drawn = seeded(3), []

    def draw():
        drawn.extend(g.uniform((1 + i % 5,), FLOAT64) for i in range(2000))

    threads = [threading.Thread(target=draw) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    numbers = np.concatenate(drawn)
    assert np.array_equal(np.sort(numbers), np.sort(seeded(3).uniform((len(numbers),), FLOAT64)))


# ----------------------------------------------------------------------------------------------------------- statistics


@CONTINUOUS
@BOTH
def test_numbers_have_their_distribution(kind, dtype):
    g = seeded(21)
    assert_distribution(g.draw(kind, (N,), dtype), CDF[kind])
    assert_distribution([g.draw(kind, (1,), dtype).item() for _ in range(3000)], CDF[kind])


@BOTH
def test_uniform_numbers_fill_their_bins_evenly_in_one_two_and_three_dimensions(dtype):
    x = seeded(22).uniform((3 * N,), dtype)
    assert x.min() >= 0 and x.max() < 1
    assert_counts(np.bincount((x * 1000).astype(int), minlength=1000), np.full(1000, 1e-3))
    for lag in (1, 64, 128, 256):  # neighbours, words of a block, groups
        pairs = (x[:-lag] * 30).astype(int) * 30 + (x[lag:] * 30).astype(int)
        # pairs overlap, so that counts depend on each other; every other stretch of 2·lag is free of that
        free = np.arange(len(pairs)) // lag % 2 == 0
        assert_counts(np.bincount(pairs[free], minlength=900), np.full(900, 1 / 900))
    triples = (x.reshape(-1, 3) * 8).astype(int) @ [64, 8, 1]
    assert_counts(np.bincount(triples, minlength=512), np.full(512, 1 / 512))


@BOTH
def test_all_bits_of_uniform_numbers_are_fair(dtype):
    width = 24 if dtype == FLOAT32 else 53
    whole = (seeded(23).uniform((N,), dtype).astype(np.float64) * 2.0**width).astype(np.uint64)
    for bit in range(width):
        assert_mean((whole >> np.uint64(bit)) & np.uint64(1), 0.5, 0.5)


@BOTH
def test_normal_numbers_have_their_moments_and_tails(dtype):
    x = seeded(24).normal((1_000_000,), dtype).astype(np.float64)
    for power, mean, variance in ((1, 0, 1), (2, 1, 2), (3, 0, 15), (4, 3, 96), (6, 15, 10170)):
        assert_mean(x**power, mean, math.sqrt(variance))
    for bound in (1e-3, 0.01, 0.1, 3, 4, 4.5):
        p = 2 * stats.norm.sf(bound)
        assert_mean(np.abs(x) > bound, p, math.sqrt(p * (1 - p)))
    assert_mean(x > 0, 0.5, 0.5)


@BOTH
def test_the_two_normal_numbers_of_a_pair_are_independent(dtype):
    x = seeded(25).normal((256 * 400,), dtype).astype(np.float64).reshape(-1, 2, 64)
    a, b = x[:, 0].ravel(), x[:, 1].ravel()
    for i, j in ((1, 1), (2, 2), (1, 2), (2, 1), (3, 1), (1, 3)):
        moments = {1: (0, 1), 2: (1, 3), 3: (0, 15)}
        (ma, va), (mb, vb) = moments[i], moments[j]
        assert_mean((a**i - ma) * (b**j - mb), 0, math.sqrt((va - ma**2) * (vb - mb**2)))
    cells = np.digitize(a, stats.norm.ppf(np.arange(1, 12) / 12)) * 12 + np.digitize(
        b, stats.norm.ppf(np.arange(1, 12) / 12)
    )
    assert_counts(np.bincount(cells, minlength=144), np.full(144, 1 / 144))
    angle = np.arctan2(a, b) / (2 * math.pi) % 1
    assert_counts(np.bincount((angle * 64).astype(int) % 64, minlength=64), np.full(64, 1 / 64))


@CONTINUOUS
def test_neighbouring_seeds_forks_kinds_and_streams_are_independent(kind):
    g = seeded(0)
    child, other = g.split(2)
    sources = [g, seeded(1), seeded(2**32), child, other, child.fork(), child.fork()]
    drawn = [CDF[kind](s.draw(kind, (N,), d).astype(np.float64)) for s in sources for d in (FLOAT32, FLOAT64)]
    drawn.append(seeded(0).draw("bernoulli", (N,), FLOAT64))
    x = (np.array(drawn) - 0.5) * math.sqrt(12)
    products = x @ x.T / N  # each, off the diagonal, has mean 0 and variance 1/N
    z = products[np.triu_indices(len(x), 1)] * math.sqrt(N)
    assert 2 * stats.norm.sf(np.abs(z).max()) * len(z) > ALARM
    for lag in (1, 2, 64, 128, 192, 256):
        assert_mean(x[0][lag:] * x[0][:-lag], 0, 1)


def test_no_number_is_infinite_or_zero_where_a_logarithm_follows():
    words = np.array(
        [0, 1, 2**31 - 1, 2**31, 0xB504F333, 0xB504F334, 0xB504F335, 2**32 - 129, 2**32 - 2, 2**32 - 1], np.uint64
    )
    exact = [
        -math.log((int(w) + 0.5) / 2**32) if w < 2**31 else -math.log1p(-(2**32 - int(w) - 0.5) / 2**32) for w in words
    ]
    exponential = samplers.exponential_float32(words)
    np.testing.assert_allclose(exponential, exact, rtol=2e-7)
    np.testing.assert_allclose(samplers.gumbel_float32(words), -np.log(exact), rtol=3e-7, atol=1e-7)
    a, b = (w.ravel() for w in np.meshgrid(words, words))
    k = [int(x) << 21 | int(y) >> 11 for x, y in zip(a, b, strict=True)]
    exact = [-math.log((v + 0.5) / 2**53) if v < 2**52 else -math.log1p(-(2**53 - v - 0.5) / 2**53) for v in k]
    np.testing.assert_allclose(samplers.exponential_float64(a, b), exact, rtol=4e-16)
    np.testing.assert_allclose(samplers.gumbel_float64(a, b), -np.log(exact), rtol=4e-16, atol=2e-16)
    a, b = (w.ravel() for w in np.meshgrid(words, words))
    normal = np.stack(samplers.normal_float32(a, b))
    assert np.isfinite(normal).all() and 6.6 < np.abs(normal).max() < 6.8
    assert (
        samplers.uniform_float32(words).max() == 1 - 2.0**-24 and samplers.uniform_float64(a, b).max() == 1 - 2.0**-53
    )


def test_directions_are_sines_and_cosines():
    words = np.arange(0, 2**32, 2**18 + 1).astype(np.uint64)
    low = np.full(len(words), 2**31, np.uint64)
    for x, y, tolerance in (
        (*samplers.turned_float32(np.full(len(words), 2, np.float32), words), 5e-7),
        (*samplers.turned_float64(np.full(len(words), 2.0), words, low), 2e-15),
    ):
        np.testing.assert_allclose(x.astype(float) ** 2 + y.astype(float) ** 2, 4, rtol=tolerance)
        turn = np.sort(np.arctan2(y.astype(float), x.astype(float)) / (2 * math.pi) % 1)
        assert np.abs(turn - (np.arange(len(turn)) + 0.5) / len(turn)).max() < 1 / len(turn)


# ------------------------------------------------------------------------------------------------- discrete distributions


@pytest.mark.parametrize("p", [1e-5, 0.3, 0.5, 0.999])
def test_bernoulli_is_true_with_its_probability(p):
    assert_mean(seeded(31).bernoulli(p, (10 * N,)), p, math.sqrt(p * (1 - p)))
    g = seeded(32)
    assert_mean([g.coin(p) for _ in range(20_000)], p, math.sqrt(p * (1 - p)))
    assert [seeded(32).coin(p) for _ in range(1)] == seeded(32).bernoulli(p, (1,)).tolist()


@pytest.mark.parametrize("low, high", [(0, 2), (-3, 4), (0, 1000), (5, 6)])
def test_integers_are_equally_likely(low, high):
    x = seeded(33).integers(low, high, (N,))
    assert x.dtype == np.int64 and x.min() == low and x.max() == high - 1
    if high - low > 1:
        assert_counts(np.bincount(x - low, minlength=high - low), np.full(high - low, 1 / (high - low)))


def test_integers_of_a_range_that_does_not_divide_the_words_are_equally_likely():
    low, high = -(2**62), 2**62 + 2**61  # five eighths of 2⁶⁴: without rejection, the lower ones would come too often
    x = seeded(34).integers(low, high, (N,)).astype(np.float64)
    assert_distribution(x, stats.uniform(low, high - low).cdf)
    x = seeded(34).integers(-(2**63), 2**63 - 1, (N,))
    assert_distribution(x.astype(np.float64), stats.uniform(-(2.0**63), 2.0**64).cdf)


def test_the_product_that_scales_integers_is_exact():
    rng = np.random.default_rng(0)
    edges = [0, 1, 2**32 - 1]
    for size in [1, 3, 2**32 - 1, 2**32, 2**64 - 1, *(int(s) for s in rng.integers(1, 2**63, 20))]:
        for a, b in [(x, y) for x in edges for y in edges] + [
            tuple(map(int, rng.integers(0, 2**32, 2))) for _ in range(20)
        ]:
            with np.errstate(over="ignore"):
                high, low = samplers.scaled(*np.array([[a], [b]], np.uint64), np.array([size], np.uint64))
            assert (int(high[0]) << 64 | int(low[0])) == (a << 32 | b) * size


def test_all_orders_of_a_permutation_are_equally_likely():
    g = seeded(35)
    counts = np.zeros(24)
    for _ in range(24_000):
        a, b, c, d = g.permutation(4).tolist()
        counts[6 * a + 2 * sorted({0, 1, 2, 3} - {a}).index(b) + (c > d)] += 1
    assert_counts(counts, np.full(24, 1 / 24))
    p = seeded(36).permutation(N)
    assert np.array_equal(np.sort(p), np.arange(N))
    assert_mean((p - (N - 1) / 2) * np.arange(-1, 1, 2 / N)[:N], 0, N / 6)
    assert seeded(1).permutation(0).tolist() == [] and seeded(1).permutation(1).tolist() == [0]


def test_equal_keys_of_a_permutation_are_told_apart_by_further_bits(monkeypatch):
    choose(monkeypatch, False)
    real = samplers._random_keys
    monkeypatch.setattr(samplers, "_random_keys", lambda attempt, *a: real(attempt, *a) >> np.uint64(63 - attempt))
    counts = np.zeros(6)
    for seed in range(6000):
        a, b, c = seeded(seed).permutation(3).tolist()
        counts[2 * a + (b > c)] += 1
    assert_counts(counts, np.full(6, 1 / 6))


def test_categories_come_with_their_weights():
    weights = np.array([[1.0, 0.0, 3.0, 6.0], [2.0, 2.0, 0.0, 0.0]])
    x = seeded(37).categorical(weights, N)
    for row, w in zip(x, weights, strict=True):
        assert_counts(np.bincount(row, minlength=4), w / w.sum())
    x = seeded(38).choice(np.tile([1.0, 2.0, 3.0, 0.0], (N, 1)), 2)
    pairs = {(a, b): (a + 1) / 6 * (b + 1) / (5 - a) for a in range(3) for b in range(3) if a != b}
    counts = np.bincount(x @ [4, 1], minlength=16)
    assert_counts(counts, [pairs.get(divmod(k, 4), 0) for k in range(16)])


@pytest.mark.parametrize("alpha", [0.1, 0.5, 1, 5, 100])
@BOTH
def test_gamma_numbers_have_their_distribution(alpha, dtype):
    x = seeded(39).gamma(np.full(N, alpha), dtype)
    assert x.dtype == dtype and x.min() > 0
    if (dtype, alpha) == (FLOAT32, 0.1):
        x = x[x > 1e-37]  # what is smaller than the least normal number of float32 was raised to it
        low = stats.gamma(alpha).cdf(1e-37)
        assert_distribution(x, lambda v: (stats.gamma(alpha).cdf(v) - low) / (1 - low))
    else:
        assert_distribution(x, stats.gamma(alpha).cdf)
    assert_mean(x, alpha, math.sqrt(alpha))
    assert_mean((x.astype(np.float64) - alpha) ** 2, alpha, math.sqrt(2 * alpha**2 + 6 * alpha))


def test_gamma_numbers_of_a_tiny_concentration_are_not_zero():
    x = seeded(40).gamma(np.full(10_000, 1e-4))
    assert x.min() == np.finfo(np.float64).tiny
    share = stats.gamma(1e-4).cdf(1e-300)
    assert_mean(x < 1e-300, share, math.sqrt(share * (1 - share)))


@pytest.mark.parametrize("rate", [0.5, 5, 9.999, 10, 30, 1000])
@BOTH
def test_poisson_numbers_have_their_distribution(rate, dtype):
    x = seeded(41).poisson(np.full(N, rate), dtype)
    assert x.dtype == dtype
    rate = float(dtype.type(rate))
    k = np.arange(3000)
    assert_counts(np.bincount(x.astype(int), minlength=3000), stats.poisson(rate).pmf(k))
    assert_mean(x, rate, math.sqrt(rate))


@pytest.mark.parametrize("rate", [1e6, 1.1e6, 1e12])
def test_poisson_numbers_of_a_large_rate_have_their_distribution(rate):
    # the distance of Poisson's distribution from the normal one is below 1/√rate, the test's resolution about 2/√N
    x = (seeded(42).poisson(np.full(N, rate)) - rate) / math.sqrt(rate)
    assert_distribution(x + (seeded(43).uniform((N,), FLOAT64) - 0.5) / math.sqrt(rate), stats.norm.cdf)


def test_the_logarithm_of_poissons_probability_is_right_to_ten_digits():
    for rate in (10.0, 30.0, 1000.0, 1e6, 1.1e6):
        k = np.round(np.maximum(rate + np.linspace(-9, 9, 181) * math.sqrt(rate), 0))
        drawn = rejection._log_poisson(k, np.full(len(k), rate))
        np.testing.assert_allclose(drawn, stats.poisson(rate).logpmf(k), atol=2e-8, rtol=1e-10)
    # of larger rates SciPy's own has fewer digits; the ratio of neighbours is k/rate
    for rate in (1e9, 1e12):
        k = np.round(rate + np.linspace(-5, 5, 11) * math.sqrt(rate))
        steps = rejection._log_poisson(k + 1000, np.full(11, rate)) - rejection._log_poisson(k, np.full(11, rate))
        expected = [-math.fsum(np.log1p((at + np.arange(1, 1001) - rate) / rate)) for at in k]
        np.testing.assert_allclose(steps, expected, atol=1e-8)


def test_a_rate_of_zero_gives_zero():
    assert not seeded(1).poisson(np.zeros(100)).any()


# ----------------------------------------------------------------------------------------------------------- operations


def test_randint_randint_like_and_randperm_are_noise_of_the_dtype_asked_for():
    g = seeded(1)
    x = tg.randint(3, 10, (200,), generator=g)
    assert x.dtype == np.int64 and set(x.tolist()) == set(range(3, 10))
    assert set(tg.randint(2, (50,), generator=g).tolist()) == {0, 1}
    assert tg.randint(high=5, low=4, size=(2, 3)).tolist() == [[4] * 3] * 2
    assert tg.randint(0, 2, (3,), dtype=tg.bool).dtype == np.bool_
    assert tg.randint(0, 9, (3,), dtype=tg.float32, requires_grad=True).requires_grad
    like = tg.randint_like(tg.zeros(2, 3), 5, generator=g)
    assert like.dtype == np.float32 and tuple(like.shape) == (2, 3)
    assert sorted(tg.randperm(20, generator=g).tolist()) == list(range(20))
    assert tg.randperm(4, dtype=tg.int8).dtype == np.int8 and tg.randperm(0).tolist() == []
    leaf = tg.ones(3, requires_grad=True)
    for noise in (tg.randint(0, 9, (3,)), tg.randint_like(leaf, 9), tg.randperm(3)):
        assert [s.kind for sources in (leaf * noise).grad_fn.sources if sources for s in sources] == ["noise"]


@pytest.mark.parametrize(
    "call, error, text",
    [
        (lambda: tg.randint(3, 3, (2,)), RuntimeError, "3 and 3"),
        (lambda: tg.randint(3), TypeError, "size"),
        (lambda: tg.randint(3, 5), TypeError, "size"),
        (lambda: tg.randint(3.5, (5,)), TypeError, "float"),
        (lambda: tg.randint(0, 300, (5,), dtype=tg.uint8), RuntimeError, "0 to 255"),
        (lambda: tg.randint(-3, 5, (5,), dtype=tg.uint8), RuntimeError, "-3"),
        (lambda: tg.randint(0, 3, (5,), dtype=tg.bool), RuntimeError, "bool"),
        (lambda: tg.randint(0, 2**30, (5,), dtype=tg.float32), RuntimeError, "16777216"),
        (lambda: tg.randint(0, 2**64, (5,)), ValueError, "64 bits"),
        (lambda: tg.randint(0, 5, (2,), requires_grad=True), RuntimeError, "floating"),
        (lambda: tg.randperm(-1), RuntimeError, "-1"),
        (lambda: tg.randperm(1.5), TypeError, "float"),
        (lambda: tg.randperm(True), TypeError, "bool"),
        (lambda: tg.randperm(400, dtype=tg.int8), RuntimeError, "127"),
        (lambda: tg.randperm(2, dtype=tg.bool), NotImplementedError, "bool"),
        (lambda: tg.poisson(tg.tensor([-1.0])), RuntimeError, "-1.0"),
        (lambda: tg.poisson(tg.tensor([math.nan])), RuntimeError, "nan"),
        (lambda: tg.poisson(tg.tensor([math.inf])), RuntimeError, "inf"),
        (lambda: tg.poisson(tg.tensor([1, 2])), NotImplementedError, "int64"),
    ],
)
def test_errors_say_what_was_wrong(call, error, text):
    with pytest.raises(error, match=text):
        call()


def test_poisson_has_an_edge_of_zeros():
    rate = tg.tensor([0.5, 20.0], dtype=tg.float64, requires_grad=True)
    y = tg.poisson(rate, generator=seeded(1))
    assert y.dtype == np.float64 and y.grad_fn.name() == "PoissonBackward0"
    with pytest.warns(tg.StoppedGradientWarning, match="poisson"):
        y.sum().backward()
    assert rate.grad.tolist() == [0.0, 0.0]


FILLS = {
    "normal_": ((1.0, 2.0), stats.norm(1, 2).cdf),
    "uniform_": ((-1.0, 3.0), stats.uniform(-1, 4).cdf),
    "exponential_": ((2.0,), stats.expon(scale=0.5).cdf),
    "log_normal_": ((0.5, 0.3), stats.lognorm(0.3, scale=math.exp(0.5)).cdf),
    "cauchy_": ((1.0, 2.0), stats.cauchy(1, 2).cdf),
}


@pytest.mark.parametrize("name", FILLS)
@BOTH
def test_a_tensor_is_filled_with_numbers_of_a_distribution(name, dtype):
    arguments, cdf = FILLS[name]
    x = tg.zeros(2, N // 2, dtype=dtype)
    memory = x.numpy()
    assert getattr(x, name)(*arguments, generator=seeded(51)) is x
    assert np.shares_memory(x.numpy(), memory)
    assert_distribution(x.numpy(), cdf)
    leaf = tg.ones(2, 2, requires_grad=True)
    assert [
        s.name for sources in (leaf * getattr(tg.zeros(2, 2), name)()).grad_fn.sources if sources for s in sources
    ] == [name]


@pytest.mark.parametrize("dtype", [tg.float32, tg.float64, tg.int64, tg.uint8], ids=str)
def test_a_tensor_is_filled_with_coins_and_waiting_times(dtype):
    x = tg.zeros(N, dtype=dtype)
    x.bernoulli_(0.3, generator=seeded(52))
    assert_counts(np.bincount(x.numpy().astype(int), minlength=2), [0.7, 0.3])
    x.geometric_(0.6, generator=seeded(53))
    k = np.arange(1, 40)
    assert_counts(np.bincount(x.numpy().astype(int), minlength=40)[1:], 0.6 * 0.4 ** (k - 1))
    x.bernoulli_(tg.tensor([0.0, 1.0]).expand(N // 2, 2).reshape(-1))
    assert not x.numpy()[::2].any() and x.numpy()[1::2].all()


@pytest.mark.parametrize("name", [*FILLS, "bernoulli_", "geometric_"])
def test_what_was_filled_hands_zeros_back(name):
    leaf = tg.ones(3, requires_grad=True)
    x = leaf * 2
    getattr(x, name)(*(() if name != "geometric_" else (0.5,)))
    x.sum().backward()
    assert leaf.grad.tolist() == [0.0] * 3
    with pytest.raises(RuntimeError, match="leaf"):
        getattr(leaf, name)(*(() if name != "geometric_" else (0.5,)))


@pytest.mark.parametrize(
    "call, error, text",
    [
        (lambda x: x.normal_(0, -1), RuntimeError, "-1"),
        (lambda x: x.uniform_(3, 1), RuntimeError, "3"),
        (lambda x: x.exponential_(0), RuntimeError, "0"),
        (lambda x: x.log_normal_(0, 0), RuntimeError, "0"),
        (lambda x: x.cauchy_(0, -2), RuntimeError, "-2"),
        (lambda x: x.geometric_(1.0), RuntimeError, "1.0"),
        (lambda x: x.bernoulli_(2), RuntimeError, "2"),
        (lambda x: x.bernoulli_(tg.tensor([0.5, -0.5, 0.5])), RuntimeError, "-0.5"),
        (lambda x: x.bernoulli_(tg.tensor([0.5, 0.5])), RuntimeError, "broadcast"),
        (lambda x: x.to(tg.int64).normal_(), NotImplementedError, "int64"),
        (lambda x: x.to(tg.int64).uniform_(), NotImplementedError, "int64"),
        (lambda x: x.to(tg.int64).exponential_(), RuntimeError, "int64"),
    ],
)
def test_a_fill_that_cannot_be_is_refused_and_draws_nothing(call, error, text):
    before = bytes(tg.get_rng_state().numpy())
    with pytest.raises(error, match=text):
        call(tg.zeros(3))
    assert bytes(tg.get_rng_state().numpy()) == before


def test_uniform_never_reaches_its_upper_end():
    x = tg.zeros(N).uniform_(1, 1 + 2.0**-22, generator=seeded(54)).numpy()
    assert set(x.tolist()) == {1.0 + k * 2.0**-23 for k in range(2)}
    assert tg.zeros(3).uniform_(2, 2).tolist() == [2.0] * 3


def test_small_draws_import_no_compiler():
    code = (
        "import sys, tinygrad_rp as tg\n"
        "for n in (1, 5, 100, 3000): tg.randn(n), tg.rand(n), tg.poisson(tg.ones(n)), tg.randperm(n), tg.randint(9, (n,))\n"
        "assert not {'numba', 'llvmlite'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parent.parent)


# ------------------------------------------------------------------------------------------------ what is refused, and edges


@pytest.mark.parametrize(
    "call",
    [
        lambda g: tg.randn(10**15, generator=g),
        lambda g: tg.randint(5, (10**16,), generator=g),
        lambda g: tg.randperm(10**15, generator=g),
        lambda g: g.normal((-3,), FLOAT32),
        lambda g: g.uniform((-20_000,), FLOAT64),
        lambda g: g.integers(3, 3, (2,)),
        lambda g: g.gamma([1.0, np.nan]),
        lambda g: g.gamma(np.inf),
        lambda g: g.gamma(0.0),
        lambda g: g.poisson([1.0, np.nan]),
        lambda g: g.poisson(np.inf),
        lambda g: g.poisson(-1.0),
        lambda g: g.log_gamma(0.0),
        lambda g: g.log_gamma([1.0, np.nan]),
        lambda g: g.binomial([3, -1], 0.5),
        lambda g: g.binomial(2.5, 0.5),
        lambda g: g.binomial(2**53 + 1, 0.5),
        lambda g: g.binomial([np.inf], 0.5),
        lambda g: g.binomial(np.nan, 0.5),
        lambda g: g.binomial(3, [0.5, -0.1]),
        lambda g: g.binomial(3, 1.5),
        lambda g: g.binomial(3, np.nan),
        lambda g: g.binomial([1, 2, 3], [0.5, 0.5]),
        lambda g: g.von_mises(-1.0),
        lambda g: g.von_mises([1.0, np.inf]),
        lambda g: g.von_mises(np.nan),
    ],
)
def test_a_draw_that_cannot_be_raises_and_moves_nothing(call):
    g = seeded(0)
    g.normal((5,), FLOAT32)
    before = g.get_state().numpy().copy()
    with pytest.raises((MemoryError, ValueError)):
        call(g)
    assert (g.get_state().numpy() == before).all()


def test_numbers_of_other_dtypes_are_refused_and_names_of_a_dtype_are_one_stream():
    g = seeded(0)
    for wrong in (np.dtype(np.float16), np.dtype(">f4"), np.dtype(np.int64)):
        with pytest.raises(TypeError, match="float32 or float64"):
            g.normal((3,), wrong)
    first = g.normal((3,), "float32")
    assert (np.concatenate([first, g.normal((3,), np.float32)]) == g.at("normal", 0, (6,), FLOAT32)).all()


def test_a_range_starts_at_an_integer():
    with pytest.raises(TypeError, match="integer"):
        seeded(0).at("permutation", 1.5, 10)


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs a timer")
def test_an_interrupt_at_any_moment_leaves_the_generator_usable():
    class Interrupt(BaseException):
        pass

    def interrupt(*_):
        raise Interrupt

    def draws(seconds):
        signal.setitimer(signal.ITIMER_REAL, seconds)
        while True:
            tg.rand(1)

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        for i in range(1000):
            with pytest.raises(Interrupt):
                draws(0.0003 + 1e-7 * i)
    finally:
        signal.signal(signal.SIGALRM, before)
    thread = threading.Thread(target=lambda: tg.rand(1), daemon=True)
    thread.start()
    thread.join(10)
    assert not thread.is_alive()  # nobody holds the lock


def test_multinomial_of_huge_and_of_tiny_weights():
    g = seeded(0)
    for weight in (1e308, 5e-324):
        weights = tg.full((4,), weight, dtype=tg.float64)
        counts = np.bincount(tg.multinomial(weights, 4000, True, generator=g).numpy(), minlength=4)
        assert_counts(counts, [0.25] * 4)
        firsts = {tg.multinomial(weights, 4, generator=g).tolist()[0] for _ in range(100)}
        assert firsts == {0, 1, 2, 3}
    assert tg.multinomial(tg.tensor([0, 1e-320], dtype=tg.float64), 1, generator=g).tolist() == [1]
    assert tg.multinomial(tg.tensor([1, 0, 1e-320], dtype=tg.float64), 2, generator=g).tolist() == [0, 2]


@pytest.mark.parametrize("dtype", [tg.int64, tg.int32, tg.int8, tg.uint8])
def test_waiting_times_that_a_dtype_does_not_hold_are_its_greatest_integer(dtype):
    assert tg.zeros(3, dtype=dtype).geometric_(1e-300).tolist() == [np.iinfo(dtype).max] * 3


@pytest.mark.parametrize("ends", [(-3e38, 3e38), (0, 1e39), (0, math.inf), (-math.inf, 0), (-1e308, 1e308)])
def test_a_range_that_the_dtype_does_not_hold_is_refused_as_by_pytorch(ends):
    torch = pytest.importorskip("torch")
    with pytest.raises(RuntimeError):
        torch.zeros(3).uniform_(*ends)
    with pytest.raises(RuntimeError, match=r"uniform_\(\): the ends and the length of the range"):
        tg.zeros(3).uniform_(*ends)


def test_randint_takes_high_by_name_and_normal_of_numbers_can_be_a_leaf():
    assert tg.randint(high=10, size=(3,)).shape == (3,)
    leaf = tg.normal(0.0, 1.0, (3,), requires_grad=True)
    assert leaf.requires_grad and leaf.is_leaf
    with pytest.raises(TypeError, match="requires_grad goes with"):
        tg.normal(tg.zeros(3), 1.0, requires_grad=True)


@pytest.mark.parametrize(
    "call",
    [
        lambda torch: torch.randn(3, dtype=torch.int64),
        lambda torch: torch.rand_like(torch.zeros(3, dtype=torch.int64)),
        lambda torch: torch.normal(torch.zeros(3, dtype=torch.int64)),
        lambda torch: torch.bernoulli(torch.ones(3, dtype=torch.int64)),
        lambda torch: torch.zeros(3).bernoulli_(torch.ones(3, dtype=torch.int64)),
        lambda torch: torch.zeros(3, dtype=torch.int64).log_normal_(),
    ],
)
def test_integers_where_numbers_with_a_fraction_are_drawn_raise_as_in_pytorch(call):
    for module in (pytest.importorskip("torch"), tg):
        with pytest.raises(NotImplementedError):
            call(module)


def test_fork_rng_can_be_switched_off():
    tg.manual_seed(0)
    with tg.random.fork_rng(devices=[], enabled=True):
        first = tg.rand(3)
    with tg.random.fork_rng(enabled=False):
        assert (tg.rand(3).numpy() == first.numpy()).all()
    assert (tg.rand(3).numpy() != first.numpy()).all()


def test_who_draws_many_numbers_in_small_portions_gets_the_compiled_loops():
    code = (
        "import sys, tinygrad_rp as tg\n"
        "g = tg.Generator().manual_seed(3)\n"
        "parts = [tg.randn(8_000, generator=g) for _ in range(150)]\n"
        "print('tinygrad_rp.kernels.machine' in sys.modules)\n"
        "print(tg.equal(tg.cat(parts), tg.randn(1_200_000, generator=tg.Generator().manual_seed(3))))\n"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.split() == [str(choice.usable() and choice.MODE == "auto"), "True"]
