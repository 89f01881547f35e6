"""Distribution functions and their derivatives by parameters, against mpmath: the tails, and concentrations from 1e-3 to 1e4."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest

import tinygrad_rp as tg
from tinygrad_rp.ops import cumulative, special
from tinygrad_rp.ops.sample import randn

mp = mpmath.mp.clone() if hasattr(mpmath.mp, "clone") else mpmath.mp
mp.dps = 40
CONCENTRATIONS = [1e-3, 0.02, 0.4, 1.0, 3.5, 40.0, 600.0, 1e4]
LEVELS = [1e-9, 1e-3, 0.2, 0.5, 0.8, 0.999, 1 - 1e-9]


def pairs():
    """Concentrations, and the logarithm of the number at each level."""
    a, p = (x.ravel() for x in np.meshgrid(CONCENTRATIONS, LEVELS))
    return a, cumulative.gamma_quantile(tg.tensor(p), tg.tensor(a)).numpy(), p


def relative(ours, truth):
    truth = np.array([float(t) for t in truth])
    return np.max(np.abs(ours - truth) / np.abs(truth))


def gamma_cdf(a, v, above=False):
    z = mp.exp(mp.mpf(v))
    return mp.gammainc(a, z, mp.inf, regularized=True) if above else mp.gammainc(a, 0, z, regularized=True)


def gamma_slope(a, v, n):
    """∂ⁿF/∂aⁿ / f by central differences in 70 digits."""
    mp.dps = 70
    a, h = mp.mpf(a), mp.mpf(a) * mp.mpf(10) ** -18
    left, middle, right = (gamma_cdf(a + k * h, v) for k in (-1, 0, 1))
    slope = (right - left) / (2 * h) if n == 1 else (right - 2 * middle + left) / h**2
    slope /= mp.exp(a * mp.mpf(v) - mp.exp(mp.mpf(v)) - mp.loggamma(a))
    mp.dps = 40
    return slope


def test_gammainc_has_all_digits_in_both_tails():
    a, v, _ = pairs()
    held = v > -700  # smaller numbers are no float64
    a, v = a[held], v[held]
    x = np.exp(v)
    exact = [mp.log(mp.mpf(t)) for t in x]
    below = cumulative.gammainc(tg.tensor(a), tg.tensor(x)).numpy()
    above = cumulative.gammaincc(tg.tensor(a), tg.tensor(x)).numpy()
    assert relative(below, [gamma_cdf(*pair) for pair in zip(a, exact, strict=True)]) < 1e-10
    assert relative(above, [gamma_cdf(*pair, above=True) for pair in zip(a, exact, strict=True)]) < 1e-10


def test_gammainc_at_its_ends_and_outside():
    a, x = tg.tensor([2.0, 2.0, 2.0, -1.0, np.nan, 2.0]), tg.tensor([0.0, np.inf, -1.0, 1.0, 1.0, np.nan])
    np.testing.assert_array_equal(cumulative.gammainc(a, x).numpy(), [0, 1, np.nan, np.nan, np.nan, np.nan])
    np.testing.assert_array_equal(cumulative.gammaincc(a, x).numpy(), [1, 0, np.nan, np.nan, np.nan, np.nan])


@pytest.mark.parametrize("n", [1, 2])
def test_derivatives_by_the_concentration_of_gamma_have_ten_digits(n):
    a, v, _ = pairs()
    ours = cumulative.gamma_slope(tg.tensor(v), tg.tensor(a), n).numpy()
    assert relative(ours, [gamma_slope(x, y, n) for x, y in zip(a, v, strict=True)]) < 1e-10


@pytest.mark.parametrize("dtype, limit", [(tg.float64, 1e-10), (tg.float32, 1e-6)], ids=["float64", "float32"])
def test_a_gamma_sample_moves_with_its_concentration_as_its_quantile_does(dtype, limit):
    a, v, _ = pairs()
    held = v > np.log(np.finfo(dtype).tiny)
    a = tg.tensor(a[held], dtype=dtype, requires_grad=True)
    z = tg.tensor(np.exp(v[held]), dtype=dtype)
    (slope,) = tg.autograd.grad(cumulative.standard_gamma(a, z).sum(), a)
    exact = a.detach().numpy().astype(float), np.log(z.numpy().astype(float))
    truth = [-mp.exp(y) * gamma_slope(x, y, 1) for x, y in zip(*exact, strict=True)]
    assert relative(slope.numpy(), truth) < limit
    log_z = tg.tensor(exact[1], dtype=dtype)
    (slope,) = tg.autograd.grad(cumulative.standard_log_gamma(a, log_z).sum(), a)
    truth = [-gamma_slope(x, float(y), 1) for x, y in zip(exact[0], log_z.numpy(), strict=True)]
    assert relative(slope.numpy(), truth) < limit


def test_a_drawn_number_moves_as_the_quantile_of_its_level():
    # d(quantile)/da at a fixed level, of first and second order, by the quantile function and by the sample at the same place
    a = tg.tensor([0.03, 0.7, 4.0, 90.0], dtype=tg.float64, requires_grad=True)
    p = tg.tensor([0.9, 0.1, 0.6, 0.3], dtype=tg.float64)

    def derivatives(z):
        (first,) = tg.autograd.grad(z.sum(), a, create_graph=True)
        (second,) = tg.autograd.grad(first.sum(), a)
        return z.detach().numpy(), first.detach().numpy(), second.numpy()

    by_level = derivatives(cumulative.gamma_quantile(p, a).exp())
    for ours, wanted in zip(derivatives(cumulative.standard_gamma(a, tg.tensor(by_level[0]))), by_level, strict=True):
        np.testing.assert_allclose(ours, wanted, rtol=1e-10)
    # and the quantile's, against differences of mpmath's inverse
    h = 1e-5

    def quantile(shift):
        return cumulative.gamma_quantile(p, a.detach() + shift).exp().numpy()

    np.testing.assert_allclose(by_level[1], (quantile(h) - quantile(-h)) / (2 * h), rtol=2e-6)


@pytest.mark.parametrize("above", [False, True])
def test_the_gamma_quantile_inverts_the_distribution_function(above):
    a, _, p = pairs()
    v = cumulative.gamma_quantile(tg.tensor(p), tg.tensor(a), above).numpy()
    held = v > -700
    back = [gamma_cdf(x, y, above) for x, y in zip(a[held], v[held], strict=True)]
    assert relative(p[held], back) < 2e-10
    ends = cumulative.gamma_quantile(tg.tensor([0.0, 1.0, -0.1, np.nan]), tg.tensor(2.0), above).numpy()
    np.testing.assert_array_equal(
        ends, [np.inf, -np.inf, np.nan, np.nan] if above else [-np.inf, np.inf, np.nan, np.nan]
    )


# ----------------------------------------------------------------------------------------------------------------- beta


def log_sigmoid(t):
    return -mp.log1p(mp.exp(-t)) if t > 0 else t - mp.log1p(mp.exp(t))


def beta_integral(v, a, b, n, m):
    """∂ⁿ⁺ᵐF/∂aⁿ∂bᵐ / f at the logit v, by mpmath's quadrature over t < v."""
    a, b, v = mp.mpf(a), mp.mpf(b), mp.mpf(v)
    psi, slope = mp.digamma, lambda x: mp.psi(1, x)

    def by_a(t):
        return log_sigmoid(t) - psi(a) + psi(a + b)

    def by_b(t):
        return log_sigmoid(-t) - psi(b) + psi(a + b)

    q = {
        (0, 0): lambda t: 1,
        (1, 0): by_a,
        (0, 1): by_b,
        (1, 1): lambda t: by_a(t) * by_b(t) + slope(a + b),
    }[n, m]
    level = a * log_sigmoid(v) + b * log_sigmoid(-v)
    width, peak = mp.sqrt(slope(a) + slope(b)), mp.log(a / b)
    cuts = (
        {v - k * width for k in (0.25, 1, 4, 16)} | {v - k for k in (1, 3, 10, 40)} | {v - k / a for k in (1, 10, 60)}
    )
    cuts = sorted(t for t in cuts | {peak, peak - 5 * width, mp.mpf(0), mp.mpf(-40)} if t < v - mp.mpf("1e-9"))
    return mp.quad(lambda t: mp.exp(a * log_sigmoid(t) + b * log_sigmoid(-t) - level) * q(t), [-mp.inf, *cuts, v])


