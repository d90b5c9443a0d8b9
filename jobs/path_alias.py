"""A name for a folder that means the same to every library: its own, or else that of a link to it.

Engines, delta-rs, dbt, SQLite, MLflow and Feast take paths apart as URLs, patterns or SQL, each in its own way: what
one of them quoted twice was written beside the folder. No library sees such a name; it sees a link without one.
delta-rs follows links, and cannot write below some names: a folder of such a name becomes a link to a plain one.
"""

import contextlib
import hashlib
import os
import re
import secrets
import tempfile
from collections.abc import Iterator
from pathlib import Path

PLAIN = re.compile(r"[A-Za-z0-9._/-]+")
"""Paths that are the same as text, in a URL, in a pattern and in SQL."""
UNWRITABLE = re.compile(r"%[0-9A-Fa-f]{2}|[][#?^|\\]")
"""Parts of the real path of a table at which delta-rs reads no log or no history, or cannot write."""

_made: list[Path] = []
"""Folders and links that this process made, in their order."""


def unmake() -> None:
    """Remove what this process made for names, as far as nothing was put there: for what must leave no trace."""
    for _ in range(2):  # a folder may hold a link to another one, which goes first
        for path in reversed(_made):
            with contextlib.suppress(OSError):
                if not path.is_symlink():
                    path.rmdir()
                elif not path.exists():
                    path.unlink()
    _made.clear()


def plain(folder: Path) -> Path:
    """The absolute path of a folder, or of a link to it that stays the same; the folder is made for a link.

    Raises ValueError, before anything is written, if its name cannot be used.
    """
    real = os.path.realpath(folder)
    if UNWRITABLE.search(real):
        real = _kept_elsewhere(Path(real))
    if PLAIN.fullmatch(real):
        return folder if PLAIN.fullmatch(str(folder)) else Path(real)
    try:
        _make(Path(real))
        return _link(real)
    except OSError as error:
        raise ValueError(f"found {str(folder)!r}, to which no link can be made ({error.strerror})") from None


def only_here(path: str) -> bool:
    """Whether a path is known to this machine only: that of a link, or of a folder that lies elsewhere than named."""
    return any(Path(path).is_relative_to(place) for place in (*_caches(), *_stores()))


def _kept_elsewhere(named: Path) -> str:
    """Makes `named`, the real path of a folder that is new or empty, a link; returns the folder that it leads to."""
    found = f"found {str(named)!r}, below which delta-rs cannot write"
    stores = next((place for place in _stores() if not UNWRITABLE.search(os.path.realpath(place))), None)
    if stores is None:
        raise ValueError(f"{found}, and no folder of your own that it could be a link to")
    if named.exists() and any(named.iterdir()):
        raise ValueError(f"{found}, and which is not empty")
    store = stores / secrets.token_hex(8)
    try:
        _make(store)
        _replace_by_link(named, store)
    except OSError as error:
        raise ValueError(f"{found}, and which cannot become a link ({error.strerror})") from None
    finally:
        if (kept := os.path.realpath(named)) != os.path.realpath(store):
            with contextlib.suppress(OSError):
                store.rmdir()
    return kept


def _replace_by_link(folder: Path, store: Path) -> None:
    _make(folder.parent)
    is_new = not folder.exists()
    if folder.is_dir():
        store.chmod(folder.stat().st_mode & 0o777)
        folder.rmdir()
    with contextlib.suppress(FileExistsError):  # another process was first
        folder.symlink_to(store)
        _made.extend([folder] if is_new else [])


def _link(real: str) -> Path:
    links = _cache()
    _make(links, 0o700)
    if links.stat().st_uid != os.getuid():
        raise PermissionError(0, f"{links} is another user's")
    link = links / hashlib.sha256(real.encode()).hexdigest()[:16]
    with contextlib.suppress(FileExistsError):
        link.symlink_to(real)
        _made.append(link)
    return link


def _make(folder: Path, mode: int = 0o777) -> None:
    """Make a folder and those above it, and remember which."""
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    folder.mkdir(mode, parents=True, exist_ok=True)
    _made.extend(reversed(missing))


def _cache() -> Path:
    return next(folder for folder in _caches() if PLAIN.fullmatch(os.path.realpath(folder)))


def _caches() -> Iterator[Path]:
    with contextlib.suppress(RuntimeError):  # no such user
        yield Path.home() / ".cache" / "evergreen" / "folders"
    for temporary in (tempfile.gettempdir(), "/tmp"):
        yield Path(temporary) / f"evergreen-folders-{os.getuid()}"


def _stores() -> Iterator[Path]:
    with contextlib.suppress(RuntimeError):  # no such user
        yield Path.home() / ".local" / "share" / "evergreen" / "folders"
