"""The divergences of continuous distributions, by pair of classes. Those of discrete ones stand in the files of these.

Within a family they are sums of terms that are never negative, and that are small where the two are close: the deviance
``x log(x / m) + m − x``, and what log Γ lies above its tangent. So nothing cancels. Between families they are the cross-entropy
less the entropy, of which the former is a few means under p: of x, log x or e^(−x). Where p has values that q has not, they are
infinite.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinygrad_rp.distributions.beta import Beta
from tinygrad_rp.distributions.cauchy import Cauchy
from tinygrad_rp.distributions.continuous_bernoulli import ContinuousBernoulli
from tinygrad_rp.distributions.dirichlet import Dirichlet
from tinygrad_rp.distributions.distribution import Distribution, sum_rightmost
from tinygrad_rp.distributions.exponential import Exponential
from tinygrad_rp.distributions.gamma import Gamma
from tinygrad_rp.distributions.gumbel import Gumbel
from tinygrad_rp.distributions.half_cauchy import HalfCauchy
from tinygrad_rp.distributions.half_normal import HalfNormal
from tinygrad_rp.distributions.independent import Independent
from tinygrad_rp.distributions.inverse_gamma import InverseGamma
from tinygrad_rp.distributions.kl import kl_divergence, register_kl
from tinygrad_rp.distributions.laplace import Laplace
from tinygrad_rp.distributions.log_normal import LogNormal
from tinygrad_rp.distributions.lowrank_multivariate_normal import LowRankMultivariateNormal
from tinygrad_rp.distributions.multivariate_normal import MultivariateNormal, mahalanobis
from tinygrad_rp.distributions.normal import Normal
from tinygrad_rp.distributions.pareto import Pareto
from tinygrad_rp.distributions.transformed_distribution import TransformedDistribution
from tinygrad_rp.distributions.uniform import Uniform
from tinygrad_rp.distributions.weibull import Weibull
from tinygrad_rp.ops.cumulative import tilt_cumulant
from tinygrad_rp.ops.density import deviance, deviance_of_log, lgamma_above_tangent, normal_kl
from tinygrad_rp.ops.elementwise import abs, exp, expm1, log, log1p, logical_and, where, xlogy
from tinygrad_rp.ops.linalg import solve_triangular
from tinygrad_rp.ops.special import digamma, erf, lgamma
from tinygrad_rp.tensor import Tensor, wrap

__all__: list[str] = []

_LOG_TAU = math.log(2 * math.pi)

# ------------------------------------------------------------------------------------------------------- within a family


@register_kl(Normal, Normal)
@register_kl(LogNormal, LogNormal)
def _of_normals(p: Normal | LogNormal, q: Normal | LogNormal) -> Tensor:
    """Of logarithms as of the numbers themselves: a change of variables changes no divergence."""
    return normal_kl(p.loc, p.scale, q.loc, q.scale)


@register_kl(HalfNormal, HalfNormal)
def _of_half_normals(p: HalfNormal, q: HalfNormal) -> Tensor:
    """As of the normal distributions around 0, each half of which counts half."""
    return normal_kl(0.0, p.scale, 0.0, q.scale)


@register_kl(Cauchy, Cauchy)
def _of_cauchys(p: Cauchy, q: Cauchy) -> Tensor:
    """F. Chyzak and F. Nielsen, "A closed-form formula for the KL divergence between Cauchy distributions", 2019."""
    return _cauchy(p.scale, q.scale, p.loc - q.loc)


@register_kl(HalfCauchy, HalfCauchy)
def _of_half_cauchys(p: HalfCauchy, q: HalfCauchy) -> Tensor:
    return _cauchy(p.scale, q.scale, 0.0)


def _cauchy(a: Tensor, b: Tensor, distance: Any) -> Tensor:
    return log1p(((a - b) / a * ((a - b) / b) + distance / a * (distance / b)) / 4)


@register_kl(Exponential, Exponential)
def _of_exponentials(p: Exponential, q: Exponential) -> Tensor:
    return deviance(1.0, q.rate / p.rate)


@register_kl(Gamma, Gamma)
@register_kl(InverseGamma, InverseGamma)
def _of_gammas(p: Gamma | InverseGamma, q: Gamma | InverseGamma) -> Tensor:
    """Of reciprocals as of the numbers themselves."""
    ratio = q.rate / p.rate
    by_shape = lgamma_above_tangent(q.concentration, p.concentration)
    return by_shape + p.concentration * deviance(1.0, ratio) + (p.concentration - q.concentration) * log(ratio)


@register_kl(Beta, Beta)
def _of_betas(p: Beta, q: Beta) -> Tensor:
    a, b, c, d = p.concentration1, p.concentration0, q.concentration1, q.concentration0
    return lgamma_above_tangent(c, a) + lgamma_above_tangent(d, b) - lgamma_above_tangent(c + d, a + b)


@register_kl(Dirichlet, Dirichlet)
def _of_dirichlets(p: Dirichlet, q: Dirichlet) -> Tensor:
    a, c = p.concentration, q.concentration
    return lgamma_above_tangent(c, a).sum(-1) - lgamma_above_tangent(c.sum(-1), a.sum(-1))


@register_kl(ContinuousBernoulli, ContinuousBernoulli)
def _of_continuous_bernoullis(p: ContinuousBernoulli, q: ContinuousBernoulli) -> Tensor:
    a, b = p.logits, q.logits
    return tilt_cumulant(b, 0) - tilt_cumulant(a, 0) - (b - a) * tilt_cumulant(a, 1)


@register_kl(Gumbel, Gumbel)
def _of_gumbels(p: Gumbel, q: Gumbel) -> Tensor:
    return _gumbel(p.scale / q.scale, (p.loc - q.loc) / q.scale)


@register_kl(Weibull, Weibull)
def _of_weibulls(p: Weibull, q: Weibull) -> Tensor:
    """−log x is of a Gumbel distribution, of location −log scale and scale 1 / concentration."""
    return _gumbel(q.concentration / p.concentration, (log(q.scale) - log(p.scale)) * q.concentration)


def _gumbel(ratio: Tensor, distance: Tensor) -> Tensor:
    """With the ratio r of the scales and the distance d in units of the second: (r − 1) γ − log r + d + Γ(1 + r) e^(−d) − 1."""
    one = wrap(np.ones((), ratio.dtype))
    return lgamma_above_tangent(ratio, one) + deviance_of_log(1.0, lgamma(ratio + 1) - distance)


@register_kl(Laplace, Laplace)
def _of_laplaces(p: Laplace, q: Laplace) -> Tensor:
    ratio = p.scale / q.scale
    return deviance(1.0, ratio) + ratio * deviance_of_log(1.0, -abs(p.loc - q.loc) / p.scale)


@register_kl(Pareto, Pareto)
def _of_paretos(p: Pareto, q: Pareto) -> Tensor:
    steps = q.alpha * (log(p.scale) - log(q.scale))
    return where(p.scale >= q.scale, deviance(1.0, q.alpha / p.alpha) + steps, math.inf)


@register_kl(Uniform, Uniform)
def _of_uniforms(p: Uniform, q: Uniform) -> Tensor:
    inside = logical_and(q.low <= p.low, p.high <= q.high)
    return where(inside, log((q.high - q.low) / (p.high - p.low)), math.inf)


# ------------------------------------------------------------------------------------------------------- of normal vectors


def _need_same_size(p: Distribution, q: Distribution) -> None:
    if p.event_shape != q.event_shape:
        raise ValueError(
            f"kl_divergence(): the two are over vectors of different sizes, {list(p.event_shape)} and {list(q.event_shape)}"
        )


def _square(x: Tensor) -> Tensor:
    return (x**2).sum((-2, -1))


@register_kl(MultivariateNormal, MultivariateNormal)
def _of_normal_vectors(p: MultivariateNormal, q: MultivariateNormal) -> Tensor:
    """Of M = L⁻¹ K, with the Cholesky factors L of q and K of p: half the sum of the deviances of 1 from the squares on its
    diagonal, of the other squares, and of the squared distance."""
    _need_same_size(p, q)
    between = solve_triangular(q.scale_tril, p.scale_tril.tril(), upper=False)
    diagonal = between.diagonal(0, -2, -1) ** 2
    others = between.tril(-1)
    away = mahalanobis(q.scale_tril, p.loc - q.loc)
    return 0.5 * (deviance(1.0, diagonal).sum(-1) + _square(others) + away)


def _whitened(q: LowRankMultivariateNormal, x: Tensor) -> Tensor:
    """``tr(xᵀ Σ⁻¹ x)`` by Woodbury's formula, for matrices x of shape (…, n, k)."""
    scaled = x / q.cov_diag.unsqueeze(-1)
    inner = solve_triangular(q._capacitance_tril(), q.cov_factor.mT @ scaled, upper=False)
    return (x * scaled).sum((-2, -1)) - _square(inner)


