"""Whether to train again: told from evidence and past decisions alone, within budget, never twice for one thing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from jobs.retraining.policy import Evidence, RetrainingDecision, Rules, retrain_policy

DAY = timedelta(days=1)
START = datetime(2026, 3, 1, tzinfo=UTC)
RULES = Rules()
QUIET = {"drift": 0.4, "concept": 0.2}


def evidence(day: int, scores: Mapping[str, float] = QUIET, positives: Mapping[date, int] | None = None) -> Evidence:
    as_of = START + day * DAY
    return Evidence(as_of, scores, as_of.date() - DAY, positives or {})


def played(alarms: Mapping[int, float], a_day: float, days: int, rules: Rules = RULES) -> list[RetrainingDecision]:
    """Decisions of `days` evenings; `a_day` positives of each day become known the next evening."""
    history: list[RetrainingDecision] = []
    for day in range(days):
        known = {(START + n * DAY).date(): int(a_day) for n in range(day)}
        scores = {"drift": alarms.get(day, 0.4)}
        history.append(retrain_policy(evidence(day, scores, known), history, rules))
    return history


def trainings(history: list[RetrainingDecision]) -> list[int]:
    return [n for n, decision in enumerate(history) if decision.retrain]


def test_the_first_evening_trains() -> None:
    decision = retrain_policy(evidence(0), [])
    assert decision.retrain and decision.trigger == "first"


def test_a_quiet_world_is_trained_on_by_age_alone() -> None:
    history = played({}, a_day=50, days=130)
    assert trainings(history) == [0, 42, 84, 126]
    assert {history[n].trigger for n in (42, 84, 126)} == {"age"}
    assert "no alarm" in history[5].reason


def test_after_an_alarm_trainings_follow_the_growth_of_what_is_known() -> None:
    history = played({60: 7.0, 61: 7.0}, a_day=10, days=100)
    after = [n for n in trainings(history) if n >= 60]
    episode = history[60].episode
    assert episode == (START + 59 * DAY).date()
    known = [history[n].positives for n in after]
    assert known[0] >= RULES.positives and len(after) > 3
    for (first, a), (second, b) in pairwise(zip(after, known, strict=True)):
        assert b >= 3 * a or (second - first >= 7 and b >= int(1.2 * a))
    assert max(b - a for a, b in pairwise(after)) <= 8
    assert history[after[0]].trigger == "alarm" and history[after[1]].trigger == "growth"
    assert len(after) <= RULES.budget and after[0] - 60 <= 3


def test_one_odd_evening_trains_nothing_and_is_forgotten() -> None:
    history = played({60: 7.0}, a_day=50, days=100)
    assert trainings(history) == trainings(played({}, a_day=50, days=100))
    assert "1 of 2 evenings alarmed" in history[62].reason
    assert history[66].episode is not None and history[67].episode is None
    # Whoever looks twice of an evening has seen one evening.
    twice = [*history[:61], replace(history[60], as_of=history[60].as_of + timedelta(hours=1))]
    assert "1 of 2 evenings alarmed" in retrain_policy(evidence(62, QUIET, {}), twice).reason


def test_an_alarm_without_labels_waits() -> None:
    history = played({60: 7.0, 61: 7.0}, a_day=0, days=80)
    assert [n for n in trainings(history) if n > 42] == []
    assert "0 positives of after it are known" in history[70].reason and "waits for 20" in history[70].reason


def test_an_episode_ends_and_another_change_opens_one() -> None:
    history = played({20: 3.0, 21: 3.0, 90: 3.0, 92: 3.0}, a_day=10, days=120)
    assert history[61].episode is None
    assert history[90].episode == (START + 89 * DAY).date()
    assert any(decision.retrain and decision.trigger == "alarm" for decision in history[90:])


def test_repeated_alarms_of_one_change_are_one_episode() -> None:
    every_day = played(dict.fromkeys(range(60, 100), 5.0), a_day=10, days=100)
    assert trainings(every_day) == trainings(played({60: 5.0, 61: 5.0}, a_day=10, days=100))


def test_cooldown_and_budget_say_so() -> None:
    hasty = replace(RULES, positives=1, growth_factor=1.0, gain=0.0)
    history = played({60: 3.0, 61: 3.0}, a_day=30, days=100, rules=hasty)
    gaps = [b - a for a, b in pairwise(trainings(history))]
    assert min(gaps) >= 2
    assert any("cooldown" in decision.reason for decision in history)
    assert any("are the budget" in decision.reason for decision in history)


@given(
    alarms=st.dictionaries(st.integers(0, 120), st.floats(0, 50), max_size=40),
    a_day=st.integers(0, 200),
    budget=st.integers(1, 8),
)
def test_budget_and_cooldown_hold_whatever_happens(alarms: dict[int, float], a_day: int, budget: int) -> None:
    rules = replace(RULES, budget=budget)
    days = trainings(played(alarms, a_day, 121, rules))
    for n, day in enumerate(days):
        assert sum(day - rules.budget_period.days < other <= day for other in days[: n + 1]) <= budget
        assert n == 0 or day - days[n - 1] >= rules.cooldown.days


@given(alarms=st.dictionaries(st.integers(0, 60), st.floats(0, 50), max_size=20), again=st.integers(1, 60))
def test_a_clock_that_went_backwards_decides_as_it_did(alarms: dict[int, float], again: int) -> None:
    history = played(alarms, 10, 61)
    known = {(START + n * DAY).date(): 10 for n in range(again)}
    repeated = retrain_policy(evidence(again, {"drift": alarms.get(again, 0.4)}, known), history)
    assert repeated == history[again]
