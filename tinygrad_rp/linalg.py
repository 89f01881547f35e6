"""Linear algebra, under the names of PyTorch's ``torch.linalg``."""

from tinygrad_rp.ops.linalg import (
    LinAlgError,
    cholesky,
    cross,
    det,
    eigh,
    inv,
    matmul,
    matrix_power,
    slogdet,
    solve,
    solve_triangular,
)

__all__ = [
    "LinAlgError",
    "cholesky",
    "cross",
    "det",
    "eigh",
    "inv",
    "matmul",
    "matrix_power",
    "slogdet",
    "solve",
    "solve_triangular",
]
