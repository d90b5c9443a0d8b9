"""Monitoring that misses a day, relies on truth that comes too late, or promises less noise than there is."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest
from worlds.checked_tables import AS_OF, DAY, CheckedTables

from jobs.checks import monitoring
from jobs.drift.detector import Drift
from jobs.ground_truth.label_delay import learn_delay
from jobs.ground_truth.labelled_scores import LabelledEvents
from jobs.ledger import promotions
from jobs.retraining.decisions import RecordedDecision
from jobs.retraining.monitor import DailyEvidence
from jobs.retraining.policy import RetrainingDecision
from jobs.retraining.predecessor import PredecessorComparison
from jobs.times import microseconds
from jobs.use_cases.fraud import FRAUD

YESTERDAY = (AS_OF - DAY).date()


def labelled(delay_days: float, reports: int = 200) -> LabelledEvents:
    first = microseconds(AS_OF - 90 * DAY)
    times = first + np.arange(reports) * (microseconds(AS_OF - 40 * DAY) - first) // max(reports, 1)
    known = times + int(delay_days * 86_400e6)
    delay = learn_delay(times, known, AS_OF, FRAUD.label_maturity)
    positive = np.ones(reports, np.bool_)
    return LabelledEvents(times=times, known_at=known, positive=positive, delay=delay, as_of=AS_OF)


def test_reports_after_the_declared_maturity_warn() -> None:
    assert monitoring.reports_in_time(FRAUD, labelled(3)).passed
    late = monitoring.reports_in_time(FRAUD, labelled(20))
    assert not late.passed and late.check.severity == "warning"
    assert "not judged" in monitoring.reports_in_time(FRAUD, labelled(20, reports=5)).text


def measured(days: list[date], value: float | None = 0.5) -> pl.DataFrame:
    return pl.DataFrame({"event_date": days, "value": [value] * len(days)}, schema_overrides={"value": pl.Float64})


def test_a_scored_day_without_performance_fails() -> None:
    days = [YESTERDAY - n * DAY for n in range(3)]
    assert monitoring.scored_days_measured(days, measured(days)).passed
    assert monitoring.scored_days_measured(days, measured(days, None)).passed, "no value for lack of positives"
    lacking = monitoring.scored_days_measured(days, measured(days[1:]))
    assert not lacking.passed and str(YESTERDAY) in lacking.found
    assert not monitoring.scored_days_measured(days, measured(days, float("inf"))).passed


def estimates(off: float, count: int = 10, trusted: bool = True) -> pl.DataFrame:
    rows = {"expected": [0.5] * count, "deviation": [0.05] * count, "value": [0.5 + off] * count}
    return pl.DataFrame({**rows, "trusted": [trusted] * count})


def test_estimates_far_outside_their_noise_warn() -> None:
    assert monitoring.estimates_hold(estimates(0.1)).passed
    assert not monitoring.estimates_hold(estimates(-0.3)).passed
    for few in (estimates(0.3, count=2), estimates(0.3, trusted=False)):
        assert "not judged" in monitoring.estimates_hold(few).text


def evidence(day: date | None, **more: Any) -> DailyEvidence:
    drift = None if day is None else Drift(day, {}, (), ())
    common = {"versions": {"champion": 1}, "reference": (YESTERDAY - 60 * DAY, YESTERDAY - DAY)}
    return DailyEvidence({}, {}, YESTERDAY, 0, 0.0, {}, drift=drift, **{**common, **more})


@pytest.mark.parametrize("day", [None, YESTERDAY - DAY], ids=["not at all", "on an older day"])
def test_evidence_that_misses_the_latest_day_fails(tables: CheckedTables, day: date | None) -> None:
    judge = monitoring.evidence_of_latest_day
    assert judge(tables.lakehouse, FRAUD, AS_OF, evidence(YESTERDAY)).passed
    assert not judge(tables.lakehouse, FRAUD, AS_OF, evidence(day)).passed


@pytest.mark.parametrize(("since", "judged"), [(AS_OF - DAY, True), (AS_OF - DAY / 2, False), (AS_OF, False)])
def test_a_champion_of_this_night_has_decided_no_day_yet(
    tables: CheckedTables, monkeypatch: pytest.MonkeyPatch, since: datetime, judged: bool
) -> None:
    champion = promotions.Champion(FRAUD.name, 1, "0" * 64, since, None, 1)
    monkeypatch.setattr(promotions, "champion", lambda *_: champion)
    outcome = monitoring.evidence_of_latest_day(tables.lakehouse, FRAUD, AS_OF, evidence(None))
    assert outcome.passed is not judged and ("not judged: version 1 has decided" in outcome.text) is not judged


def test_evidence_is_not_judged_without_champion_reference_or_events(tables: CheckedTables) -> None:
    judge = monitoring.evidence_of_latest_day
    for lacking in (evidence(None, versions={"champion": 0}), evidence(None, reference=None, note="too few days")):
        assert "not judged" in judge(tables.lakehouse, FRAUD, AS_OF, lacking).text
    assert "no events" in judge(tables.lakehouse, FRAUD, AS_OF + 2 * DAY, evidence(None)).text


def test_drift_of_an_older_day_than_the_last_scored_one_fails() -> None:
    scored = [YESTERDAY - DAY, YESTERDAY, AS_OF.date()]
    assert monitoring.latest_day_measured(scored, YESTERDAY, AS_OF).passed
    assert not monitoring.latest_day_measured(scored, YESTERDAY - DAY, AS_OF).passed
    assert "not judged" in monitoring.latest_day_measured([AS_OF.date()], YESTERDAY, AS_OF).text


def test_a_better_predecessor_warns() -> None:
    worse = PredecessorComparison(True, "worse", 40, 0.3, 0.6)
    assert not monitoring.champion_holds(worse).passed and monitoring.champion_holds(replace(worse, worse=False)).passed
    assert "no former" in monitoring.champion_holds(PredecessorComparison(False, "no former champion")).text


def decided(retrain: bool, ended: bool) -> RecordedDecision:
    decision = RetrainingDecision(AS_OF, retrain, "age" if retrain else "none", "", None, 0)
    return RecordedDecision(1, "d", AS_OF, "run", decision, AS_OF if ended else None, 1 if ended else None, "trained")


def test_a_training_that_left_no_result_warns_once_it_cannot_end_any_more() -> None:
    judge, lost = monitoring.trainings_end, decided(True, False)
    assert judge([lost], AS_OF + timedelta(hours=1)).passed, "it may be under way"
    assert not judge([lost, decided(False, False)], AS_OF + DAY).passed
    assert judge([lost, decided(True, True)], AS_OF + DAY).passed, "a later one ended"
    assert "not judged" in judge([decided(False, False)], AS_OF + DAY).text
