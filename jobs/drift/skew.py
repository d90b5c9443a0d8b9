"""Training/serving skew: features as a model was served them, against the offline values of the same moments, row by
row, with a diagnosis where one fits. Whether values drift over time is `jobs.drift.detector`'s question."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Literal

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from jobs.arrays import Bools, Floats
from jobs.errors import Invalid
from jobs.features.clock import entity_codes
from jobs.models.tables import is_category

Previous = tuple[Floats, Bools]
"""Values of the entity's previous event, and whether there is one."""
Diagnosis = Literal["missing column", "type", "missing", "unit", "offset", "boundary", "stale"]

TOLERANCE = 1e-4
"""Of a value, or absolute below 1: wider than float32 (6e-8) and running sums need, narrower than any fault seen."""
EXPLAINED_SHARE = 0.95
"""Share of the rows that differ which a diagnosis has to explain."""
LARGEST_EDGE_SHARE = 0.1
"""Largest share of rows that an event at the edge of a window may change."""
FEWEST_ROWS = 5
"""A constant factor or offset, or a previous value, must be seen in at least this many rows."""
_SHOWN = 80
"""Characters of a text that are shown: a vector is one, too."""
_EDGE = 1000
"""Milliseconds around a window's edge: events have whole seconds, and so have delays."""


@dataclass(frozen=True)
class LogColumns:
    """Columns that both tables have besides features."""

    event_id: str
    event_timestamp: str
    entities: tuple[str, ...]

    @property
    def names(self) -> list[str]:
        return [self.event_id, self.event_timestamp, *self.entities]


@dataclass(frozen=True)
class FeatureSkew:
    """A feature that was served otherwise."""

    feature: str
    rows: int
    """That differ."""
    size: float
    """Median of their absolute difference; NaN where none has both values."""
    diagnosis: Diagnosis | None
    detail: str
    """The diagnosis in words."""


@dataclass(frozen=True)
class Skew:
    """What a comparison found."""

    rows: int
    """Compared: served rows whose event is known offline."""
    unknown: int
    """Served rows whose event is not."""
    features: tuple[FeatureSkew, ...] = field(default=())
    """Those that differ, in most rows first."""

    @property
    def named(self) -> tuple[str, ...]:
        return tuple(skewed.feature for skewed in self.features)


def compare(
    served: pa.Table,
    offline: pa.Table,
    keys: LogColumns,
    features: Sequence[str],
    windows: Mapping[str, tuple[tuple[str, ...], timedelta]] | None = None,
    older: pa.Table | None = None,
) -> Skew:
    """Compare every feature of every served row with its offline value.

    Args:
        served: rows of the prediction log: keys, and features as float32 or texts.
        offline: the same columns, of any numeric type; one row per event. It may hold more events, such as those of the
            days before: an entity's previous value and events at a window's edge are looked up there.
        windows: feature -> columns of its entity and length, for features over a window; makes `boundary` certain.
        older: keys of further events, without features, for the edges of windows that reach far back.

    Raises:
        ValueError: `offline` has an event twice.
    """
    history = _with_previous(offline, keys, [name for name in features if name in offline.column_names])
    joined = _frame(served, [keys.event_id]).with_row_index("row").join(history, on=keys.event_id, how="inner")
    order, position = joined["row"].to_numpy(), joined["position"].to_numpy()
    own = [keys.event_timestamp, *keys.entities]
    rows_by_key = offline.select(own) if older is None else pa.concat_tables([offline.select(own), older.select(own)])
    skews: list[FeatureSkew] = []
    for name in features:
        absent = _schema(served, offline, name, len(order))
        if absent is not None:
            skews.append(absent)
            continue
        if is_category(served.schema.field(name).type):
            skews += _category(name, served[name].take(order), offline[name].take(position))
            continue
        now, then = _values(served, name)[order], _values(offline, name)
        if _same(now, then[position]).all():
            continue
        previous = {e: _before(then, joined[f"previous {e}"]) for e in keys.entities}
        edge = _at_edge(rows_by_key, keys, *windows[name])[position] if windows and name in windows else None
        skews.append(_feature(name, now, then[position], previous, edge))
    return Skew(len(order), served.num_rows - len(order), tuple(sorted(skews, key=lambda each: -each.rows)))


def _frame(table: pa.Table, columns: Sequence[str]) -> pl.DataFrame:
    frame = pl.from_arrow(table.select(list(columns)))
    assert isinstance(frame, pl.DataFrame)
    return frame


def _with_previous(offline: pa.Table, keys: LogColumns, features: Sequence[str]) -> pl.DataFrame:
    """Event id, position in `offline`, and the position of the previous event of each of its entities."""
    frame = _frame(offline, [keys.event_id, keys.event_timestamp, *keys.entities]).with_row_index("position")
    if frame[keys.event_id].n_unique() < frame.height:
        raise Invalid(f"offline values: expected each {keys.event_id} once; take the row that was known at the time")
    frame = frame.sort(keys.event_timestamp, keys.event_id)
    previous = [pl.col("position").shift(1).over(entity).alias(f"previous {entity}") for entity in keys.entities]
    return frame.select(keys.event_id, "position", *previous)


def _schema(served: pa.Table, offline: pa.Table, name: str, rows: int) -> FeatureSkew | None:
    for where, table in (("the log", served), ("the offline values", offline)):
        if name not in table.column_names:
            return FeatureSkew(name, rows, float("nan"), "missing column", f"not a column of {where}")
    kind, offline_kind = (table.schema.field(name).type for table in (served, offline))
    if is_category(kind) and is_category(offline_kind):
        return None
    if not pa.types.is_float32(kind) or is_category(offline_kind):
        return FeatureSkew(name, rows, float("nan"), "type", f"expected float32 or texts in both, found {kind}")
    return None


