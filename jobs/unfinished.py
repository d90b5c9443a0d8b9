"""Files and folders that bear their names once they are whole, and those that a killed process left unfinished.

Whoever makes one holds a lock on it, which the kernel releases with its death: one that can be locked has no maker any
more, whichever machine, container or process number that was.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import shutil
import tempfile
import uuid
from collections.abc import Callable, Collection, Iterator
from pathlib import Path

SUFFIX = ".evergreen-tmp"
_NAME = re.compile(rf".*\.[0-9a-f]{{12}}{re.escape(SUFFIX)}", re.DOTALL)
_SHOWN = 40
"""Characters of the final name in an unfinished one: even of four bytes each, a disk takes them."""


def is_one(name: str) -> bool:
    """Whether a file or folder of this name is unfinished."""
    return _NAME.fullmatch(name) is not None


@contextlib.contextmanager
def file_beside(target: Path, mode: int = 0o666) -> Iterator[Path]:
    """An empty file to be filled and renamed to `target`; removed at the end if it was not."""
    with _locked(target.parent, f".{target.name[:_SHOWN]}", lambda path: path.touch(mode, exist_ok=False)) as path:
        try:
            yield path
        finally:
            path.unlink(missing_ok=True)


@contextlib.contextmanager
def folder_beside(target: Path) -> Iterator[Path]:
    """An empty folder of this user alone, to be filled and renamed to `target`; removed at the end if it was not."""
    with _folder(target.parent, f".{target.name[:_SHOWN]}") as path:
        yield path


@contextlib.contextmanager
def scratch(parent: Path | None = None) -> Iterator[Path]:
    """A folder of this user alone for what is never kept, in `parent` or the machine's temporary folder."""
    with _folder(parent or Path(tempfile.gettempdir()), "evergreen") as path:
        yield path


def sweep(folder: Path | None = None) -> list[Path]:
    """Remove what dead processes left in a folder (None: the machine's temporary one), and not below it; returns it."""
    return [path for path in _unfinished(folder or Path(tempfile.gettempdir())) if _removed(path)]


def sweep_below(folder: Path, apart_from: Collection[Path] = ()) -> list[Path]:
    """The same in a folder and all folders below it, but for some."""
    removed = []
    for place, folders, _ in os.walk(folder):
        removed += sweep(Path(place))
        folders[:] = [name for name in folders if Path(place, name) not in apart_from]
    return removed


def _unfinished(folder: Path) -> list[Path]:
    try:
        return [Path(entry.path) for entry in os.scandir(folder) if is_one(entry.name)]
    except OSError:
        return []  # gone, or not ours to read


def _removed(path: Path) -> bool:
    with contextlib.suppress(OSError), _opened(path) as handle:
        if os.fstat(handle).st_uid == os.getuid() and _lock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
            return True
    return False


@contextlib.contextmanager
def _folder(parent: Path, prefix: str) -> Iterator[Path]:
    with _locked(parent, prefix, lambda path: path.mkdir(0o700)) as path:
        try:
            yield path
        finally:
            shutil.rmtree(path, ignore_errors=True)


@contextlib.contextmanager
def _locked(parent: Path, prefix: str, make: Callable[[Path], object]) -> Iterator[Path]:
    """A new path, locked; another one if it was taken for one of a dead process before it was locked."""
    parent.mkdir(parents=True, exist_ok=True)
    while True:
        path = parent / f"{prefix}.{uuid.uuid4().hex[:12]}{SUFFIX}"
        make(path)
        with contextlib.ExitStack() as stack:
            with contextlib.suppress(FileNotFoundError):
                _lock(stack.enter_context(_opened(path)), fcntl.LOCK_EX)
            if path.exists():
                yield path
                return


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[int]:
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        yield handle
    finally:
        os.close(handle)


def _lock(handle: int, how: int) -> bool:
    """Whether it is locked now. On a disk that knows no locks nothing is, and so nothing is taken away."""
    try:
        fcntl.flock(handle, how)
    except OSError:
        return False
    return True
