"""What the tests of distributions share: every distribution with its parameters, their bad values, and the truth about it.

The truth is SciPy's distribution of the same name (`scipy`), and for the cumulative distribution function and what is
derived from it mpmath (`cdf`), with 40 digits. Nothing here needs PyTorch.
"""

import importlib
import math
import os
from collections.abc import Callable
from dataclasses import dataclass, field

import mpmath as mp
import numpy as np
import pytest
from scipy import special, stats

UNDER_TEST = os.environ.get("TINYGRAD_RP_UNDER_TEST", "tinygrad_rp")
torch = importlib.import_module(UNDER_TEST)
D = importlib.import_module(UNDER_TEST + ".distributions")
ours = pytest.mark.skipif(UNDER_TEST == "torch", reason="PyTorch lacks it, or we differ from it on purpose")

mp.mp.dps = 40
nan, inf = math.nan, math.inf

# ---------------------------------------------------------------- parameters


@dataclass(frozen=True)
class Param:
    """A parameter: how it is drawn, the shape of it that belongs to the event, and values that it must refuse.

    `bad` holds what PyTorch refuses too, `bad_here` what is refused here only.
    """

    draw: Callable
    event: tuple = ()
    bad: tuple = ()
    bad_here: tuple = ()
    grad: bool = True
    batched: bool = True


def between(low, high):
    return lambda rng, shape: rng.uniform(low, high, shape)


def simplex(rng, shape):
    return rng.dirichlet(np.full(shape[-1], 3.0), shape[:-1])


def covariance(rng, shape):
    a = rng.uniform(-1, 1, shape)
    return a @ np.swapaxes(a, -1, -2) + np.eye(shape[-1])


def triangle(rng, shape):
    return np.tril(rng.uniform(-1, 1, shape), -1) + np.eye(shape[-1]) * rng.uniform(0.5, 2, shape)


def numbers(low, high):
    return lambda rng, shape: rng.integers(low, high, shape).astype(float)


def one_hot(rng, shape):
    return np.eye(shape[-1])[rng.integers(shape[-1], size=shape[:-1])]


INFINITE = (inf, -inf)
REAL = Param(between(-2, 2), bad=(nan,), bad_here=INFINITE)
POSITIVE = Param(between(0.4, 3), bad=(0.0, -1.25, nan), bad_here=(inf,))
ABOVE_4 = Param(between(4.5, 7), bad=POSITIVE.bad, bad_here=(inf,))
LOW = Param(between(-3, -1.5), bad=(nan, 99.0))
HIGH = Param(between(1.5, 3), bad=(nan, -99.0))
SHARE = Param(between(0.1, 0.9), bad=(-0.25, 1.25, nan))
LOGIT = Param(between(-2, 2), bad=(nan,))
RATE = Param(between(0.4, 3), bad=(-1.25, nan), bad_here=(inf,))
COUNT = Param(numbers(5, 9), bad=(-1.0, 1.5, nan), bad_here=(inf,), grad=False)
TEMPERATURE = Param(between(0.5, 1.5), batched=False, bad_here=(0.0, -1.25, nan, inf))
SIMPLEX = Param(simplex, (4,), bad=(-1.25, nan, inf))
LOGITS = Param(between(-2, 2), (4,), bad=(nan,))
CONCENTRATION = Param(between(0.4, 3), (4,), bad=POSITIVE.bad, bad_here=(inf,))
VECTOR = Param(between(-2, 2), (3,), bad=(nan,), bad_here=INFINITE)
MATRIX = Param(covariance, (3, 3), bad_here=(nan, inf))
TRIANGLE = Param(triangle, (3, 3), bad=(nan,), bad_here=(inf,))
FACTOR = Param(between(-1, 1), (3, 2), bad_here=(nan, inf))
DIAGONAL = Param(between(0.4, 3), (3,), bad=(-1.25,), bad_here=(0.0, nan, inf))

# ---------------------------------------------------------------- the truth where SciPy lacks it