def _category(name: str, served: pa.ChunkedArray, offline: pa.ChunkedArray) -> list[FeatureSkew]:
    """How texts differ; an empty one is missing."""
    now, then = (pc.fill_null(column.cast(pa.string()), "") for column in (served, offline))
    differs = pc.not_equal(now, then)
    if not (rows := pc.sum(differs).as_py()):
        return []
    now, then = now.filter(differs), then.filter(differs)
    for side, texts, others in (("served", now, then), ("offline", then, now)):
        missing = pc.sum(pc.and_(pc.equal(texts, ""), pc.not_equal(others, ""))).as_py()
        if missing >= EXPLAINED_SHARE * rows:
            return [FeatureSkew(name, rows, float("nan"), "missing", f"{side} value is missing")]
    first, other = (repr(texts[0].as_py()[:_SHOWN]) for texts in (now, then))
    detail = f"served {first}, offline {other}"
    return [FeatureSkew(name, rows, float("nan"), None, detail)]


def _values(table: pa.Table, name: str) -> Floats:
    """As the graph would get them: rounded to float32, missing is NaN."""
    values: Floats = table.column(name).cast(pa.float32(), safe=False).to_numpy().astype(np.float64)
    return values


def _before(values: Floats, positions: pl.Series) -> Previous:
    """Values at positions, NaN where there is none; and where there is one."""
    has_earlier = positions.is_not_null().to_numpy()
    return np.where(has_earlier, values[positions.fill_null(0).to_numpy()], np.nan), has_earlier


def _at_edge(events: pa.Table, keys: LogColumns, entity: tuple[str, ...], length: timedelta) -> Bools:
    """Shape (events,): whether the entity has an event where the window of this one starts."""
    milliseconds = (
        events.column(keys.event_timestamp).cast(pa.timestamp("us", "UTC")).cast(pa.int64()).to_numpy() // 1000
    )
    back = int(length / timedelta(milliseconds=1))
    [codes], _ = entity_codes([events], entity)
    # One number per entity and time, so far apart that entities do not meet.
    at = codes * (np.ptp(milliseconds) + back + 4 * _EDGE if len(codes) else 1) + milliseconds
    line, start = np.sort(at), at - back
    near: Bools = np.searchsorted(line, start - _EDGE, "left") < np.searchsorted(line, start + _EDGE, "right")
    return near


def _same(one: Floats, other: Floats) -> Bools:
    near: Bools = np.isclose(one, other, rtol=TOLERANCE, atol=TOLERANCE, equal_nan=True)
    return near


def _feature(name: str, now: Floats, then: Floats, previous: Mapping[str, Previous], edge: Bools | None) -> FeatureSkew:
    differs = ~_same(now, then)
    sizes = np.abs(now - then)[differs]
    size = float(np.nanmedian(sizes)) if np.isfinite(sizes).any() else float("nan")
    diagnosis, detail = _diagnose(now, then, differs, previous, edge)
    return FeatureSkew(name, int(differs.sum()), size, diagnosis, detail)


def _diagnose(
    now: Floats, then: Floats, differs: Bools, previous: Mapping[str, Previous], edge: Bools | None
) -> tuple[Diagnosis | None, str]:
    """The first that explains nearly all differing rows, the most specific first."""
    one_sided = np.isnan(now[differs]) != np.isnan(then[differs])
    if one_sided.mean() >= EXPLAINED_SHARE:
        side = "served" if np.isnan(now[differs]).mean() > 0.5 else "offline"
        return "missing", f"{side} value is missing"
    are_finite = np.isfinite(now) & np.isfinite(then)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio, scaled = now / then, are_finite & (then != 0)
    if (factor := _constant(ratio, scaled, differs)) is not None:
        return "unit", f"served value is {factor:.6g} times the offline one"
    if (offset := _constant(now - then, are_finite, differs)) is not None:
        return "offset", f"served value is {offset:+.6g} off the offline one"
    if edge is not None and edge[differs].mean() >= EXPLAINED_SHARE:
        return "boundary", "all rows that differ have an event at the edge of their window"
    # Before `stale`, since the count before a payment mostly is one less, too; stale counts are also off by more.
    if (
        edge is None
        and differs.mean() <= LARGEST_EDGE_SHARE
        and _same(np.abs(now - then), np.ones_like(now))[differs].mean() >= EXPLAINED_SHARE
    ):
        return "boundary", "off by one on few rows"
    for entity, (before, has_before) in previous.items():
        # Rows whose entity has no earlier event in the table cannot be diagnosed.
        comparable = differs & has_before
        if comparable.sum() >= FEWEST_ROWS and _same(now, before)[comparable].mean() >= EXPLAINED_SHARE:
            return "stale", f"served value is the previous one of the {entity}"
    return None, ""


def _constant(measure: Floats, possible: Bools, differs: Bools) -> float | None:
    """The number that `measure` is on nearly all rows where it is possible, if nearly all of them differ."""
    if possible.sum() < FEWEST_ROWS or differs[possible].mean() < EXPLAINED_SHARE:
        return None
    middle = float(np.median(measure[possible]))
    constant = np.isclose(measure[possible], middle, rtol=10 * TOLERANCE, atol=0).mean() >= EXPLAINED_SHARE
    return middle if constant else None
