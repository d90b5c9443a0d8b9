"""Whether monitoring sees what it has to see: the latest day, every day that was scored, truth that comes in time.

What monitoring finds is judged where it is found; here is whether it can be relied on.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from jobs.checks.check import Check, Outcome
from jobs.lakehouse.tables import Lakehouse
from jobs.ledger import promotions
from jobs.use_case import UseCase

if TYPE_CHECKING:
    from jobs.ground_truth.labelled_scores import LabelledEvents
    from jobs.retraining.decisions import RecordedDecision
    from jobs.retraining.monitor import DailyEvidence
    from jobs.retraining.predecessor import PredecessorComparison

ENOUGH_REPORTS, ENOUGH_ESTIMATES = 30, 5
SMALLEST_SHARE_IN_TIME = 0.75
"""Of reports within the declared maturity. The others are taken for negatives until they come."""
DEVIATIONS = 4.0
"""Half of the estimates are off by less, or their deviations mean nothing."""

REPORTS_IN_TIME = Check(
    "reports_in_time",
    "Reports come within the declared maturity of labels, from which on an event without one counts as negative.",
    severity="warning",
)
SCORED_DAYS_MEASURED = Check(
    "scored_days_measured", "Every day that was scored has a measured performance, and each metric is a number."
)
ESTIMATES_HOLD = Check(
    "estimates_hold",
    "What was expected of days lay within the noise that it promised, once their truth was in.",
    severity="warning",
)
EVIDENCE_OF_LATEST_DAY = Check(
    "evidence_of_latest_day", "Drift in the evidence was measured on the latest day with events."
)
LATEST_DAY_MEASURED = Check("latest_day_measured", "Drift was measured on the latest day that was scored.")
REPORT_OF_LATEST_DAY = Check(
    "report_of_latest_day", "The report is of the latest day on which drift was measured, and small enough to open."
)
LARGEST_REPORT = 20_000_000
"""Bytes."""
CHAMPION_HOLDS = Check(
    "champion_holds", "The champion is not worse than its predecessor beyond noise.", severity="warning"
)
TRAININGS_END = Check(
    "trainings_end", "The training that was decided on last left a result, or may still do so.", severity="warning"
)


def reports_in_time(use_case: UseCase, labelled: LabelledEvents) -> Outcome:
    """REPORTS_IN_TIME by the delay that was learned from the reports so far."""
    delay, days = labelled.delay, use_case.label_maturity / timedelta(days=1)
    if delay.reports < ENOUGH_REPORTS:
        return REPORTS_IN_TIME.not_judged(f"{delay.reports} reports so far, {ENOUGH_REPORTS} are needed")
    share = float(delay.share(days))
    return REPORTS_IN_TIME.outcome(
        share >= SMALLEST_SHARE_IN_TIME,
        f"at least {SMALLEST_SHARE_IN_TIME:.0%} of reports within {days:g} days",
        f"{share:.1%} of {delay.reports:,}",
        reports=delay.reports, share=share,
    )  # fmt: skip


def scored_days_measured(scored: Collection[date], measured: pl.DataFrame) -> Outcome:
    """SCORED_DAYS_MEASURED of the rows of all slices together (`jobs.ground_truth.performance_table`)."""
    lacking = sorted(set(scored) - set(measured["event_date"].to_list()))
    odd = measured.filter(pl.col("value").is_infinite() | pl.col("value").is_nan()).height
    found = f"{len(lacking)} without{f', the last {lacking[-1]}' if lacking else ''}, and {odd} values that are none"
    return SCORED_DAYS_MEASURED.outcome(
        not lacking and not odd, f"performance of {len(scored)} days", found, days=len(scored), lacking=len(lacking),
        odd_values=odd,
    )  # fmt: skip


def estimates_hold(due: pl.DataFrame) -> Outcome:
    """ESTIMATES_HOLD of estimates whose truth is in: columns expected, deviation, trusted, value."""
    trusted = due.filter("trusted")
    if trusted.height < ENOUGH_ESTIMATES:
        return ESTIMATES_HOLD.not_judged(f"{trusted.height} trusted estimates came due, {ENOUGH_ESTIMATES} are needed")
    off = (trusted["expected"] - trusted["value"]).abs() / trusted["deviation"].clip(lower_bound=1e-6)
    median = float(np.median(off.to_numpy()))
    return ESTIMATES_HOLD.outcome(
        median <= DEVIATIONS,
        f"half of {trusted.height} estimates within {DEVIATIONS:g} deviations",
        f"half of them within {median:.2f}",
        estimates=trusted.height, median_deviations=median,
    )  # fmt: skip


def evidence_of_latest_day(
    lakehouse: Lakehouse, use_case: UseCase, as_of: datetime, evidence: DailyEvidence
) -> Outcome:
    """EVIDENCE_OF_LATEST_DAY."""
    if not evidence.versions.get("champion"):
        return EVIDENCE_OF_LATEST_DAY.not_judged("no champion yet")
    if evidence.reference is None:
        return EVIDENCE_OF_LATEST_DAY.not_judged(evidence.note or "there is no reference yet")
    before = [day for day in lakehouse.files_by_day(use_case.events) if day and day < as_of.date()]
    yesterday = as_of.date() - timedelta(days=1)
    if max(before, default=None) != yesterday:
        return EVIDENCE_OF_LATEST_DAY.not_judged(f"there are no events of {yesterday}")
    champion = promotions.champion(lakehouse.settings, use_case, as_of)
    if champion is not None and champion.since > as_of - timedelta(days=1):
        return EVIDENCE_OF_LATEST_DAY.not_judged(f"version {champion.version} has decided no whole day yet")
    found = str(evidence.drift.day) if evidence.drift else "none"
    return EVIDENCE_OF_LATEST_DAY.outcome(found == str(yesterday), f"drift of {yesterday}", f"drift of {found}")


def latest_day_measured(scored: Sequence[date], measured: date, as_of: datetime) -> Outcome:
    """LATEST_DAY_MEASURED.

    Args:
        scored: days, in order; one that is not over at `as_of` is not asked for.
    """
    over = [day for day in scored if day < as_of.date()]
    if not over:
        return LATEST_DAY_MEASURED.not_judged("no day that was scored is over")
    return LATEST_DAY_MEASURED.outcome(measured >= over[-1], f"drift of {over[-1]}", f"drift of {measured}")


def report_of_latest_day(report: Path, measured: Sequence[date]) -> Outcome:
    """REPORT_OF_LATEST_DAY of a drawn report.

    Args:
        measured: days that drift was measured on, in order; none where that is not known any more.
    """
    size, day = report.stat().st_size, report.stem
    expected = str(measured[-1]) if measured else day
    return REPORT_OF_LATEST_DAY.outcome(
        day == expected and 0 < size <= LARGEST_REPORT,
        f"the report of {expected}, of at most {LARGEST_REPORT / 1e6:.0f} MB",
        f"that of {day}, of {size / 1e6:.1f} MB",
        bytes=size,
    )


def champion_holds(comparison: PredecessorComparison) -> Outcome:
    """CHAMPION_HOLDS."""
    if comparison.present is None or comparison.former is None:
        return CHAMPION_HOLDS.not_judged(comparison.message)
    return CHAMPION_HOLDS.outcome(
        not comparison.worse,
        "no better predecessor",
        f"average precision {comparison.present:.4f}, of the predecessor {comparison.former:.4f}",
        positives=comparison.positives,
    )


def trainings_end(rows: Sequence[RecordedDecision], now: datetime) -> Outcome:
    """TRAININGS_END of all decisions, oldest first."""
    asked = [row for row in rows if row.decision.retrain]
    if not asked:
        return TRAININGS_END.not_judged("no training was decided on yet")
    last = asked[-1]
    state = "is under way" if last.waits(now) else "left no result" if last.open else last.result or "has ended"
    return TRAININGS_END.outcome(
        not last.open or last.waits(now),
        f"a result of the training as of {last.decision.as_of:%Y-%m-%d %H:%M}",
        f"that it {state}" if last.open else f"it: {state}",
    )
