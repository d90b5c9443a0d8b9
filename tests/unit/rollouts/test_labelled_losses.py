"""Rollouts of tasks without a review: an arm that errs more is taken back, one that errs less is shown to."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from worlds.deliveries import ARRIVALS, DELAYS

from jobs.decisions import log_contents, opened
from jobs.decisions.log_contents import Decided, EventCame, LabelCame, Shadow
from jobs.decisions.outcome import Outcome
from jobs.lakehouse.tables import attach
from jobs.ledger.rollouts import Arm, Change, Rollout
from jobs.rollout_strategy import Strategy
from jobs.rollouts import steps
from jobs.rollouts.arm_findings import ArmFindings
from jobs.rollouts.logged import Logged
from jobs.settings import Settings
from jobs.times import microseconds
from jobs.use_case import UseCase

pytestmark = pytest.mark.embedded
START = datetime(2026, 5, 1, tzinfo=UTC)
COUNT, CLASSES = 3_000, ("early", "in_time", "late")
NOW = START + timedelta(days=40)


def found(home: Settings, use_case: UseCase, of_champion: float, of_arm: float, now: datetime = NOW) -> ArmFindings:
    """What is known of an arm once all labels are; the numbers say how far models are off."""
    arm = Arm("new", 2, "b", "c")
    change = Change("started", {"new": 0.5}, "", "me", START)
    rollout = Rollout(use_case.name, "r", Strategy().stored, (arm,), 1, "a", 0.0, 1.0, START, 0, (change,), None, 1)
    logged = Logged(use_case, rollout, late=100)
    with opened.log_of(home, use_case, iter(_stamps()).__next__) as log:
        for name, content in _contents(use_case, of_champion, of_arm):
            log.append(name, log_contents.encode(content))
        logged.add(log.records())
    logged.close(rollout)
    events = logged.of_arm(rollout, "new")
    assert len(events.pairs) == COUNT
    labelled = steps._labelled(attach(home), use_case, events, logged, True, now)
    return ArmFindings.of(events.pairs, labelled, Strategy())


def _stamps() -> Sequence[int]:
    return range(microseconds(START), microseconds(START) + 10**9)


def _contents(use_case: UseCase, of_champion: float, of_arm: float) -> Sequence[tuple[str, Any]]:
    chance, found = np.random.default_rng(3), []
    for id in range(COUNT):
        truth, common, *own = chance.integers(0, 3), *chance.normal(size=3)
        noise = common + 0.1 * np.array(own)
        values = float(truth) + of_champion * noise[0], float(truth) + of_arm * noise[1]
        champion, arm = (_outcome(use_case, value) for value in values)
        label = float(truth) if use_case.task == "regression" else CLASSES[truth]
        stamp = microseconds(START) + id
        is_arm = id % 2 == 0
        decided = Decided(
            id, stamp, arm if is_arm else champion, [1.0], "1", arm="1:new" if is_arm else "1:champion", propensity=0.5
        )
        shadow = Shadow(id, stamp, 1, "champion" if is_arm else "new", champion if is_arm else arm, "2", 9)
        found += [
            (f"event/{id}", EventCame(id, {use_case.cluster_key: f"c{id % 400}"}, happened=stamp)),
            (f"decision/{id}", decided),
            (log_contents.shadow_name(shadow), shadow),
            (f"told/{id}/1", LabelCame(id, stamp, {}, {use_case.label: label})),
        ]
    return found


def _outcome(use_case: UseCase, value: float) -> Outcome:
    if use_case.task == "regression":
        return Outcome(float(value))
    far = np.exp(-np.abs(np.arange(3) - value))
    shares = dict(zip(CLASSES, (far / far.sum()).tolist(), strict=True))
    best = max(shares, key=lambda name: shares[name])
    return Outcome(shares[best], prediction=best, probabilities=shares)


@pytest.mark.parametrize("use_case", [DELAYS, ARRIVALS], ids=["numbers", "classes"])
@pytest.mark.parametrize(
    ("of_champion", "of_arm", "quality", "gain"),
    [(0.5, 0.9, "bad", "open"), (0.5, 0.5, "good", "open"), (0.9, 0.5, "good", "good")],
)
def test_losses_of_the_same_events_decide(
    tmp_path: Path, use_case: UseCase, of_champion: float, of_arm: float, quality: str, gain: str
) -> None:
    arm = found(Settings(home=tmp_path / "home"), use_case, of_champion, of_arm)
    outcomes = {each.name: each.outcome for each in arm.findings}
    assert (outcomes["quality"], outcomes["gain"]) == (quality, gain), arm.findings
    assert arm.is_better == (gain == "good") and arm.shows("quality") == (quality == "good")
    [loss] = [each for each in arm.business if each.is_matured]
    assert of_arm == of_champion or (loss.arm > loss.champion) == (of_arm > of_champion)


def test_events_that_are_not_mature_do_not_count(tmp_path: Path) -> None:
    arm = found(Settings(home=tmp_path / "home"), DELAYS, 0.5, 0.9, START + timedelta(hours=1))
    assert {each.observations for each in arm.findings if each.name in ("quality", "gain")} == {0}
    assert not [each for each in arm.business if each.is_matured] and arm.money == (0.0, 1.0)