BETAS = [(1e-3, 1e-3, 0.3), (1e-3, 40.0, 0.9), (0.5, 3.0, 1e-9), (7.0, 0.02, 0.6), (600.0, 1e4, 0.4)]


@pytest.mark.parametrize("n, m", [(0, 0), (1, 0), (0, 1), (1, 1)])
def test_derivatives_of_the_beta_distribution_function_have_nine_digits(n, m):
    mp.dps = 20
    a, b, p = np.array(BETAS).T
    v = cumulative.beta_quantile_logit(tg.tensor(p), tg.tensor(a), tg.tensor(b)).numpy()
    if n + m:
        ours = cumulative.beta_slope(tg.tensor(v), tg.tensor(a), tg.tensor(b), n, m).numpy()
        truth = [beta_integral(*case, n, m) for case in zip(v, a, b, strict=True)]
    else:
        ours = cumulative.beta_cdf_logit(tg.tensor(v), tg.tensor(a), tg.tensor(b)).numpy()
        log_density = [
            x * log_sigmoid(mp.mpf(t)) + y * log_sigmoid(-mp.mpf(t)) - mp.log(mp.beta(x, y))
            for t, x, y in zip(v, a, b, strict=True)
        ]
        truth = [
            beta_integral(*case, 0, 0) * mp.exp(f)
            for case, f in zip(zip(v, a, b, strict=True), log_density, strict=True)
        ]
    mp.dps = 40
    assert relative(ours, truth) < 1e-9


