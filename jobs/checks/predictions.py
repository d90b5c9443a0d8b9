"""Whether the predictions of some nights may be given to people: one per event, each a probability."""

from __future__ import annotations

from collections.abc import Collection
from datetime import date, datetime

import polars as pl

from jobs.checks import rows_of_events
from jobs.checks.check import Check, Outcome
from jobs.checks.rows_of_events import NO_FUTURE, ROWS_EQUAL_EVENTS, EventRows
from jobs.lakehouse.tables import PARTITION, Lakehouse
from jobs.scoring import prediction_log
from jobs.scoring.decided_columns import SCORE
from jobs.scoring.prediction_log import NIGHTLY
from jobs.use_case import UseCase

ENOUGH_ROWS = 50
"""Fewer events may well get the same score."""
SCORES_IN_RANGE = Check(
    "scores_in_range", "Each score is a number from 0 to 1; a prediction of a number is finite.", blocking=True
)
SCORES_VARY = Check("scores_vary", "Events do not all get the same score.")
CHECKS = (ROWS_EQUAL_EVENTS, NO_FUTURE, SCORES_IN_RANGE, SCORES_VARY)


def judge(lakehouse: Lakehouse, use_case: UseCase, days: Collection[date], as_of: datetime) -> list[Outcome]:
    """The outcomes of CHECKS for the latest of the `days` that a champion scored."""
    log, nightly = prediction_log.table(use_case), ("origin", "=", NIGHTLY)
    if not days or not lakehouse.exists(log):
        why = "no champion that could score these days" if not days else "no event of these days"
        return [check.not_judged(why) for check in CHECKS]
    rows = EventRows(log, use_case.event_timestamp, only=(nightly,), is_nightly=True)
    chosen = rows_of_events.recent(lakehouse, log, list(days))
    of_days = [(PARTITION, "in", chosen), nightly]
    scores = pl.DataFrame(lakehouse.to_arrow(log, columns=[SCORE], filters=of_days))[SCORE]
    in_range = _in_range(scores, use_case.problem is not None and use_case.problem.task == "regression")
    return [*rows_of_events.judge(lakehouse, use_case, rows, as_of, list(days)), in_range, _vary(scores)]


def _in_range(scores: pl.Series, unbounded: bool) -> Outcome:
    if scores.is_empty():
        return SCORES_IN_RANGE.not_judged("no event of these days")
    missing = scores.null_count() + int(scores.is_nan().sum())
    allowed = scores.is_finite() if unbounded else scores.is_between(0, 1)
    outside = int((scores.is_not_nan() & ~allowed).sum())
    return SCORES_IN_RANGE.outcome(
        not missing and not outside,
        "finite numbers" if unbounded else "scores from 0 to 1",
        f"{outside:,} outside and {missing:,} that are no number, of {scores.len():,}",
        rows=scores.len(), outside=outside, missing=missing,
    )  # fmt: skip


def _vary(scores: pl.Series) -> Outcome:
    if scores.len() < ENOUGH_ROWS:
        return SCORES_VARY.not_judged(f"{scores.len()} events, fewer than {ENOUGH_ROWS}")
    different = scores.n_unique()
    found = f"{different:,} among {scores.len():,} events"
    return SCORES_VARY.outcome(different > 1, "different scores", found, rows=scores.len(), different=different)
