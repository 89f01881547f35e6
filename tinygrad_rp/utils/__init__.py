"""What is around training."""

from tinygrad_rp.utils import data

__all__ = ["data"]
