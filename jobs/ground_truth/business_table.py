"""What decisions came to in terms of the business, `{use_case}_monitoring.business`: a row per day, arm, model version,
slice and metric.

Load of review and blocks are final as soon as a day is over; what was stopped, missed and earned is provisional until
the truth is in (`judged`). Tasks that decide nothing have the metrics of their task instead, by arm.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from typing import Any

import numpy as np
import pyarrow as pa

from jobs.arrays import Ints
from jobs.ground_truth.daily_table import DailyTable
from jobs.ground_truth.label_maturity import MATURE
from jobs.ground_truth.performance import DecidedArms, ScoredEvents, metrics_of, parts, windows
from jobs.lakehouse.tables import PARTITION
from jobs.problem import Problem, Review
from jobs.times import microseconds, numbered_day
from jobs.use_case import UseCase

SCHEMA = pa.schema(
    {
        PARTITION: pa.date32(),
        "arm": pa.string(),
        "model_version": pa.int64(),
        "slice": pa.string(),
        "metric": pa.string(),
        "value": pa.float64(),
        "rows": pa.int64(),
        "label_maturity": pa.float64(),
        "judged": pa.bool_(),
    }
)
DESCRIPTIONS = {
    PARTITION: "UTC day of the events.",
    "arm": "'champion', or whose turn it was in which rollout.",
    "model_version": "Version in the registry of the model that scored them.",
    "slice": "'all', or a declared slice.",
    "metric": "Name of the figure (docs/monitoring/business.md).",
    "value": "Its value: a number of events, or money in the unit of the amounts.",
    "rows": "Number of events that were decided.",
    "label_maturity": "Expected share (0 to 1) of the day's truth that is in.",
    "judged": "False: figures that need outcomes are provisional, as too little of the truth is in.",
}
LIVE = ("to_review", "blocked")
"""Figures that need no outcomes."""


def of(use_case: UseCase, problem: Problem) -> DailyTable:
    """The table of a use case."""

    def figures(scored: ScoredEvents, days: AbstractSet[int]) -> Iterator[Mapping[str, Any]]:
        return business(scored, problem.review, days)

    return DailyTable(f"{use_case.name}_monitoring.business", SCHEMA, figures)


def business(scored: ScoredEvents, review: Review | None, days: AbstractSet[int]) -> Iterator[Mapping[str, Any]]:
    """The figures of some days (days since 1970), as rows of SCHEMA."""
    past = scored.rows(scored.times <= microseconds(scored.as_of))
    arms = np.zeros(len(past)) if past.decided is None else past.decided.arms
    for arm in np.unique(arms):
        of_arm = np.flatnonzero(arms == arm)
        for day, version, places in windows(past.rows(of_arm), 1, days):
            for name, some in parts(past, of_arm[places]):
                same = {PARTITION: numbered_day(day), "arm": str(arm), "model_version": int(version), "slice": name}
                yield from _rows(same, past, some, review)


def _rows(
    same: Mapping[str, Any], past: ScoredEvents, places: Ints, review: Review | None
) -> Iterator[Mapping[str, Any]]:
    # How far reporting has come is known from all events: a few of them may have had no report for long.
    mature, rows = float(past.shares[places].mean()), past.rows(places)
    more = {"rows": len(rows), "label_maturity": mature, "judged": mature >= MATURE}
    decided = rows.decided
    measured = metrics_of(rows, None) if review is None or decided is None else _of_review(rows, decided, review)
    for metric, value in measured.items():
        yield {**same, "metric": metric, "value": value, **more}


def _of_review(rows: ScoredEvents, decided: DecidedArms, review: Review) -> dict[str, float]:
    """Of money only where amounts are declared."""
    positive, alerts, blocks = rows.reported, decided.alerts, decided.blocks
    figures = {
        "to_review": float((alerts & ~blocks).sum()),
        "blocked": float(blocks.sum()),
        "stopped": float((alerts & positive).sum()),
        "missed": float((~alerts & positive).sum()),
        "false_alarms": float((alerts & ~blocks & ~positive).sum()),
        "false_blocks": float((blocks & ~positive).sum()),
    }
    if rows.amounts is None:
        return figures
    stopped = float(rows.amounts[alerts & positive].sum())
    return figures | {
        "stopped_money": stopped,
        "missed_money": float(rows.amounts[~alerts & positive].sum()),
        "earned_money": stopped - review.cost * float(alerts.sum()),
    }
