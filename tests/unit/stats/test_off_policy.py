"""Estimates of another policy meet its value, whatever of chances or model is right; intervals hold it; doubts are
told."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

from jobs.stats import off_policy, studentised_bootstrap
from jobs.stats.logged_decisions import LoggedDecisions, RewardModel, weights_of

ACTIONS, WORLDS = 4, 200
CLICKS = np.array([0.05, 0.1, 0.2, 0.4])
"""Chance of a reward of each action, times 1 + the context, which lies in [0, 1]."""


def policies(context: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Chances of each action, shape (rows, actions): of the log, which likes the first, and of the target."""
    logged = np.array([0.6, 0.2, 0.15, 0.05]) * np.ones((len(context), 1))
    target = np.where(context[:, None] > 0.5, [0.0, 0.1, 0.3, 0.6], [0.1, 0.3, 0.3, 0.3])
    return logged, target


def world(seed: int, rows: int = 3000, wrong: float = 0.0) -> tuple[LoggedDecisions, float]:
    """A log with a reward model that is off by some factor, and the target's value in all contexts there are."""
    generator = np.random.default_rng(seed)
    context = generator.random(rows)
    logged, target = policies(context)
    done = (generator.random((rows, 1)) > logged.cumsum(axis=1)).sum(axis=1)
    at = (np.arange(rows), done)
    chances = CLICKS * (1 + context[:, None])
    expected = chances * (1 + wrong)
    rewards = (generator.random(rows) < chances[at]).astype(float)
    model = RewardModel(expected[at], (target * expected).sum(axis=1))
    log = LoggedDecisions.of(rewards, weights_of(target[at], logged[at]), None, model)
    return log, 0.5 * float(CLICKS @ [0.1, 0.3, 0.3, 0.3] * 1.25 + CLICKS @ [0.0, 0.1, 0.3, 0.6] * 1.75)


@pytest.mark.parametrize("wrong", [0.0, -0.7])
def test_estimates_meet_the_value_of_the_target(wrong: float) -> None:
    found: dict[str, list[float]] = {}
    for seed in range(WORLDS):
        log, truth = world(seed, 1000, wrong)
        for name, value in values(log).items():
            found.setdefault(name, []).append(value)
    errors = {name: np.std(each) for name, each in found.items()}
    for name in ("ips", "self_normalised", "doubly_robust"):
        assert np.mean(found[name]) == pytest.approx(truth, abs=4 * errors[name] / WORLDS**0.5 + 0.002), name
    if not wrong:
        assert errors["doubly_robust"] < 0.95 * errors["ips"]
    assert np.mean([log.rewards.mean() for log, _ in map(world, range(20))]) < 0.6 * truth


def values(log: LoggedDecisions) -> dict[str, float]:
    """The estimates alone, without the time that intervals take."""
    model = log.model
    assert model is not None
    weighted = log.weights * log.rewards
    corrected = off_policy._corrected(log, model, np.inf)
    return {
        "ips": weighted.mean(),
        "self_normalised": weighted.sum() / log.weights.sum(),
        "doubly_robust": corrected.mean(),
    }


def test_every_estimator_is_as_defined() -> None:
    log, _ = world(3, 500)
    found = {each.estimator: each.value for each in off_policy.estimates(log)}
    assert {name: found[name] for name in values(log)} == pytest.approx(values(log))
    assert [each.estimator for each in off_policy.estimates(LoggedDecisions.of([1, 0], [1, 1]))] == [
        "ips", "self_normalised"
    ]  # fmt: skip


def test_intervals_hold_the_value_of_the_target() -> None:
    held = dict.fromkeys(["ips", "self_normalised", "doubly_robust", "switch"], 0)
    for seed in range(WORLDS):
        log, truth = world(seed, 1500)
        for one in off_policy.estimates(log):
            held[one.estimator] += one.lower <= truth <= one.upper
    # What a promise of 95 % holds 999 times of 1000; the bias that widens `switch` makes it hold more often.
    fewest, most = binom.ppf([0.001, 0.999], WORLDS, 0.95)
    assert min(held.values()) >= fewest
    assert max(count for name, count in held.items() if name != "switch") <= most


def test_intervals_of_few_clicks_hold_where_normal_ones_do_not() -> None:
    generator = np.random.default_rng(8)
    ours = normal = 0
    for _ in range(WORLDS):
        weights = generator.lognormal(-0.5, 1, 4000)
        above = weights * (generator.random(4000) < 0.006)
        lower, upper = studentised_bootstrap.ratio_interval(above, weights, np.arange(4000))
        ours += lower <= 0.006 <= upper
        ratio = above.sum() / weights.sum()
        normal += abs(ratio - 0.006) <= 1.96 * np.sqrt(np.sum((above - ratio * weights) ** 2)) / weights.sum()
    assert ours >= binom.ppf(0.01, WORLDS, 0.93)
    assert ours > normal + 4


