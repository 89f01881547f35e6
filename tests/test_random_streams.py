"""A random number is a function of the seed, the stream and its place in it; how it was asked for changes nothing.

Not the size of the request, nor what came before in other generators, nor the number of threads, nor what computes it.
Statistical tests are on fixed seeds; the chance that a right sampler fails one is in a comment. What PyTorch has under the
same name is tried where it exists here. TINYGRAD_RP_UNDER_TEST=torch runs on PyTorch what it promises too.
"""

import hashlib
import importlib
import itertools
import math
import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

UNDER_TEST = os.environ.get("TINYGRAD_RP_UNDER_TEST", "tinygrad_rp")
torch = importlib.import_module(UNDER_TEST)
F = torch.nn.functional
ours = pytest.mark.skipif(UNDER_TEST == "torch", reason="PyTorch does not promise it")
ROOT = Path(__file__).resolve().parent.parent

LIMIT = 5.0  # standard errors, two-sided: a false alarm in 1.7 million comparisons


def seeded(seed):
    return torch.Generator().manual_seed(seed)


def fill(name, *arguments):
    def draw(n, g, dtype=torch.float32):
        return getattr(torch.zeros(n, dtype=dtype), name)(*arguments, generator=g)

    return draw


# How n numbers are drawn; and what must exist for that
KINDS = {
    "rand": (torch, lambda n, g: torch.rand(n, generator=g)),
    "rand float64": (torch, lambda n, g: torch.rand(n, generator=g, dtype=torch.float64)),
    "randn": (torch, lambda n, g: torch.randn(n, generator=g)),
    "randn float64": (torch, lambda n, g: torch.randn(n, generator=g, dtype=torch.float64)),
    "normal": (torch, lambda n, g: torch.normal(torch.full((n,), 2.0), torch.full((n,), 3.0), generator=g)),
    "bernoulli": (torch, lambda n, g: torch.bernoulli(torch.full((n,), 0.3), generator=g)),
    "bernoulli float64": (torch, lambda n, g: torch.bernoulli(torch.full((n,), 0.3, dtype=torch.float64), generator=g)),
    "randint": (torch, lambda n, g: torch.randint(0, 1000, (n,), generator=g)),
    "randint odd": (torch, lambda n, g: torch.randint(-5, 2, (n,), generator=g)),
    "poisson": (torch, lambda n, g: torch.poisson(torch.full((n,), 4.0), generator=g)),
    "exponential_": (torch.Tensor, fill("exponential_", 2.0)),
    "normal_": (torch.Tensor, fill("normal_", 2.0, 3.0)),
    "uniform_": (torch.Tensor, fill("uniform_", -1.0, 2.0)),
    "bernoulli_": (torch.Tensor, fill("bernoulli_", 0.25)),
    "geometric_": (torch.Tensor, fill("geometric_", 0.25)),
    "log_normal_": (torch.Tensor, fill("log_normal_", 0.0, 0.5)),
    "cauchy_": (torch.Tensor, fill("cauchy_", 0.0, 1.0)),
}


@pytest.fixture(params=KINDS)
def draw(request):
    place, function = KINDS[request.param]
    name = request.param.partition(" ")[0]
    if not hasattr(place, name):
        pytest.skip(f"there is no {name}()")
    return function


def array(tensor):
    return tensor.detach().numpy()


# ---------------------------------------------------------------- a number and its place


@ours
def test_the_numbers_of_a_seed_are_the_same_however_many_are_drawn_at_a_time(draw):
    sizes = (1, 2, 3, 7, 10, 1000, 1023, 1024, 1025, 2049, 5000, 65_537, 100_000)
    whole = array(draw(400_000, seeded(5)))
    for size in sizes:
        np.testing.assert_array_equal(array(draw(size, seeded(5))), whole[:size], err_msg=f"{size} at once")
    for parts in (
        [10] * 30,
        [1] * 50,
        [300] * 7,
        [1023, 1, 1024, 1025, 1],
        [100_000] * 3,
        [3, 70_001, 5, 1, 65_536, 1000, 2],
        sizes,
    ):
        generator = seeded(5)
        drawn = np.concatenate([array(draw(n, generator)) for n in parts])
        np.testing.assert_array_equal(drawn, whole[: len(drawn)], err_msg=f"in parts of {parts[:8]}")


