"""The rules of the point-in-time join as a pure function of Arrow tables.

It runs in a test, in an engine's workers and anywhere else: nothing but numpy, polars and pyarrow is imported.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from jobs.arrays import Bools, Ints

if TYPE_CHECKING:
    import polars as pl

Kernel = Callable[[pa.Table, pa.Table], pa.Table]

_MICROSECONDS = pa.timestamp("us")
_FAR = int(np.iinfo(np.int64).max)
_SECOND = 1_000_000
Bytes = np.ndarray[Any, np.dtype[np.uint8]]

_NO_PART = 255
_PART_BITS = 22
"""Parts have about this many bits of rows."""
_DENSE = 2**22
"""Span of integer keys up to which a table of all of them is small."""
# The last day that a Python datetime can hold.
_END = 253_402_300_799_999_999


def join(
    entities: pa.Table,
    features: pa.Table,
    *,
    keys: Sequence[str],
    event_timestamp: str,
    feature_timestamp: str,
    created_timestamp: str | None = None,
    ttl: timedelta | None = None,
    columns: Sequence[str],
    known_only: bool = True,
) -> pa.Table:
    """The entity rows, in their order and number, with `columns` of the feature row that each one could have seen.

    For an entity row at time t a feature row of the same keys qualifies if `feature_timestamp <= t`,
    `t - feature_timestamp <= ttl` (`None` or zero: no limit) and, where `created_timestamp` names a column,
    `created_timestamp <= t`. The latest event wins, then the latest created, then the greatest tuple of the values in
    `columns` (null < number < NaN), so that the answer never hangs on the order of the rows. Rows with a null key or
    time match nothing; a feature row whose created time is null was never known. Without keys every row is of one
    entity. Times without a zone are UTC; times finer than a microsecond are cut to it.

    Args:
        entities: n rows with `keys`, `event_timestamp` and anything else.
        features: m rows with `keys`, `feature_timestamp`, `created_timestamp` if given, and `columns`.
        known_only: False drops the condition on `created_timestamp`, which then only decides between equal events.

    Returns:
        n rows: the columns of `entities`, then `columns` with the types they have in `features`.

    Raises:
        ValueError: a column is missing, of an unusable type, or named like one of the entity table.
    """
    _check(entities, [*keys, event_timestamp], "entity")
    _check(
        features, [*keys, feature_timestamp, *columns, *([created_timestamp] if created_timestamp else [])], "feature"
    )
    clashing = [name for name in columns if name in entities.column_names]
    if clashing:
        raise ValueError(f"expected feature columns that the entity table has not, found {clashing}: rename them")
    asked, asked_known = _microseconds(entities, event_timestamp)
    winner = np.full(entities.num_rows, -1, np.int64)
    if features.num_rows and asked_known.any():
        winner = _winners(
            entities,
            features,
            keys,
            asked,
            asked_known,
            feature_timestamp,
            created_timestamp,
            ttl,
            columns,
            known_only,
        )
    taken = pa.array(winner, mask=winner < 0)
    for name in columns:
        entities = entities.append_column(features.schema.field(name).with_nullable(True), features[name].take(taken))
    return entities


def latest(
    features: pa.Table,
    *,
    keys: Sequence[str],
    feature_timestamp: str,
    created_timestamp: str | None = None,
    columns: Sequence[str],
) -> pa.Table:
    """One row per key that has no null in it: what `join` would find at the end of time, with both times.

    Returns:
        `keys`, `columns`, `feature_timestamp` and, if given, `created_timestamp`; the keys in no particular order.
    """
    times = [feature_timestamp, *([created_timestamp] if created_timestamp else [])]
    known = features
    for name in [*keys, *times]:
        known = known.filter(pc.is_valid(known[name])) if known[name].null_count else known
    number = min(known.num_rows, 1)
    entities = known.select(keys)
    if keys:
        entities = entities.group_by(list(keys)).aggregate([])
        number = entities.num_rows
    asked = "the end of time"
    end = pa.array(np.full(number, _END), pa.int64()).cast(_MICROSECONDS)
    entities = entities.append_column(asked, end) if keys else pa.table({asked: end})
    joined = join(
        entities,
        known,
        keys=keys,
        event_timestamp=asked,
        feature_timestamp=feature_timestamp,
        created_timestamp=created_timestamp,
        columns=[*columns, *times],
    )
    return joined.drop_columns([asked])


def _winners(
    entities: pa.Table,
    features: pa.Table,
    keys: Sequence[str],
    asked: Ints,
    asked_known: Bools,
    feature_timestamp: str,
    created_timestamp: str | None,
    ttl: timedelta | None,
    columns: Sequence[str],
    known_only: bool,
) -> Ints:
    """The row number in `features` for each entity row, -1 for none.

    Many rows are cut by key into parts that threads share: less memory at a time, and no part waits for another one,
    but for the values that break ties, which are read once for all parts.
    """
    event, usable = _microseconds(features, feature_timestamp)
    created = event
    last = asked[asked_known].max()
    usable &= event <= last
    limit = _ttl_microseconds(ttl)
    if limit is not None:
        usable &= event >= asked[asked_known].min() - limit
    if created_timestamp:
        created, created_known = _microseconds(features, created_timestamp)
        if known_only:
            usable &= created_known & (created <= last)
        elif not created_known.all():
            created = np.where(created_known, created, -_FAR)
    entity_code, feature_code = _codes(entities, features, keys)
    number = 1 << min((len(event) >> _PART_BITS).bit_length(), 7)
    known = _Known(feature_code, event, created, _part_of(feature_code, usable, number), known_only, limit)
    wanted = _Asked(entity_code, asked, _part_of(entity_code, asked_known, number))
    with ThreadPoolExecutor(min(number, os.cpu_count() or 1)) as threads:
        parts = list(threads.map(lambda part: _Part(known, wanted, part), range(number)))
        tied = np.sort(np.concatenate([part.tied for part in parts]))
        values = _values(features, columns, tied) if len(tied) else None
        winners = list(threads.map(lambda part: part.winners(values), parts))
    found = np.full(len(asked), -1, np.int64)
    for searched, rows in winners:
        found[searched] = rows
    return found


def _part_of(code: Ints, usable: Bools, parts: int) -> Bytes:
    """The part of each row, by its key; `_NO_PART` for a row that has no key of both sides, or is not usable."""
    part = (code & (parts - 1)).astype(np.uint8)
    part[~usable] = _NO_PART
    part[code < 0] = _NO_PART
    return part


@dataclass(frozen=True)
class _Known:
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
class _Asked:
    """Entity rows: key, time and the part that each belongs to."""

    code: Ints
    time: Ints
    part: Bytes


class _Part:
    """The rows of some keys on both sides, the feature rows sorted by (key, available, event, created, values).

    A feature row becomes available at max(event, created). In that order the running maximum of the event time leaves
    at each place the best row known by then, and one binary search per entity row finds its place. A row later in that
    order whose event ties with an earlier one was created no earlier.
    """

    def __init__(self, known: _Known, asked: _Asked, part: int) -> None:
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
        place, wanted = _places(codes[0], available, codes[1], self.asked.time[searched])
        order, self.place = _sorted(place)
        self.rows = rows[order]
        # In ascending order the search walks through memory instead of jumping.
        ascending, self.wanted = _sorted(wanted)
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


def _values(features: pa.Table, columns: Sequence[str], rows: Ints) -> pl.DataFrame:
    """The values of some feature rows, under numbers as names, next to the number of each `row`."""
    import polars as pl

    taken = [pl.Series(str(number), features[name].take(pa.array(rows))) for number, name in enumerate(columns)]
    return pl.DataFrame([pl.Series("row", rows), *taken])


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


def _places(code: Ints, available: Ints, asked_code: Ints, asked: Ints) -> tuple[Ints, Ints]:
    """Both sides' (key, time) as one integer each, in the same order as the pairs."""
    if not (available[:1000] % _SECOND).any():
        seconds = available // _SECOND
        if np.array_equal(seconds * _SECOND, available):
            # A whole second is not after a time unless it is not after that time's second: fewer bits to sort.
            available, asked = seconds, asked // _SECOND
    low = int(available.min())
    # Times before the first feature row all mean "nothing known yet": one step below it is early enough.
    asked = np.maximum(asked, low - 1)
    high = max(int(available.max()), int(asked.max(initial=low)))
    width = high - low + 2
    if (max(int(code.max()), int(asked_code.max())) + 2) * width >= _FAR:
        times, compact = np.unique(np.concatenate([available, asked]), return_inverse=True)
        available, asked = compact[: len(available)], compact[len(available) :]
        low, width = 0, len(times) + 2
    return code * width + (available - (low - 1)), asked_code * width + (asked - (low - 1))


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
    here = np.arange(len(code), dtype=np.int64)
    return np.maximum.accumulate(np.where(height == np.maximum.accumulate(height), here, 0))


