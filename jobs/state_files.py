"""Small files of a home that several processes share: locked, and written whole or not at all."""

import contextlib
import fcntl
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any


@contextlib.contextmanager
def file_lock(path: Path) -> Iterator[None]:
    """Holds an exclusive lock on `path`; the kernel releases it when the holder dies."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def replace_json(path: Path, content: Any) -> None:
    """Write `content` as JSON, dates as text; a reader meanwhile, or after a kill, finds the old or the new content."""
    replace_bytes(path, json.dumps(content, default=str, indent=1).encode())


def replace_bytes(path: Path, content: bytes) -> None:
    """Write a file whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".tmp")
    temporary.write_bytes(content)
    temporary.replace(path)


def read_json(path: Path) -> dict[str, Any]:
    """Returns what `replace_json` wrote, {} if the file does not exist."""
    content: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    return content
