"""What libraries print past Python, such as a panic of Rust: kept off the terminal, and added to the log of errors.

Python's own `sys.stderr` goes on to where it went.
"""

from __future__ import annotations

import atexit
import contextlib
import faulthandler
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from typing import IO

STDERR = 2
LONGEST = 100_000
"""Bytes of it that are kept, its last ones."""


@contextlib.contextmanager
def apart(keep: Callable[[str], object]) -> Iterator[None]:
    """Inside, what is written to the file descriptor of stderr goes elsewhere; at the end `keep` gets it, if it is any.

    The end is also that of the process by `orchestration.process`. Nothing is done where stderr is not a terminal, file
    or pipe of this process, or there is no room.
    """
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(OSError, ValueError, AttributeError):
            if sys.stderr.fileno() == STDERR:
                _redirect(stack, keep)
        atexit.register(stack.close)
        try:
            yield
        finally:
            atexit.unregister(stack.close)


def _redirect(stack: contextlib.ExitStack, keep: Callable[[str], object]) -> None:
    before, written = sys.stderr, stack.enter_context(tempfile.TemporaryFile())  # noqa: SIM115 - closed by the stack
    python = os.fdopen(os.dup(STDERR), "w", buffering=1, encoding=before.encoding, errors=before.errors, closefd=True)
    stack.callback(_kept, written, keep)
    stack.callback(_restore, before, python)
    before.flush()
    os.dup2(written.fileno(), STDERR, inheritable=True)
    sys.stderr = python
    faulthandler.enable(python)  # what a library says before it ends the process would be lost


def _restore(before: IO[str], python: IO[str]) -> None:
    faulthandler.disable()
    python.flush()
    os.dup2(python.fileno(), STDERR, inheritable=True)
    sys.stderr = before
    python.close()


def _kept(written: IO[bytes], keep: Callable[[str], object]) -> None:
    written.seek(max(0, written.seek(0, os.SEEK_END) - LONGEST))
    if text := written.read().decode(errors="backslashreplace").strip():
        keep(text)