@ours
@pytest.mark.parametrize("kind", ["rand", "randn", "randn float64", "bernoulli"])
def test_a_million_and_one_begin_as_a_thousand_do_and_go_on_from_there(kind):
    draw = KINDS[kind][1]
    whole = array(draw(1_000_001, seeded(6)))
    generator = seeded(6)
    first, rest, last = (array(draw(n, generator)) for n in (1000, 999_000, 1))
    np.testing.assert_array_equal(np.concatenate([first, rest, last]), whole)
    generator = seeded(6)
    array(draw(1_000_001, generator))
    after = array(draw(50, generator))
    generator = seeded(6)
    both = array(draw(1_000_051, generator))
    np.testing.assert_array_equal(after, both[-50:])


@ours
def test_a_shape_only_arranges_the_numbers():
    for make in (torch.rand, torch.randn):
        flat = array(make(120_000, generator=seeded(7)))
        for shape in ((300, 400), (2, 60_000), (30, 40, 100), (1, 120_000, 1)):
            np.testing.assert_array_equal(array(make(*shape, generator=seeded(7))).ravel(), flat)
        np.testing.assert_array_equal(array(make(3, 4, generator=seeded(7))).ravel(), flat[:12])
    assert array(torch.randn((), generator=seeded(7))) == flat[0]


@ours
def test_drawing_nothing_moves_nothing(draw):
    generator = seeded(8)
    draw(0, generator)
    first = array(draw(5, generator))
    draw(0, generator)
    np.testing.assert_array_equal(
        np.concatenate([first, array(draw(70_000, generator))]), array(draw(70_005, seeded(8)))
    )


def test_no_number_is_drawn_twice_and_other_seeds_give_others():
    for make in (torch.rand, torch.randn):
        x = array(make(200_000, generator=seeded(1), dtype=torch.float64))
        # 2e5 numbers of at least 52 bits: two equal ones in 1 of 200,000 seeds
        assert len(np.unique(x)) == len(x)
        for other in (2, -1) if UNDER_TEST == "torch" else (2, -1, 1 + 2**32, 2**40):  # PyTorch takes 32 bits of a seed
            y = array(make(200_000, generator=seeded(other), dtype=torch.float64))
            assert len(np.intersect1d(x, y)) == 0


@ours
@pytest.mark.parametrize("name", ["rand", "randn"])
def test_eight_threads_at_one_generator_share_its_numbers_out(name):
    generator = seeded(9)
    make = getattr(torch, name)
    found = [[] for _ in range(8)]

    def take(mine):
        for n in (1, 1500, 7, 70_000, 300):
            mine.append(array(make(n, generator=generator, dtype=torch.float64)))

    threads = [threading.Thread(target=take, args=(mine,)) for mine in found]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    together = np.sort(np.concatenate([a for mine in found for a in mine]))
    one = np.sort(array(make(8 * (1 + 1500 + 7 + 70_000 + 300), generator=seeded(9), dtype=torch.float64)))
    np.testing.assert_array_equal(together, one)


# ---------------------------------------------------------------- generators and their states


def test_a_state_is_the_place_in_the_streams(draw):
    generator = seeded(3)
    draw(10, generator)
    state = generator.get_state()
    expected = [array(draw(n, generator)) for n in (3, 1000, 70_000, 5)]
    for _ in range(2):
        generator.set_state(state)
        for wanted in expected:
            np.testing.assert_array_equal(array(draw(len(wanted), generator)), wanted)
    other = torch.Generator()
    assert other.set_state(state) is other
    for wanted in expected:
        np.testing.assert_array_equal(array(draw(len(wanted), other)), wanted)
    assert other.initial_seed() == generator.initial_seed() == 3


