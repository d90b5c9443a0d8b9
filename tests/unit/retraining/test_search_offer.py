"""A search for features is due while quality stays below what it was before a change that was trained for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from worlds.draws import drawn

from jobs.alerts import evidence_alerts, outbox
from jobs.backtesting.replay_log import Day, due_search_of
from jobs.errors import Invalid
from jobs.ledger import feature_searches
from jobs.ledger.feature_searches import DueSearch
from jobs.objective import Objective
from jobs.problem import Family, Problem, SearchOffer
from jobs.registry.provenance import plain
from jobs.retraining import decisions, search_offer
from jobs.retraining.policy import Evidence, RetrainingDecision, Rules
from jobs.settings import Settings
from jobs.times import midnight
from jobs.use_case import UseCase, problem_of
from jobs.use_cases.fraud import FRAUD

DAY, CHANGE = timedelta(days=1), date(2026, 5, 1)
NOW = datetime(2026, 11, 22, tzinfo=UTC)
MATURES = 8
"""Days until a day is mature."""


def quality(level: Callable[[int], float], until: int, noise: float = 0.05, seed: int = 0) -> dict[date, float]:
    """Mature days until an evening, as the loop measures them; level: of days since the change."""
    generator = np.random.default_rng(seed)
    noises = generator.normal(0, noise, 400)
    days = range(until - MATURES - 69, until - MATURES + 1)
    return {CHANGE + n * DAY: level(n) + float(noises[n + 100]) for n in days}


def trained(after: int = 7, episode: date | None = CHANGE) -> list[RetrainingDecision]:
    first = RetrainingDecision(midnight(CHANGE - 60 * DAY), True, "first", "", None, 0)
    return [first, RetrainingDecision(midnight(CHANGE + after * DAY), True, "alarm", "", episode, 30)]


def due(
    values: Mapping[date, float],
    evening: int,
    standing: DueSearch | None = None,
    decided: list[RetrainingDecision] | None = None,
    use_case: UseCase = FRAUD,
) -> DueSearch | None:
    as_of = midnight(CHANGE + evening * DAY)
    return search_offer.due_search(values, trained() if decided is None else decided, as_of, use_case, standing)


def stays(before: float = 0.74, after: float = 0.57) -> Callable[[int], float]:
    return lambda day: before if day < 0 else after


def test_quality_that_stays_below_that_of_before_makes_a_search_due_with_its_numbers() -> None:
    found = due(quality(stays(), 40), 40)
    assert found is not None and found.changed_on == CHANGE and found.as_of == midnight(CHANGE + 40 * DAY)
    assert abs(found.before - 0.74) < 0.04 and abs(found.after - 0.57) < 0.04
    assert (found.since, found.until) == (CHANGE + 19 * DAY, CHANGE + 32 * DAY)
    assert f"average precision {found.after:.3f}" in found.message and f"{found.before:.3f} before it" in found.message


@pytest.mark.parametrize(
    ("level", "evening", "decided"),
    [
        (stays(after=0.74), 40, None),
        (stays(after=0.72), 40, None),
        (lambda day: 0.5 if 0 <= day < 15 else 0.74, 40, None),
        (lambda day: 0.74 if not 0 <= day < 21 else 0.4, 42, [*trained(), trained(21)[1]]),
        (stays(), 26, None),
        (stays(), 40, trained(after=30)),
        (stays(), 40, trained(episode=None)),
        (stays(), 40, trained()[:1]),
        (stays(before=0.57, after=0.74), 40, None),
    ],
    ids=["as before", "a little lower", "recovered", "its last training brought it back", "too early",
         "too few days since the training", "no change", "never trained for it", "better"],
)  # fmt: skip
def test_no_search_is_due(
    level: Callable[[int], float], evening: int, decided: list[RetrainingDecision] | None
) -> None:
    assert due(quality(level, evening), evening, decided=decided) is None


def test_noise_alone_hardly_ever_makes_a_search_due() -> None:
    seeds = drawn("search offer").sample(range(10**6), 300)
    found = [due(quality(stays(after=0.74), 45, noise=0.12, seed=seed), 45) for seed in seeds]
    assert sum(one is not None for one in found) <= 3


def test_a_change_of_before_a_false_alarm_is_not_forgotten() -> None:
    decided = [*trained(), *trained(35, CHANGE + 33 * DAY)[1:]]
    found = due(quality(stays(), 60), 60, decided=decided)
    assert found is not None and found.changed_on == CHANGE and found.since == CHANGE + 39 * DAY


def test_it_stays_due_until_quality_is_back_and_does_not_flicker_on_the_line() -> None:
    standing = due(quality(stays(), 40), 40)
    assert due(quality(stays(), 41), 41, standing) == standing
    assert due(quality(stays(after=0.69), 60), 60, standing) == standing, "half of the smallest drop below is not back"
    assert due({}, 61, standing) == standing, "an outage of reports is no recovery"
    back = quality(lambda day: 0.57 if 0 <= day < 50 else 0.74, 75)
    assert due(back, 75, standing) is None


def test_of_a_loss_more_is_worse_and_the_numbers_are_the_losss_own() -> None:
    label = replace(FRAUD.computed[0], kind="number")
    problem = Problem((Family("boosted"),), task="regression", objective=Objective("mean_absolute_error"))
    minutes = replace(FRAUD, problem=problem, computed=(label,))
    found = due(quality(stays(before=-20, after=-26), 40, noise=1.0), 40, use_case=minutes)
    assert found is not None and abs(found.before - 20) < 1 and abs(found.after - 26) < 1
    assert due(quality(stays(before=-20, after=-26), 41, noise=1.0), 41, found, use_case=minutes) == found
    assert due(quality(stays(before=-20, after=-20), 75, noise=1.0), 75, found, use_case=minutes) is None
    assert due(quality(stays(before=-20, after=-21), 40, noise=0.01), 40, use_case=minutes) is None, "below a tenth"


def test_the_rule_is_declared() -> None:
    strict = replace(FRAUD, problem=replace(problem_of(FRAUD), search_offer=SearchOffer(smallest_drop=0.3)))
    assert due(quality(stays(), 40), 40, use_case=strict) is None
    early = replace(FRAUD, problem=replace(problem_of(FRAUD), search_offer=SearchOffer(after=45 * DAY)))
    assert due(quality(stays(), 40), 40, use_case=early) is None and due(quality(stays(), 46), 46, use_case=early)
    wrong: list[dict[str, Any]] = [{"after": -DAY}, {"smallest_drop": 0.0}, {"chance": 0.5}, {"chance": 0.0}]
    for fields in wrong:
        with pytest.raises(Invalid, match="expected"):
            SearchOffer(**fields)


def test_a_replay_that_goes_on_knows_what_was_due() -> None:
    found = due(quality(stays(), 40), 40)
    assert found is not None
    day = Day("2026-06-09", 1, 0, 0, 0, False, False, "", 1, 1, 0, {}, None, 1, due_search=plain(vars(found)))
    assert due_search_of(day) == found and due_search_of(replace(day, due_search=None)) is None


@pytest.fixture
def home(ledger_home: Settings) -> Settings:
    """The ledger after a first training and one for the change, a week after it."""
    for n, alarm in ((-60, 0.0), (7, 2.0)):
        as_of = midnight(CHANGE + n * DAY)
        evidence = Evidence(as_of, {"drift": alarm}, CHANGE, {CHANGE: 50}, {}, {"table": n})
        digest = decisions.record_evidence(ledger_home, FRAUD, evidence, NOW)
        row = decisions.decide(ledger_home, FRAUD, digest, "test", NOW, Rules(confirming_evenings=1))
        assert row.decision.retrain and (row.decision.episode == CHANGE) == bool(alarm)
        decisions.record_result(ledger_home, row, NOW, 1, "trained")
    return ledger_home


def settled(home: Settings, level: Callable[[int], float], evening: int) -> DueSearch | None:
    as_of = midnight(CHANGE + evening * DAY)
    found = search_offer.settle(home, FRAUD, quality(level, evening), as_of, NOW)
    evidence_alerts.settle_search(home, FRAUD, found, NOW)
    return found


def alerts(home: Settings) -> list[outbox.RecordedAlert]:
    return [each for each in outbox.recorded(home, "fraud") if each.alert.kind == evidence_alerts.SEARCH]


def test_the_ledger_holds_one_row_and_people_are_told_once_until_quality_is_back(home: Settings) -> None:
    assert settled(home, stays(), 20) is None and alerts(home) == []
    first = settled(home, stays(), 40)
    assert first is not None and settled(home, stays(), 41) == settled(home, stays(), 42) == first
    [row] = feature_searches.rows(home, "fraud")
    assert row.due == first and row.ended_at is None
    [alert] = alerts(home)
    assert alert.notifications == 1 and first.message in alert.alert.message
    assert settled(home, stays(), 20) == first, "a night of before that is built again changes nothing"
    assert settled(home, lambda day: 0.57 if 0 <= day < 50 else 0.74, 75) is None
    [row] = feature_searches.rows(home, "fraud")
    assert (row.outcome, row.ended_at) == ("recovered", NOW) and "2026-07-15" in row.result
    assert alerts(home) == []


def test_the_decision_of_the_night_says_that_a_search_is_due(home: Settings) -> None:
    found = settled(home, stays(), 40)
    assert found is not None
    evidence = Evidence(midnight(CHANGE + 40 * DAY), {"drift": 0.1}, CHANGE, {}, {}, {"table": 40})
    digest = decisions.record_evidence(home, FRAUD, evidence, NOW)
    row = decisions.decide(home, FRAUD, digest, "test", NOW)
    assert row.decision.reason.endswith(found.message) and row.decision.reason.startswith("no alarm; ")


def test_after_a_search_the_same_change_makes_none_due_again(home: Settings) -> None:
    assert settled(home, stays(), 40) is not None
    standing = feature_searches.open_one(feature_searches.rows(home, "fraud"))
    assert standing is not None
    feature_searches.end(home, standing, "searched", "proposes nothing", NOW)
    feature_searches.end(home, standing, "recovered", "later", NOW + DAY)
    assert settled(home, stays(), 41) is None and settled(home, stays(), 60) is None
    [row] = feature_searches.rows(home, "fraud")
    assert (row.outcome, row.result, row.ended_at) == ("searched", "proposes nothing", NOW), "the first end stands"