class _Kumaraswamy(stats.rv_continuous):
    def _cdf(self, x, a, b):
        return -np.expm1(b * np.log1p(-(x**a)))

    def _pdf(self, x, a, b):
        return a * b * x ** (a - 1) * (1 - x**a) ** (b - 1)

    def _logpdf(self, x, a, b):
        return np.log(a * b) + (a - 1) * np.log(x) + (b - 1) * np.log1p(-(x**a))

    def _ppf(self, q, a, b):
        return (-np.expm1(np.log1p(-q) / b)) ** (1 / a)

    def _munp(self, n, a, b):
        return b * special.beta(1 + n / a, b)

    def _entropy(self, a, b):
        return 1 - 1 / b + (1 - 1 / a) * (special.digamma(b + 1) + np.euler_gamma) - np.log(a * b)


class _ContinuousBernoulli(stats.rv_continuous):
    def _argcheck(self, logit):
        return np.isfinite(logit)

    def _cdf(self, x, logit):
        return np.expm1(logit * x) / np.expm1(logit)

    def _pdf(self, x, logit):
        return logit * np.exp(logit * x) / np.expm1(logit)

    def _ppf(self, q, logit):
        return np.log1p(q * np.expm1(logit)) / logit


kumaraswamy = _Kumaraswamy(a=0.0, b=1.0, name="kumaraswamy")
continuous_bernoulli = _ContinuousBernoulli(a=0.0, b=1.0, name="continuous_bernoulli")


def student_cdf(x, df, loc, scale):
    t = (x - loc) / scale
    tail = mp.betainc(df / 2, mp.mpf(1) / 2, 0, df / (df + t * t), regularized=True) / 2
    return tail if t < 0 else 1 - tail


def truncated_cdf(x, loc, scale, low, high):
    a, b, t = (low - loc) / scale, (high - loc) / scale, (x - loc) / scale
    if a > 0:  # the mirrored tail keeps its digits
        return (mp.ncdf(-a) - mp.ncdf(-t)) / (mp.ncdf(-a) - mp.ncdf(-b))
    return (mp.ncdf(t) - mp.ncdf(a)) / (mp.ncdf(b) - mp.ncdf(a))


def laplace_cdf(x, loc, scale):
    t = (x - loc) / scale
    return mp.exp(t) / 2 if t < 0 else 1 - mp.exp(-t) / 2


def continuous_bernoulli_cdf(x, logit):
    return mp.expm1(logit * x) / mp.expm1(logit) if logit else mp.mpf(x)


def gamma_cdf(x, a):
    """The regularised lower incomplete gamma function; all terms of the series are positive, so that no digits are lost."""
    term = total = 1 / a
    n = 0
    while term > mp.eps * total:
        n += 1
        term *= x / (a + n)
        total += term
    return total * mp.exp(a * mp.log(x) - x - mp.loggamma(a))


def beta_cdf(x, a, b):
    return mp.betainc(a, b, 0, x, regularized=True)


def logit_of(probs):
    return mp.log(probs) - mp.log(1 - probs)


# ---------------------------------------------------------------- the distributions


