"""One `evergreen ui` or `evergreen up` per home: two daemons would start every night twice."""

from __future__ import annotations

import contextlib
import fcntl
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from jobs.errors import Invalid
from jobs.processes import is_alive, this_process

POLL_SECONDS = 0.2
ENDING_SECONDS = 30.0
"""How long what a killed holder started may take to end: until then it keeps the lock's file open."""


@contextlib.contextmanager
def only_one(home: Path) -> Iterator[int]:
    """Held by one process at a time, and then by what it started; yields the file that has to stay open.

    Raises Invalid if another process holds it.
    """
    lock = home / "locks" / "up.lock"
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("a+") as handle:
        _acquire(handle, home)
        handle.seek(0)
        handle.truncate()
        handle.write(this_process())
        handle.flush()
        yield handle.fileno()


def _acquire(handle: IO[str], home: Path) -> None:
    began = time.monotonic()
    while True:
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        holder = _holder(handle)
        if (holder and is_alive(holder)) or time.monotonic() - began > ENDING_SECONDS:
            number = holder.partition("@")[0]
            found = f"process {number}; stop it first" if number else "one; stop it first"
            raise Invalid(f"{home}: expected no other `evergreen up` or `evergreen ui` of this home, found {found}")
        time.sleep(POLL_SECONDS)


def _holder(handle: IO[str]) -> str:
    handle.seek(0)
    return handle.read(100)
