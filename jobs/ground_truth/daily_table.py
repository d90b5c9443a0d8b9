"""Tables of figures by day that are written again where something about a day changed, and nowhere else."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any, TypeAlias

import numpy as np
import polars as pl
import pyarrow as pa

from jobs.ground_truth.performance import ScoredEvents
from jobs.lakehouse.tables import PARTITION, Lakehouse, of_days
from jobs.problem import Problem
from jobs.times import day_number, microseconds, numbered_day

Figures: TypeAlias = Callable[[ScoredEvents, AbstractSet[int]], Iterable[Mapping[str, Any]]]
"""The rows of some days, as days since 1970."""


@dataclass(frozen=True)
class DailyTable:
    """A table partitioned by the day of events."""

    name: str
    schema: pa.Schema
    figures: Figures

    def record(self, lakehouse: Lakehouse, problem: Problem, scored: ScoredEvents) -> Recorded:
        """Bring the table to what is known at `scored.as_of`; one that knows a later moment is left as it is."""
        as_of = scored.as_of
        with lakehouse.lock(self.name):
            last = lakehouse.state(self.name)
            if last and datetime.fromisoformat(last["as_of"]) > as_of:
                return Recorded(lakehouse.version(self.name), (), ahead=True)
            now = fingerprints(scored, problem)
            before: Mapping[str, str] = last.get("days", {})
            changed = {day for day, digest in now.items() if before.get(str(day)) != digest}
            if not changed:
                return Recorded(lakehouse.version(self.name), ())
            found = self.figures(scored, {day_number(day) for day in changed})
            rows = pa.Table.from_pylist(list(found), schema=self.schema)
            days = {str(day): digest for day, digest in now.items()}
            version = lakehouse.write(
                self.name, rows, mode="overwrite", schema=self.schema, replace_where=of_days(sorted(changed)),
                partition_by=[PARTITION], state={"as_of": as_of.astimezone(UTC).isoformat(), "days": days},
            )  # fmt: skip
        return Recorded(version, tuple(sorted(changed)))

    def read(self, lakehouse: Lakehouse, since: date, metrics: list[str] | None = None) -> pl.DataFrame:
        """Its rows from a day on, in the order of its columns up to the metric; no rows if there is no table."""
        if not lakehouse.exists(self.name):
            return pl.DataFrame(self.schema.empty_table())
        filters: list[Any] = [(PARTITION, ">=", since), *([("metric", "in", metrics)] if metrics else [])]
        order = self.schema.names[: self.schema.names.index("metric") + 1]
        return pl.DataFrame(lakehouse.to_arrow(self.name, filters=filters)).sort(*order)


@dataclass(frozen=True)
class Recorded:
    """Outcome of bringing a table up to date."""

    version: int | None
    """Delta version of the table; None if there is no table."""
    days: tuple[date, ...]
    """Days that were written."""
    ahead: bool = False
    """Whether the table holds a later moment and was left as it is."""


def fingerprints(scored: ScoredEvents, problem: Problem) -> dict[date, str]:
    """Day -> hash of all that its figures depend on, in whatever order rows come. Label maturity enters in hundredths,
    as it moves a little every evening."""
    past = scored.rows(scored.times <= microseconds(scored.as_of))
    rows = pl.DataFrame(
        {
            **_scores(past),
            **_decided(past),
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


def _decided(past: ScoredEvents) -> dict[str, Any]:
    if past.decided is None:
        return {}
    return {"arm": past.decided.arms, "alert": past.decided.alerts, "block": past.decided.blocks}


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
