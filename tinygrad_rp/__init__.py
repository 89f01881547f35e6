"""An autograd engine from scratch, in which you can see where a gradient goes, where it stops, and why.

It speaks PyTorch's names: ``import tinygrad_rp as torch``.
"""

import warnings as _warnings

# NumPy warns of overflow or log(0) where PyTorch computes inf and is silent. Only warnings raised in this package's own
# lines are left out; the user's NumPy code warns as ever.
_warnings.filterwarnings("ignore", category=RuntimeWarning, module=r"tinygrad_rp\.")

from tinygrad_rp import autograd, distributions, estimators, linalg, nn, ops, optim, utils
from tinygrad_rp.engine import (
    StoppedGradientWarning,
    enable_grad,
    is_anomaly_check_nan_enabled,
    is_anomaly_enabled,
    is_grad_enabled,
    no_grad,
    set_grad_enabled,
)
from tinygrad_rp.graph import Source, Stop
from tinygrad_rp.kernels.choice import get_num_threads, set_num_threads
from tinygrad_rp.ops import *
from tinygrad_rp.random import (
    Generator,
    default_generator,
    get_rng_state,
    initial_seed,
    manual_seed,
    seed,
    set_rng_state,
)
from tinygrad_rp.serialization import load, save
from tinygrad_rp.tensor import (
    Size,
    Tensor,
    as_tensor,
    float32,
    float64,
    from_dlpack,
    from_numpy,
    get_default_dtype,
    int8,
    int16,
    int32,
    int64,
    is_tensor,
    set_default_dtype,
    tensor,
    uint8,
)

__version__ = "0.1.0"

__all__ = [
    "Generator",
    "Size",
    "Source",
    "Stop",
    "StoppedGradientWarning",
    "Tensor",
    "as_tensor",
    "autograd",
    "default_generator",
    "distributions",
    "enable_grad",
    "estimators",
    "float32",
    "float64",
    "from_dlpack",
    "from_numpy",
    "get_default_dtype",
    "get_num_threads",
    "get_rng_state",
    "initial_seed",
    "int8",
    "int16",
    "int32",
    "int64",
    "is_anomaly_check_nan_enabled",
    "is_anomaly_enabled",
    "is_grad_enabled",
    "is_tensor",
    "linalg",
    "load",
    "manual_seed",
    "nn",
    "no_grad",
    "optim",
    "save",
    "seed",
    "set_default_dtype",
    "set_grad_enabled",
    "set_num_threads",
    "set_rng_state",
    "tensor",
    "uint8",
    "utils",
]
__all__ += ops.__all__

# PyTorch's other names of dtypes, which hide Python's own inside this file
from tinygrad_rp.tensor import bool_

bool = bool_
float = float32
double = float64
int = int32
long = int64
