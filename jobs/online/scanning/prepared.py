"""The kernel in this process: compiled once per machine and version, by a process apart, then loaded from the disk.

To load it takes most of a second of a processor. So who decides asks for it; until it is there, and where it does not
answer, `jobs.online.fast_path` finds the same features.
"""

from __future__ import annotations

import hashlib
import logging
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any, TypeAlias

from jobs.arrays import Floats, Ints
from jobs.errors import Invalid

Kernel: TypeAlias = Callable[[Ints, Ints, Ints, Ints, int, Floats], bool]
LOG = logging.getLogger("evergreen.scanning")
_HERE = ("choosing", "compiled", "functions", "kernel", "layout", "ordering", "state", "sums")
_SOURCES = (*(f"{name}.py" for name in _HERE), "../exact_prefix.py", "../fact_lines.py", "../../features/exact_sum.py")
"""Files whose functions or constants are compiled."""
_lock = threading.Lock()
_kernel: Kernel | None = None


def kernel() -> Kernel | None:
    """The kernel, if it is there."""
    return _kernel


def prepare() -> None:
    """Let the kernel be there, compiled here if nobody did. Raises Invalid if there is no folder to keep it in."""
    global _kernel
    with _lock:
        if _kernel is None:
            _kernel = _loaded(_folder())


def prepare_beside() -> None:
    """The same, beside whatever else is done: what is compiled here would keep other threads waiting."""
    if _kernel is None:
        threading.Thread(target=_prepare_quietly, name="prepare-scans", daemon=True).start()


def _prepare_quietly() -> None:
    try:
        if not any(_folder().rglob("*.nbi")):
            # It may outlive who asks: whoever reads what a server says would wait for the end of both.
            compiling = [sys.executable, "-c", f"from {__name__} import prepare; prepare()"]
            subprocess.run(compiling, check=True, stdin=subprocess.DEVNULL, capture_output=True)
        prepare()
    except (Invalid, OSError, ImportError, subprocess.SubprocessError) as error:
        LOG.warning("features take several times as long to find: what finds them is not compiled: %s", error)


def _loaded(folder: Path) -> Kernel:
    config: Any = import_module("numba.core.config")
    before, config.CACHE_DIR = config.CACHE_DIR, str(folder)
    try:
        from jobs.online.scanning.kernel import scan
    finally:
        config.CACHE_DIR = before
    found: Kernel = scan
    return found


def _folder() -> Path:
    """Where this version is stored once it is compiled: numba itself sees changes in one file of several only."""
    digest = hashlib.sha256()
    for name in _SOURCES:
        digest.update((Path(__file__).parent / name).read_bytes())
    try:
        caches = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "evergreen"
        caches.mkdir(mode=0o700, parents=True, exist_ok=True)
    except (OSError, RuntimeError) as error:
        raise Invalid(f"XDG_CACHE_HOME: expected a folder to keep compiled code in, found none: {error}") from None
    _expect_own(caches)
    return caches / f"scanning-{digest.hexdigest()[:16]}"


def _expect_own(folder: Path) -> None:
    """What lies there is run."""
    found = folder.stat()
    if found.st_uid != os.getuid() or found.st_mode & 0o022:
        raise Invalid(
            f"{folder}: expected a folder that nobody else can write to, found another; take it away, or name another "
            "one by XDG_CACHE_HOME"
        )
