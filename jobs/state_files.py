"""Small files of a home that several processes share: locked, and written whole or not at all."""

import contextlib
import fcntl
import io
import json
import time
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any, TypeVar

from jobs import unfinished
from jobs.errors import EvergreenError

T = TypeVar("T")
LOCK_POLL_SECONDS = 0.5
Identity = tuple[int, int, int]
"""Inode, length and time of change of a file."""
_DAMAGE = (ValueError, KeyError, TypeError, AttributeError, IndexError, OverflowError, RecursionError)
"""What reading damaged JSON, or JSON of another shape, raises."""


class StateDamaged(EvergreenError, ValueError):
    """A small file of the home does not hold what was written there."""


@contextlib.contextmanager
def file_lock(path: Path, waiting: Callable[[], None] | None = None) -> Iterator[None]:
    """Holds an exclusive lock on `path`; the kernel releases it when the holder dies.

    While another holder has it, `waiting` is called every `LOCK_POLL_SECONDS`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as handle:
        while waiting and not _free(handle):
            waiting()
            time.sleep(LOCK_POLL_SECONDS)
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def identity(path: Path) -> Identity | None:
    """Tells the content of a file that is replaced whole from that of another moment; None: it cannot be looked at."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns


def _free(handle: IO[str]) -> bool:
    with contextlib.suppress(BlockingIOError):
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    return False


def replace_json(path: Path, content: Any, private: bool = False) -> None:
    """Write `content` as JSON, dates as text; a reader meanwhile, or after a kill, finds the old or the new content."""
    replace_bytes(path, json.dumps(content, default=str, indent=1).encode(), private)


def replace_bytes(path: Path, content: bytes, private: bool = False) -> None:
    """Write a file whole or not at all; of several processes that do so at once the last one counts.

    A `private` one may be read by its owner only.
    """
    with unfinished.file_beside(path, 0o600 if private else 0o666) as temporary:
        temporary.write_bytes(content)
        temporary.replace(path)


def read_state(path: Path, decode: Callable[[Any], T], advice: str) -> T | None:
    """What `decode` makes of the JSON in a file; None if there is none.

    Raises StateDamaged, with `advice` for whoever removes the file, if it holds no JSON, or not what `decode` expects.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    return decoded(path, content, decode, advice)


def decoded(path: Path, content: str | bytes, decode: Callable[[Any], T], advice: str) -> T:
    """What `decode` makes of JSON that was read from a file. Raises StateDamaged as `read_state` does."""
    try:
        return decode(json.loads(content))
    except _DAMAGE as error:
        raise StateDamaged(
            f"{path}: expected what Evergreen wrote there, found {_found(error)}; restore it from a backup, or remove "
            f"it and {advice}"
        ) from None


def read_memory(path: Path, decode: Callable[[Any], T]) -> T | None:
    """The same of a file that only saves work: None also if it is damaged or of another version."""
    try:
        return decode(json.loads(path.read_bytes()))
    except (FileNotFoundError, *_DAMAGE):
        return None


def read_arrays(path: Path) -> dict[str, Any] | None:
    """The arrays of an `.npz` file that only saves work, by name; None if there is none, or it is damaged."""
    import numpy as np

    try:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as stored:
            return dict(stored)
    except (FileNotFoundError, EOFError, zipfile.BadZipFile, zlib.error, *_DAMAGE):
        return None


def _found(error: Exception) -> str:
    return (
        "no JSON" if isinstance(error, json.JSONDecodeError | UnicodeDecodeError | RecursionError) else "other content"
    )
