"""A point-in-time join of the rows of some keys: both sides sorted, and one search per entity row.

Threads share the parts; which rows and values decide is a rule of `point_in_time_kernel.join`.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from jobs.arrays import Bools, Ints

if TYPE_CHECKING:
    import polars as pl

_FAR = int(np.iinfo(np.int64).max)
_SECOND = 1_000_000
Bytes = np.ndarray[Any, np.dtype[np.uint8]]

_NO_PART = 255
_PART_BITS = 22
"""Parts have about this many bits of rows."""
_MOST_PARTS = 7
"""Bits of the greatest number of parts; `_NO_PART` is none of them."""
FAR_BACK = -_FAR
"""A created time, in microseconds, before all others."""


def parts_for(rows: int) -> int:
    """The number of parts for so many feature rows, a power of two."""
    return 1 << min((rows >> _PART_BITS).bit_length(), _MOST_PARTS)


def part_of(code: Ints, usable: Bools, parts: int) -> Bytes:
    """The part of each row, by its key; `_NO_PART` for a row that has no key of both sides, or is not usable."""
    part = (code & (parts - 1)).astype(np.uint8)
    part[~usable] = _NO_PART
    part[code < 0] = _NO_PART
    return part


@dataclass(frozen=True)
class KnownRows:
    """Feature rows: key, times and the part that each belongs to."""

    code: Ints
    event: Ints
    created: Ints
    part: Bytes
    known_only: bool
    limit: int | None

    @property
    def by_created(self) -> bool:
        """Whether a row may become available later than its event."""
        return self.known_only and self.created is not self.event


@dataclass(frozen=True)
class AskedRows:
    """Entity rows: key, time and the part that each belongs to."""

    code: Ints
    time: Ints
    part: Bytes


class JoinPart:
    """The rows of some keys on both sides, the feature rows sorted by (key, available, event, created, values).

    A feature row becomes available at max(event, created). In that order the running maximum of the event time leaves
    at each place the best row known by then, and one binary search per entity row finds its place. A row later in that
    order whose event ties with an earlier one was created no earlier.
    """

    def __init__(self, known: KnownRows, asked: AskedRows, part: int) -> None:
        self.known, self.asked = known, asked
        rows, self.searched = np.flatnonzero(known.part == part), np.flatnonzero(asked.part == part)
        self.rows = self.place = self.wanted = self._at = np.zeros(0, np.int64)
        if len(rows) and len(self.searched):
            self._sort(rows)

    def _sort(self, rows: Ints) -> None:
        available = self.known.event[rows]
        if self.known.by_created:
            np.maximum(available, self.known.created[rows], out=available)
        searched = self.searched
        codes = (self.known.code[rows].astype(np.int64), self.asked.code[searched].astype(np.int64))
        place, wanted_place = _places(codes[0], available, codes[1], self.asked.time[searched])
        order, self.place = _sorted(place)
        self.rows = rows[order]
        # In ascending order the search walks through memory instead of jumping.
        ascending, self.wanted = _sorted(wanted_place)
        self.searched = searched[ascending]
        same = self.place[1:] == self.place[:-1]
        if same.any():
            self._at = np.flatnonzero(np.append(same, False) | np.append(False, same))

    @property
    def tied(self) -> Ints:
        """Feature rows that share their key and the time they became available with another row."""
        return self.rows[self._at]

    def winners(self, values: pl.DataFrame | None) -> tuple[Ints, Ints]:
        """Entity rows that have an answer, and the feature row that answers each."""
        if values is not None and len(self._at):
            self._settle(values)
        at = np.searchsorted(self.place, self.wanted, side="right") - 1
        searched, at = self.searched[: len(at)][at >= 0], at[at >= 0]
        if self.known.by_created and len(at):
            best = _running_best(self.known.code[self.rows], self.known.event[self.rows])
            at = at if best is None else best[at]
        row = self.rows[at]
        hit = self.known.code[row] == self.asked.code[searched]
        if self.known.limit is not None:
            hit &= self.known.event[row] >= self.asked.time[searched] - self.known.limit
        return searched[hit], row[hit]

    def _settle(self, values: pl.DataFrame) -> None:
        """Sort the rows that share a place by (event, created, values)."""
        import polars as pl

        rows = self.tied
        times = {"event": self.known.event[rows], "created": self.known.created[rows]}
        table = pl.DataFrame({"place": self.place[self._at], **times, "row": rows})
        table = table.join(values, on="row", how="left", maintain_order="left")
        by = ["place", "event", "created", *(name for name in values.columns if name != "row")]
        self.rows[self._at] = table.sort(by, nulls_last=False)["row"].to_numpy()


def winners(known: KnownRows, asked: AskedRows, parts: int, values: Callable[[Ints], list[pa.ChunkedArray]]) -> Ints:
    """The row number among the feature rows for each entity row, -1 for none.

    The parts need less memory at a time than all rows, and no part waits for another one, but for the values that break
    ties: `values` is asked once for the columns of all feature rows that need them.
    """
    with ThreadPoolExecutor(min(parts, os.cpu_count() or 1)) as threads:
        cut = list(threads.map(lambda part: JoinPart(known, asked, part), range(parts)))
        tied = np.sort(np.concatenate([part.tied for part in cut]))
        table = _by_row(tied, values(tied)) if len(tied) else None
        answers = list(threads.map(lambda part: part.winners(table), cut))
    winner = np.full(len(asked.time), -1, np.int64)
    for searched, rows in answers:
        winner[searched] = rows
    return winner


def _by_row(rows: Ints, columns: list[pa.ChunkedArray]) -> pl.DataFrame:
    """The values of some feature rows, under numbers as names, next to the number of each `row`."""
    import polars as pl

    return pl.DataFrame([pl.Series("row", rows), *(pl.Series(str(n), column) for n, column in enumerate(columns))])


def _sorted(numbers: Ints) -> tuple[Ints, Ints]:
    """The order that sorts non-negative numbers, and the sorted numbers."""
    shift = max(len(numbers) - 1, 1).bit_length()
    if int(numbers.max(initial=0)) < _FAR >> shift:
        # Number and row in one integer: a plain sort takes a third of the time of an argsort.
        packed = numbers << shift
        packed |= np.arange(len(numbers))
        packed.sort()
        return packed & ((1 << shift) - 1), packed >> shift
    order = np.argsort(numbers)
    return order, numbers[order]


def _places(code: Ints, available: Ints, asked_code: Ints, wanted: Ints) -> tuple[Ints, Ints]:
    """Both sides' (key, time) as one integer each, in the same order as the pairs."""
    if not (available[:1000] % _SECOND).any():
        seconds = available // _SECOND
        if np.array_equal(seconds * _SECOND, available):
            # A whole second is not after a time unless it is not after that time's second: fewer bits to sort.
            available, wanted = seconds, wanted // _SECOND
    low = int(available.min())
    # Times before the first feature row all mean "nothing known yet": one step below it is early enough.
    wanted = np.maximum(wanted, low - 1)
    high = max(int(available.max()), int(wanted.max(initial=low)))
    width = high - low + 2
    if (max(int(code.max()), int(asked_code.max())) + 2) * width >= _FAR:
        times, compact = np.unique(np.concatenate([available, wanted]), return_inverse=True)
        available, wanted = compact[: len(available)], compact[len(available) :]
        low, width = 0, len(times) + 2
    return code * width + (available - (low - 1)), asked_code * width + (wanted - (low - 1))


def _running_best(code: Ints, event: Ints) -> Ints | None:
    """At each place, where the latest event so far of that key is; None if every place is its own answer."""
    backwards = (event[1:] < event[:-1]) & (code[1:] == code[:-1])
    if not backwards.any():
        return None
    starts = np.flatnonzero(np.diff(code, prepend=-2))
    span = int(event.max()) - int(event.min()) + 1
    if len(starts) * span >= _FAR:
        event = np.unique(event, return_inverse=True)[1].astype(np.int64)
        span = len(event)
    lengths = np.diff(starts, append=len(code))
    height = np.repeat(np.arange(len(starts), dtype=np.int64) * span, lengths) + (event - event.min())
    place = np.arange(len(code), dtype=np.int64)
    return np.maximum.accumulate(np.where(height == np.maximum.accumulate(height), place, 0))
