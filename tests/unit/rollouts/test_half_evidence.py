"""Nothing is decided on half the evidence: labels of one arm alone, a burst of reports, an arm that nobody comes to."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from worlds.rollout_log import promoted, started, write
from worlds.rollout_traffic import EQUAL, START, WORSE, traffic

from jobs.arrays import Bools
from jobs.errors import Invalid
from jobs.lakehouse.tables import attach
from jobs.ledger import rollouts
from jobs.ledger.rollouts import Change
from jobs.registry.champion_bundles import Champions
from jobs.rollout_strategy import Strategy
from jobs.rollouts import conduct, steps
from jobs.rollouts.conduct import Asked, By
from jobs.rollouts.steps import Looked
from jobs.settings import Settings
from jobs.use_case import problem_of, review_of
from jobs.use_cases.fraud import FRAUD

DAYS, A_DAY = 20, 700
PROBLEM, REVIEW = problem_of(FRAUD), review_of(FRAUD)
UNBLOCKED = replace(FRAUD, problem=replace(PROBLEM, review=replace(REVIEW, block=None)))
LATE = START + timedelta(days=DAYS) + FRAUD.label_maturity + timedelta(hours=1)


@pytest.fixture
def home(tmp_path: Path) -> Settings:
    return promoted(Settings(home=tmp_path / "home"))


def looked(home: Settings, reported: Bools, share: float = 0.5, candidate: Any = EQUAL, seed: int = 5) -> Looked:
    """What is found once all labels are mature."""
    rollout = started(home, share)
    write(home, rollout, traffic(candidate, share, DAYS, A_DAY, seed), reported=reported)
    [found] = steps.look(attach(home), FRAUD, LATE)
    return found


def drawn(seed: int = 5, share: float = 0.5, candidate: Any = EQUAL) -> Any:
    return traffic(candidate, share, DAYS, A_DAY, seed)


@pytest.mark.parametrize("seed", range(4))
def test_labels_of_one_arm_alone_take_no_equal_model_back(home: Settings, seed: int) -> None:
    """Both models scored the events of either arm, so that what is not reported is not reported for both."""
    world = drawn(seed)
    found = looked(home, world.outcomes.labels & world.pairs.answered, seed=seed)
    assert found.verdict.kind != "rolled back", found.verdict.reason


def test_a_burst_of_reports_of_one_customer_is_one_observation(home: Settings) -> None:
    """Whoever reports all that he ever paid says nothing of a model: his events hang together."""
    world = drawn()
    customers = world.outcomes.clusters
    whose, counts = np.unique(customers, return_counts=True)
    noisy = customers == whose[counts.argmax()]
    world.outcomes.labels[:] = noisy
    found = looked(home, noisy)
    quality = found.found["new"].get("quality")
    assert quality is not None and quality.outcome == "open" and found.verdict.kind != "rolled back"


def test_an_arm_that_nobody_comes_to_waits(home: Settings) -> None:
    started(home, 0.0001)
    [found] = steps.look(attach(home), FRAUD, LATE)
    assert found.verdict.kind is None and "0 of 200 events" in found.verdict.reason


@pytest.mark.parametrize(("shift", "outcome"), [(-0.6, "bad"), (0.0, "open"), (0.8, "good")])
def test_without_shadows_money_is_compared_by_the_own_events_of_the_arms(
    home: Settings, shift: float, outcome: str
) -> None:
    """An arm that lets most frauds pass earns less, one that stops more earns more, whatever its share."""
    world = traffic(EQUAL, 0.4, 2 * DAYS, A_DAY, 8)
    world.outcomes.amounts[:] = 90.0  # heavy tails need thousands of frauds
    labels, chance = world.outcomes.labels, np.random.default_rng(1).random(len(world.pairs))
    for side, stops in ((world.pairs.champion, 0.5), (world.pairs.arm, 0.5 + shift / 2)):
        side.scores[:] = np.where(labels & (chance < stops), 0.9, 0.1)
    rollout = started(home, 0.4, kind="ab", shadows=False)
    write(home, rollout, world, reported=labels)
    [found] = steps.look(attach(home), UNBLOCKED, LATE + timedelta(days=DAYS))
    arm = found.found["new"]
    money = arm.get("money")
    assert money is not None and money.outcome == outcome, money
    assert arm.get("quality") is None and arm.events == world.pairs.answered.sum()
    kind = {"bad": "rolled back", "open": None, "good": "completed"}[outcome]
    assert found.verdict.kind == kind, found.verdict.reason
    stopped = next(each for each in arm.business if each.name == "stopped, money")
    assert stopped.champion == pytest.approx(world.outcomes.amounts[labels & (chance < 0.5)].sum(), rel=0.3)


def test_what_cannot_come_to_a_verdict_without_shadows_is_refused(home: Settings) -> None:
    for kind in ("canary", "shadow"):
        with pytest.raises(Invalid, match="pairs of scores"):
            Strategy(kind, shadows=False)
    asked = Asked("spring", Strategy("ab", shadows=False), {"new": 2})
    with pytest.raises(Invalid, match="events may be blocked"):
        conduct.start(attach(home), FRAUD, Champions(home), asked, By("me", START))


def test_shares_that_change_on_the_way_leave_a_verdict_as_it_is(home: Settings) -> None:
    """Each event counts by the chance of its own moment; a worse model is still found, an equal one is not."""
    for name, candidate in (("worse", replace(WORSE, signal=2.7)), ("equal", EQUAL)):
        own = promoted(Settings(home=Path(home.home) / name))
        rollout = started(own, 0.2)
        low, high = drawn(3, 0.2, candidate), drawn(3, 0.8, candidate)
        half = DAYS * A_DAY // 2
        write(own, rollout, low, last=half, reported=low.outcomes.labels)
        moved = Change("changed", {"new": 0.8}, "", "me", START + timedelta(days=DAYS // 2))
        rollouts.change(own, rollout, moved)
        write(own, rollout, high, first=half, reported=high.outcomes.labels)
        [found] = steps.look(attach(own), FRAUD, LATE)
        quality = found.found["new"].get("quality")
        assert quality is not None and (quality.outcome == "bad") == (name == "worse"), quality
