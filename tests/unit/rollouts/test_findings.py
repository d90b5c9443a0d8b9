"""What is found of an arm is what is true of it, and a look on every day misses no more often than it may."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
from worlds.draws import drawn
from worlds.rollout_traffic import (
    BETTER,
    EQUAL,
    ERRORS,
    INVERTED,
    MATURITY,
    SLOW,
    START,
    WORSE,
    Candidate,
    Traffic,
    traffic,
)

from jobs.problem import Review
from jobs.rollout_strategy import Strategy
from jobs.rollouts import business, findings
from jobs.rollouts.findings import Finding
from jobs.rollouts.labelled_pairs import labelled_pairs
from jobs.stats.metrics import average_precision
from jobs.stats.precision_parts import paired_parts, precision_parts

REVIEW = Review(threshold=0.5, capacity=100, cost=5.0)
STRATEGY = Strategy()


def found(known: Traffic) -> dict[str, Finding]:
    labelled = labelled_pairs(known.pairs, known.outcomes, REVIEW)
    all_of_them = findings.of_health(known.pairs, STRATEGY) + findings.of_outcomes(labelled, STRATEGY)
    return {each.name: each for each in all_of_them}


def looks(candidate: Candidate, days: int, seed: int, start: int = 1) -> list[dict[str, Finding]]:
    drawn_ = traffic(candidate, 0.1, days, 1_500, seed)
    return [found(drawn_.until(START + timedelta(days=day))) for day in range(start, days + 1)]


@pytest.mark.parametrize(("candidate", "name"), [(ERRORS, "failures"), (SLOW, "slowness"), (INVERTED, "order")])
def test_what_is_ill_is_found_within_hours(candidate: Candidate, name: str) -> None:
    seed = drawn("ill candidates").randrange(10**6)
    known = traffic(candidate, 0.1, 1, 1_500, seed).until(START + timedelta(hours=4))
    assert [each for each, one in found(known).items() if one.outcome == "bad"] == [name]


def test_a_worse_one_is_found_once_outcomes_are_known_and_a_better_one_is_shown() -> None:
    seed = drawn("worse candidates").randrange(10**6)
    bad = looks(WORSE, 30, seed, start=20)
    assert bad[-1]["quality"].outcome == "bad", bad[-1]["quality"]
    assert all(one.outcome != "bad" for name, one in bad[-1].items() if name not in ("quality", "money"))
    better = looks(BETTER, 30, seed, start=20)
    assert better[-1]["quality"].outcome == "good" and not any(one.outcome == "bad" for one in better[-1].values())


def test_before_labels_are_mature_nothing_is_said_of_outcomes() -> None:
    known = traffic(WORSE, 0.1, 6, 1_500, 1).until(START + MATURITY - timedelta(days=1))
    one = found(known)
    assert (one["quality"].outcome, one["quality"].observations) == ("open", 0)
    assert (one["money"].outcome, one["money"].lower) == ("open", -np.inf)


def test_equals_are_hardly_ever_called_bad() -> None:
    chance = drawn("equal candidates")
    called = 0
    for _ in range(12):
        seen = looks(EQUAL, 25, chance.randrange(10**6), 5)
        called += any(one.outcome == "bad" for each in seen for one in each.values())
    assert called <= 3  # at a chance of 5 % each, more than 3 of 12 come once in 500 times


def test_where_nothing_is_known_nothing_is_said() -> None:
    nothing = traffic(EQUAL, 0.1, 1, 100, 1).until(START)
    assert {one.outcome for one in found(nothing).values()} == {"open"}


def test_parts_make_up_average_precision() -> None:
    chance = np.random.default_rng(drawn("rankings").randrange(10**6))
    for _ in range(50):
        n = int(chance.integers(2, 60))
        labels = chance.random(n) < 0.4
        labels[:2] = [True, False]
        scores = chance.integers(0, 6, n) / 5.0
        parts = precision_parts(labels, scores)
        assert len(parts) == labels.sum() and np.isclose(parts.mean(), average_precision(labels, scores), rtol=1e-12)
        others, days = chance.random(n), chance.integers(0, 3, n)
        gains = paired_parts(labels, scores, others, days)
        by_day = [average_precision(labels[days == day], scores[days == day])
                  - average_precision(labels[days == day], others[days == day])
                  for day in range(3) if 0 < labels[days == day].sum() < (days == day).sum()]  # fmt: skip
        sizes = [labels[days == day].sum() for day in range(3) if 0 < labels[days == day].sum() < (days == day).sum()]
        assert np.isclose(gains.sum(), np.dot(by_day, sizes), atol=1e-9)


def test_blocked_events_are_made_up_for_by_those_that_the_other_model_answered() -> None:
    """The arm blocks high scores. Of these only what the champion answered is seen, and it stands for all."""
    chance = np.random.default_rng(drawn("blocked events").randrange(10**6))
    estimates, truths = [], []
    for _ in range(200):
        whole = traffic(WORSE, 0.3, 3, 500, int(chance.integers(10**9)))
        pairs = replace(whole.pairs, arm=replace(whole.pairs.arm, blocks=whole.pairs.arm.scores > 0.9))
        known = replace(whole.outcomes, is_mature=np.ones(len(pairs), np.bool_))
        seen = replace(known, labels=known.labels & ~(pairs.answered & pairs.arm.blocks))
        all_of_them, some = labelled_pairs(whole.pairs, known, REVIEW), labelled_pairs(pairs, seen, REVIEW)
        truths.append(all_of_them.money_gains().sum())
        estimates.append((some.money_gains() * some.weights).sum())
    off = np.array(estimates) - np.array(truths)
    assert abs(off.mean()) < 4 * off.std() / len(off) ** 0.5


def test_figures_of_the_business_are_sums_over_events() -> None:
    known = traffic(WORSE, 0.1, 9, 400, 3).until(START + timedelta(days=9))
    labelled = labelled_pairs(known.pairs, known.outcomes, REVIEW)
    found = {each.name: each for each in business.matured(labelled)}
    for side, alerts in (("champion", labelled.champion_alerts), ("arm", labelled.arm_alerts)):
        stopped = sum(labelled.amounts[place] for place in np.flatnonzero(labelled.labels) if alerts[place])
        assert getattr(found["stopped, money"], side) == pytest.approx(stopped)
        assert getattr(found["earned, money"], side) == pytest.approx(stopped - 5.0 * alerts.sum())
        assert getattr(found["false alarms"], side) == (alerts & ~labelled.labels).sum()
    gain = found["earned, money"].arm - found["earned, money"].champion
    assert labelled.money_gains().sum() == pytest.approx(gain)
    live = {each.name: each for each in business.live(known.pairs)}
    assert live["to review a day"].champion == pytest.approx(known.pairs.champion.alerts.sum() / 9, rel=0.01)
    nothing = traffic(EQUAL, 0.1, 1, 100, 1).until(START)
    assert (
        business.live(nothing.pairs) == []
        and business.matured(labelled_pairs(nothing.pairs, nothing.outcomes, REVIEW)) == []
    )