@ours
def test_a_state_counts_every_kind_of_number_also_those_that_were_drawn_ahead():
    generator = seeded(4)
    kinds = [torch.rand, torch.randn]

    def a_few(sizes):
        return [
            array(make(n, generator=generator, dtype=d))
            for n in sizes
            for make in kinds
            for d in (torch.float32, torch.float64)
        ]

    a_few((3, 1500, 7))
    state = generator.get_state()
    expected = a_few((5, 2000, 70_000, 1))
    a_few((100_000,))
    generator.set_state(state)
    for found, wanted in zip(a_few((5, 2000, 70_000, 1)), expected, strict=True):
        np.testing.assert_array_equal(found, wanted)


def test_a_state_that_was_handed_out_does_not_move():
    generator = seeded(3)
    state = generator.get_state()
    before = np.array(state.numpy())
    first = array(torch.randn(20, generator=generator))
    torch.rand(100_000, generator=generator)
    np.testing.assert_array_equal(state.numpy(), before)
    generator.set_state(state)
    torch.rand(30, generator=generator)
    np.testing.assert_array_equal(state.numpy(), before)
    generator.set_state(state)
    np.testing.assert_array_equal(array(torch.randn(20, generator=generator)), first)
    assert state.dtype == torch.uint8 and state.ndim == 1


def test_the_state_of_the_default_generator():
    torch.manual_seed(12)
    torch.randn(10)
    state = torch.get_rng_state()
    first = array(torch.randn(70_000)), array(torch.rand(3))
    torch.set_rng_state(state)
    np.testing.assert_array_equal(array(torch.randn(70_000)), first[0])
    np.testing.assert_array_equal(array(torch.rand(3)), first[1])
    generator = torch.Generator()
    generator.set_state(state)
    np.testing.assert_array_equal(array(torch.randn(70_000, generator=generator)), first[0])
    assert torch.manual_seed(12).initial_seed() == 12 == torch.initial_seed()


@pytest.mark.parametrize(
    "wrong",
    [
        lambda state: state[:-1], lambda state: state[:0], lambda state: state.double(), lambda state: state.numpy().tobytes(),
        lambda state: None, lambda state: "state", lambda state: 7, lambda state: torch.zeros(3, dtype=torch.uint8),
    ],
)  # fmt: skip
def test_what_is_no_state_is_refused_and_changes_nothing(wrong):
    generator = seeded(3)
    torch.randn(5, generator=generator)
    state = generator.get_state()
    expected = array(torch.randn(40, generator=generator))
    generator.set_state(state)
    with pytest.raises((TypeError, RuntimeError, ValueError)):
        generator.set_state(wrong(state))
    np.testing.assert_array_equal(array(torch.randn(40, generator=generator)), expected)
    torch.manual_seed(3)
    default = torch.get_rng_state()
    with pytest.raises((TypeError, RuntimeError, ValueError, AttributeError)):
        torch.set_rng_state(wrong(default))
    np.testing.assert_array_equal(torch.get_rng_state().numpy(), default.numpy())


@ours
def test_bytes_that_are_no_state_are_refused():
    generator = seeded(3)
    state = generator.get_state()
    garbage = torch.tensor(np.random.default_rng(0).integers(0, 256, state.numel()).astype("uint8"))
    with pytest.raises((RuntimeError, ValueError)):
        generator.set_state(garbage)
    np.testing.assert_array_equal(generator.get_state().numpy(), state.numpy())


def test_manual_seed_returns_the_generator_and_starts_it_again(draw):
    generator = torch.Generator()
    assert generator.manual_seed(21) is generator and generator.initial_seed() == 21
    first = array(draw(70_000, generator))
    draw(11, generator)
    generator.manual_seed(21)
    np.testing.assert_array_equal(array(draw(70_000, generator)), first)
    assert torch.manual_seed(3) is torch.default_generator


def test_two_generators_do_not_disturb_each_other(draw):
    alone = array(draw(70_000, seeded(1)))
    one, two = seeded(1), seeded(1)
    torch.manual_seed(1)
    default = array(torch.randn(30))
    torch.manual_seed(1)
    draw(70_000, two)
    found = array(draw(70_000, one))
    two.manual_seed(99)
    np.testing.assert_array_equal(found, alone)
    np.testing.assert_array_equal(array(torch.randn(30)), default)


# ---------------------------------------------------------------- threads, kernels and processes