def _vectors(log_det: Tensor, trace: Tensor, distance: Tensor, n: int) -> Tensor:
    return log_det + 0.5 * (trace + distance - n)


def _half_log_det(d: MultivariateNormal | LowRankMultivariateNormal) -> Tensor:
    if isinstance(d, LowRankMultivariateNormal):
        return d._half_log_det(d._capacitance_tril())
    return d._half_log_det()


@register_kl(LowRankMultivariateNormal, LowRankMultivariateNormal)
@register_kl(MultivariateNormal, LowRankMultivariateNormal)
def _to_low_rank(p: MultivariateNormal | LowRankMultivariateNormal, q: LowRankMultivariateNormal) -> Tensor:
    _need_same_size(p, q)
    if isinstance(p, LowRankMultivariateNormal):
        trace = _whitened(q, p.cov_factor) + _of_diagonal(q, p.cov_diag)
    else:
        trace = _whitened(q, p.scale_tril.tril())
    distance = _whitened(q, (p.loc - q.loc).unsqueeze(-1))
    return _vectors(_half_log_det(q) - _half_log_det(p), trace, distance, p.event_shape[0])


def _of_diagonal(q: LowRankMultivariateNormal, diagonal: Tensor) -> Tensor:
    """The trace of ``Σ⁻¹`` times a diagonal matrix."""
    inner = solve_triangular(q._capacitance_tril(), q.cov_factor.mT / q.cov_diag.unsqueeze(-2), upper=False)
    return (diagonal / q.cov_diag).sum(-1) - (inner**2 * diagonal.unsqueeze(-2)).sum((-2, -1))