def test_intervals_of_customers_hold_their_noise() -> None:
    generator = np.random.default_rng(9)
    clustered = alone = 0
    for _ in range(WORLDS):
        who = np.repeat(np.arange(100), 10)
        above = generator.normal(0, 1, 100)[who] + generator.normal(0, 1, 1000)
        for each in (who, np.arange(1000)):
            lower, upper = studentised_bootstrap.ratio_interval(above, np.ones(1000), each)
            held = lower <= 0 <= upper
            clustered, alone = (clustered + held, alone) if each is who else (clustered, alone + held)
    assert clustered >= binom.ppf(0.001, WORLDS, 0.95) > alone + 20


def test_a_target_that_is_the_log_earns_what_the_log_earned() -> None:
    rewards = np.random.default_rng(1).exponential(1, 400)
    found = off_policy.estimates(LoggedDecisions.of(rewards, np.ones(400)))
    assert [each.value for each in found] == pytest.approx([rewards.mean()] * 2)
    assert found[0].lower < rewards.mean() < found[0].upper


rows = st.lists(
    st.tuples(st.floats(-5, 5), st.floats(0, 8).map(lambda each: round(each, 3)), st.integers(0, 30)),
    min_size=1,
    max_size=80,
)


@given(rows, st.floats(0.01, 100))
def test_estimates_follow_units_and_the_order_of_rows_means_nothing(
    drawn: list[tuple[float, float, int]], unit: float
) -> None:
    rewards, weights, clusters = (np.array(column) for column in zip(*drawn, strict=True))
    one = off_policy.estimates(LoggedDecisions.of(rewards, weights, clusters))
    other = off_policy.estimates(LoggedDecisions.of(rewards[::-1] * unit, weights[::-1], clusters[::-1]))
    for here, there in zip(one, other, strict=True):
        scaled = here.scaled(unit)
        ends = (there.value, there.lower, there.upper)
        assert ends == pytest.approx((scaled.value, scaled.lower, scaled.upper), rel=1e-6, abs=1e-9 * unit, nan_ok=True)
    if weights.sum() > 1e-6:
        assert rewards.min() - 1e-9 <= one[1].value <= rewards.max() + 1e-9


def test_switching_trusts_the_model_where_weights_are_large() -> None:
    generator = np.random.default_rng(2)
    weights = np.where(generator.random(2000) < 0.002, 400.0, 0.2)
    rewards = generator.normal(1, 1, 2000)
    model = RewardModel(np.ones(2000), np.ones(2000))
    found = {one.estimator: one for one in off_policy.estimates(LoggedDecisions.of(rewards, weights, None, model))}
    assert abs(found["switch"].value - 1) < 0.1 < abs(found["ips"].value - 1)


def test_nothing_is_claimed_of_a_handful() -> None:
    rewards = np.zeros(5000)
    rewards[:2] = 1
    found = off_policy.estimates(LoggedDecisions.of(rewards, np.ones(5000)))
    assert [(each.lower, each.upper) for each in found] == [(-np.inf, np.inf)] * 2
    unseen = off_policy.estimates(LoggedDecisions.of(rewards, np.zeros(5000)))
    assert np.isnan(unseen[1].value) and unseen[1].upper == np.inf


def test_doubts_are_told() -> None:
    assert LoggedDecisions.of(np.ones(100), np.ones(100)).warnings() == ()
    assert LoggedDecisions.of(np.ones(100), np.ones(100)).effective == pytest.approx(100)
    thin = LoggedDecisions.of(np.ones(1000), np.where(np.arange(1000) < 10, 100.0, 0.0))
    assert thin.effective == pytest.approx(10)
    assert any("tell as much as 10" in told for told in thin.warnings())
    assert any("one row has 10% of all weight" in told for told in thin.warnings())
    away = LoggedDecisions.of(np.ones(1000), np.where(np.arange(1000) % 2, 1.0, 0.0), unsupported=0.5)
    assert away.warnings() == ("50.0% of the target's decisions had no chance in the log: only a reward model says "
                               "anything about them",)  # fmt: skip
    wrong = LoggedDecisions.of(np.ones(1000), np.full(1000, 1.3))
    assert any("logged propensities are not those" in told for told in wrong.warnings())


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (lambda: LoggedDecisions.of([], []), "log: expected a weight for each of some rewards"),
        (lambda: LoggedDecisions.of([1.0], [1.0, 2.0]), "log: expected a weight for each"),
        (lambda: LoggedDecisions.of([np.nan], [1.0]), "rewards: expected a list of finite numbers"),
        (lambda: LoggedDecisions.of([1.0], [-1.0]), "weights: expected a list of finite numbers"),
        (lambda: LoggedDecisions.of([1.0], [1.0], None, RewardModel(np.ones(2), np.ones(1))), "log: expected a weight"),
        (lambda: weights_of([0.5], [0.0]), "propensities: expected 1 above 0"),
        (lambda: weights_of([1.5], [0.5]), "target chances"),
        (lambda: weights_of([0.5, 0.5], [0.5]), "propensities: expected 2"),
    ],
)
def test_what_is_no_log_is_said(wrong: Callable[[], object], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        wrong()