@dataclass(frozen=True)
class Case:
    name: str
    params: dict
    value: Callable  # (rng, shape): arrays within the support
    event: tuple = ()
    outside: tuple = ()  # numbers outside of the support
    scipy: Callable | None = None  # the parameters as keywords -> a frozen distribution of SciPy
    cdf: Callable | None = None  # (x, parameters as keywords), by mpmath
    here_only: bool = False  # PyTorch has no such distribution
    discrete: bool = False
    pathwise: str = (
        "no"  # "exact": the sample is the inverse cdf of hidden noise; "mean": its derivative is so on average
    )
    fixed: dict = field(default_factory=dict)  # arguments that are no tensors
    build: Callable | None = None  # (D, torch, parameters): composites

    @property
    def id(self):
        return self.name + ("" if self.build else "-" + "-".join(self.params))

    def shape_of(self, index, batch):
        """The batch shape of a parameter: where there are several, they meet by broadcasting."""
        if batch is None and self.name.startswith("Mixture"):
            return (2, 3)
        if batch is None:
            return ((2, 1), (3,))[index % 2] if len(self.batched) > 1 else (2, 3)
        return batch

    @property
    def batched(self):
        return [name for name, param in self.params.items() if param.batched]

    def arrays(self, seed=7, batch=None):
        """The parameters, drawn in float64; batch None: shapes that broadcast to (2, 3)."""
        rng = np.random.default_rng(seed)
        return {
            name: np.asarray(
                p.draw(rng, (*(self.shape_of(self.batched.index(name), batch) if p.batched else ()), *p.event))
            )
            for name, p in self.params.items()
        }

    def values(self, shape=(), seed=8):
        return np.asarray(self.value(np.random.default_rng(seed), (*shape, *self.event)), dtype=float)

    def make(self, arrays, module=torch, distributions=D, grad=False, **options):
        """The distribution, and its parameters as tensors."""
        tensors = {
            name: module.tensor(a, requires_grad=grad and self.params[name].grad) if isinstance(a, np.ndarray) else a
            for name, a in arrays.items()
        }
        if self.build:
            return self.build(distributions, module, **tensors, **options), tensors
        return getattr(distributions, self.name)(**self.fixed, **tensors, **options), tensors


def reals(rng, shape):
    return rng.normal(0, 2, shape)


positives, shares, inner = between(0.2, 4), between(0.05, 0.95), between(-1.4, 1.4)
beyond_positive, beyond_share = (-0.5, nan), (-0.25, 1.25, nan)
coins, indices, counts = numbers(0, 2), numbers(0, 4), numbers(0, 6)
beyond_counts = (-1.0, 1.5, nan)


def case(name, value, outside=(), event=(), **rest):
    params = {key: rest.pop(key) for key in list(rest) if isinstance(rest[key], Param)}
    return Case(name, params, value, event, outside, **rest)


