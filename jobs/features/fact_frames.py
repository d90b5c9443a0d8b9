"""Events and labels as frames, of the engine or of Polars: the few steps from tables to the facts of a computation.

A frame of Polars is read in this process, one of the engine on its workers; each rule is here once for both. Which days
and versions are read is decided in `jobs.features.target_facts`.
"""

from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING, Any, TypeAlias, Union

import polars as pl

from jobs.conditions import conditions
from jobs.features.clock import DECIDED_AT
from jobs.lakehouse.tables import PARTITION
from jobs.windows import FACT_ID, FactMart, WindowFeatures

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

Frame: TypeAlias = Union["DataFrame", pl.LazyFrame]

# Marks the labels' columns where events and labels travel in one table.
LABEL = "label__"
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def arrived(event_timestamp: str) -> str:
    """SQL of the engine: microseconds at which a fact was both over and known."""
    return f"greatest(unix_micros(known_at), unix_micros(`{event_timestamp}`))"


def known(frame: Frame, event_timestamp: str, as_of: datetime) -> Frame:
    """The rows that were over and known at `as_of`."""
    if isinstance(frame, pl.LazyFrame):
        return frame.filter(pl.max_horizontal("known_at", event_timestamp) <= as_of)
    return frame.where(f"{arrived(event_timestamp)} <= {micros(as_of)}")


def since(frame: Frame, column: str, day: date) -> Frame:
    """The rows with a time from the start of a day on, UTC."""
    if isinstance(frame, pl.LazyFrame):
        return frame.filter(pl.col(column) >= datetime.combine(day, time(), UTC))
    return frame.where(f"`{column}` >= timestamp '{day} 00:00:00'")


def between(frame: Frame, first: date, last: date) -> Frame:
    """The rows of daily partitions."""
    if isinstance(frame, pl.LazyFrame):
        return frame.filter(pl.col(PARTITION).is_between(first, last))
    return frame.where(f"{PARTITION} between date '{first}' and date '{last}'")


def marked(events: Frame, targets: str) -> Frame:
    """The rows with `is_target`: whether they match a SQL condition."""
    return computed(events, {"is_target": targets})


def computed(frame: Frame, columns: Mapping[str, str]) -> Frame:
    """The rows with further columns, or others in their place: name -> SQL of what is there already."""
    if isinstance(frame, pl.LazyFrame):
        return frame.with_columns(**{name: pl.sql_expr(sql) for name, sql in columns.items()})
    from pyspark.sql.connect.functions import expr

    return frame.withColumns({name: expr(sql) for name, sql in columns.items()})


def names(frame: Frame) -> list[str]:
    """The columns."""
    return frame.collect_schema().names() if isinstance(frame, pl.LazyFrame) else list(frame.columns)


def moment(events: Frame, event_timestamp: str) -> str:
    """SQL: when each event was decided, or else happened."""
    return f"coalesce({DECIDED_AT}, `{event_timestamp}`)" if DECIDED_AT in names(events) else f"`{event_timestamp}`"


def span(frame: Frame, moment: str) -> tuple[datetime, datetime] | None:
    """The least and the greatest of some times, which SQL names; None if there are none."""
    if isinstance(frame, pl.LazyFrame):
        low, high = frame.select(low=pl.sql_expr(moment).min(), high=pl.sql_expr(moment).max()).collect().row(0)
        return None if low is None else (low, high)
    ends = frame.selectExpr(*(f"{end}(unix_micros({moment}))" for end in ("min", "max"))).collect()[0]
    return None if ends[0] is None else (_instant(ends[0]), _instant(ends[1]))


def decided_ahead(events: Frame, event_timestamp: str) -> timedelta:
    """The longest time by which any of these events was decided before it happened."""
    if DECIDED_AT not in names(events):
        return timedelta(0)
    if isinstance(events, pl.LazyFrame):
        [ahead] = events.select((pl.col(event_timestamp) - pl.col(DECIDED_AT)).max()).collect().row(0)
    else:
        [micros] = events.selectExpr(f"max(unix_micros(`{event_timestamp}`) - unix_micros({DECIDED_AT}))").collect()[0]
        ahead = None if micros is None else timedelta(microseconds=micros)
    return max(timedelta(0), ahead or timedelta(0))


def targets(events: Frame) -> Frame:
    """The marked rows."""
    return events.filter("is_target") if isinstance(events, pl.LazyFrame) else events.where("is_target")


def unmarked_but(events: Frame, column: str, ids: pl.Series) -> Frame:
    """The rows, marked only where they were and their id is one of some; of Polars."""
    assert isinstance(events, pl.LazyFrame)
    return events.with_columns(pl.col("is_target") & pl.col(column).is_in(ids.implode()))


def of_entities(facts: Frame, entities: Frame, keys: list[str]) -> Frame:
    """The facts of some entities, which null may be too; of Polars."""
    assert isinstance(facts, pl.LazyFrame) and isinstance(entities, pl.LazyFrame)
    return facts.join(entities, on=keys, how="semi", nulls_equal=True, maintain_order="left")


def of_mart(features: WindowFeatures, mart: FactMart, rows: Frame) -> Frame:
    """Facts that are no targets, under the names that a computation knows: `FACT_ID`, and the time of the targets."""
    return computed(rows, {FACT_ID: f"`{mart.id}`", features.event_timestamp: f"`{mart.event_timestamp}`"})


