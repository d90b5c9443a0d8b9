"""The evidence of a moment in production: what a replay's monitor would see, from the ledger and the history.

Nothing is remembered between two looks but the ledger and the tables, so that a look after a restart, or at a moment of
the past, shows what it would have shown then.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Any

import numpy as np

from jobs.datasets import history
from jobs.datasets.history import History
from jobs.lakehouse.tables import Lakehouse
from jobs.ledger import promotions
from jobs.ledger.promotions import Champion
from jobs.models.protocol import Model
from jobs.registry.champion_bundles import Champions
from jobs.retraining import decisions as retraining
from jobs.retraining.decisions import Row
from jobs.retraining.monitor import DailyEvidence, Monitor, remembered
from jobs.retraining.policy import Evidence, RetrainingDecision, Rules
from jobs.times import midnight
from jobs.use_case import UseCase

DAY = timedelta(days=1)


@dataclass(frozen=True)
class Period:
    """A model's time in production."""

    version: int
    sha256: str
    since: datetime
    changed_on: date | None
    """First day of the change that it was trained for, if it was."""


def evidence(
    lakehouse: Lakehouse, use_case: UseCase, champions: Champions, as_of: datetime
) -> tuple[Evidence, DailyEvidence]:
    """What is known at a moment, as the policy takes it, and what it was seen by.

    Raises:
        ValueError: there is no history, or the events lack a feature of the champion.
        LedgerUnreachable: the ledger does not answer.
    """
    seen = history.read(lakehouse, use_case)
    decided = [row for row in retraining.rows(lakehouse.settings, use_case) if row.decision.as_of <= as_of]
    # A night that was built again is decided about late.
    decided.sort(key=lambda row: row.decision.as_of)
    found = periods(lakehouse, use_case, decided, as_of)

    def model(period: Period) -> Model:
        return model_of(champions, use_case, period, seen.names)  # type: ignore[no-any-return]

    monitor = watched(seen, use_case, found, [row.decision for row in decided], as_of, model)
    reports = report_versions(lakehouse, use_case)
    versions = {**seen.versions, **reports, "champion": found[-1].version if found else 0}
    shown = replace(monitor.look(as_of), versions=versions)
    return replace(shown.evidence(as_of), in_production=bool(found)), shown


def report_versions(lakehouse: Lakehouse, use_case: UseCase) -> dict[str, int]:
    """Raw tables of what is reported about events, and their Delta versions."""
    told = [s for s in use_case.sources if any(r.endswith(f".{use_case.event_id}") for r in s.references.values())]
    found = lakehouse.versions([use_case.raw_table(source) for source in told])
    return {table: version for table, version in found.items() if version is not None}


def rows_since(lakehouse: Lakehouse, table: str, version: int | None) -> int:
    """Rows that a table gained since `version` (None: all), by its log."""
    then = 0 if version is None else lakehouse.row_count(table, version)
    return lakehouse.row_count(table) - then


def periods(lakehouse: Lakehouse, use_case: UseCase, rows: Sequence[Row], as_of: datetime) -> list[Period]:
    """Who was in production until `as_of`, and for which change each was trained, by these decisions; oldest first."""
    made = {row.model_version: row.decision.episode for row in rows if row.model_version is not None}
    known = [c for c in promotions.history(lakehouse.settings, use_case) if c.since <= as_of]
    return in_production(known, made, [row.decision for row in rows])


def in_production(
    champions: Sequence[Champion], made: Mapping[int, date | None], decisions: Sequence[RetrainingDecision]
) -> list[Period]:
    """Champions, oldest first, as periods: trained for a change, or restored while one was being learned.

    Args:
        made: version -> the change that it was trained for.
    """
    periods: list[Period] = []
    for c in champions:
        again = any(period.version == c.version for period in periods)
        change = open_change(decisions, c.since.date() - DAY) if again else made.get(c.version)
        periods.append(Period(c.version, c.sha256, c.since, change))
    return periods


def watched(
    history: History,
    use_case: UseCase,
    periods: Sequence[Period],
    decisions: Sequence[RetrainingDecision],
    as_of: datetime,
    model: Callable[[Period], Model],
    rules: Rules | None = None,
) -> Monitor:
    """A monitor that remembers the decisions of these champions, with the reference of the last one.

    Args:
        decisions: about trainings, oldest first. Once a change that they name is old enough, the world after it is the
            usual one, whether or not a model was found for it.
        model: period -> its model, on features in the order of the history's.
    """
    monitor, episode = Monitor(history, use_case), (rules or Rules()).episode
    if not periods:
        return monitor
    last, today = periods[-1], as_of.date() - DAY
    for day, period in _decided(periods, today, use_case).items():
        if day == last.since.date():
            monitor.adopt(model(last), day - DAY, last.changed_on)
        if day <= today:
            features = history.features[monitor.rows_of(day)]
            monitor.decided(day, model(period).predict(features) if len(features) else np.zeros(0))
        change = latest_change(decisions, day)
        if change is not None and last.since.date() <= day and monitor.settles(change, episode, day):
            monitor.adopt(model(last), day, settled_since=change)
    return monitor


def open_change(decisions: Sequence[RetrainingDecision], day: date) -> date | None:
    """The change that was being learned when a day began."""
    return next((known.episode for known in reversed(decisions) if known.as_of <= midnight(day)), None)


def latest_change(decisions: Sequence[RetrainingDecision], day: date) -> date | None:
    """The last change that was being learned before a day."""
    return next((d.episode for d in reversed(decisions) if d.as_of <= midnight(day) and d.episode), None)


def _decided(periods: Sequence[Period], today: date, use_case: UseCase) -> dict[date, Period]:
    """Day -> who was in production when it began, of the days remembered and all of the last champion's."""
    last = periods[-1].since.date()
    days = {}
    day = min(max(periods[0].since.date(), today - remembered(use_case)), last)
    while day <= max(today, last):
        began = midnight(day)
        days[day] = [period for period in (periods[0], *periods) if period is periods[0] or period.since <= began][-1]
        day += DAY
    return days


class _Picked:
    """A model that picks its own features out of the history's."""

    def __init__(self, model: Model, places: list[int]) -> None:
        self._model, self._places = model, places

    def predict(self, features: Any) -> Any:
        return self._model.predict(features[:, self._places])


_LOADED: dict[str, Any] = {}


def model_of(champions: Champions, use_case: UseCase, period: Period, names: Sequence[str]) -> Any:
    """The model of a period, on features in the order of `names`. Raises ValueError if they lack one of its own."""
    bundle = champions.bundle(use_case, period.version, period.sha256)
    if bundle.sha256 not in _LOADED:
        place: Mapping[str, int] = {name: n for n, name in enumerate(names)}
        if missing := [name for name in bundle.manifest.names if name not in place]:
            raise ValueError(
                f"version {period.version}: expected the features {missing} among {list(names)}; retrain without"
            )
        model = bundle.model()
        own = [place[name] for name in bundle.manifest.names]
        _LOADED[bundle.sha256] = model if own == list(range(len(names))) else _Picked(model, own)
    return _LOADED[bundle.sha256]
