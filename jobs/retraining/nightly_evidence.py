"""The evidence of a moment in production: what a replay's monitor would see, from the ledger and the history.

Nothing is remembered between two looks but the ledger and the tables, so that a look after a restart, or at a moment of
the past, shows what it would have shown then.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta

from jobs.datasets import day_cache, history
from jobs.datasets.day_cache import DayCache
from jobs.datasets.history import History
from jobs.errors import Invalid
from jobs.lakehouse.tables import Lakehouse
from jobs.ledger import promotions
from jobs.ledger.promotions import Champion
from jobs.models.protocol import Model
from jobs.registry.champion_bundles import Champions
from jobs.retraining import decisions as retraining
from jobs.retraining import input_drift, measurements
from jobs.retraining.decisions import RecordedDecision
from jobs.retraining.label_evidence import remembered
from jobs.retraining.measurements import Measurement
from jobs.retraining.monitor import Adopted, DailyEvidence, Decided, MonitorState, evening
from jobs.retraining.monitored_history import MonitoredHistory
from jobs.retraining.policy import Evidence, RetrainingDecision, Rules
from jobs.times import midnight
from jobs.use_case import UseCase

DAY = timedelta(days=1)
CACHE = "evening"
"""Name of the arrays that an evening leaves for the next."""


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
    """What is known at a moment, as the policy takes it, and what it was seen by. What drift was measured by is kept.

    Raises:
        ValueError: there is no history, or the events lack a feature of the champion.
        LedgerUnreachable: the ledger does not answer.
    """
    state, shown = _evening(lakehouse, use_case, champions, as_of)
    measurements.remember(lakehouse.settings, use_case, Measurement.of(as_of, shown, state.measured))
    return replace(shown.evidence(as_of), in_production=bool(shown.versions["champion"])), shown


def prepare(lakehouse: Lakehouse, use_case: UseCase, champions: Champions, as_of: datetime) -> tuple[date, ...]:
    """Compute what the days of a champion are compared with on the evening that it came, after its promotion.

    The next evening finds it in the cache, as every later one does. Raises as `evidence`.

    Returns:
        The days of the reference; none where the champion is that of the evidence, or has no reference.
    """
    tables = _tables(lakehouse, use_case, history.read(lakehouse, use_case, by_day=True))
    last = measurements.last(lakehouse.settings, use_case, as_of, tables)
    champion = promotions.champion(lakehouse.settings, use_case, at=as_of)
    if last is None or champion is None or last.versions.get("champion") == champion.version:
        return ()
    measured = _evening(lakehouse, use_case, champions, as_of)[0].measured
    return measured.reference.histograms.days if measured is not None and measured.reference is not None else ()


def _evening(
    lakehouse: Lakehouse, use_case: UseCase, champions: Champions, as_of: datetime
) -> tuple[MonitorState, DailyEvidence]:
    monitored = _known(lakehouse, use_case)
    decided = [row for row in retraining.rows(lakehouse.settings, use_case) if row.decision.as_of <= as_of]
    # A night that was built again is decided about late.
    decided.sort(key=lambda row: row.decision.as_of)
    champions_until = periods(lakehouse, use_case, decided, as_of)

    def model(period: Period) -> Model:
        return champions.model(use_case, period.version, period.sha256, monitored.history.names, monitored.history.task)

    events = happened(monitored, champions_until, [row.decision for row in decided], as_of, model)
    state, shown = evening(MonitorState(), monitored, events, as_of)
    if monitored.cache is not None:
        monitored.cache.save()
    champion = champions_until[-1].version if champions_until else 0
    return state, replace(shown, versions={**_tables(lakehouse, use_case, monitored.history), "champion": champion})


def _known(lakehouse: Lakehouse, use_case: UseCase) -> MonitoredHistory:
    """The history as it was built last, with what the last evening computed of its days."""
    name = history.table(use_case)
    version = lakehouse.version(name)
    read = history.read(lakehouse, use_case, version, by_day=True)
    stored = day_cache.path(lakehouse.settings, use_case, CACHE)
    return MonitoredHistory.of(read, use_case, DayCache(day_cache.files(lakehouse, name, version), read.names, stored))


def measurement(lakehouse: Lakehouse, use_case: UseCase, champions: Champions, as_of: datetime) -> Measurement:
    """What the evidence of a moment was measured by: as it was kept, or measured anew if that was of other tables.

    Raises as `evidence`.
    """
    tables = _tables(lakehouse, use_case, history.read(lakehouse, use_case, by_day=True))
    stored = measurements.last(lakehouse.settings, use_case, as_of, tables)
    if stored is None:
        evidence(lakehouse, use_case, champions, as_of)
        stored = measurements.last(lakehouse.settings, use_case, as_of, tables)
    if stored is None:
        raise Invalid(f"{use_case.name}: expected the tables to stay as they are meanwhile, found others; run again")
    return stored


def _tables(lakehouse: Lakehouse, use_case: UseCase, read: History) -> dict[str, int]:
    """Delta versions of the tables that evidence rests on."""
    return {**read.versions, **report_versions(lakehouse, use_case)}


def report_versions(lakehouse: Lakehouse, use_case: UseCase) -> dict[str, int]:
    """Raw tables of what is reported about events, and their Delta versions."""
    reporting = [s for s in use_case.sources if any(r.endswith(f".{use_case.event_id}") for r in s.references.values())]
    versions = lakehouse.versions([use_case.raw_table(source) for source in reporting])
    return {table: version for table, version in versions.items() if version is not None}


def rows_since(lakehouse: Lakehouse, table: str, version: int | None) -> int:
    """Rows that a table gained since `version` (None: all), by its log."""
    then = 0 if version is None else lakehouse.row_count(table, version)
    return lakehouse.row_count(table) - then


def periods(lakehouse: Lakehouse, use_case: UseCase, rows: Sequence[RecordedDecision], as_of: datetime) -> list[Period]:
    """Who was in production until `as_of`, and for which change each was trained, by these decisions; oldest first."""
    episodes = {row.model_version: row.decision.episode for row in rows if row.model_version is not None}
    champions = [c for c in promotions.history(lakehouse.settings, use_case) if c.since <= as_of]
    return in_production(champions, episodes, [row.decision for row in rows])


def in_production(
    champions: Sequence[Champion], changes: Mapping[int, date | None], decisions: Sequence[RetrainingDecision]
) -> list[Period]:
    """Champions, oldest first, as periods: trained for a change, or restored while one was being learned.

    Args:
        changes: version -> the change that it was trained for.
    """
    periods: list[Period] = []
    for c in champions:
        again = any(period.version == c.version for period in periods)
        change = open_change(decisions, c.since.date() - DAY) if again else changes.get(c.version)
        periods.append(Period(c.version, c.sha256, c.since, change))
    return periods


def happened(
    monitored: MonitoredHistory,
    periods: Sequence[Period],
    decisions: Sequence[RetrainingDecision],
    as_of: datetime,
    model: Callable[[Period], Model],
    rules: Rules | None = None,
) -> Iterator[Adopted | Decided]:
    """What the monitor remembers at `as_of`: champions that came, and what they made of the days since.

    Args:
        decisions: about trainings, oldest first. Once a change that they name is old enough, the world after it is the
            usual one, whether or not a model was found for it.
        model: period -> its model, on features in the order of the history's.
    """
    began = {period.since.date(): period for period in periods}
    for day, period in _decided(periods, as_of.date() - DAY, monitored.use_case).items():
        if day in began:
            yield Adopted(model(began[day]), day, began[day].changed_on)
        if day < as_of.date():
            yield Decided(
                day, monitored.scores(model(period), day), settled_change(monitored, decisions, day, rules or Rules())
            )


def settled_change(
    monitored: MonitoredHistory, decisions: Sequence[RetrainingDecision], day: date, rules: Rules
) -> date | None:
    """First day of the last change that was being learned, if its world has become the usual one with `day`."""
    change = latest_change(decisions, day)
    return change if change is not None and input_drift.settles(monitored, change, rules.episode, day) else None


def open_change(decisions: Sequence[RetrainingDecision], day: date) -> date | None:
    """The change that was being learned when a day began."""
    return next((decision.episode for decision in reversed(decisions) if decision.as_of <= midnight(day)), None)


def latest_change(decisions: Sequence[RetrainingDecision], day: date) -> date | None:
    """The last change that was being learned before a day."""
    return next((d.episode for d in reversed(decisions) if d.as_of <= midnight(day) and d.episode), None)


def _decided(periods: Sequence[Period], today: date, use_case: UseCase) -> dict[date, Period]:
    """Day -> who was in production when it began, of the days remembered and all of the last champion's."""
    if not periods:
        return {}
    last = periods[-1].since.date()
    days = {}
    day = min(max(periods[0].since.date(), today - remembered(use_case)), last)
    while day <= max(today, last):
        began = midnight(day)
        days[day] = [period for period in (periods[0], *periods) if period is periods[0] or period.since <= began][-1]
        day += DAY
    return days