@register_kl(LowRankMultivariateNormal, MultivariateNormal)
def _from_low_rank(p: LowRankMultivariateNormal, q: MultivariateNormal) -> Tensor:
    _need_same_size(p, q)
    factor, n = q.scale_tril, p.event_shape[0]
    inverse = solve_triangular(factor, wrap(np.eye(n, dtype=p._dtype)), upper=False)
    spread = _square(solve_triangular(factor, p.cov_factor, upper=False))
    trace = spread + (inverse**2 * p.cov_diag.unsqueeze(-2)).sum((-2, -1))
    return _vectors(_half_log_det(q) - _half_log_det(p), trace, mahalanobis(factor, p.loc - q.loc), n)


# --------------------------------------------------------------------------------------------------- what is made of others


@register_kl(Independent, Independent)
def _of_independents(p: Independent, q: Independent) -> Tensor:
    if p.reinterpreted_batch_ndims != q.reinterpreted_batch_ndims:
        raise NotImplementedError(
            "kl_divergence(): there is no formula for two Independent distributions with different reinterpreted_batch_ndims, "
            f"{p.reinterpreted_batch_ndims} and {q.reinterpreted_batch_ndims}"
        )
    return sum_rightmost(kl_divergence(p.base_dist, q.base_dist), p.reinterpreted_batch_ndims)


