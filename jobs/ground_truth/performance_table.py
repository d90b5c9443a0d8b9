"""Performance as it is kept: `{use_case}_monitoring.performance`, a row per day, model version, slice and metric.

Days are written again when something about them changed: a score, a label, how much of their truth is in, or how they
are measured. What the numbers mean is in `jobs.ground_truth.performance`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

import polars as pl
import pyarrow as pa

from jobs.ground_truth.performance import Performance, ScoredEvents, performance
from jobs.lakehouse.tables import PARTITION, Lakehouse, of_days
from jobs.problem import Problem
from jobs.times import day_number, microseconds, numbered_day
from jobs.use_case import UseCase

SCHEMA = pa.schema(
    {
        PARTITION: pa.date32(),
        "model_version": pa.int64(),
        "slice": pa.string(),
        "metric": pa.string(),
        "value": pa.float64(),
        "rows": pa.int64(),
        "positives": pa.int64(),
        "label_maturity": pa.float64(),
        "judged": pa.bool_(),
    }
)
DESCRIPTIONS = {
    PARTITION: "UTC day of the events.",
    "model_version": "Version in the registry of the model that scored them.",
    "slice": "'all', or a declared slice.",
    "value": "Null where the metric is undefined, such as a ranking without positives.",
    "positives": "Known so far.",
    "label_maturity": "Expected share of the day's truth that is in.",
    "judged": "False: provisional, as too little of the truth is in.",
}


@dataclass(frozen=True)
class Recorded:
    """What became of a look at the log."""

    version: int | None
    """Delta version of the table, if there is one."""
    days: tuple[date, ...]
    """That were written."""
    ahead: bool = False
    """The table knows a later moment and was left alone."""


def table(use_case: UseCase) -> str:
    return f"{use_case.name}_monitoring.performance"


def record(lakehouse: Lakehouse, use_case: UseCase, problem: Problem, scored: ScoredEvents) -> Recorded:
    """Bring the table to what is known at `scored.as_of`. An earlier moment than the last one writes nothing."""
    name, as_of = table(use_case), scored.as_of
    with lakehouse.lock(name):
        last = lakehouse.state(name)
        if last and datetime.fromisoformat(last["as_of"]) > as_of:
            return Recorded(lakehouse.version(name), (), ahead=True)
        now = fingerprints(scored, problem)
        before: Mapping[str, str] = last.get("days", {})
        changed = {day for day, print_ in now.items() if before.get(str(day)) != print_}
        if not changed:
            return Recorded(lakehouse.version(name), ())
        numbers = {day_number(day) for day in changed}
        measured = performance(scored, problem.review, only=numbers)
        rows = pa.Table.from_pylist([row for each in measured for row in _rows(each)], schema=SCHEMA)
        state = {"as_of": as_of.astimezone(UTC).isoformat(), "days": {str(day): print_ for day, print_ in now.items()}}
        version = lakehouse.write(
            name, rows, mode="overwrite", schema=SCHEMA, replace_where=of_days(sorted(changed)),
            partition_by=[PARTITION], state=state,
        )  # fmt: skip
    return Recorded(version, tuple(sorted(changed)))


def fingerprints(scored: ScoredEvents, problem: Problem) -> dict[date, str]:
    """Of each day a hash of all that its performance follows from; label maturity in hundredths, as it moves a little
    every evening. Rows may come in any order."""
    past = scored.rows(scored.times <= microseconds(scored.as_of))
    rows = pl.DataFrame(
        {
            "score": past.scores,
            "version": past.versions,
            "entity": past.entities,
            "amount": past.amounts,
            "positive": past.reported,
            **{f"slice {name}": mask for name, mask in past.slices.items()},
        }
    )
    days = pl.DataFrame({"day": past.days, "row": rows.hash_rows(seed=0), "share": past.shares})
    kept = days.group_by("day").agg(pl.col("row").sum(), pl.len(), pl.col("share").mean().round(2)).sort("day")
    return {numbered_day(day): _digest(repr((more, problem.review, sorted(past.slices)))) for day, *more in kept.rows()}


def read(lakehouse: Lakehouse, use_case: UseCase, since: date, metrics: list[str] | None = None) -> pl.DataFrame:
    """The table's rows from a day on, by day; no rows if there is no table."""
    name = table(use_case)
    if not lakehouse.exists(name):
        return pl.DataFrame(SCHEMA.empty_table())
    wanted: list[Any] = [(PARTITION, ">=", since), *([("metric", "in", metrics)] if metrics else [])]
    return pl.DataFrame(lakehouse.to_arrow(name, filters=wanted)).sort(PARTITION, "model_version", "slice", "metric")


def _rows(found: Performance) -> Iterator[dict[str, Any]]:
    same = {
        PARTITION: numbered_day(found.day),
        "model_version": int(found.version),
        "slice": found.slice,
        "rows": found.rows,
        "positives": found.positives,
        "label_maturity": found.label_maturity,
        "judged": found.judged,
    }
    for metric, value in found.metrics.items():
        yield {**same, "metric": metric, "value": value}


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