DRAWN = """
import hashlib
import numpy as np
import tinygrad_rp as tg
g = tg.Generator().manual_seed(123)
digest = hashlib.sha256()
for n in (1, 1000, 70_000, 1_000_001, 5, 300_000):
    for make in (tg.rand, tg.randn):
        for dtype in (tg.float32, tg.float64):
            digest.update(make(n, generator=g, dtype=dtype).numpy().tobytes())
p = tg.tensor(np.linspace(0, 1, 200_000))
digest.update(tg.bernoulli(p, generator=g).numpy().tobytes())
digest.update(tg.normal(p, p + 1, generator=g).numpy().tobytes())
digest.update(tg.multinomial(p[1:1000], 70_000, True, generator=g).numpy().tobytes())
for name, arguments in (("randint", (0, 77, (200_000,))), ("randperm", (70_000,)), ("poisson", (p * 30,))):
    if hasattr(tg, name):
        digest.update(getattr(tg, name)(*arguments, generator=g).numpy().tobytes())
for name in ("exponential_", "normal_", "uniform_", "geometric_", "cauchy_", "log_normal_"):
    if hasattr(tg.Tensor, name):
        arguments = (0.5,) if name == "geometric_" else ()
        digest.update(getattr(tg.zeros(200_000), name)(*arguments, generator=g).numpy().tobytes())
print(digest.hexdigest())
"""


