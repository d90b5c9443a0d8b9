"""What an evening shows: what holds by then, while reports come or do not, on days that came or did not."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
from worlds import small_history
from worlds.small_history import A_DAY, START, world

from jobs.datasets.history import History, LabelVersions
from jobs.models.features import values_of
from jobs.retraining import input_drift, label_evidence, monitor, nightly_evidence
from jobs.retraining.label_evidence import DecidedEvents
from jobs.retraining.monitor import Adopted, DailyEvidence, Decided, MonitorState
from jobs.retraining.monitored_history import MonitoredHistory
from jobs.times import NEVER, microseconds, midnight
from jobs.use_cases.fraud import FRAUD

DAY = timedelta(days=1)
DAYS = 110
FIRST = START.date()


class Model:
    """Knows the old world by heart."""

    def predict(self, features: np.ndarray) -> np.ndarray:
        return features[:, 0].astype(np.float64)


def happened(history: History, evening: int, decided_from: int = 50) -> Iterator[Adopted | Decided]:
    """A model is adopted and decides until an evening."""
    known = MonitoredHistory.of(history, FRAUD)
    yield Adopted(Model(), FIRST + decided_from * DAY)  # type: ignore[arg-type]
    for day in (FIRST + n * DAY for n in range(decided_from, evening)):
        yield Decided(day, Model().predict(values_of(history.features)[known.rows_of(day)]))


def seen(history: History, evening: int, decided_from: int = 50) -> DailyEvidence:
    """The evidence of an evening, at the first look since the first decision."""
    events = happened(history, evening, decided_from)
    known = MonitoredHistory.of(history, FRAUD)
    return monitor.evening(MonitorState(), known, events, START + evening * DAY)[1]


def withdrawn(history: History, share: float, after: int) -> History:
    """Payments that score low are reported on their day, and all of these reports are withdrawn `after` days later."""
    rng, labels = np.random.default_rng(1), history.labels
    inside = (history.days - history.days[0] >= 90) & (values_of(history.features)[:, 0] < 0)
    rows = np.setdiff1d(rng.choice(np.flatnonzero(inside), int(share * inside.sum()), replace=False), labels.rows)
    at = history.times[rows] + 3_600_000_000
    more = replace(
        labels,
        rows=np.concatenate([labels.rows, rows, rows]),
        values=np.concatenate([labels.values, np.ones(len(rows), bool), np.zeros(len(rows), bool)]),
        known_at=np.concatenate([labels.known_at, at, at + after * A_DAY]),
        superseded_at=np.concatenate([labels.superseded_at, at + after * A_DAY, np.full(len(rows), NEVER)]),
    )
    return replace(history, labels=more)


def test_reports_that_were_withdrawn_are_no_positives_and_no_change_of_fraud() -> None:
    plain = world(seed=4, days=DAYS)
    flooded = withdrawn(plain, 0.5, after=2)
    before, after = (seen(history, 100) for history in (plain, flooded))
    young = {FIRST + day * DAY for day in (97, 98, 99)}
    settled = {day: count for day, count in after.positives.items() if day not in young}
    assert settled == {day: count for day, count in before.positives.items() if day not in young}
    assert sum(after.positives.values()) > sum(before.positives.values())  # the latest are not withdrawn yet
    late = seen(flooded, 105)
    lately = {day: count for day, count in late.positives.items() if day >= FIRST + 90 * DAY}
    assert sum(lately.values()) < 15 * 12 + 2 * 150


def test_while_no_reports_come_nothing_ripens() -> None:
    plain = world(seed=5, days=DAYS, delay_days=2.0)
    silent, known = START + 80 * DAY, plain.labels.known_at
    later = np.where(known > microseconds(silent), NEVER - 1, known)
    quiet = replace(plain, labels=replace(plain.labels, known_at=later))
    for evening in (84, 90, 100, 105):
        found = seen(quiet, evening, decided_from=35)
        assert found.scores["performance"] < 1 and found.scores["concept"] < 1, (evening, found.scores)


def test_days_of_which_reports_are_missing_do_not_look_worse(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(small_history, "A_DAYS_ROWS", 1500)
    history = world(seed=0, days=DAYS, delay_days=4.0)
    scores = {event.day: event.scores for event in happened(history, 105) if isinstance(event, Decided)}
    events = DecidedEvents(MonitoredHistory.of(history, FRAUD), scores, START + 105 * DAY)
    latest = list(label_evidence.daily_quality(events).values())[-7:]
    # Every decision is right; a twentieth of the reports on these days, on average, is still to come.
    assert abs(np.mean(latest) - 1) < 0.015


def without(history: History, *days: int) -> History:
    """The history as if these days had never come."""
    there = ~np.isin(history.days - history.days[0], days)
    places, labels = np.cumsum(there) - 1, history.labels
    kept = there[labels.rows]
    told = LabelVersions(
        places[labels.rows[kept]], labels.values[kept], labels.known_at[kept], labels.superseded_at[kept]
    )
    own = {name: getattr(history, name)[there] for name in ("features", "times", "known_at", "blocks", "amounts")}
    return replace(history, labels=told, **own)


@pytest.mark.parametrize("missing", [71, 72])
def test_a_day_that_never_came_is_looked_at_alike_in_production(missing: int) -> None:
    history = without(world(seed=3, changed_on=70, days=80, shift=1.0), missing)
    period = nightly_evidence.Period(1, "", midnight(FIRST + 50 * DAY), None)
    drifts = []
    for evening in (missing + 1, missing + 2, missing + 3):
        as_of = START + evening * DAY
        known = MonitoredHistory.of(history, FRAUD)
        events = nightly_evidence.happened(known, [period], [], as_of, lambda _: Model())  # type: ignore[arg-type,return-value]
        live = monitor.evening(MonitorState(), known, events, as_of)[1]
        assert live == seen(history, evening)
        drifts.append(live.scores.get("drift"))
    assert drifts[:2] == [None, 0.0] and drifts[2] is not None and drifts[2] > 1


def test_the_world_after_a_change_settles_once_enough_days_came() -> None:
    history = world(seed=1, days=DAYS)
    change, days = FIRST + 10 * DAY, [FIRST + n * DAY for n in range(DAYS)]
    for gone, last in (((), 41), ((20, 30), 43)):
        known = MonitoredHistory.of(without(history, *gone), FRAUD)
        assert [day for day in days if input_drift.settles(known, change, 42 * DAY, day)] == [change + last * DAY]


def delivered(history: History, day: int, on: int) -> History:
    """The history with a day of payments that became known on the evening of a later one."""
    late = history.days - history.days[0] == day
    return replace(history, known_at=np.where(late, microseconds(START + (on + 1) * DAY), history.known_at))


@pytest.mark.parametrize(("day", "on"), [(40, 60), (71, 74), (73, 73), (60, 75)])
def test_a_day_delivered_later_is_there_from_then_on(day: int, on: int) -> None:
    in_time = world(seed=3, changed_on=70, days=80, shift=0.6)
    history = delivered(in_time, day, on)
    known, state, events = MonitoredHistory.of(history, FRAUD), MonitorState(), list(happened(history, 79))
    state, _ = monitor.evening(state, known, events[:1], START + 50 * DAY)
    for today, event in zip(range(50, 79), events[1:], strict=True):
        state, found = monitor.evening(state, known, [event], START + (today + 1) * DAY)
        there = in_time if today >= on else without(in_time, day)
        # A reference that spans a gap was measured when there was one, and is measured anew when it is filled.
        assert found == seen(there, today + 1), today


def test_reports_about_payments_that_are_not_there_yet_teach_nothing() -> None:
    in_time = world(seed=3, days=80)
    history = delivered(in_time, 60, 75)
    reported = (history.labels.known_at <= microseconds(START + 70 * DAY)) & (
        (history.days - history.days[0])[history.labels.rows] == 60
    )
    assert reported.sum() > 5
    early, fresh = seen(history, 70), seen(without(in_time, 60), 70)
    assert early.reports == fresh.reports and early.maturity == fresh.maturity


def test_a_state_is_not_changed_by_the_evenings_after_it() -> None:
    history = delivered(world(seed=3, changed_on=70, days=80, shift=0.6), 71, 74)
    known, events = MonitoredHistory.of(history, FRAUD), list(happened(history, 79))
    state, _ = monitor.evening(MonitorState(), known, events[:23], START + 72 * DAY)
    first = monitor.evening(state, known, events[23:], START + 79 * DAY)[1]
    assert max(state.scores) == FIRST + 71 * DAY
    assert monitor.evening(state, known, events[23:], START + 79 * DAY)[1] == first


def test_a_shop_that_is_closed_on_sundays_is_not_judged_and_fails_nothing() -> None:
    sundays = [day for day in range(80) if (START + day * DAY).weekday() == 6]
    found = seen(without(world(seed=3, days=80), *sundays), 75)
    assert found.drift is None and "drift" not in found.scores and "mend the gaps" in found.note
