"""The table of estimates, `{use_case}_monitoring.estimates`: what each evening expected of recent days.

Rows stay when the truth comes in, so that both can be compared. How estimates are made is in
`jobs.ground_truth.performance_estimate`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import TypeVar

import numpy as np
import polars as pl
import pyarrow as pa

from jobs.ground_truth.calibration_drift import calibration_drift
from jobs.ground_truth.concept_drift import NOT_JUDGED
from jobs.ground_truth.drift_windows import DriftTest
from jobs.ground_truth.held_out_scores import held_out
from jobs.ground_truth.label_maturity import MATURE
from jobs.ground_truth.labelled_scores import LabelledScores
from jobs.ground_truth.loss_estimate import LossCalibration, calibrate_losses, estimate_losses
from jobs.ground_truth.outcomes import Outcomes, RecentEvents
from jobs.ground_truth.performance_estimate import Calibration, Estimate, calibrate, estimate
from jobs.lakehouse.tables import PARTITION, Lakehouse
from jobs.problem import Problem
from jobs.registry.bundle import Bundle
from jobs.times import ages, microseconds, midnight, numbered_day
from jobs.use_case import UseCase

Labelled = TypeVar("Labelled", bound=LabelledScores)

CALIBRATED_ON = timedelta(days=42)
"""Age of the oldest events that are calibrated with (`jobs.ground_truth.performance_estimate.calibrate`)."""
TESTED_ON = timedelta(days=90)
"""Age of the oldest events that calibration drift is tested on."""
MADE_ON = "made_on"
SCHEMA = pa.schema(
    {
        MADE_ON: pa.date32(),
        PARTITION: pa.date32(),
        "model_version": pa.int64(),
        "metric": pa.string(),
        "expected": pa.float64(),
        "deviation": pa.float64(),
        "trusted": pa.bool_(),
        "positives": pa.int64(),
        "expected_positives": pa.float64(),
        "made_at": pa.timestamp("us", "UTC"),
    }
)
DESCRIPTIONS = {
    MADE_ON: "UTC day of the moment that the world was known at; a later look on the same day replaces an earlier one.",
    PARTITION: "UTC day of the events.",
    "model_version": "Version in the registry of the model that scored them.",
    "metric": "Name of the metric, such as average_precision (docs/monitoring/ground-truth.md).",
    "expected": "Expected value of the metric: a share of 0 to 1, money for money_saved, or a mean loss.",
    "deviation": "In the unit of `expected`: standard deviation over the labels that the day may turn out to have.",
    "trusted": "False after an alarm of concept or calibration drift, or if calibrated on too few positives.",
    "positives": "Number of positive labels known when the estimate was made; of numbers and classes, of labels.",
    "expected_positives": "Expected number of positive labels in all: known then and still to come.",
    "made_at": "The moment (as_of, UTC) that the world was known at.",
}


@dataclass(frozen=True)
class Expectation:
    """Estimates of the days whose truth is not in, and the tests that they depend on."""

    days: tuple[Estimate, ...]
    calibration: Calibration | LossCalibration
    concept: DriftTest
    calibration_drift: DriftTest


def table(use_case: UseCase) -> str:
    return f"{use_case.name}_monitoring.estimates"


def expect(
    lakehouse: Lakehouse,
    use_case: UseCase,
    problem: Problem,
    champion: tuple[int, Bundle],
    outcomes: Outcomes,
    concept: DriftTest,
) -> Expectation:
    """Estimates of the days that are not mature, of the rows that the champion decided.

    A champion that has decided for less than six weeks is calibrated on earlier events too, which it scores now.
    Calibration drift is tested on its own scores of events that it was not trained on. Of numbers and classes it is
    calibrated on what it decided, and calibration drift is concept drift, which compares labels of like scores.

    Args:
        concept: test for concept drift of all decisions, of whichever champion: it compares rows by their rank among
            the scores of their day.
    """
    (version, bundle), as_of = champion, outcomes.scored.as_of
    since = max(as_of - TESTED_ON, bundle.manifest.learned_until)
    decided = _since(outcomes.of_version(version).scored, since)
    if problem.task != "binary":
        losses = calibrate_losses(_since(decided, as_of - CALIBRATED_ON), use_case.label_maturity)
        young = _young(decided, outcomes.known.labelled.reported_until)
        return Expectation(estimate_losses(young, losses, (concept,)), losses, concept, NOT_JUDGED)
    recent = _with_held_out(lakehouse, use_case, bundle, outcomes.known, decided)
    drift = calibration_drift(recent)
    calibration = calibrate(_since(recent, as_of - CALIBRATED_ON))
    young = _young(decided, outcomes.known.labelled.reported_until)
    days = estimate(young, calibration, problem.capacity, (concept, drift))
    return Expectation(days, calibration, concept, drift)


def record(
    lakehouse: Lakehouse, use_case: UseCase, expected: Sequence[Estimate], version: int, as_of: datetime
) -> int | None:
    """Write what was expected at `as_of`. Returns the table's Delta version, None if there is no table."""
    rows = [
        {
            MADE_ON: as_of.astimezone(UTC).date(),
            PARTITION: numbered_day(day.day),
            "model_version": version,
            "metric": metric,
            "expected": value.mean,
            "deviation": value.deviation,
            "trusted": day.trusted,
            "positives": day.positives,
            "expected_positives": day.expected_positives,
            "made_at": as_of,
        }
        for day in expected
        for metric, value in day.metrics.items()
    ]
    name = table(use_case)
    if not rows:
        return lakehouse.version(name)
    with lakehouse.lock(name):
        return lakehouse.write(
            name,
            pa.Table.from_pylist(rows, schema=SCHEMA),
            mode="overwrite",
            schema=SCHEMA,
            replace_where=f"{MADE_ON} = date '{rows[0][MADE_ON]}'",
            partition_by=[MADE_ON],
        )


