"""Blocked events that are let through: by the declared chance, within the quota of a day, by all workers together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import msgspec
import pytest
from worlds import decided_world
from worlds.decided_world import SECOND, World, server, worker

from jobs.decisions import consistency, opened
from jobs.decisions.decider import Decider
from jobs.decisions.exploration import Exploration
from jobs.decisions.log_contents import Shadow
from jobs.decisions.outcome import Outcome
from jobs.decisions.scores import Scored
from jobs.lakehouse.tables import attach
from jobs.problem import Review
from jobs.settings import Settings

pytestmark = pytest.mark.embedded
BLOCKED = Scored(Outcome(0.95, "block"), "1", "0" * 64)
REVIEW = Review(threshold=0.5, capacity=100, cost=5.0, block=0.9, explored=0.25)
A_DAY = 86_400 * SECOND


@pytest.fixture
def world(home: Settings) -> World:
    return decided_world.made(home, events=10, future=0)


def let_through(exploration: Exploration, ids: Sequence[int], amount: float = 10.0) -> list[Scored]:
    return [exploration.applied(BLOCKED, id, amount) for id in ids]


def reviewed(found: Sequence[Scored]) -> int:
    return sum(each.outcome.decision == "review" for each in found)


def test_the_declared_share_is_let_through_and_says_so(world: World) -> None:
    with server(world), worker(world) as one:
        found = let_through(Exploration(REVIEW, one), range(2_000))
        assert 0.2 < reviewed(found) / 2_000 < 0.3
        assert {(each.outcome.decision, each.propensity) for each in found} == {("block", 0.75), ("review", 0.25)}
        assert {each.outcome.score for each in found} == {0.95}
        assert found == let_through(Exploration(REVIEW, one), range(2_000))  # the same of any worker
        approved = BLOCKED._replace(outcome=Outcome(0.1, "approve"))
        assert Exploration(REVIEW, one).applied(approved, 1, 1.0) is approved


def test_what_is_too_large_had_no_chance(world: World) -> None:
    with server(world), worker(world) as one:
        found = let_through(Exploration(replace(REVIEW, explored_amount=9.5), one), range(200))
        assert {(each.outcome.decision, each.propensity) for each in found} == {("block", 1.0)}


def test_two_workers_keep_one_quota_of_a_day(world: World) -> None:
    capped = replace(REVIEW, explored_money=95.0)
    with server(world), worker(world) as one, worker(world) as other:
        both = [Exploration(capped, each) for each in (one, other)]
        found = [both[id % 2].applied(BLOCKED, id, 10.0) for id in range(500)]
        assert reviewed(found) == 9  # 90 of 95; a tenth has no room
        last = max(place for place, each in enumerate(found) if each.outcome.decision == "review")
        assert {each.propensity for each in found[last + 1 :]} == {1.0}
        world.now += A_DAY
        assert reviewed(let_through(both[0], range(500, 1_000))) == 9
        again = Exploration(capped, other)  # another process of the same day
        assert reviewed(let_through(again, range(1_000, 1_500))) == 0


def test_a_log_that_takes_nothing_lets_nothing_through(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> bool:
        raise OSError("full")

    with server(world), worker(world) as one:
        monkeypatch.setattr(Decider, "note", full)
        found = let_through(Exploration(replace(REVIEW, explored_money=1e9), one), range(200))
        assert {each.outcome.decision for each in found} == {"block"}


@pytest.mark.parametrize("wrong", [{"explored": 1.0}, {"explored": -0.1}, {"explored_money": -1.0}, {"block": None}])
def test_a_quota_that_cannot_be_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="explored: expected"):
        replace(REVIEW, **wrong)


def test_what_shadows_said_is_kept_once_and_is_no_fact(world: World) -> None:
    with server(world), worker(world) as one, worker(world) as other:
        decided = decided_world.decide(one, world.given())
        shadow = Shadow(decided.id, decided.decided_at, 1, "new", Outcome(0.5), "2", 30)
        one.keep_shadows([shadow])
        other.keep_shadows([shadow, msgspec.structs.replace(shadow, arm="old")])
        kinds = [record.id.rpartition("/")[0] for record in other.log.records()]
        assert sorted(kind for kind in kinds if kind.startswith("shadow")) == ["shadow/1/new", "shadow/1/old"]
        for each in (one, other):
            assert decided_world.decide(each, world.given(customer_id=1)).features
        one.catch_up()
        base, _ = opened.last_base(one.log)
        assert base is not None
        found = consistency.compare(attach(world.settings), one.rows, base, one.log.records())
        assert (found.decisions, found.different) == (3, 0)
