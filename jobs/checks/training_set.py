"""Whether a training set can be learned from: labels of both classes, as they were known, which no feature holds.

A sample of its days is read: leaks and wrong labels come with the code or the source, and so on all of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from math import sqrt
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa

from jobs.arrays import Bools
from jobs.checks import rows_of_events
from jobs.checks.check import Check, Outcome
from jobs.checks.rows_of_events import EventRows
from jobs.datasets.training_rows import features_in
from jobs.lakehouse.tables import PARTITION, Lakehouse
from jobs.models.label_shares import with_label_shares
from jobs.models.tables import features_of
from jobs.models.vectors import columns_of
from jobs.stats import label_leak
from jobs.tasks.catalog import task_of
from jobs.use_case import UseCase

SAMPLED_ROWS, SAMPLED_DAYS = 20_000, 8
"""Of mature days; one day is read in any case."""
NEGATIVES = 2_000
"""Among which a feature has to tell the positives before it is looked at among all."""
YOUNG_DAYS = 2
"""Latest days with rows, whose labels are not mature."""
SHARE_FACTOR, SHARE_DEVIATIONS = 4.0, 5.0
"""A share of positives has changed beyond both; small counts differ by more than a factor by chance."""
NO_LEAK = Check("no_leak", "No single feature tells the label too well to be true.")
LABEL_SHARE = Check(
    "label_share",
    "There are positives and negatives, and as many positives among the later rows as among the earlier ones.",
    severity="warning",
)
LABEL_MATURITY = Check(
    "label_maturity",
    "Labels are those known at as_of: positive if reported, negative if known as that or older than the maturity.",
)
CHECKS = (NO_LEAK, LABEL_SHARE, LABEL_MATURITY, rows_of_events.ROWS_ARE_EVENTS, rows_of_events.NO_FUTURE)


def judge(lakehouse: Lakehouse, use_case: UseCase, state: Mapping[str, Any]) -> list[Outcome]:
    """The outcomes of CHECKS.

    Args:
        state: what the training set was built from (`jobs.datasets.training_set`).
    """
    as_of = datetime.fromisoformat(state["as_of"])
    mature, young = _days(lakehouse, use_case, as_of)
    if not mature and not young:
        return [check.not_judged("the training set has no rows yet") for check in CHECKS]
    table = use_case.training_set
    names = features_in(use_case, table, lakehouse.schema(table), state["features"])
    rows = lakehouse.to_arrow(
        table,
        columns=list(
            dict.fromkeys([use_case.event_id, use_case.event_timestamp, use_case.label, PARTITION, *columns_of(names)])
        ),
        filters=[(PARTITION, "in", mature)],
    ).sort_by(use_case.event_timestamp)
    event_rows = EventRows(table, use_case.event_timestamp)
    return [
        *_of_labels(use_case, rows, names),
        _label_maturity(lakehouse, use_case, as_of, [*mature, *young]),
        *rows_of_events.judge_part(lakehouse, use_case, event_rows, as_of, [*mature, *young]),
    ]


def _of_labels(use_case: UseCase, rows: pa.Table, names: Sequence[str]) -> list[Outcome]:
    """NO_LEAK and LABEL_SHARE."""
    column = rows[use_case.label]
    if use_case.problem is None or use_case.problem.task == "binary":
        labels = column.to_numpy().astype(np.bool_)
        return [_no_leak(use_case, rows, labels, names), _label_share(labels)]
    task = task_of(use_case.problem).of_labels(column)
    encoded, numbers = task.encoded(column, use_case.label), {"rows": len(column)}
    features = with_label_shares(features_of(rows, names), encoded, names)
    told = task.suspicion(encoded, features, names, use_case.problem.telling)
    found = f"{task.informative(encoded).sum():,} {task.evidence} of {len(column):,} rows"
    return [
        NO_LEAK.outcome(not told, "no feature that nearly tells the label by itself", told or "none", **numbers),
        LABEL_SHARE.outcome(task.varied(encoded), "labels that differ", found, **numbers),
    ]


def _days(lakehouse: Lakehouse, use_case: UseCase, as_of: datetime) -> tuple[list[date], list[date]]:
    """A sample of the days whose labels are mature, evenly over the window, and the latest of the others."""
    files = pl.DataFrame(pa.table(lakehouse.snapshot(use_case.training_set).get_add_actions(flatten=True)))
    if f"partition.{PARTITION}" not in files.columns:
        return [], []
    by_day = files.group_by(pl.col(f"partition.{PARTITION}").alias("day")).agg(rows=pl.col("num_records").sum())
    by_day = by_day.filter(pl.col("rows") > 0).sort("day")
    is_mature = pl.col("day") <= (as_of - use_case.label_maturity).date() - timedelta(days=1)
    mature, young = by_day.filter(is_mature), by_day.filter(~is_mature)
    usual = mature["rows"].median() or 1
    count = max(1, min(SAMPLED_DAYS, mature.height, int(SAMPLED_ROWS / float(usual))))  # type: ignore[arg-type]
    places = np.linspace(0, mature.height - 1, count).round().astype(int)[: mature.height]
    return [mature["day"][int(place)] for place in places], young["day"].to_list()[-YOUNG_DAYS:]


def _no_leak(use_case: UseCase, rows: pa.Table, labels: Bools, names: Sequence[str]) -> Outcome:
    positives = int(labels.sum())
    numbers = {"rows": len(labels), "positives": positives, "features": len(names)}
    if positives < label_leak.FEWEST_POSITIVES or positives == len(labels):
        few = f"{positives:,} positives of {len(labels):,} rows; leaks are looked for from "
        return NO_LEAK.not_judged(f"{few}{label_leak.FEWEST_POSITIVES} on")
    accepted = use_case.problem.telling if use_case.problem else ()
    looked_at = [name for name in names if name not in accepted]
    # Whatever tells the positives among all negatives tells them among some, and that is found out faster.
    some = np.flatnonzero(labels | (np.cumsum(~labels) % max(1, (~labels).sum() // NEGATIVES) == 0))
    suspects = list(_telling(rows.take(some), labels[some], looked_at))
    leaks = _telling(rows, labels, suspects) if suspects else {}
    found = ", ".join(f"{name} alone with average precision {value:.4f}" for name, value in leaks.items())
    expected = "no feature that nearly tells the label by itself"
    return NO_LEAK.outcome(not leaks, expected, found or "none", **numbers, leaks=len(leaks))


def _telling(rows: pa.Table, labels: Bools, names: Sequence[str]) -> Mapping[str, float]:
    return label_leak.telling(labels, with_label_shares(features_of(rows, names), labels, names), names)


def _label_share(labels: Bools) -> Outcome:
    rows, positives = len(labels), int(labels.sum())
    numbers = {"rows": rows, "positives": positives}
    if not rows:
        return LABEL_SHARE.not_judged("no day of the window is mature yet")
    if positives in (0, rows):
        only = "negatives" if not positives else "positives"
        return LABEL_SHARE.outcome(False, "positives and negatives", f"{rows:,} rows, {only} only", **numbers)
    early, late = labels[: rows // 2], labels[rows // 2 :]
    pooled, ratio = positives / rows, _ratio(early, late)
    deviation = abs(early.mean() - late.mean()) / sqrt(pooled * (1 - pooled) * (1 / len(early) + 1 / len(late)))
    passed = ratio <= SHARE_FACTOR or deviation <= SHARE_DEVIATIONS
    return LABEL_SHARE.outcome(
        passed,
        f"shares of positives within a factor of {SHARE_FACTOR:g}",
        f"{early.mean():.3%} among the earlier rows, {late.mean():.3%} among the later ones",
        share=float(pooled), **numbers,
    )  # fmt: skip


def _ratio(early: Bools, late: Bools) -> float:
    low, high = sorted((early.mean(), late.mean()))
    return float(high / low) if low else float("inf")


def _label_maturity(lakehouse: Lakehouse, use_case: UseCase, as_of: datetime, days: Sequence[date]) -> Outcome:
    """Labels of some days against the reports, by the rule of `jobs.datasets.training_set`."""
    of_days = [(PARTITION, "in", list(days))]
    columns = [use_case.event_id, use_case.event_timestamp, use_case.label]
    rows = pl.DataFrame(lakehouse.to_arrow(use_case.training_set, columns=columns, filters=of_days))
    names = [use_case.event_id, use_case.label, "superseded_at"]
    known = pl.DataFrame(
        lakehouse.to_arrow(use_case.labels, columns=names, filters=[*of_days, ("known_at", "<=", as_of)])
    )
    holds = pl.col("superseded_at").is_null() | (pl.col("superseded_at") > as_of)
    known = known.filter(holds).select(use_case.event_id, pl.col(use_case.label).alias("reported"))
    found = rows.join(known, on=use_case.event_id, how="left")
    label, young = pl.col(use_case.label), pl.col(use_case.event_timestamp) > as_of - use_case.label_maturity
    unreported = pl.col("reported").is_null()
    problem, reported = use_case.problem, pl.col("reported")
    if problem is not None and problem.task == "multiclass":
        label, reported = label.cast(pl.String), reported.cast(pl.String)
    against = {"against_their_report": ~unreported & (label != reported)}
    if problem is None or problem.task == "binary":
        faults = {
            "positive_without_a_report": label & unreported,
            **against,
            "negative_before_their_time": ~label & unreported & young,
        }
    else:
        silent = unreported if problem.unlabelled is None else unreported & young
        faults = {**against, "labelled_without_a_report": silent}
    counts = found.select(fault.sum().alias(name) for name, fault in faults.items()).row(0, named=True)
    wrong = ", ".join(f"{count:,} {name.replace('_', ' ')}" for name, count in counts.items() if count)
    return LABEL_MATURITY.outcome(not wrong, "labels as known", wrong or "only such", rows=rows.height, **counts)
