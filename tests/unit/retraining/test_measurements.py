"""What the page of drift shows is what the evidence measured, also after late deliveries and a change of champion."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from worlds.small_history import START, world

from jobs import settings
from jobs.datasets.history import History
from jobs.retraining import measurements
from jobs.retraining.measurements import Measurement
from jobs.retraining.monitor import Adopted, DailyEvidence, Decided, MonitorState, evening
from jobs.retraining.monitored_history import MonitoredHistory
from jobs.settings import Settings
from jobs.times import microseconds
from jobs.use_cases.fraud import FRAUD
from jobs.use_cases.returns import RETURNS

DAY, FIRST = timedelta(days=1), START.date()
CHANGED, DAYS = 70, 90


class Model:
    """Scores by one feature."""

    def __init__(self, column: int) -> None:
        self.column = column

    def predict(self, features: np.ndarray) -> np.ndarray:
        return features[:, self.column].astype(np.float64)


MODEL: Any = Model(0)


@pytest.fixture
def home(tmp_path: Path) -> Settings:
    return settings.load({"EVERGREEN_HOME": str(tmp_path / "home")})


def late(history: History, day: int, on: int) -> History:
    """The history with a day of payments that became known on the evening of a later one."""
    of_day = history.days - history.days[0] == day
    return replace(history, known_at=np.where(of_day, microseconds(START + (on + 1) * DAY), history.known_at))


def evenings(history: History) -> list[tuple[datetime, DailyEvidence, MonitorState]]:
    """Every evening from day 50 on; on day 74 another champion takes over, which was trained for the change."""
    known, state, shown = MonitoredHistory.of(history, FRAUD), MonitorState(), []
    model: Any = Model(0)
    happened: list[Adopted | Decided] = [Adopted(model, FIRST + 50 * DAY)]
    for number in range(50, DAYS):
        today = FIRST + number * DAY
        if number == 74:
            model = Model(1)
            happened.append(Adopted(model, today, FIRST + CHANGED * DAY))
        happened.append(Decided(today, model.predict(history.features[known.rows_of(today)])))
        at = START + (number + 1) * DAY
        state, seen = evening(state, known, happened, at)
        shown.append((at, replace(seen, versions={"history": number, "champion": 1}), state))
        happened = []
    return shown


@pytest.mark.parametrize("delivered", [(40, 60), (71, 75), (60, 80)])
def test_the_page_shows_what_the_policy_decides_by(home: Settings, delivered: tuple[int, int]) -> None:
    history = late(world(seed=3, changed_on=CHANGED, days=DAYS, shift=1.0), *delivered)
    compared = alarms = 0
    for at, seen, state in evenings(history)[::3]:
        measurements.remember(home, FRAUD, Measurement.of(at, seen, state.measured))
        kept = measurements.last(home, FRAUD, at, seen.versions)
        assert kept is not None and kept.concept == seen.concept
        if (judged := kept.judged(FRAUD.label_features, 1)) and "drift" in seen.scores:
            assert judged[-1].day == at.date() - DAY
            assert (judged[-1].score, judged[-1].named) == (seen.scores["drift"], seen.named["drift"])
            compared, alarms = compared + 1, alarms + judged[-1].alarm
    assert compared > 10 and 2 < alarms < compared


def test_earlier_days_of_the_picture_are_judged_as_their_evenings_judged_them() -> None:
    shown = evenings(world(seed=3, changed_on=CHANGED, days=DAYS, shift=1.0))[:24]
    by_day = {at.date() - DAY: seen.scores.get("drift") for at, seen, _ in shown}
    at, seen, state = shown[-1]
    judged = Measurement.of(at, seen, state.measured).judged(FRAUD.label_features, 20)
    assert len(judged) == 20 and all(each.score == by_day[each.day] for each in judged)


def test_what_was_measured_on_other_tables_or_at_another_moment_is_not_taken(home: Settings) -> None:
    as_of, versions = START + 9 * DAY, {"history": 3, "champion": 1}
    measurement = Measurement(as_of, versions, None, None, None, "too few days")
    assert measurements.last(home, FRAUD, as_of, versions) is None
    measurements.remember(home, FRAUD, measurement)
    kept = measurements.last(home, FRAUD, as_of, {**versions, "champion": 2})
    assert kept is not None and kept.unmeasured == "too few days" and kept.judged(frozenset(), 28) == []
    assert measurements.last(home, FRAUD, as_of, {"history": 4, "champion": 1}) is None
    assert measurements.last(home, FRAUD, as_of + DAY, versions) is None
    assert measurements.last(home, RETURNS, as_of, versions) is None
    (home.state / FRAUD.name / "measured.npz").write_bytes(b"PK damaged")
    assert measurements.last(home, FRAUD, as_of, versions) is None


def closed_on_sundays(history: History) -> History:
    there = (history.days + 3) % 7 != 6
    places, kept = np.cumsum(there) - 1, there[history.labels.rows]
    labels = replace(
        history.labels,
        **{name: getattr(history.labels, name)[kept] for name in ("values", "known_at", "superseded_at")},
        rows=places[history.labels.rows[kept]],
    )
    own = {name: getattr(history, name)[there] for name in ("features", "times", "known_at", "blocks", "amounts")}
    return replace(history, labels=labels, **own)


def test_a_shop_that_is_closed_on_sundays_is_not_judged_and_stops_nothing() -> None:
    known = MonitoredHistory.of(closed_on_sundays(world(seed=3, days=DAYS)), FRAUD)
    state, seen = evening(MonitorState(), known, [Adopted(MODEL, FIRST + 60 * DAY)], START + 60 * DAY)
    assert "drift" not in seen.scores and "mend the gaps" in seen.note
    assert Measurement.of(START + 60 * DAY, seen, state.measured).unmeasured == seen.note


def test_too_short_a_past_is_said() -> None:
    known = MonitoredHistory.of(world(seed=3, days=DAYS), FRAUD)
    state, seen = evening(MonitorState(), known, [Adopted(MODEL, FIRST + 20 * DAY)], START + 21 * DAY)
    assert state.adoption is None and seen.note.startswith("expected at least 42 days with events")