ONE_DIMENSIONAL = [
    case(
        "Normal",
        reals,
        (nan,),
        loc=REAL,
        scale=POSITIVE,
        scipy=lambda loc, scale: stats.norm(loc, scale),
        cdf=lambda x, loc, scale: mp.ncdf((x - loc) / scale),
        pathwise="exact",
    ),
    case(
        "LogNormal",
        positives,
        beyond_positive,
        loc=REAL,
        scale=Param(between(0.2, 0.9), bad=POSITIVE.bad, bad_here=(inf,)),
        scipy=lambda loc, scale: stats.lognorm(scale, scale=np.exp(loc)),
        cdf=lambda x, loc, scale: mp.ncdf((mp.log(x) - loc) / scale),
        pathwise="exact",
    ),
    case(
        "Uniform",
        inner,
        (-50.0, 50.0, nan),
        low=LOW,
        high=HIGH,
        scipy=lambda low, high: stats.uniform(low, high - low),
        cdf=lambda x, low, high: (x - low) / (high - low),
        pathwise="exact",
    ),
    case(
        "Exponential",
        positives,
        beyond_positive,
        rate=POSITIVE,
        scipy=lambda rate: stats.expon(scale=1 / rate),
        cdf=lambda x, rate: -mp.expm1(-rate * x),
        pathwise="exact",
    ),
    case(
        "Weibull",
        positives,
        beyond_positive,
        scale=POSITIVE,
        concentration=POSITIVE,
        scipy=lambda scale, concentration: stats.weibull_min(concentration, scale=scale),
        cdf=lambda x, scale, concentration: -mp.expm1(-((x / scale) ** concentration)),
        pathwise="exact",
    ),
    case(
        "Gumbel",
        reals,
        (nan,),
        loc=REAL,
        scale=POSITIVE,
        scipy=lambda loc, scale: stats.gumbel_r(loc, scale),
        cdf=lambda x, loc, scale: mp.exp(-mp.exp(-(x - loc) / scale)),
        pathwise="exact",
    ),
    case(
        "Laplace",
        reals,
        (nan,),
        loc=REAL,
        scale=POSITIVE,
        scipy=lambda loc, scale: stats.laplace(loc, scale),
        cdf=laplace_cdf,
        pathwise="exact",
    ),
    case(
        "Logistic",
        reals,
        (nan,),
        loc=REAL,
        scale=POSITIVE,
        scipy=lambda loc, scale: stats.logistic(loc, scale),
        cdf=lambda x, loc, scale: 1 / (1 + mp.exp(-(x - loc) / scale)),
        here_only=True,
        pathwise="exact",
    ),
    case(
        "Cauchy",
        reals,
        (nan,),
        loc=REAL,
        scale=POSITIVE,
        scipy=lambda loc, scale: stats.cauchy(loc, scale),
        cdf=lambda x, loc, scale: mp.atan2(scale, loc - x) / mp.pi,
        pathwise="exact",
    ),
    case(
        "HalfNormal",
        positives,
        beyond_positive,
        scale=POSITIVE,
        scipy=lambda scale: stats.halfnorm(scale=scale),
        cdf=lambda x, scale: mp.erf(x / scale / mp.sqrt(2)),
        pathwise="exact",
    ),
    case(
        "HalfCauchy",
        positives,
        beyond_positive,
        scale=POSITIVE,
        scipy=lambda scale: stats.halfcauchy(scale=scale),
        cdf=lambda x, scale: 2 * mp.atan(x / scale) / mp.pi,
        pathwise="exact",
    ),
    case(
        "Pareto",
        between(1.2, 4),
        (0.1, nan),
        scale=Param(between(0.3, 1), bad=POSITIVE.bad, bad_here=(inf,)),
        alpha=ABOVE_4,
        scipy=lambda scale, alpha: stats.pareto(alpha, scale=scale),
        cdf=lambda x, scale, alpha: 1 - (scale / x) ** alpha,
        pathwise="exact",
    ),
    case(
        "Kumaraswamy",
        shares,
        beyond_share,
        concentration1=POSITIVE,
        concentration0=POSITIVE,
        scipy=lambda concentration1, concentration0: kumaraswamy(concentration1, concentration0),
        cdf=lambda x, concentration1, concentration0: -mp.expm1(concentration0 * mp.log1p(-(x**concentration1))),
        pathwise="exact",
    ),
    case(
        "Gamma",
        positives,
        beyond_positive,
        concentration=POSITIVE,
        rate=POSITIVE,
        scipy=lambda concentration, rate: stats.gamma(concentration, scale=1 / rate),
        cdf=lambda x, concentration, rate: gamma_cdf(rate * x, concentration),
        pathwise="exact",
    ),
    case(
        "Chi2",
        positives,
        beyond_positive,
        df=POSITIVE,
        scipy=lambda df: stats.chi2(df),
        cdf=lambda x, df: gamma_cdf(x / 2, df / 2),
        pathwise="exact",
    ),
    case(
        "InverseGamma",
        positives,
        beyond_positive,
        concentration=ABOVE_4,
        rate=POSITIVE,
        scipy=lambda concentration, rate: stats.invgamma(concentration, scale=rate),
        cdf=lambda x, concentration, rate: mp.gammainc(concentration, rate / x, mp.inf, regularized=True),
        pathwise="exact",
    ),
    case(
        "Beta",
        shares,
        beyond_share,
        concentration1=POSITIVE,
        concentration0=POSITIVE,
        scipy=lambda concentration1, concentration0: stats.beta(concentration1, concentration0),
        cdf=lambda x, concentration1, concentration0: beta_cdf(x, concentration1, concentration0),
        pathwise="mean",
    ),
    case(
        "StudentT",
        reals,
        (nan,),
        df=ABOVE_4,
        loc=REAL,
        scale=POSITIVE,
        scipy=lambda df, loc, scale: stats.t(df, loc, scale),
        cdf=student_cdf,
        pathwise="mean",
    ),
    case(
        "FisherSnedecor",
        positives,
        beyond_positive,
        df1=POSITIVE,
        df2=Param(between(9, 12), bad=POSITIVE.bad, bad_here=(inf,)),
        scipy=lambda df1, df2: stats.f(df1, df2),
        cdf=lambda x, df1, df2: beta_cdf(df1 * x / (df1 * x + df2), df1 / 2, df2 / 2),
        pathwise="mean",
    ),
    case(
        "VonMises",
        reals,
        (nan,),
        loc=REAL,
        concentration=POSITIVE,
        scipy=lambda loc, concentration: stats.vonmises(concentration, loc),
    ),
    *(
        case(
            "ContinuousBernoulli",
            shares,
            beyond_share,
            **{kind: param},
            scipy=lambda probs=None, logits=None: continuous_bernoulli(
                special.logit(probs) if logits is None else logits
            ),
            cdf=lambda x, probs=None, logits=None: continuous_bernoulli_cdf(
                x, logit_of(probs) if logits is None else logits
            ),
            pathwise="exact",
        )
        for kind, param in (("probs", Param(between(0.1, 0.45), bad_here=SHARE.bad)), ("logits", LOGIT))
    ),
    case(
        "TruncatedNormal",
        inner,
        (-50.0, 50.0, nan),
        loc=REAL,
        scale=POSITIVE,
        low=LOW,
        high=HIGH,
        scipy=lambda loc, scale, low, high: stats.truncnorm((low - loc) / scale, (high - loc) / scale, loc, scale),
        cdf=truncated_cdf,
        here_only=True,
        pathwise="exact",
    ),
]

