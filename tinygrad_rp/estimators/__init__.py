"""Estimators of the mean of a cost over a distribution, and of its gradient: one estimator a file."""

from tinygrad_rp.estimators.baselines import Baseline, ConstantBaseline, LeaveOneOut, MovingAverage
from tinygrad_rp.estimators.estimator import Estimator
from tinygrad_rp.estimators.pathwise import Pathwise
from tinygrad_rp.estimators.score_function import ScoreFunction

__all__ = ["Baseline", "ConstantBaseline", "Estimator", "LeaveOneOut", "MovingAverage", "Pathwise", "ScoreFunction"]
