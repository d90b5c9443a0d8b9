"""The rules of the point-in-time join as a pure function of Arrow tables.

It runs in a test, in an engine's workers and anywhere else: nothing but numpy, polars and pyarrow is imported.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from jobs.arrays import Bools, Ints

Kernel = Callable[[pa.Table, pa.Table], pa.Table]

_MICROSECONDS = pa.timestamp("us")
_FAR = int(np.iinfo(np.int64).max)
_SECOND = 1_000_000
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

    A feature row becomes available at max(event, created). Sorted by (key, available, event, created, values), the
    running maximum of the event time leaves at each place the best row known by then, and one binary search per entity
    row finds its place. A row later in that order whose event ties with an earlier one was created no earlier.
    """
    event, usable = _microseconds(features, feature_timestamp)
    created = event
    if created_timestamp:
        created, created_known = _microseconds(features, created_timestamp)
        if known_only:
            usable &= created_known
        else:
            created = np.where(created_known, created, -_FAR)
    available = np.maximum(event, created) if known_only else event
    last = asked[asked_known].max()
    usable &= available <= last
    limit = _ttl_microseconds(ttl)
    if limit is not None:
        usable &= event >= asked[asked_known].min() - limit
    entity_code, feature_code = _codes(entities, features, keys)
    usable &= feature_code >= 0
    found = np.full(len(asked), -1, np.int64)
    rows = None
    if np.count_nonzero(usable) > 0.9 * len(usable):
        # Copying every column to be rid of a few rows costs more than carrying them.
        feature_code[~usable] = -1
    else:
        rows = np.flatnonzero(usable)
        event, created, available, feature_code = event[rows], created[rows], available[rows], feature_code[rows]
    searched = np.flatnonzero(asked_known & (entity_code >= 0))
    if not len(event) or not len(searched):
        return found
    place, wanted = _places(feature_code, available, entity_code[searched], asked[searched])
    order, place = _sorted(place)
    order = _settle_ties(place, order, rows, event, created, features, columns)
    # In ascending order the search walks through memory instead of jumping.
    ascending, wanted = _sorted(wanted)
    searched = searched[ascending]
    at = np.searchsorted(place, wanted, side="right") - 1
    searched, at = searched[at >= 0], at[at >= 0]
    if created_timestamp and known_only:
        best = _running_best(feature_code[order], event[order])
        at = at if best is None else best[at]
    row = order[at]
    hit = feature_code[row] == entity_code[searched]
    if limit is not None:
        hit &= event[row] >= asked[searched] - limit
    found[searched[hit]] = row[hit] if rows is None else rows[row[hit]]
    return found


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
    """Both sides' (key, time) as one integer each, in the same order as the pairs; 0 for feature rows of no key."""
    if not (available[:1000] % _SECOND).any() and not (available % _SECOND).any():
        # A whole second is not after a time unless it is not after that time's second: fewer bits to sort.
        available, asked = available // _SECOND, asked // _SECOND
    low = int(available.min())
    # Times before the first feature row all mean "nothing known yet": one step below it is early enough.
    asked = np.maximum(asked, low - 1)
    high = max(int(available.max()), int(asked.max(initial=low)))
    width = high - low + 2
    if (int(code.max()) + 2) * width >= _FAR:
        times, compact = np.unique(np.concatenate([available, asked]), return_inverse=True)
        available, asked = compact[: len(available)], compact[len(available) :]
        low, width = 0, len(times) + 2
    place = code * width + (available - (low - 1))
    if code.min() < 0:
        place[code < 0] = 0
    return place, asked_code * width + (asked - (low - 1))


def _settle_ties(
    place: Ints,
    order: Ints,
    rows: Ints | None,
    event: Ints,
    created: Ints,
    features: pa.Table,
    columns: Sequence[str],
) -> Ints:
    """`order` with the rows that share a place sorted by (event, created, values)."""
    same = (place[1:] == place[:-1]) & (place[1:] > 0)
    if not same.any():
        return order
    import polars as pl

    tied = np.zeros(len(place), bool)
    tied[1:] = same
    tied[:-1] |= same
    at = np.flatnonzero(tied)
    among = order[at]
    table = pl.DataFrame({"place": place[at], "event": event[among], "created": created[among], "row": among})
    for number, name in enumerate(columns):
        table = table.with_columns(pl.Series(str(number), features[name].take(among if rows is None else rows[among])))
    by = ["place", "event", "created", *map(str, range(len(columns)))]
    settled = table.sort(by, nulls_last=False)
    order = order.copy()
    order[at] = settled["row"].to_numpy()
    return order


def _running_best(code: Ints, event: Ints) -> Ints | None:
    """At each place, where the latest event so far of that key is; None if every place is its own answer."""
    backwards = (event[1:] < event[:-1]) & (code[1:] == code[:-1]) & (code[1:] >= 0)
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