PROBS_OR_LOGITS = (("probs", SHARE), ("logits", LOGIT))
MANY_PROBS_OR_LOGITS = (("probs", SIMPLEX), ("logits", LOGITS))


def probability(probs, logits):
    return special.expit(logits) if probs is None else probs


def category_probability(probs, logits):
    return special.softmax(logits, -1) if probs is None else probs / probs.sum(-1, keepdims=True)


DISCRETE = [
    *(
        case(
            name,
            coins,
            (-1.0, 0.5, 2.0, nan),
            **{kind: param},
            discrete=True,
            here_only=name != "Bernoulli",
            scipy=lambda probs=None, logits=None: stats.bernoulli(probability(probs, logits)),
        )
        for name in ("Bernoulli", "BernoulliStraightThrough")
        for kind, param in PROBS_OR_LOGITS
    ),
    *(
        case(
            "Binomial",
            counts,
            (-1.0, 1.5, 50.0, nan),
            total_count=COUNT,
            **{kind: param},
            discrete=True,
            scipy=lambda total_count, probs=None, logits=None: stats.binom(total_count, probability(probs, logits)),
        )
        for kind, param in PROBS_OR_LOGITS
    ),
    *(
        case("Categorical", indices, (-1.0, 4.0, 1.5, nan), **{kind: param}, discrete=True)
        for kind, param in MANY_PROBS_OR_LOGITS
    ),
    *(
        case(name, one_hot, (-1.0, 2.0, 0.5, nan), (4,), **{kind: param}, discrete=True)
        for name in ("OneHotCategorical", "OneHotCategoricalStraightThrough")
        for kind, param in MANY_PROBS_OR_LOGITS
    ),
    *(
        case(
            "Multinomial",
            lambda rng, shape: rng.multinomial(5, [0.1, 0.2, 0.3, 0.4], shape[:-1]).astype(float),
            (-1.0, 7.0, 1.5, nan),
            (4,),
            **{kind: param},
            fixed={"total_count": 5},
            discrete=True,
        )
        for kind, param in MANY_PROBS_OR_LOGITS
    ),
    case("Poisson", counts, beyond_counts, rate=RATE, discrete=True, scipy=lambda rate: stats.poisson(rate)),
    *(
        case(
            "Geometric",
            counts,
            beyond_counts,
            # a probability of zero is refused too
            **{kind: Param(param.draw, bad=(*param.bad, 0.0) if kind == "probs" else param.bad)},
            discrete=True,
            scipy=lambda probs=None, logits=None: stats.geom(probability(probs, logits), loc=-1),
        )
        for kind, param in PROBS_OR_LOGITS
    ),
    *(
        case(
            "NegativeBinomial",
            counts,
            beyond_counts,
            # PyTorch counts the successes, with this probability, before so many failures
            total_count=Param(between(0.7, 5), bad=(-1.0, nan), bad_here=(inf,)),
            **{kind: Param(param.draw, bad=(*param.bad, 1.0) if kind == "probs" else param.bad)},
            discrete=True,
            scipy=lambda total_count, probs=None, logits=None: stats.nbinom(
                total_count, 1 - probability(probs, logits)
            ),
        )
        for kind, param in PROBS_OR_LOGITS
    ),
]

