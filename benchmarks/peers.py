"""Who takes part: this engine and its peers, as far as they are installed."""

from __future__ import annotations

import importlib
from importlib.metadata import PackageNotFoundError, version
from types import ModuleType

OURS = "tinygrad_rp"
PYTORCH = "PyTorch"
JAX = "JAX"
HIPS = "HIPS autograd"
MICROGRAD = "micrograd"
NUMPY = "NumPy"

THREADS = 2
"""How many threads PyTorch is given; the others take the cores that the process may use."""

# What a row's functions are handed, what must be imported beside it, and the distribution that has the version
_MODULES = {
    OURS: ("tinygrad_rp", (), "tinygrad_rp"),
    PYTORCH: ("torch", (), "torch"),
    JAX: ("jax", (), "jax"),
    HIPS: ("autograd", ("autograd.numpy", "autograd.extend"), "autograd"),
    MICROGRAD: ("micrograd.engine", (), "micrograd"),
    NUMPY: ("numpy", (), "numpy"),
}


def installed() -> dict[str, ModuleType]:
    """The peers that can be imported here, each with the module that a row's functions are handed; ourselves first."""
    found = {}
    for name, (module, beside, _) in _MODULES.items():
        try:
            found[name] = importlib.import_module(module)
            for other in beside:
                importlib.import_module(other)
        except ImportError:
            found.pop(name, None)
    return found


def versions(modules: dict[str, ModuleType]) -> dict[str, str]:
    """The versions of the peers, and of what they compute with."""
    wanted = {name: _MODULES[name][2] for name in modules} | {"Numba": "numba", "jaxlib": "jaxlib"}
    found = {}
    for name, distribution in wanted.items():
        try:
            found[name] = version(distribution)
        except PackageNotFoundError:
            if name in modules:
                found[name] = getattr(modules[name], "__version__", "unknown")
    return found