def _codes(entities: pa.Table, features: pa.Table, keys: Sequence[str]) -> tuple[Ints, Ints]:
    """Equal small integers for equal keys on both sides, -1 where a key is null or only on the feature side.

    Each column is numbered by itself, so composite keys are compared part by part and never as joined text.
    """
    left = np.zeros(entities.num_rows, np.int64)
    right = np.zeros(features.num_rows, np.int64)
    for number, name in enumerate(keys):
        a, b = _one_type(entities[name], features[name], name)
        if len(keys) == 1 and (codes := _small_integers(a, b)):
            return codes
        distinct = pc.unique(a).drop_null()
        left_part, right_part = _numbers(a, distinct), _numbers(b, distinct)
        if not number:
            left, right = left_part, right_part
            continue
        missing_left, missing_right = (left < 0) | (left_part < 0), (right < 0) | (right_part < 0)
        pairs = left * (len(distinct) + 1) + left_part
        pairs[missing_left] = -1
        known = np.unique(pairs)
        left = np.searchsorted(known, pairs)
        wanted = right * (len(distinct) + 1) + right_part
        right = np.minimum(np.searchsorted(known, wanted), max(len(known) - 1, 0))
        missing_right |= known[right] != wanted if len(known) else True
        left[missing_left], right[missing_right] = -1, -1
    return left, right


