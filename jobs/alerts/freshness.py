"""Predictions later than their deadline and stale features: facts of the tables, and the alerts that follow.

Only for a use case that is alive: a history has no deadlines. For sending see `jobs.alerts.outbox`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from itertools import groupby

import polars as pl

from jobs.alerts.outbox import Alert
from jobs.lakehouse.tables import PARTITION, Lakehouse
from jobs.ledger import promotions
from jobs.scoring import prediction_log
from jobs.times import end_of
from jobs.use_case import UseCase

PREDICTIONS, FEATURES = "late_predictions", "stale_features"
"""Kinds of alerts."""
DAY = timedelta(days=1)
LOOK_BACK = 31 * DAY
"""Days that ended before this time are not expected to be scored."""


@dataclass(frozen=True)
class FreshnessFacts:
    """What the tables of a use case hold."""

    events: frozenset[date] = frozenset()
    """Days with events."""
    scored: frozenset[date] = frozenset()
    """Days with nightly predictions."""
    champion_since: datetime | None = None
    """Start of the first champion: days before it had no model to be scored by."""
    features: Mapping[str, date | None] = field(default_factory=dict)
    """Feature table -> its newest day (None: empty); tables that do not exist are left out."""


def read(lakehouse: Lakehouse, use_case: UseCase) -> FreshnessFacts:
    """The facts as they are now, from table metadata alone: no engine, no data file."""
    champions = promotions.history(lakehouse.settings, use_case) if use_case.problem else []
    tables = [use_case.window_table(windows) for windows in use_case.windows]
    return FreshnessFacts(
        events=event_days(lakehouse, use_case),
        scored=scored_days(lakehouse, use_case),
        champion_since=champions[0].since if champions else None,
        features={table: max(_days(lakehouse, table), default=None) for table in tables if lakehouse.exists(table)},
    )


def event_days(lakehouse: Lakehouse, use_case: UseCase) -> frozenset[date]:
    """Days with events, by the log of their table."""
    return _days(lakehouse, use_case.events)


def scored_days(lakehouse: Lakehouse, use_case: UseCase) -> frozenset[date]:
    """Days with nightly predictions, by the log of their table."""
    return _days(lakehouse, prediction_log.table(use_case), prediction_log.NIGHTLY)


def _days(lakehouse: Lakehouse, table: str, origin: str | None = None) -> frozenset[date]:
    """Daily partitions that hold rows (of this `origin`, as far as file statistics tell)."""
    if not lakehouse.exists(table):
        return frozenset()
    # Not by pyarrow, which imports pandas to compare with a value, half a second of `evergreen status`.
    actions = pl.DataFrame(lakehouse.snapshot(table).get_add_actions(flatten=True))
    may_hold_rows = (pl.col("num_records") > 0).fill_null(True)
    if origin is not None and "min.origin" in actions.columns:
        between = (pl.col("min.origin") <= origin) & (pl.col("max.origin") >= origin)
        may_hold_rows &= between.fill_null(True)
    return frozenset(actions.filter(may_hold_rows)[f"partition.{PARTITION}"])


def expected(facts: FreshnessFacts, due: timedelta, as_of: datetime) -> list[date]:
    """Days whose predictions are due at `as_of`, oldest first.

    A day without events has none, which is known once a later day has some; until then it is expected like any other.
    """
    if facts.champion_since is None:
        return []
    last = (as_of - due).astimezone(UTC).date() - DAY
    days = [last - n * DAY for n in range(LOOK_BACK.days, -1, -1)]
    newest = max(facts.events, default=date.min)
    return [d for d in days if end_of(d) >= facts.champion_since and (d in facts.events or d > newest)]


def stretches(expected: Sequence[date], scored: frozenset[date]) -> list[list[date]]:
    """Runs of expected days that are not scored, with no scored one between."""
    runs = groupby(expected, key=lambda day: day in scored)
    return [list(days) for done, days in runs if not done]


def late_predictions(
    use_case: UseCase, facts: FreshnessFacts, as_of: datetime, open_days: Sequence[str] = ()
) -> list[Alert]:
    """An alert per stretch of late days, whose subject is its first day.

    Args:
        open_days: subjects of the alerts that are open. A stretch whose first days were scored meanwhile, or that grew,
            keeps its old subject: recovering day by day raises no new alert.
    """
    if use_case.problem is None:
        return []
    late = stretches(expected(facts, use_case.problem.predictions_due, as_of), facts.scored)
    late_days = {str(days[0]) for days in late}
    alerts = []
    for days in late:
        earlier = [s for s in open_days if s < str(days[0]) and s not in late_days]
        subject = str(days[0]) if str(days[0]) in open_days or not earlier else max(earlier)
        late_days.add(subject)
        alerts.append(_late(use_case, use_case.problem.predictions_due, days, subject, as_of))
    return alerts


def _late(use_case: UseCase, due: timedelta, days: Sequence[date], subject: str, as_of: datetime) -> Alert:
    many = f" and {len(days) - 1} later days" if len(days) > 1 else ""
    message = (
        f"Predictions of {use_case.name} for {days[0]}{many} were expected {_hours(due)} after the day's end, but are "
        "not in the prediction log: look at the last nightly runs, and materialize batch_predictions of these days."
    )
    evidence = {"days": [str(day) for day in days], "due_hours": due / timedelta(hours=1)}
    return Alert(use_case.name, PREDICTIONS, subject, message, "error", as_of, evidence)


def stale_features(use_case: UseCase, facts: FreshnessFacts, as_of: datetime) -> list[Alert]:
    """One alert for all feature tables that are stale: what feeds them is mostly the same. Empty tables never are."""
    ends = {table: end_of(day) for table, day in facts.features.items() if day is not None}
    stale = {table: end for table, end in ends.items() if as_of - end >= use_case.features_fresh}
    if not stale:
        return []
    oldest = min(stale, key=lambda table: stale[table])
    more = f" ({len(stale)} of {len(facts.features)} feature tables are stale)" if len(stale) > 1 else ""
    message = (
        f"Features of {use_case.name} were expected to be younger than {_hours(use_case.features_fresh)}, but the "
        f"newest day in {oldest} is {facts.features[oldest]}{more}: look whether raw data arrives and runs succeed."
    )
    evidence = {"newest_day": {table: str(facts.features[table]) for table in sorted(stale)}}
    return [Alert(use_case.name, FEATURES, use_case.feature_service, message, "warning", as_of, evidence)]


def _hours(span: timedelta) -> str:
    return f"{span / timedelta(hours=1):g} hours"