def held_facts(features: WindowFeatures, facts: Frame) -> Frame:
    """The columns of facts that are no targets, as `held` has those of events."""
    facts = facts.select(*dict.fromkeys([FACT_ID, *_fact(features), *features.fact_columns]))
    return facts.collect().lazy() if isinstance(facts, pl.LazyFrame) else facts


def held(features: WindowFeatures, events: Frame) -> Frame:
    """The columns of events that a computation takes; of Polars in memory, so that files are read once."""
    taken = [features.id, *features.keys, features.event_timestamp, *_times(events)]
    events = events.select(*dict.fromkeys([*taken, *features.event_columns, "is_target", PARTITION]))
    return events.collect().lazy() if isinstance(events, pl.LazyFrame) else events


def count(frame: Frame) -> int:
    """How many rows there are."""
    return frame.select(pl.len()).collect().item() if isinstance(frame, pl.LazyFrame) else frame.count()


def counted(events: Frame) -> tuple[int, int]:
    """How many rows there are, and how many targets among them."""
    if isinstance(events, pl.LazyFrame):
        rows, targets = events.select(pl.len(), pl.col("is_target").sum()).collect().row(0)
    else:
        rows, targets = events.selectExpr("count(*)", "count_if(is_target)").collect()[0]
    return rows, targets


def target_days(events: Frame) -> tuple[date, ...]:
    """The daily partitions of the targets."""
    if isinstance(events, pl.LazyFrame):
        return tuple(events.filter("is_target").select(PARTITION).unique().sort(PARTITION).collect()[PARTITION])
    return days(events.where("is_target"))


def days(rows: "DataFrame") -> tuple[date, ...]:
    """The daily partitions of rows of the engine."""
    return tuple(sorted(row[0] for row in rows.select(PARTITION).distinct().collect()))


def together(features: WindowFeatures, events: Frame, labels: Frame | None, facts: Frame | None = None) -> Frame:
    """Events, and below them the labels that count, with `is_target` null and columns named by LABEL; or below them the
    facts that count in their place (`held_facts`), with `is_target` null.

    A union and not a cogroup, which on Sail 0.7.2 refuses every null value ("unmasked nulls for non-nullable").
    """
    fact = _fact(features)
    decided = [name for name in _times(events) if name not in fact]
    # What is counted may be an entity itself.
    events = events.select(*dict.fromkeys([features.id, *fact, *decided, *features.event_columns, "is_target"]))
    if facts is not None:
        return _below(events, facts)
    if labels is None or not features.reads_labels:
        return events
    return _below(events, _that_count(features, labels))


def _fact(features: WindowFeatures) -> tuple[str, ...]:
    """Whose a fact is, and when it counts."""
    return (*features.keys, features.event_timestamp, "known_at", "superseded_at")


def _below(events: Frame, others: Frame) -> Frame:
    """Rows of both; each null in columns of the other."""
    if isinstance(events, pl.LazyFrame):
        assert isinstance(others, pl.LazyFrame)
        return pl.concat([events, others], how="diagonal")
    assert not isinstance(others, pl.LazyFrame)
    return _widened(events, others).unionByName(_widened(others, events))


def _widened(rows: "DataFrame", others: "DataFrame") -> "DataFrame":
    """Rows, null in columns of others. Each null has its type, without which Sail 0.7.2 cannot pass rows to Python."""
    from pyspark.sql.connect.functions import lit

    mine = set(rows.columns)
    nothing = [lit(None).cast(field.dataType).alias(field.name) for field in others.schema if field.name not in mine]
    return rows.select("*", *nothing)


def _times(events: Frame) -> list[str]:
    """When each version holds, and when its event was decided, where that is told apart."""
    return ["known_at", "superseded_at", *([DECIDED_AT] if DECIDED_AT in names(events) else [])]


def _that_count(features: WindowFeatures, labels: Any) -> Frame:
    """The labels that some aggregate counts, their columns named by LABEL."""
    functions: Any = pl
    if not isinstance(labels, pl.LazyFrame):
        from pyspark.sql.connect import functions
    theirs = [functions.col(name).alias(LABEL + name) for name in features.label_columns]
    rows: Frame = labels.filter(_needed(features, functions)).select(features.id, *_fact(features), *theirs)
    return rows


def _needed(features: WindowFeatures, functions: Any) -> Any:
    """Condition of labels that some aggregate counts: usually only the rare positive ones.

    functions: of the engine or of Polars, which share the names used here.
    """
    condition = functions.lit(False)
    for aggregate in (aggregate for aggregate in features.read if aggregate.of == "labels"):
        where = (str(aggregate.column), True) if aggregate.function == "rate" else aggregate.where
        counts = functions.lit(True)
        for equal in (asked for asked in conditions(where) if asked.comparison == "=="):
            counts &= functions.col(equal.column) == functions.lit(equal.value)
        condition |= counts
    return condition


def micros(moment: datetime) -> int:
    """Microseconds since 1970."""
    return (moment - EPOCH) // timedelta(microseconds=1)


def _instant(micros: int) -> datetime:
    return EPOCH + timedelta(microseconds=micros)