def _small_integers(a: pa.ChunkedArray, b: pa.ChunkedArray) -> tuple[Ints, Ints] | None:
    """`_codes` of one column of integers that lie close together, by a table instead of a hash; None for others."""
    if not pa.types.is_signed_integer(a.type) or a.null_count == len(a):
        return None
    low, high = pc.min_max(a).as_py().values()
    if high - low >= _DENSE:
        return None
    present = np.zeros(high - low + 1, bool)
    present[pc.fill_null(a, low).to_numpy() - low] = True
    # The last place is that of all keys which no entity row has.
    numbers = np.append(np.where(present, np.cumsum(present) - 1, -1), -1).astype(np.int32)
    return _looked_up(a, low, high, numbers), _looked_up(b, low, high, numbers)


def _looked_up(values: pa.ChunkedArray, low: int, high: int, numbers: Any) -> Ints:
    found = pc.fill_null(values, low).to_numpy()
    inside = (found >= low) & (found <= high)
    if values.null_count:
        inside &= pc.is_valid(values).to_numpy()
    at = found - low if inside.all() else np.where(inside, found, high + 1) - low
    codes: Ints = numbers[at]
    return codes


def _numbers(values: pa.ChunkedArray, distinct: pa.Array) -> Ints:
    found = pc.fill_null(pc.index_in(values, value_set=distinct), -1)
    numbers: Ints = found.to_numpy().astype(np.int64)
    return numbers


def _one_type(a: pa.ChunkedArray, b: pa.ChunkedArray, name: str) -> tuple[pa.ChunkedArray, pa.ChunkedArray]:
    if pa.types.is_floating(a.type) or pa.types.is_floating(b.type):
        raise ValueError(f"key column {name}: expected an exact type, found {a.type}; cast it to an integer or text")
    if a.type == b.type:
        return a, b
    for kind, wide in _WIDER:
        if kind(a.type) and kind(b.type):
            return a.cast(wide), b.cast(wide)
    if pa.types.is_null(a.type):
        return a.cast(b.type), b
    raise ValueError(
        f"key column {name}: expected one type on both sides, found {a.type} in the entity table and {b.type} in the "
        "feature table; cast one of them"
    )


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


_WIDER: list[tuple[Callable[[pa.DataType], bool], pa.DataType]] = [
    (pa.types.is_integer, pa.int64()),
    (_is_text, pa.large_string()),
]


def _microseconds(table: pa.Table, name: str) -> tuple[Ints, Bools]:
    """Times in UTC microseconds and where they are not null."""
    column = table[name]
    if pa.types.is_date(column.type):
        column = column.cast(_MICROSECONDS)
    if not pa.types.is_timestamp(column.type):
        raise ValueError(f"column {name}: expected timestamps, found {column.type}; convert it before the join")
    # A cast between zones keeps the instant and one without a zone is read as UTC: the integers are what is compared.
    column = column.cast(pa.timestamp("us", column.type.tz), safe=False).cast(pa.int64())
    known = np.ones(len(column), bool) if not column.null_count else pc.is_valid(column).to_numpy().astype(bool)
    values: Ints = (pc.fill_null(column, 0) if column.null_count else column).to_numpy()
    return values, known


def _ttl_microseconds(ttl: timedelta | None) -> int | None:
    # 2**60 microseconds are 36,000 years: longer limits would only overflow.
    return min(ttl // timedelta(microseconds=1), 2**60) if ttl else None


def _check(table: pa.Table, names: Sequence[str], side: str) -> None:
    missing = [name for name in names if name not in table.column_names]
    if missing:
        raise ValueError(f"expected the {side} table to have {missing}, found {table.column_names}")