def read(lakehouse: Lakehouse, use_case: UseCase, since: date) -> pl.DataFrame:
    """Estimates of the days from `since` on, by day and by when they were made; no rows if there is no table."""
    name = table(use_case)
    if not lakehouse.exists(name):
        return pl.DataFrame(SCHEMA.empty_table())
    rows = lakehouse.to_arrow(name, filters=[(PARTITION, ">=", since), (MADE_ON, ">=", since)])
    return pl.DataFrame(rows).sort(PARTITION, MADE_ON, "metric")


def _since(rows: Labelled, moment: datetime) -> Labelled:
    return rows.rows(rows.times > microseconds(moment))


def _young(scored: Labelled, reported_until: int) -> Labelled:
    """Those of days that are not judged yet."""
    share = scored.delay.share(ages(scored.times, reported_until))
    _, day, counts = np.unique(scored.days, return_inverse=True, return_counts=True)
    of_day = np.bincount(day, weights=share) / counts
    return scored.rows(of_day[day] < MATURE)


def _with_held_out(
    lakehouse: Lakehouse, use_case: UseCase, bundle: Bundle, recent: RecentEvents, decided: LabelledScores
) -> LabelledScores:
    """Events that the champion decided, and earlier ones that it was not trained on.

    A champion that was restored has days between its own that another model decided: those, and earlier days, it scores
    now.
    """
    days, as_of = np.unique(decided.days), decided.as_of
    before_first = as_of
    if len(days):
        first = numbered_day(days[np.flatnonzero(np.diff(days, prepend=-2) > 1)[-1]])
        before_first = midnight(first) - timedelta(microseconds=1)
    decided = _since(decided, before_first)
    before = held_out(lakehouse, use_case, bundle, as_of - TESTED_ON, before_first)
    recent_places, held_out_places = recent.places(before.ids)
    earlier = recent.labelled.rows(recent_places)
    return LabelledScores(
        times=np.concatenate([earlier.times, decided.times]),
        scores=np.concatenate([before.scores[held_out_places], decided.scores]),
        known_at=np.concatenate([earlier.known_at, decided.known_at]),
        positive=np.concatenate([earlier.positive, decided.positive]),
        delay=decided.delay,
        as_of=as_of,
    )