RELAXED = [
    *(
        case("RelaxedBernoulli", shares, (-0.5, 1.5, nan), temperature=TEMPERATURE, **{kind: param})
        for kind, param in PROBS_OR_LOGITS
    ),
    *(
        case("RelaxedOneHotCategorical", simplex, (-0.5, 1.5, nan), (4,), temperature=TEMPERATURE, **{kind: param})
        for kind, param in MANY_PROBS_OR_LOGITS
    ),
]


def vectors(rng, shape):
    return rng.normal(0, 1.5, shape)


MANY_DIMENSIONAL = [
    case("MultivariateNormal", vectors, (nan,), (3,), loc=VECTOR, covariance_matrix=MATRIX),
    case("MultivariateNormal", vectors, (nan,), (3,), loc=VECTOR, precision_matrix=MATRIX),
    case("MultivariateNormal", vectors, (nan,), (3,), loc=VECTOR, scale_tril=TRIANGLE),
    case("LowRankMultivariateNormal", vectors, (nan,), (3,), loc=VECTOR, cov_factor=FACTOR, cov_diag=DIAGONAL),
    case("Dirichlet", simplex, (-0.5, 1.5, nan), (4,), concentration=CONCENTRATION),
]

CASES = [*ONE_DIMENSIONAL, *DISCRETE, *RELAXED, *MANY_DIMENSIONAL]


def composite(name, build, value, event=(), **params):
    return Case(name, params, value, event, build=build)


def batch_of(*event):
    """Vectors of parameters, whose last dimensions become an event, or the components."""
    return {
        "REAL": Param(between(-2, 2), event),
        "POSITIVE": Param(between(0.4, 3), event),
        "SHARE": Param(between(0.1, 0.9), event),
    }


FOUR, TWO_BY_FOUR = batch_of(4), batch_of(4, 2)

