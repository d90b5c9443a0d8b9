"""What was computed from whole days of a history on an earlier night: scores, bins and counts.

Each array is stored under a digest of all that it follows from, such as the names of the data files of its days: rows
that were corrected lie in another file. An evening keeps what it used, and forgets the rest.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable, Iterable, Mapping
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jobs.lakehouse.tables import Lakehouse
from jobs.settings import Settings
from jobs.state_files import read_arrays, replace_bytes
from jobs.use_case import UseCase

FORMAT = 1
"""To be raised when the same key comes to mean another array."""
Array = NDArray[Any]


class DayCache:
    """Arrays by what they follow from; one value serves one evening."""

    def __init__(self, files: Mapping[date, str], names: Iterable[str], path: Path) -> None:
        """Open the arrays of the last evening.

        Args:
            files: day -> digest of the data files that its events lie in (`files`).
            names: of the features.
            path: of the stored arrays; it need not exist.
        """
        self._files, self._names, self._path = files, list(names), path
        self._before: Mapping[str, Array] = read_arrays(path) or {}
        self._used: dict[str, Array] = {}

    def of(self, what: str, days: Iterable[date], made_of: Iterable[object], compute: Callable[[], Array]) -> Array:
        """The array `what` of these days, computed unless the last evening had it.

        Args:
            days: whose events it follows from.
            made_of: what it follows from besides, as numbers and text.
        """
        content = [(str(day), self._files.get(day)) for day in days]
        key = digest(json.dumps([FORMAT, what, self._names, content, list(made_of)]).encode())
        if key not in self._used:
            self._used[key] = self._before[key] if key in self._before else compute()
        return self._used[key]

    def save(self) -> None:
        """Store the arrays that were used, if some are new or gone."""
        if self._used.keys() == self._before.keys():
            return
        content = io.BytesIO()
        np.savez(content, **self._used)  # type: ignore[arg-type]
        replace_bytes(self._path, content.getvalue())


def digest(content: bytes) -> str:
    """Of the content of an array, or of text."""
    return hashlib.blake2b(content, digest_size=16).hexdigest()


def path(settings: Settings, use_case: UseCase, name: str) -> Path:
    """Where a home stores the arrays of a use case that serve one purpose."""
    return settings.state / use_case.name / f"{name}.npz"


def files(lakehouse: Lakehouse, table: str, version: int | None = None) -> dict[date, str]:
    """Day -> a digest of the names of the data files that its rows lie in: other rows lie in other files."""
    by_day = lakehouse.files_by_day(table, version)
    whole = by_day.pop(None, [])
    return {day: digest("\n".join(sorted([*whole, *paths])).encode()) for day, paths in by_day.items() if day}