@register_kl(TransformedDistribution, TransformedDistribution)
def _of_transformed(p: TransformedDistribution, q: TransformedDistribution) -> Tensor:
    """That of the bases: what is one-to-one changes no divergence."""
    same = p.event_shape == q.event_shape and p.transforms == q.transforms
    if not same or not all(t.bijective for t in p.transforms):
        raise NotImplementedError(
            "kl_divergence(): no formula for two of TransformedDistribution unless their transforms are equal and bijective"
        )
    return kl_divergence(p.base_dist, q.base_dist)


# --------------------------------------------------------------------------------------------------------- between families


def _infinite(p: Distribution, q: Distribution) -> Tensor:
    shape = np.broadcast_shapes(tuple(p.batch_shape), tuple(q.batch_shape))
    return wrap(np.full(shape, np.inf, p._dtype))


for _p, _q in (
    (Beta, Pareto),
    (ContinuousBernoulli, Pareto),
    *((_p, _q) for _p in (Exponential, Gamma, Pareto) for _q in (Beta, ContinuousBernoulli, Uniform)),
    (Exponential, Pareto),
    (Gamma, Pareto),
    *(
        (_p, _q)
        for _p in (Gumbel, Laplace, Normal)
        for _q in (Beta, ContinuousBernoulli, Exponential, Gamma, Pareto, Uniform)
    ),
):
    register_kl(_p, _q)(_infinite)


def _mean_log(p: Any) -> Tensor:
    """The mean of log x under p."""
    if isinstance(p, Beta):
        return digamma(p.concentration1) - digamma(p.concentration1 + p.concentration0)
    if isinstance(p, Gamma):
        return digamma(p.concentration) - log(p.rate)
    if isinstance(p, Exponential):
        return -np.euler_gamma - log(p.rate)
    return log(p.scale) + 1 / p.alpha  # Pareto


@register_kl(Beta, Exponential)
@register_kl(ContinuousBernoulli, Exponential)
@register_kl(Gamma, Exponential)
@register_kl(Pareto, Exponential)
def _to_exponential(p: Distribution, q: Exponential) -> Tensor:
    return q.rate * p.mean - log(q.rate) - p.entropy()


@register_kl(Beta, Gamma)
@register_kl(Exponential, Gamma)
@register_kl(Pareto, Gamma)
def _to_gamma(p: Distribution, q: Gamma) -> Tensor:
    return _gamma_terms(q, p.mean, _mean_log(p)) - p.entropy()


def _gamma_terms(q: Gamma, mean: Tensor, mean_log: Tensor) -> Tensor:
    shape = q.concentration
    return lgamma(shape) - shape * log(q.rate) - (shape - 1) * mean_log + q.rate * mean


@register_kl(Beta, Normal)
@register_kl(ContinuousBernoulli, Normal)
@register_kl(Exponential, Normal)
@register_kl(Gamma, Normal)
@register_kl(Gumbel, Normal)
@register_kl(Laplace, Normal)
@register_kl(Pareto, Normal)
@register_kl(Uniform, Normal)
def _to_normal(p: Distribution, q: Normal) -> Tensor:
    away = (p.mean - q.loc) / q.scale
    return 0.5 * (_LOG_TAU + p.variance / q.scale / q.scale + away**2) + log(q.scale) - p.entropy()


@register_kl(Beta, Uniform)
@register_kl(ContinuousBernoulli, Uniform)
def _shares_to_uniform(p: Distribution, q: Uniform) -> Tensor:
    inside = logical_and(q.low <= 0, q.high >= 1)
    return where(inside, log(q.high - q.low) - p.entropy(), math.inf)


@register_kl(Beta, ContinuousBernoulli)
def _beta_to_continuous_bernoulli(p: Beta, q: ContinuousBernoulli) -> Tensor:
    return tilt_cumulant(q.logits, 0) - q.logits * p.mean - p.entropy()


def _to_gumbel(p: Distribution, q: Gumbel, log_fall: Tensor) -> Tensor:
    """Given the logarithm of the mean of e^((loc − x) / scale)."""
    return log(q.scale) + (p.mean - q.loc) / q.scale + exp(log_fall) - p.entropy()


