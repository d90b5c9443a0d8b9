"""A name for a folder that means the same to every library: its own, or else that of a link to it.

Engines, delta-rs, dbt, SQLite, MLflow and Feast take paths apart as URLs, patterns or SQL, each in its own way: what
one of them quoted twice was written beside the folder. No library sees such a name; it sees a link without one.
"""

import contextlib
import hashlib
import os
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path

PLAIN = re.compile(r"[A-Za-z0-9._/-]+")
"""Paths that are the same as text, in a URL, in a pattern and in SQL."""
REFUSED = "#?%[]^|\\"
"""Letters that delta-rs, which follows links, cannot write below."""


def plain(folder: Path) -> Path:
    """The absolute path of a folder, or of a link to it that stays the same; the folder is made for a link.

    Raises ValueError, before anything is written, if its name cannot be used.
    """
    real = os.path.realpath(folder)
    if letters := sorted(set(real) & set(REFUSED)):
        raise ValueError(f"found {real!r}, with {' '.join(letters)} in its name")
    if PLAIN.fullmatch(str(folder)) and PLAIN.fullmatch(real):
        return folder
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return _link(real)
    except OSError as error:
        raise ValueError(f"found {str(folder)!r}, to which no link can be made ({error.strerror})") from None


def aliased(path: str) -> bool:
    """Whether a path is known by the name of a link: on this machine only."""
    return Path(path).is_relative_to(_links())


def _link(real: str) -> Path:
    links = _links()
    links.mkdir(mode=0o700, parents=True, exist_ok=True)
    if links.stat().st_uid != os.getuid():
        raise PermissionError(0, f"{links} is another user's")
    link = links / hashlib.sha256(real.encode()).hexdigest()[:16]
    with contextlib.suppress(FileExistsError):
        link.symlink_to(real)
    return link


def _links() -> Path:
    return next(folder for folder in _places() if PLAIN.fullmatch(os.path.realpath(folder)))


def _places() -> Iterator[Path]:
    with contextlib.suppress(RuntimeError):  # no such user
        yield Path.home() / ".cache" / "evergreen" / "folders"
    for temporary in (tempfile.gettempdir(), "/tmp"):
        yield Path(temporary) / f"evergreen-folders-{os.getuid()}"
