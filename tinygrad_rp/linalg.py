"""Linear algebra, under the names of PyTorch's ``torch.linalg``."""

from tinygrad_rp.ops.linalg import (
    LinAlgError,
    cholesky,
    cross,
    det,
    eigh,
    inv,
    matmul,
    matrix_norm,
    matrix_power,
    norm,
    slogdet,
    solve,
    solve_triangular,
)
from tinygrad_rp.ops.reduce import vector_norm

__all__ = [
    "LinAlgError",
    "cholesky",
    "cross",
    "det",
    "eigh",
    "inv",
    "matmul",
    "matrix_norm",
    "matrix_power",
    "norm",
    "slogdet",
    "solve",
    "solve_triangular",
    "vector_norm",
]
