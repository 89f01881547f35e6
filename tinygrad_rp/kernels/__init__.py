"""Compiled kernels for large arrays: the only room that knows Numba."""