def test_the_beta_quantile_inverts_the_distribution_function_from_end_to_end():
    rng = np.random.default_rng(0)
    a, b = 10 ** rng.uniform(-3, 4, (2, 300))
    p = np.concatenate([rng.uniform(0, 1, 200), 10 ** rng.uniform(-15, 0, 100)])
    v = cumulative.beta_quantile_logit(tg.tensor(p), tg.tensor(a), tg.tensor(b))
    back = cumulative.beta_cdf_logit(v, tg.tensor(a), tg.tensor(b)).numpy()
    np.testing.assert_allclose(back, p, rtol=1e-11)
    # the same from the other end
    mirrored = cumulative.beta_cdf_logit(-v, tg.tensor(b), tg.tensor(a)).numpy()
    np.testing.assert_allclose(mirrored, 1 - p, rtol=1e-9, atol=1e-15)


# ------------------------------------------------------------------------------------------------------------ von Mises


def test_log_bessel_and_its_derivatives():
    k = np.array(CONCENTRATIONS)
    ratio = [mp.besseli(1, x) / mp.besseli(0, x) for x in k]
    truth = {
        0: [mp.log(mp.besseli(0, x)) for x in k],
        1: ratio,
        2: [1 - r / x - r**2 for r, x in zip(ratio, k, strict=True)],
    }
    for n, values in truth.items():
        ours = cumulative.von_mises_cumulant(tg.tensor(k), n).numpy()
        np.testing.assert_allclose(ours, [float(t) for t in values], rtol=1e-11, atol=1e-15)


@pytest.mark.parametrize("n", [0, 1, 2])
def test_derivatives_of_the_von_mises_distribution_function(n):
    k, p = (x.ravel() for x in np.meshgrid([1e-3, 0.5, 4.0, 80.0, 1e4], [1e-6, 0.1, 0.45]))
    x = cumulative.von_mises_quantile(tg.tensor(p), tg.tensor(k)).numpy()

    def truth(x, k):
        x, k = mp.mpf(x), mp.mpf(k)
        ratio = mp.besseli(1, k) / mp.besseli(0, k)
        q = [
            lambda t: 1,
            lambda t: mp.cos(t) - ratio,
            lambda t: (mp.cos(t) - ratio) ** 2 - (1 - ratio / k - ratio**2),
        ][n]
        width = 1 / mp.sqrt(k)
        cuts = sorted(t for j in (0.3, 1, 3, 8, 20) for t in (x - j * width, -j * width) if -mp.pi < t < x)
        integral = mp.quad(lambda t: mp.exp(k * (mp.cos(t) - mp.cos(x))) * q(t), [-mp.pi, *cuts, x])
        return integral * mp.exp(k * mp.cos(x)) / (2 * mp.pi * mp.besseli(0, k)) if n == 0 else integral

    mp.dps = 25
    values = [truth(*pair) for pair in zip(x, k, strict=True)]
    mp.dps = 40
    if n == 0:
        assert relative(cumulative.von_mises_cdf(tg.tensor(x), tg.tensor(k)).numpy(), values) < 1e-9
        assert relative(p, values) < 1e-9
    else:
        assert relative(cumulative.von_mises_slope(tg.tensor(x), tg.tensor(k), n).numpy(), values) < 1e-9


