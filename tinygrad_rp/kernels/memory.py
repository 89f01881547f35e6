"""Freed memory, kept for the next array.

The C library gives large pieces of memory back to the system as soon as they are freed, and the system clears each page of a new
piece: with arrays of 10⁷ elements that takes as long as the arithmetic. Where the library is glibc it can be told to keep them.
"""

from __future__ import annotations

import ctypes
import os
import sys

__all__ = ["keep_freed_memory"]

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # of <malloc.h>
KEPT = 1 << 30
"""So many bytes, at most, are kept."""


def keep_freed_memory() -> bool:
    """Let the C library keep freed memory; unless the user has told it by its own environment variables what to keep."""
    told = any(name.startswith("MALLOC_") for name in os.environ) or "malloc" in os.environ.get("GLIBC_TUNABLES", "")
    if told or not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    return bool(mallopt(_M_MMAP_THRESHOLD, KEPT)) and bool(mallopt(_M_TRIM_THRESHOLD, KEPT))
