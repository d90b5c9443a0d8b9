"""The table of performance, `{use_case}_monitoring.performance`: a row per day, model version, slice and metric.

Days are written again when something about them changed: a score, a label, how much of their truth is in, or how they
are measured. How performance is measured is in `jobs.ground_truth.performance`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

import numpy as np
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
    "metric": "Name of the metric, such as average_precision (docs/monitoring/ground-truth.md).",
    "value": "Value of the metric, a share of 0 to 1, or money for money_saved; null where it is undefined, such as a "
    "ranking without positives.",
    "rows": "Number of events that were scored.",
    "positives": "Number of positive labels that are known so far.",
    "label_maturity": "Expected share (0 to 1) of the day's truth that is in.",
    "judged": "False: provisional, as too little of the truth is in.",
}


@dataclass(frozen=True)
class Recorded:
    """Outcome of bringing the table up to date."""

    version: int | None
    """Delta version of the table; None if there is no table."""
    days: tuple[date, ...]
    """Days that were written."""
    ahead: bool = False
    """Whether the table holds a later moment and was left as it is."""


def table(use_case: UseCase) -> str:
    return f"{use_case.name}_monitoring.performance"


def record(lakehouse: Lakehouse, use_case: UseCase, problem: Problem, scored: ScoredEvents) -> Recorded:
    """Bring the table to what is known at `scored.as_of`; nothing is written for an earlier moment than the last."""
    name, as_of = table(use_case), scored.as_of
    with lakehouse.lock(name):
        last = lakehouse.state(name)
        if last and datetime.fromisoformat(last["as_of"]) > as_of:
            return Recorded(lakehouse.version(name), (), ahead=True)
        now = fingerprints(scored, problem)
        before: Mapping[str, str] = last.get("days", {})
        changed = {day for day, digest in now.items() if before.get(str(day)) != digest}
        if not changed:
            return Recorded(lakehouse.version(name), ())
        numbers = {day_number(day) for day in changed}
        measured = performance(scored, problem.review, only=numbers)
        rows = pa.Table.from_pylist([row for each in measured for row in _rows(each)], schema=SCHEMA)
        state = {"as_of": as_of.astimezone(UTC).isoformat(), "days": {str(day): digest for day, digest in now.items()}}
        version = lakehouse.write(
            name, rows, mode="overwrite", schema=SCHEMA, replace_where=of_days(sorted(changed)),
            partition_by=[PARTITION], state=state,
        )  # fmt: skip
    return Recorded(version, tuple(sorted(changed)))


def fingerprints(scored: ScoredEvents, problem: Problem) -> dict[date, str]:
    """Day -> hash of all that its performance depends on, in whatever order rows come. Label maturity enters in
    hundredths, as it moves a little every evening."""
    past = scored.rows(scored.times <= microseconds(scored.as_of))
    rows = pl.DataFrame(
        {
            **_scores(past),
            "version": past.versions,
            "entity": past.entities,
            "amount": np.zeros(len(past)) if past.amounts is None else past.amounts,
            "positive": past.reported,
            **{f"slice {name}": mask for name, mask in past.slices.items()},
        }
    )
    days = pl.DataFrame({"day": past.days, "row": rows.hash_rows(seed=0), "share": past.shares})
    by_day = days.group_by("day").agg(pl.col("row").sum(), pl.len(), pl.col("share").mean().round(2)).sort("day")
    return {
        numbered_day(day): _digest(repr((more, problem.review, sorted(past.slices)))) for day, *more in by_day.rows()
    }


def _scores(past: ScoredEvents) -> dict[str, Any]:
    """Scores, and labels that are more than yes or no, as columns."""
    if past.values is None:
        return {"score": past.scores}
    scores = past.scores.reshape(len(past), -1)
    return {"value": past.values, **{f"score {n}": scores[:, n] for n in range(scores.shape[1])}}


def read(lakehouse: Lakehouse, use_case: UseCase, since: date, metrics: list[str] | None = None) -> pl.DataFrame:
    """The table's rows from a day on, by day; no rows if there is no table."""
    name = table(use_case)
    if not lakehouse.exists(name):
        return pl.DataFrame(SCHEMA.empty_table())
    filters: list[Any] = [(PARTITION, ">=", since), *([("metric", "in", metrics)] if metrics else [])]
    return pl.DataFrame(lakehouse.to_arrow(name, filters=filters)).sort(PARTITION, "model_version", "slice", "metric")


def _rows(measured: Performance) -> Iterator[dict[str, Any]]:
    same = {
        PARTITION: numbered_day(measured.day),
        "model_version": int(measured.version),
        "slice": measured.slice,
        "rows": measured.rows,
        "positives": measured.positives,
        "label_maturity": measured.label_maturity,
        "judged": measured.judged,
    }
    for metric, value in measured.metrics.items():
        yield {**same, "metric": metric, "value": value}


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
