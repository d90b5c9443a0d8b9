"""What follows from findings: back at once, on after time and events, to the end when outcomes allow it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from jobs.ledger.rollouts import Arm, Change, Rollout
from jobs.rollout_strategy import Strategy
from jobs.rollouts.arm_findings import ArmFindings
from jobs.rollouts.bandit import shares_by_gain
from jobs.rollouts.findings import Finding
from jobs.rollouts.verdict import evidence, judge

NOW = datetime(2026, 5, 5, tzinfo=UTC)
LATER = NOW + timedelta(days=2)
NAMES = ("failures", "slowness", "alerts", "order", "quality", "money")


def rollout(shares: Mapping[str, float], kind: Any = "canary", *names: str) -> Rollout:
    arms = tuple(Arm(name, number + 2, "b" * 64, "c" * 64) for number, name in enumerate(names or ("new",)))
    started = Change("started", shares, "", "me", NOW, number=1)
    strategy = Strategy(kind, step_hours=24.0).stored
    return Rollout("fraud", "r", strategy, arms, 1, "a" * 64, 0.0, 1.0, NOW, 0, (started,), id=3)


def arm(events: int = 1_000, gain: tuple[float, float] = (0.0, 1.0), **outcomes: Any) -> ArmFindings:
    found = [Finding(name, outcomes.get(name, "good"), name, 7, 0.0, -1.0, float("inf")) for name in NAMES]
    return ArmFindings(events, found, gain)


def out_by(name: str) -> ArmFindings:
    return ArmFindings(0, [Finding(name, "bad", name, 7, 0.0, -1.0, 1.0)])


@pytest.mark.parametrize("name", NAMES)
def test_one_bad_finding_takes_it_back_at_once(name: str) -> None:
    verdict = judge(rollout({"new": 0.01}), {"new": out_by(name)}, NOW)
    assert verdict.kind == "rolled back" and name in verdict.reason and verdict.winner is None


@pytest.mark.parametrize(("share", "following"), [(0.01, 0.1), (0.1, 0.5), (0.5, 1.0)])
def test_a_canary_goes_on_step_by_step_whatever_outcomes_are_still_open(share: float, following: float) -> None:
    open_ = {"new": arm(quality="open", money="open")}
    verdict = judge(rollout({"new": share}), open_, LATER)
    assert (verdict.kind, verdict.shares) == ("changed", {"new": following})


def test_a_step_lasts_for_its_time_and_its_events() -> None:
    early = judge(rollout({"new": 0.01}), {"new": arm()}, NOW + timedelta(hours=23))
    few = judge(rollout({"new": 0.01}), {"new": arm(499)}, LATER)
    assert (early.kind, few.kind) == (None, None)
    assert "lasts until 2026-05-06" in early.reason and "499 of 500 events" in few.reason


@pytest.mark.parametrize("kind", ["canary", "shadow"])
def test_the_last_step_ends_when_outcomes_show_that_it_is_no_worse(kind: str) -> None:
    last = rollout({"new": 1.0 if kind == "canary" else 0.0}, kind)
    waits = judge(last, {"new": arm(quality="open")}, LATER)
    assert waits.kind is None and "waits for outcomes" in waits.reason
    done = judge(last, {"new": arm(money="open")}, LATER)
    assert (done.kind, done.winner) == ("completed", "new")


def test_of_several_arms_a_bad_one_is_left_out_and_the_best_shown_wins() -> None:
    two = rollout({"a": 0.3, "b": 0.3}, "ab", "a", "b")
    out = judge(two, {"a": arm(failures="bad"), "b": arm(money="open")}, NOW)
    assert (out.kind, out.shares) == ("changed", {"b": 0.3})
    left = replace(two, changes=(*two.changes, Change("changed", out.shares, "", "e", NOW, number=2)))
    waits = judge(left, {"a": arm(failures="bad"), "b": arm(money="open")}, LATER)
    assert waits.kind is None  # the one that is out counts no more
    assert judge(left, {"a": arm(failures="bad"), "b": arm(order="bad")}, LATER).kind == "rolled back"
    won = judge(two, {"a": arm(gain=(1.0, 0.1)), "b": arm(gain=(2.0, 0.1))}, LATER)
    assert (won.kind, won.winner) == ("completed", "b")


def test_half_the_evidence_decides_nothing() -> None:
    two = rollout({"a": 0.3, "b": 0.3}, "ab", "a", "b")
    assert judge(two, {"a": arm(gain=(1.0, 0.1)), "b": arm(0)}, LATER).kind is None


def test_a_bandit_moves_its_shares_and_keeps_looking() -> None:
    gains = {"a": (1.0, 0.1), "b": (-1.0, 0.1)}
    shares = shares_by_gain(gains, Strategy("bandit"), 1)
    assert shares == shares_by_gain(gains, Strategy("bandit"), 1)
    assert shares["a"] == pytest.approx(0.9 + 0.1 / 3, abs=0.01) and shares["b"] == pytest.approx(0.1 / 3, abs=0.01)
    unsure = shares_by_gain({"a": (0.0, 1.0), "b": (0.0, 1.0)}, Strategy("bandit"), 1)
    assert unsure["a"] == pytest.approx(unsure["b"], abs=0.02) and 0.3 < unsure["a"] < 0.45
    greedy = shares_by_gain(gains, Strategy("bandit", choice="epsilon_greedy"), 1)
    assert greedy == {"a": pytest.approx(0.9 + 0.1 / 3), "b": pytest.approx(0.1 / 3)}
    nobody = shares_by_gain({"a": (-1.0, 0.1)}, Strategy("bandit", choice="epsilon_greedy"), 1)
    assert nobody == {"a": pytest.approx(0.05)}


def test_evidence_is_json() -> None:
    assert json.loads(json.dumps(evidence({"new": arm()}), allow_nan=False))["new"]["findings"][0]["upper"] is None
