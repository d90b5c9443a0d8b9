"""The table of performance, `{use_case}_monitoring.performance`: a row per day, model version, slice and metric.

How performance is measured is in `jobs.ground_truth.performance`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from typing import Any

import pyarrow as pa

from jobs.ground_truth.daily_table import DailyTable
from jobs.ground_truth.performance import Performance, ScoredEvents, performance
from jobs.lakehouse.tables import PARTITION
from jobs.problem import Problem
from jobs.times import numbered_day
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


def of(use_case: UseCase, problem: Problem) -> DailyTable:
    """The table of a use case."""

    def figures(scored: ScoredEvents, days: AbstractSet[int]) -> Iterator[Mapping[str, Any]]:
        for measured in performance(scored, problem.review, only=days):
            yield from _rows(measured)

    return DailyTable(f"{use_case.name}_monitoring.performance", SCHEMA, figures)


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