@register_kl(Normal, Gumbel)
def _normal_to_gumbel(p: Normal, q: Gumbel) -> Tensor:
    return _to_gumbel(p, q, (q.loc - p.loc) / q.scale + 0.5 * (p.scale / q.scale) ** 2)


@register_kl(Exponential, Gumbel)
@register_kl(Gamma, Gumbel)
def _gamma_to_gumbel(p: Exponential | Gamma, q: Gumbel) -> Tensor:
    shape = p.concentration if isinstance(p, Gamma) else 1.0
    return _to_gumbel(p, q, q.loc / q.scale - shape * log1p(1 / (p.rate * q.scale)))


@register_kl(Uniform, Gumbel)
def _uniform_to_gumbel(p: Uniform, q: Gumbel) -> Tensor:
    width = (p.high - p.low) / q.scale
    return _to_gumbel(p, q, (q.loc - p.low) / q.scale + log(-expm1(-width) / width))


@register_kl(Normal, Laplace)
def _normal_to_laplace(p: Normal, q: Laplace) -> Tensor:
    """By the mean distance of x from the centre of q: that of the folded normal distribution (Leone et al. 1961)."""
    away = (p.loc - q.loc) / p.scale
    distance = p.scale * (math.sqrt(2 / math.pi) * exp(-0.5 * away**2) + away * erf(away / math.sqrt(2)))
    return log(2 * q.scale) + distance / q.scale - p.entropy()


# A uniform distribution is compared where it lies within the other's support; elsewhere its ends are moved there first, so that
# no logarithm of a negative number passes a NaN back


def _uniform_means(p: Uniform, inside: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The mean, that of log x, and that of log(1 − x)."""
    low, high = where(inside, p.low, 0.25), where(inside, p.high, 0.75)
    width = high - low
    return (
        0.5 * (low + high),
        (xlogy(high, high) - xlogy(low, low)) / width - 1,
        (xlogy(1 - low, where(low < 1, 1 - low, 1.0)) - xlogy(1 - high, where(high < 1, 1 - high, 1.0))) / width - 1,
    )


@register_kl(Uniform, Beta)
def _uniform_to_beta(p: Uniform, q: Beta) -> Tensor:
    inside = logical_and(p.low >= 0, p.high <= 1)
    _, mean_log, mean_log_rest = _uniform_means(p, inside)
    a, b = q.concentration1, q.concentration0
    cross = lgamma(a) + lgamma(b) - lgamma(a + b) - (a - 1) * mean_log - (b - 1) * mean_log_rest
    return where(inside, cross - p.entropy(), math.inf)


@register_kl(Uniform, ContinuousBernoulli)
def _uniform_to_continuous_bernoulli(p: Uniform, q: ContinuousBernoulli) -> Tensor:
    inside = logical_and(p.low >= 0, p.high <= 1)
    return where(inside, tilt_cumulant(q.logits, 0) - q.logits * p.mean - p.entropy(), math.inf)


@register_kl(Uniform, Exponential)
def _uniform_to_exponential(p: Uniform, q: Exponential) -> Tensor:
    return where(p.low >= 0, q.rate * p.mean - log(q.rate) - p.entropy(), math.inf)


@register_kl(Uniform, Gamma)
def _uniform_to_gamma(p: Uniform, q: Gamma) -> Tensor:
    inside = p.low >= 0
    mean, mean_log, _ = _uniform_means(p, inside)
    return where(inside, _gamma_terms(q, mean, mean_log) - p.entropy(), math.inf)


@register_kl(Uniform, Pareto)
def _uniform_to_pareto(p: Uniform, q: Pareto) -> Tensor:
    inside = p.low >= q.scale
    _, mean_log, _ = _uniform_means(p, inside)
    cross = (q.alpha + 1) * mean_log - log(q.alpha) - q.alpha * log(q.scale)
    return where(inside, cross - p.entropy(), math.inf)
