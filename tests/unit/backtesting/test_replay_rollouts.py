"""Promotions of a replay, lived through again: what each strategy would have done with a better and a worse model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from worlds.small_history import A_DAYS_ROWS, START, world

from jobs.arrays import Floats
from jobs.backtesting import replay_rollouts, rollouts_picture
from jobs.backtesting.replay_log import Day
from jobs.rollout_strategy import Strategy
from jobs.times import NEVER
from jobs.use_cases.fraud import FRAUD

DAYS, PROMOTED = 70, 20
HISTORY = replace(world(seed=5, days=DAYS), amounts=np.full(DAYS * A_DAYS_ROWS, 100.0))
TRUTH = HISTORY.labels.at(NEVER - 1, len(HISTORY)) == 1
NOISE = np.random.default_rng(5).normal(size=(3, len(HISTORY)))
STRATEGIES = [Strategy("shadow", least_events=20), Strategy("canary", least_events=20)]


def day(number: int) -> Day:
    """The second model is promoted on one evening."""
    version = 1 + (number > PROMOTED)
    date = (START + timedelta(days=number)).date().isoformat()
    following = 2 if number == PROMOTED else version
    return Day(date, 1, 0, 0.0, 0.0, False, False, "", version, 0, 0.0, {}, None, following)


def predict(signal: float) -> Callable[[int, slice], Floats]:
    """The first model's positives stand out by 3, those of the second by something else."""

    def scores(version: int, rows: slice) -> Floats:
        out = 3.0 * TRUTH if version == 1 else signal * TRUTH
        logit = 2.2 * (out + 0.95 * NOISE[0] + 0.3 * NOISE[version])[rows] - 5.0
        made: Floats = 1 / (1 + np.exp(-logit))
        return made

    return scores


def lived(signal: float) -> dict[str, replay_rollouts.Brought]:
    days = [day(number) for number in range(DAYS)]
    return {
        each.strategy: each for each in replay_rollouts.lived_through(FRAUD, HISTORY, days, predict(signal), STRATEGIES)
    }


def test_a_better_model_is_brought_in_and_a_useless_one_is_taken_back() -> None:
    better, useless = lived(5.0), lived(-3.0)
    assert better["canary"].verdict == better["shadow"].verdict == "completed"
    assert useless["canary"].verdict == useless["shadow"].verdict == "rolled back"
    for found in (better, useless):
        assert {(each.version, each.instead_of) for each in found.values()} == {(2, 1)}
        assert list(found) == ["at once", "shadow", "canary"]
        assert 0 <= found["shadow"].exposed < 1 and found["at once"].exposed == 1
    assert useless["shadow"].money == useless["shadow"].money_of_former > useless["at once"].money
    assert useless["at once"].money < useless["canary"].money
    assert better["at once"].money > better["canary"].money > better["canary"].money_of_former


def test_no_evening_knows_more_than_it_could() -> None:
    """Where labels are mature after the end only, no verdict rests on them."""
    slow = replace(FRAUD, label_maturity=timedelta(days=365))
    days = [day(number) for number in range(DAYS)]
    found = replay_rollouts.lived_through(slow, HISTORY, days, predict(5.0), STRATEGIES)
    assert {each.verdict for each in found if each.strategy != "at once"} == {"undecided"}


def test_table_and_picture_hold_every_promotion(tmp_path: Path) -> None:
    brought = replay_rollouts.frame(list(lived(5.0).values()))
    told = replay_rollouts.summary(brought)
    assert told["strategy"].to_list() == ["at once", "shadow", "canary"]
    assert told["promotions"].to_list() == [1, 1, 1] and told["completed"].to_list() == [1, 1, 1]
    assert told["money_gained"][0] == pytest.approx(brought["money"][0] - brought["money_of_former"][0])
    rollouts_picture.write(brought, tmp_path / "rollouts.png", "fraud")
    assert (tmp_path / "rollouts.png").read_bytes().startswith(b"\x89PNG")


def test_without_a_promotion_there_is_nothing_to_bring_in() -> None:
    days = [replace(day(number), champion_version=1, next_champion=1) for number in range(5)]
    found = replay_rollouts.lived_through(FRAUD, HISTORY, days, predict(5.0), STRATEGIES)
    assert found == [] and replay_rollouts.summary(replay_rollouts.frame(found)).is_empty()