COMPOSITES = [
    composite(
        "Independent of Normal",
        lambda D, m, loc, scale, **o: D.Independent(D.Normal(loc, scale), 1, **o),
        reals,
        (4,),
        loc=FOUR["REAL"],
        scale=FOUR["POSITIVE"],
    ),
    composite(
        "Independent of Bernoulli",
        lambda D, m, probs, **o: D.Independent(D.Bernoulli(probs), 1, **o),
        coins,
        (4,),
        probs=FOUR["SHARE"],
    ),
    composite(
        "Independent, nothing reinterpreted",
        lambda D, m, loc, scale, **o: D.Independent(D.Normal(loc, scale), 0, **o),
        reals,
        loc=REAL,
        scale=POSITIVE,
    ),
    composite(
        "Exponential of Laplace",
        lambda D, m, loc, scale, **o: D.TransformedDistribution(
            D.Laplace(loc, scale), D.transforms.ExpTransform(), **o
        ),
        positives,
        loc=REAL,
        scale=POSITIVE,
    ),
    composite(
        "Sigmoid of Normal, stretched",
        lambda D, m, loc, scale, **o: D.TransformedDistribution(
            D.Normal(loc, scale), [D.transforms.SigmoidTransform(), D.transforms.AffineTransform(-1.0, 2.0)], **o
        ),
        between(-0.9, 0.9),
        loc=REAL,
        scale=POSITIVE,
    ),
    composite(
        "Normal, mirrored by parameters",
        lambda D, m, loc, scale, **o: D.TransformedDistribution(
            D.Normal(m.zeros_like(loc), 1.0), [D.transforms.AffineTransform(loc, -scale)], **o
        ),
        reals,
        loc=REAL,
        scale=POSITIVE,
    ),
    composite(
        "Tanh of independent Normals",
        lambda D, m, loc, scale, **o: D.TransformedDistribution(
            D.Independent(D.Normal(loc, scale), 1), D.transforms.TanhTransform(), **o
        ),
        between(-0.9, 0.9),
        (4,),
        loc=FOUR["REAL"],
        scale=FOUR["POSITIVE"],
    ),
    composite(
        "Mixture of Normals",
        lambda D, m, probs, loc, scale, **o: D.MixtureSameFamily(D.Categorical(probs), D.Normal(loc, scale), **o),
        reals,
        probs=SIMPLEX,
        loc=FOUR["REAL"],
        scale=FOUR["POSITIVE"],
    ),
    composite(
        "Mixture of Laplaces with the same weights",
        lambda D, m, logits, loc, scale, **o: D.MixtureSameFamily(
            D.Categorical(logits=logits), D.Laplace(loc, scale), **o
        ),
        reals,
        logits=Param(between(-2, 2), (4,), batched=False),
        loc=FOUR["REAL"],
        scale=FOUR["POSITIVE"],
    ),
    composite(
        "Mixture of Gammas",
        lambda D, m, logits, concentration, rate, **o: D.MixtureSameFamily(
            D.Categorical(logits=logits), D.Gamma(concentration, rate), **o
        ),
        positives,
        logits=LOGITS,
        concentration=FOUR["POSITIVE"],
        rate=FOUR["POSITIVE"],
    ),
    composite(
        "Mixture of Poissons",
        lambda D, m, probs, rate, **o: D.MixtureSameFamily(D.Categorical(probs), D.Poisson(rate), **o),
        counts,
        probs=SIMPLEX,
        rate=FOUR["POSITIVE"],
    ),
    composite(
        "Mixture of vectors",
        lambda D, m, probs, loc, scale, **o: D.MixtureSameFamily(
            D.Categorical(probs), D.Independent(D.Normal(loc, scale), 1), **o
        ),
        reals,
        (2,),
        probs=SIMPLEX,
        loc=TWO_BY_FOUR["REAL"],
        scale=TWO_BY_FOUR["POSITIVE"],
    ),
]


def each(cases, **marks):
    """The cases as parameters of a test; those that PyTorch lacks are marked."""
    return pytest.mark.parametrize(
        "case", [pytest.param(c, id=c.id, marks=[ours] if c.here_only else []) for c in cases]
    )


def gradients(output, tensors, weights=None):
    """The derivatives of the (weighted) sum of an output, by name; zeros where there is no path."""
    wanted = {name: t for name, t in tensors.items() if getattr(t, "requires_grad", False)}
    total = output.sum() if weights is None else (output * weights).sum()
    found = total.requires_grad and torch.autograd.grad(total, list(wanted.values()), allow_unused=True)
    return {
        name: np.zeros(tuple(t.shape)) if not found or found[i] is None else found[i].detach().numpy()
        for i, (name, t) in enumerate(wanted.items())
    }


def exactly(x):
    """A double, or an array of one, as a number of mpmath."""
    return mp.mpf(float(x))


def derivatives_by_mpmath(cdf, x, params):
    """F(x), f(x), and the derivative of F with respect to each parameter."""
    x, params = exactly(x), {name: exactly(value) for name, value in params.items()}
    by_param = {
        name: mp.diff(lambda t, name=name: cdf(x, **{**params, name: t}), value) for name, value in params.items()
    }
    # steps are relative to x, so that they do not leave a support that begins at 0
    return cdf(x, **params), mp.diff(lambda t: cdf(x * t, **params), 1) / x, by_param
