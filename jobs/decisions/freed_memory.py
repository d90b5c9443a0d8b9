"""Memory that reading tables took for a moment, given back to the system: allocators keep it for later, but a server
that runs for months reads them once."""

from __future__ import annotations

import contextlib
import ctypes
import gc

import pyarrow as pa


def give_back() -> None:
    """Let Arrow and the C library, where it can, return what they hold and nobody uses."""
    gc.collect()
    pa.default_memory_pool().release_unused()
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
