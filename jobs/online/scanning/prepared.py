"""The kernel in this process: compiled once per machine and version, which takes seconds, then loaded from the disk.

To load it takes most of a second of a processor. So who decides asks for it; until it is there, and where it does not
answer, `jobs.online.fast_path` finds the same features.
"""

from __future__ import annotations

import hashlib
import logging
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

from jobs.arrays import Floats, Ints

Kernel: TypeAlias = Callable[[Ints, Ints, Ints, Ints, int, Floats], bool]
LOG = logging.getLogger("evergreen.scanning")
_SOURCES = ("choosing", "functions", "kernel", "layout", "ordering", "state", "sums")
_lock = threading.Lock()
_kernel: Kernel | None = None


def kernel() -> Kernel | None:
    """The kernel, if it is there."""
    return _kernel


def prepare() -> None:
    """Let the kernel be there."""
    global _kernel
    with _lock:
        if _kernel is None:
            _kernel = _loaded()


def prepare_beside() -> threading.Thread:
    """The same, beside whatever else is done."""
    thread = threading.Thread(target=prepare, name="prepare-scans", daemon=True)
    thread.start()
    return thread


def _loaded() -> Kernel:
    from numba import config

    before, config.CACHE_DIR = config.CACHE_DIR, _folder()
    try:
        from jobs.online.scanning.kernel import scan
    finally:
        config.CACHE_DIR = before
    found: Kernel = scan
    return found


def _folder() -> str:
    """Where this version is stored once it is compiled: numba itself sees changes in one file of several only."""
    digest = hashlib.sha256()
    for name in _SOURCES:
        digest.update(Path(__file__).with_name(f"{name}.py").read_bytes())
    caches = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return str(caches / "evergreen" / f"scanning-{digest.hexdigest()[:16]}")
