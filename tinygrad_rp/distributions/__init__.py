"""Probability distributions, as one file each: samples, reparameterised where they can be, densities, moments and divergences."""

from tinygrad_rp.distributions import (  # kl_pairs registers divergences between families
    constraints,
    kl_pairs,
    transforms,
)
from tinygrad_rp.distributions.bernoulli import Bernoulli
from tinygrad_rp.distributions.beta import Beta
from tinygrad_rp.distributions.binomial import Binomial
from tinygrad_rp.distributions.categorical import Categorical
from tinygrad_rp.distributions.cauchy import Cauchy
from tinygrad_rp.distributions.chi2 import Chi2
from tinygrad_rp.distributions.constraint_registry import biject_to, transform_to
from tinygrad_rp.distributions.continuous_bernoulli import ContinuousBernoulli
from tinygrad_rp.distributions.dirichlet import Dirichlet
from tinygrad_rp.distributions.distribution import Distribution
from tinygrad_rp.distributions.exponential import Exponential
from tinygrad_rp.distributions.fisher_snedecor import FisherSnedecor
from tinygrad_rp.distributions.gamma import Gamma
from tinygrad_rp.distributions.geometric import Geometric
from tinygrad_rp.distributions.gumbel import Gumbel
from tinygrad_rp.distributions.half_cauchy import HalfCauchy
from tinygrad_rp.distributions.half_normal import HalfNormal
from tinygrad_rp.distributions.independent import Independent
from tinygrad_rp.distributions.inverse_cdf import InverseCDF
from tinygrad_rp.distributions.inverse_gamma import InverseGamma
from tinygrad_rp.distributions.kl import kl_divergence, register_kl
from tinygrad_rp.distributions.kumaraswamy import Kumaraswamy
from tinygrad_rp.distributions.laplace import Laplace
from tinygrad_rp.distributions.log_normal import LogNormal
from tinygrad_rp.distributions.logistic import Logistic
from tinygrad_rp.distributions.lowrank_multivariate_normal import LowRankMultivariateNormal
from tinygrad_rp.distributions.mixture_same_family import MixtureSameFamily
from tinygrad_rp.distributions.multinomial import Multinomial
from tinygrad_rp.distributions.multivariate_normal import MultivariateNormal
from tinygrad_rp.distributions.negative_binomial import NegativeBinomial
from tinygrad_rp.distributions.normal import Normal
from tinygrad_rp.distributions.one_hot_categorical import OneHotCategorical
from tinygrad_rp.distributions.pareto import Pareto
from tinygrad_rp.distributions.poisson import Poisson
from tinygrad_rp.distributions.relaxed_bernoulli import LogitRelaxedBernoulli, RelaxedBernoulli
from tinygrad_rp.distributions.relaxed_categorical import ExpRelaxedCategorical, RelaxedOneHotCategorical
from tinygrad_rp.distributions.straight_through import BernoulliStraightThrough, OneHotCategoricalStraightThrough
from tinygrad_rp.distributions.student_t import StudentT
from tinygrad_rp.distributions.transformed_distribution import TransformedDistribution
from tinygrad_rp.distributions.transforms import (
    AbsTransform,
    AffineTransform,
    ComposeTransform,
    CumulativeDistributionTransform,
    ExpTransform,
    IndependentTransform,
    LowerCholeskyTransform,
    PositiveDefiniteTransform,
    PowerTransform,
    ReshapeTransform,
    SigmoidTransform,
    SoftmaxTransform,
    SoftplusTransform,
    StickBreakingTransform,
    TanhTransform,
    Transform,
    identity_transform,
)
from tinygrad_rp.distributions.truncated_normal import TruncatedNormal
from tinygrad_rp.distributions.uniform import Uniform
from tinygrad_rp.distributions.von_mises import VonMises
from tinygrad_rp.distributions.weibull import Weibull

__all__ = [
    "AbsTransform",
    "AffineTransform",
    "Bernoulli",
    "BernoulliStraightThrough",
    "Beta",
    "Binomial",
    "Categorical",
    "Cauchy",
    "Chi2",
    "ComposeTransform",
    "ContinuousBernoulli",
    "CumulativeDistributionTransform",
    "Dirichlet",
    "Distribution",
    "ExpRelaxedCategorical",
    "ExpTransform",
    "Exponential",
    "FisherSnedecor",
    "Gamma",
    "Geometric",
    "Gumbel",
    "HalfCauchy",
    "HalfNormal",
    "Independent",
    "IndependentTransform",
    "InverseCDF",
    "InverseGamma",
    "Kumaraswamy",
    "Laplace",
    "LogNormal",
    "Logistic",
    "LogitRelaxedBernoulli",
    "LowRankMultivariateNormal",
    "LowerCholeskyTransform",
    "MixtureSameFamily",
    "Multinomial",
    "MultivariateNormal",
    "NegativeBinomial",
    "Normal",
    "OneHotCategorical",
    "OneHotCategoricalStraightThrough",
    "Pareto",
    "Poisson",
    "PositiveDefiniteTransform",
    "PowerTransform",
    "RelaxedBernoulli",
    "RelaxedOneHotCategorical",
    "ReshapeTransform",
    "SigmoidTransform",
    "SoftmaxTransform",
    "SoftplusTransform",
    "StickBreakingTransform",
    "StudentT",
    "TanhTransform",
    "Transform",
    "TransformedDistribution",
    "TruncatedNormal",
    "Uniform",
    "VonMises",
    "Weibull",
    "biject_to",
    "constraints",
    "identity_transform",
    "kl_divergence",
    "kl_pairs",
    "register_kl",
    "transform_to",
    "transforms",
]