# ---------------------------------------------------------------------------------------------------- normal, t, the tilt


def test_the_normal_distribution_function_in_the_tails():
    x = np.concatenate([np.linspace(-37, 8, 91), [-1e3, -1e8]])
    log_truth = [mp.log(mp.erfc(-mp.mpf(t) / mp.sqrt(2)) / 2) for t in x]
    mp.dps = 60
    log_truth[-2:] = [mp.log(mp.erfc(-mp.mpf(t) / mp.sqrt(2)) / 2) for t in x[-2:]]
    mp.dps = 40
    assert relative(special.log_ndtr(tg.tensor(x)).numpy(), log_truth) < 1e-13
    held = x > -37.2
    assert relative(special.ndtr(tg.tensor(x[held])).numpy(), [mp.exp(t) for t in np.array(log_truth)[held]]) < 1e-12


def test_the_normal_quantile_inverts_it():
    p = np.concatenate([10.0 ** np.linspace(-300, -1, 50), np.linspace(0.1, 0.99, 30)])
    x = special.ndtri(tg.tensor(p)).numpy()
    assert relative(p, [mp.erfc(-mp.mpf(t) / mp.sqrt(2)) / 2 for t in x]) < 1e-12
    np.testing.assert_array_equal(
        special.ndtri(tg.tensor([0.0, 1.0, 0.5, 1.5, np.nan])).numpy(), [-np.inf, np.inf, 0, np.nan, np.nan]
    )


def test_students_distribution_function_in_the_tails():
    y, df = (x.ravel() for x in np.meshgrid([-1e6, -30.0, -2.0, -1e-3, 1.5], [0.01, 0.9, 4.0, 300.0]))

    def truth(y, df):
        y, df = mp.mpf(y), mp.mpf(df)
        tail = mp.betainc(df / 2, mp.mpf(1) / 2, 0, df / (df + y**2), regularized=True) / 2
        return 1 - tail if y > 0 else tail

    ours = cumulative.student_cdf(tg.tensor(y), tg.tensor(df)).numpy()
    exact = np.array([float(truth(*pair)) for pair in zip(y, df, strict=True)])
    assert (ours[exact == 0] == 0).all()  # 1e-1300
    y, df, ours, exact = y[exact > 0], df[exact > 0], ours[exact > 0], exact[exact > 0]
    assert relative(ours, exact) < 1e-10
    back = cumulative.student_quantile(tg.tensor(ours), tg.tensor(df)).numpy()
    near_one = ours > 0.99
    np.testing.assert_allclose(back[~near_one], y[~near_one], rtol=1e-9)
    # at the median nothing divides by 0
    zero = tg.tensor([0.0], dtype=tg.float64, requires_grad=True)
    degrees = tg.tensor([3.0], dtype=tg.float64, requires_grad=True)
    by_y, by_df = tg.autograd.grad(cumulative.student_cdf(zero, degrees).sum(), (zero, degrees))
    assert by_df.item() == 0 and by_y.item() == pytest.approx(2 / (np.pi * np.sqrt(3)), rel=1e-12)


@pytest.mark.parametrize("n", [0, 1, 2, 3])
def test_the_cumulants_of_the_tilted_uniform_are_smooth_at_0(n):
    x = np.array([-900.0, -30.0, -2.1, -1.9, -1e-3, -1e-9, 0.0, 1e-9, 1e-3, 1.9, 2.1, 30.0, 900.0])
    mp.dps = 60

    def truth(t):
        t = mp.mpf(t) if t else mp.mpf("1e-25")
        return mp.diff(lambda s: mp.log(mp.expm1(s) / s), t, n, h=mp.mpf("1e-27")) if n else mp.log(mp.expm1(t) / t)

    values = [float(truth(t)) for t in x]
    mp.dps = 40
    np.testing.assert_allclose(cumulative.tilt_cumulant(tg.tensor(x), n).numpy(), values, rtol=1e-11, atol=1e-15)