def digest_in(**variables):
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("TINYGRAD_RP_", "NUMBA_"))}
    environment |= {"TINYGRAD_RP_" + name: str(value) for name, value in variables.items()}
    done = subprocess.run(
        [sys.executable, "-c", DRAWN], capture_output=True, text=True, cwd=ROOT, env=environment, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@ours
def test_kernels_and_threads_give_the_same_numbers_bit_by_bit(tmp_path):
    settings = [{"KERNELS": "numpy"}, {}]
    settings += [{"KERNELS": "numba", "NUM_THREADS": n} for n in (1, 2, 4)]
    found = {str(s): digest_in(**s, CACHE_DIR=tmp_path) for s in settings}
    assert len(set(found.values())) == 1, found


# ---------------------------------------------------------------- distributions


def assert_mean(samples, mean, sd):
    """A z-test of the mean of independent samples whose standard deviation is known."""
    samples = np.asarray(samples, dtype=float)
    assert np.isfinite(samples).all()
    z = (samples.mean() - mean) / (sd / math.sqrt(samples.size))
    assert abs(z) < LIMIT, f"z = {z:.2f}"


def assert_cells(counts, shares, limit):
    """Pearson's chi-square; the limit is the quantile at which 1 right sampler in a million fails."""
    counts, shares = np.asarray(counts, float), np.asarray(shares, float)
    wanted = counts.sum() * shares
    chi2 = ((counts - wanted) ** 2 / wanted).sum()
    assert chi2 < limit, f"chi-square {chi2:.1f}"


CHI2 = {5: 35.89, 9: 44.82, 19: 63.68, 23: 70.55, 99: 180.80}  # degrees of freedom: the quantile of 1 − 1e-6


def test_rand_never_gives_one():
    # rounding 32 bits to the nearest float32 gives 1 about once in 2^25 numbers: here 2^26
    generator = seeded(0)
    least, most = 1.0, 0.0
    for _ in range(16):
        x = torch.rand(2**22, generator=generator)
        least, most = min(least, float(x.min())), max(most, float(x.max()))
    assert 0 <= least < 1e-6 and 1 - 1e-6 < most < 1
    x = torch.rand(10**6, generator=generator, dtype=torch.float64)
    assert 0 <= float(x.min()) and float(x.max()) < 1


@ours
def test_rand_of_a_hundred_equal_cells_in_large_requests():
    for dtype in (torch.float32, torch.float64):
        x = array(torch.rand(500_000, generator=seeded(3), dtype=dtype)).astype(float)
        assert_cells(np.bincount((x * 100).astype(int), minlength=100), np.full(100, 0.01), CHI2[99])
        # the low digits as well
        assert_cells(np.bincount((x * 2**20 % 1 * 16).astype(int), minlength=16)[:16], np.full(16, 1 / 16), 57.0)
        for lag in (1, 2, 3, 4, 8, 1024):
            assert_mean((x[:-lag] - 0.5) * (x[lag:] - 0.5) * 12, 0, 1)


def test_randn_of_large_requests_is_standard_normal_into_the_tails():
    for dtype in (torch.float32, torch.float64):
        x = array(torch.randn(2_000_000, generator=seeded(5), dtype=dtype)).astype(float)
        assert_mean(x, 0, 1)
        assert_mean(x**2, 1, math.sqrt(2))
        assert_mean(x**4, 3, math.sqrt(96))
        for edge in (1.0, 2.0, 3.0, 4.0):
            share = math.erfc(edge / math.sqrt(2)) / 2
            for tail in (x > edge, x < -edge):
                assert_mean(tail, share, math.sqrt(share * (1 - share)))
        assert (np.abs(x) > 4.6).any() and np.isfinite(x).all()
        for lag in (1, 2, 3, 4, 8, 1024):
            assert_mean(x[:-lag] * x[lag:], 0, 1)
            assert_mean((x[:-lag] ** 2 - 1) * (x[lag:] ** 2 - 1) / 2, 0, 1)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_gumbel_softmax_of_two_million_logits_is_finite_and_right(dtype):
    torch.manual_seed(2)
    x = torch.zeros(1_000_000, 2, dtype=dtype)
    x[:, 1] = math.log(3)
    x.requires_grad_()
    y = F.gumbel_softmax(x, tau=0.5)
    y[:, 0].sum().backward()
    assert np.isfinite(array(y)).all() and np.isfinite(array(x.grad)).all()
    first = array(y)[:, 0].astype(float)
    assert_mean(first > 0.5, 0.25, math.sqrt(0.25 * 0.75))
    hard = array(F.gumbel_softmax(x.detach(), hard=True))
    assert_mean(hard[:, 1], 0.75, math.sqrt(0.25 * 0.75))


def test_randperm():
    if not hasattr(torch, "randperm"):
        pytest.skip("there is no randperm()")
    for n in (0, 1, 2, 5, 1000, 1025, 100_000):
        drawn = torch.randperm(n, generator=seeded(1))
        assert drawn.dtype == torch.int64 and tuple(drawn.shape) == (n,)
        np.testing.assert_array_equal(np.sort(array(drawn)), np.arange(n))
        np.testing.assert_array_equal(array(torch.randperm(n, generator=seeded(1))), array(drawn))
    generator = seeded(4)
    for n, freedom in ((3, 5), (4, 23)):
        orders = {order: 0 for order in itertools.permutations(range(n))}
        for _ in range(8000):
            orders[tuple(torch.randperm(n, generator=generator).tolist())] += 1
        assert_cells(list(orders.values()), np.full(len(orders), 1 / len(orders)), CHI2[freedom])
    # a large one: where the first tenth comes to lie
    places = np.argsort(array(torch.randperm(100_000, generator=generator)))[:10_000]
    assert_cells(np.bincount(places // 10_000, minlength=10), np.full(10, 0.1), CHI2[9])
    # fixed points: their number is near Poisson(1)
    fixed = sum(int((array(torch.randperm(50, generator=generator)) == np.arange(50)).sum()) for _ in range(2000))
    assert_mean(np.array([fixed]) / 2000, 1, 1 / math.sqrt(2000))


def test_randint():
    if not hasattr(torch, "randint"):
        pytest.skip("there is no randint()")
    x = torch.randint(-3, 7, (300_000,), generator=seeded(1))
    assert x.dtype == torch.int64
    assert_cells(np.bincount(array(x) + 3, minlength=10), np.full(10, 0.1), CHI2[9])
    assert array(x).min() == -3 and array(x).max() == 6
    assert tuple(torch.randint(5, (2, 3), generator=seeded(1)).shape) == (2, 3)
    if UNDER_TEST != "torch":  # its remainders of 64 bits prefer the lower part of a wide range
        wide = array(torch.randint(0, 3 * 2**61, (200_000,), generator=seeded(2)))
        assert_mean(wide / (3 * 2.0**61), 0.5, math.sqrt(1 / 12))
    for wrong in ((5, 5), (5, 2)):
        with pytest.raises(RuntimeError):
            torch.randint(*wrong, (3,))


@pytest.mark.parametrize("rate", [0.01, 0.7, 4.0, 9.9, 10.1, 35.0, 1000.0])
def test_poisson(rate):
    if not hasattr(torch, "poisson"):
        pytest.skip("there is no poisson()")
    n = 200_000
    x = array(torch.poisson(torch.full((n,), rate, dtype=torch.float64), generator=seeded(1)))
    assert (x == np.round(x)).all() and x.min() >= 0
    assert_mean(x, rate, math.sqrt(rate))
    assert_mean((x - rate) ** 2, rate, math.sqrt(rate + 2 * rate**2))
    if rate < 20:
        shares = np.array([math.exp(-rate + k * math.log(rate) - math.lgamma(k + 1)) for k in range(60)])
        for k in np.flatnonzero(shares * n > 25):
            assert_mean(x == k, shares[k], math.sqrt(shares[k] * (1 - shares[k])))
    assert torch.poisson(torch.zeros(5)).tolist() == [0.0] * 5
    with pytest.raises(RuntimeError):
        torch.poisson(torch.tensor([1.0, -1.0]))


FILLED = {
    "exponential_": ((2.0,), 0.5, 0.5, lambda q: -math.log1p(-q) / 2),
    "normal_": ((3.0, 2.0), 3.0, 2.0, None),
    "uniform_": ((-1.0, 3.0), 1.0, 4 / math.sqrt(12), lambda q: -1 + 4 * q),
    "geometric_": ((0.25,), 4.0, math.sqrt(12), None),
    "log_normal_": ((0.0, 0.5), math.exp(0.125), math.sqrt(math.exp(0.5) - math.exp(0.25)), None),
    "bernoulli_": ((0.25,), 0.25, math.sqrt(3 / 16), None),
}


@pytest.mark.parametrize("size", [700, 300_000])
@pytest.mark.parametrize("name", FILLED)
def test_tensors_filled_in_place(name, size):
    if not hasattr(torch.Tensor, name):
        pytest.skip(f"there is no {name}()")
    arguments, mean, sd, quantile = FILLED[name]
    for dtype in (torch.float32, torch.float64):
        x = torch.zeros(size, dtype=dtype)
        assert getattr(x, name)(*arguments, generator=seeded(2)) is x and x.dtype == dtype
        assert_mean(array(x), mean, sd)
        for share in (0.1, 0.5, 0.9) if quantile else ():
            assert_mean(array(x) < quantile(share), share, math.sqrt(share * (1 - share)))
        if name == "exponential_":
            assert array(x).min() > 0, "a logarithm may follow"
        assert not x.requires_grad


def test_gamma():
    try:
        gamma = importlib.import_module(UNDER_TEST + ".distributions").Gamma
    except AttributeError:
        pytest.skip("there is no Gamma")
    for shape in (0.05, 0.5, 1.0, 3.5, 100.0):
        torch.manual_seed(5)
        x = array(
            gamma(torch.tensor(shape, dtype=torch.float64), torch.tensor(1.0, dtype=torch.float64)).sample((200_000,))
        )
        assert_mean(x, shape, math.sqrt(shape))
        assert_mean((x - shape) ** 2, shape, math.sqrt(6 * shape + 2 * shape**2))
        assert x.min() > 0


def test_multinomial_with_many_draws():
    weights = np.arange(1.0, 21.0)
    x = array(torch.multinomial(torch.tensor(weights), 400_000, True, generator=seeded(6)))
    assert_cells(np.bincount(x, minlength=20), weights / weights.sum(), CHI2[19])


@ours
def test_the_numbers_of_a_seed_are_not_those_of_numpy_and_do_not_touch_its_state():
    np.random.seed(1)
    before = hashlib.sha256(np.random.get_state()[1].tobytes()).hexdigest()
    torch.randn(100_000), torch.rand(5)
    assert hashlib.sha256(np.random.get_state()[1].tobytes()).hexdigest() == before
