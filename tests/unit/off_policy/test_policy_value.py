"""What another policy would have been worth: exact where every label is seen, right on average where some are not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from worlds.policy_logs import Events, events

from jobs.off_policy.policy_log import PolicyLog
from jobs.off_policy.policy_value import Measured, Policy, PolicyValue, policy_value
from jobs.stats import metrics, weighted_metrics
from jobs.use_case import problem_of
from jobs.use_cases.fraud import FRAUD

PROBLEM = problem_of(FRAUD)
COST = PROBLEM.review.cost if PROBLEM.review else 0.0
THRESHOLD, WORLDS = 0.4, 40


def of(found: PolicyValue, measure: str, estimator: str) -> Measured:
    return next(one for one in found.measured if (one.measure, one.estimate.estimator) == (measure, estimator))


@pytest.fixture(scope="module")
def world() -> Events:
    return events(1, 6000)


def all_seen(world: Events) -> PolicyLog:
    nothing = np.zeros(len(world.labels), np.bool_)
    log = world.log(np.random.default_rng(0))
    return replace(log, labels=world.labels, blocked=nothing, weights=np.ones(len(log)))


def test_where_every_label_is_seen_values_are_those_of_the_labels(world: Events) -> None:
    log = all_seen(world)
    found = policy_value(log, Policy(THRESHOLD, 0.8), PROBLEM)
    alerts, a_day = world.other >= THRESHOLD, len(log) / log.days
    for estimator in ("ips", "self_normalised", "doubly_robust", "switch"):
        saved = of(found, "money_saved_a_day", estimator)
        assert saved.estimate.value == pytest.approx(world.money_saved(THRESHOLD, COST) * a_day)
        false_blocks = of(found, "false_blocks_a_day", estimator).estimate.value
        assert false_blocks == pytest.approx(((world.other >= 0.8) & ~world.labels).sum() / log.days)
    stopped = of(found, "fraud_stopped_a_day", "ips").estimate.value
    missed = of(found, "fraud_missed_a_day", "ips").estimate.value
    assert stopped + missed == pytest.approx(world.amounts[world.labels].sum() / log.days)
    precision = of(found, "precision", "self_normalised").estimate
    assert precision.value == pytest.approx(world.labels[alerts].mean())
    assert precision.lower < precision.value < precision.upper
    assert of(found, "recall", "self_normalised").estimate.value == pytest.approx(alerts[world.labels].mean())
    ranked = of(found, "average_precision", "self_normalised").estimate
    assert ranked.value == pytest.approx(metrics.average_precision(world.labels, world.other))
    assert ranked.lower < ranked.value < ranked.upper
    assert found.alerts_a_day == pytest.approx(alerts.sum() / log.days)
    assert found.warnings == () and found.effective == pytest.approx(len(log))


def test_the_policy_of_the_log_gains_nothing_on_itself(world: Events) -> None:
    log = replace(all_seen(world), scores=world.logged)
    found = policy_value(log, Policy(0.3), PROBLEM)
    for one in found.measured:
        if one.gain is not None:
            assert (one.gain.value, one.gain.lower, one.gain.upper) == (0, 0, 0)


def test_estimates_meet_the_truth_and_the_model_makes_them_surer(world: Events) -> None:
    errors: dict[str, list[float]] = {}
    truth = world.money_saved(THRESHOLD, COST)
    for seed in range(WORLDS):
        log = world.log(np.random.default_rng(seed))
        found = policy_value(log, Policy(THRESHOLD), PROBLEM)
        for estimator in ("ips", "self_normalised", "doubly_robust"):
            value = of(found, "money_saved_a_day", estimator).estimate.value * log.days / len(log)
            errors.setdefault(estimator, []).append(value - truth)
        assert not any("no chance" in told for told in found.warnings)
    seen = log.weights > 0
    ranked = weighted_metrics.average_precision(log.labels[seen], log.scores[seen], log.weights[seen])
    assert of(found, "average_precision", "self_normalised").estimate.value == pytest.approx(ranked)
    spread = {name: float(np.std(each)) for name, each in errors.items()}
    for name, each in errors.items():
        assert abs(np.mean(each)) < 4 * spread[name] / WORLDS**0.5 + 0.01 * abs(truth), name
    assert spread["doubly_robust"] < 0.7 * spread["ips"]


def test_what_was_blocked_without_a_chance_is_told(world: Events) -> None:
    log = world.log(np.random.default_rng(0))
    blocked = world.logged >= 0.6
    without = replace(log, blocked=blocked, weights=np.where(blocked, 0.0, 1.0), unseen=float(blocked.mean()))
    found = policy_value(without, Policy(THRESHOLD), PROBLEM)
    assert found.unseen == pytest.approx(blocked.mean())
    assert any("had no chance in the log" in told for told in found.warnings)
    assert any("of its alerts are about events that were blocked" in told for told in found.warnings)


def test_a_use_case_without_a_review_is_told(world: Events) -> None:
    with pytest.raises(ValueError, match="expected a yes-or-no use case with a review"):
        policy_value(all_seen(world), Policy(0.5), replace(PROBLEM, review=None))