def test_the_quantiles_of_the_tilted_uniform_keep_the_digits_of_both_ends():
    x, p = (
        t.ravel()
        for t in np.meshgrid(
            [-900.0, -100.0, -2.0, -1e-4, -1e-6, 0.0, 1e-6, 1e-4, 2.0, 100.0, 900.0],
            [0.0, 1e-20, 1e-9, 0.3, 0.999, 1.0],
        )
    )
    t = cumulative.tilt_quantile(tg.tensor(p), tg.tensor(x)).numpy()
    exact = [mp.log1p(mp.mpf(b) * mp.expm1(a)) / a if a and b < 1 else mp.mpf(b) for a, b in zip(x, p, strict=True)]
    np.testing.assert_allclose(t, [float(e) for e in exact], rtol=1e-12)


def test_the_truncated_normal_far_out_and_in_narrow_ranges():
    low = np.array([100.0, -41.0, 5.0, -1e-9, -2.0, -np.inf, 7.0])
    high = np.array([np.inf, -40.0, 5.0 + 1e-9, 1e-9, 3.0, -30.0, 9.0])
    mp.dps = 60

    def log_mass(a, b):
        a, b = (-b, -a) if a + b < 0 else (a, b)  # so that erfc has digits
        return mp.log((mp.erfc(mp.mpf(a) / mp.sqrt(2)) - mp.erfc(mp.mpf(b) / mp.sqrt(2))) / 2)

    exact = [log_mass(*pair) for pair in zip(low, high, strict=True)]
    mp.dps = 40
    ours = cumulative.log_normal_mass(tg.tensor(low), tg.tensor(high)).numpy()
    assert relative(ours, exact) < 1e-12
    for p in (1e-6, 0.3, 0.9):
        z = cumulative.truncated_normal_quantile(tg.tensor(p, dtype=tg.float64), tg.tensor(low), tg.tensor(high))
        assert ((z.numpy() >= low) & (z.numpy() <= high)).all()
        wide = high - low > 1e-3  # of the 16 digits of z, 12 remain far out, and none in a narrow range
        back = cumulative.truncated_normal_cdf(z, tg.tensor(low), tg.tensor(high)).numpy()
        np.testing.assert_allclose(back[wide], p, rtol=1e-9, atol=100 * np.spacing(100.0))  # density · spacing of z


def test_the_derivative_of_many_gamma_numbers_is_compiled_and_has_the_same_digits():
    a, v, _ = pairs()
    many = [np.resize(x, 40_000) for x in (v, a)]
    whole = cumulative.gamma_slope(*map(tg.tensor, many), 1).numpy()
    few = cumulative.gamma_slope(tg.tensor(v), tg.tensor(a), 1).numpy()
    np.testing.assert_allclose(whole, np.resize(few, 40_000), rtol=1e-11)
    # one of the two of another shape, and float32
    column = tg.tensor(a, dtype=tg.float32).unsqueeze(1)
    row = tg.tensor(np.resize(v, 1000), dtype=tg.float32)
    table = cumulative.gamma_slope(row, column, 1)
    assert table.dtype == tg.float32 and tuple(table.shape) == (len(a), 1000)
    part = cumulative.gamma_slope(row[:7], column, 1)
    np.testing.assert_allclose(table[:, :7].numpy(), part.numpy(), rtol=1e-6)


def test_large_arrays_go_through_in_chunks_with_the_same_numbers():
    tg.manual_seed(0)
    v, a = randn(10_000, dtype=tg.float64), randn(10_000, dtype=tg.float64).exp()
    whole = cumulative.gamma_slope(v, a, 2).numpy()
    pieces = [cumulative.gamma_slope(v[i : i + 1000], a[i : i + 1000], 2).numpy() for i in range(0, 10_000, 1000)]
    np.testing.assert_array_equal(whole, np.concatenate(pieces))


def test_third_derivatives_through_a_gamma_sample_exist():
    a = tg.tensor([2.5], dtype=tg.float64, requires_grad=True)
    p = tg.tensor([0.4], dtype=tg.float64)
    z = cumulative.gamma_quantile(p, a)
    orders = [z.sum()]
    for _ in range(3):
        (g,) = tg.autograd.grad(orders[-1], a, create_graph=True)
        orders.append(g.sum())

    def second(shift):
        b = (a.detach() + shift).requires_grad_()
        (first,) = tg.autograd.grad(cumulative.gamma_quantile(p, b).sum(), b, create_graph=True)
        return tg.autograd.grad(first.sum(), b)[0].item()

    assert orders[3].item() == pytest.approx((second(1e-4) - second(-1e-4)) / 2e-4, rel=1e-6)
