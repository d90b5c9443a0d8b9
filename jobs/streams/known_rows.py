"""Which rows of a source are known already: hashes of keys and contents, in sixteen bytes for each row.

Two rows of one key are the same row if the hashes of their contents are: of 64 bits, which no two contents share by
chance. Keys and contents are hashed the same way only within one process.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import repeat
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from jobs.lakehouse.envelope import DELETED

NEW, VERSION, REPEATED, DELETION, OF_NO_ROW = range(5)
"""What a row is: the first of its key, a further content of it, a content that is known, the deletion of a known row,
or that of a row that nobody knows."""
CHANGED = "_changed"
"""Column of rows: the message says that the row is there now, even if its content was known before it was deleted."""
_MOST_RECENT = 200_000
"""Rows that are kept in a dictionary before they are sorted in."""
Hashes = NDArray[np.uint64]


class KnownRows:
    """The rows of one source, by key."""

    def __init__(self, key: Sequence[str], columns: Sequence[str]) -> None:
        """columns: those that make two rows the same row."""
        self._key, self._columns = list(key), list(columns)
        self._keys: Hashes = np.zeros(0, np.uint64)
        self._contents: Hashes = np.zeros(0, np.uint64)
        """Of each key one of its contents."""
        self._recent: dict[int, int] = {}
        self._others: dict[int, set[int]] = {}
        """Further contents of the few keys that have several."""
        self._deleted: set[int] = set()
        """Keys of rows that are no more."""

    def take(self, rows: pl.DataFrame) -> list[int]:
        """What each row is, one after another; then they are known.

        Rows may bear DELETED and CHANGED; without CHANGED each brings back what was deleted, as rows of tables did.
        """
        keys, contents = rows.select(self._key).hash_rows(), rows.select(self._columns).hash_rows()
        known = self._sorted_contents(keys.to_numpy())
        found = zip(keys.to_list(), contents.to_list(), known, strict=True)
        told = zip(_flags(rows, DELETED, False), _flags(rows, CHANGED, True), strict=False)
        kinds = [
            self._deletion(key, before) if is_deletion else self._kind(key, content, before, brings_back)
            for (key, content, before), (is_deletion, brings_back) in zip(found, told, strict=False)
        ]
        if len(self._recent) > _MOST_RECENT:
            self._sort_in()
        return kinds

    def has(self, values: pl.Series) -> list[bool]:
        """Whether each value is the key of a known row, for keys of one column."""
        hashes = values.to_frame().hash_rows()
        known = self._sorted_contents(hashes.to_numpy())
        return [before is not None or key in self._recent for key, before in zip(hashes.to_list(), known, strict=True)]

    def _kind(self, key: int, content: int, before: int | None, brings_back: bool) -> int:
        known = self._recent.get(key) if before is None else before
        if known is None:
            self._recent[key] = content
            return NEW
        others = self._others.get(key)
        is_known = content == known or (others is not None and content in others)
        if is_known and not (brings_back and key in self._deleted):
            return REPEATED
        self._deleted.discard(key)
        if not is_known:
            self._others.setdefault(key, set()).add(content)
        return VERSION

    def _deletion(self, key: int, before: int | None) -> int:
        if before is None and key not in self._recent:
            return OF_NO_ROW
        if key in self._deleted:
            return REPEATED
        self._deleted.add(key)
        return DELETION

    def _sorted_contents(self, keys: Hashes) -> list[int | None]:
        if not len(self._keys):
            return [None] * len(keys)
        places = np.minimum(np.searchsorted(self._keys, keys), len(self._keys) - 1)
        contents: list[Any] = self._contents[places].tolist()
        found = self._keys[places] == keys
        if not found.any():
            return [None] * len(keys)
        return [content if is_found else None for content, is_found in zip(contents, found.tolist(), strict=True)]

    def _sort_in(self) -> None:
        keys = np.concatenate([self._keys, np.fromiter(self._recent.keys(), np.uint64, len(self._recent))])
        contents = np.concatenate([self._contents, np.fromiter(self._recent.values(), np.uint64, len(self._recent))])
        order = np.argsort(keys, kind="stable")
        self._keys, self._contents, self._recent = keys[order], contents[order], {}


def _flags(rows: pl.DataFrame, name: str, otherwise: bool) -> Iterator[bool]:
    return iter(rows[name].fill_null(False).to_list()) if name in rows.columns else repeat(otherwise)
