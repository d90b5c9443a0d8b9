"""Rollouts in the ledger, on SQLite and a real PostgreSQL: parts that never cross, one change at a time."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.ledger import promotions, rollouts
from jobs.ledger.promotions import PromotionDecision
from jobs.ledger.rollouts import Arm, Change, Refused, Rollout
from jobs.rollout_strategy import Strategy
from jobs.settings import Settings

NOW = datetime(2026, 5, 5, tzinfo=UTC)
FIRST = Change("started", {"new": 0.1}, "try it", "me", NOW)


def rollout(name: str = "new_model", champion: int = 1) -> Rollout:
    arm = Arm("new", 2, "b" * 64, "c" * 64)
    return Rollout("fraud", name, Strategy().stored, (arm,), champion, "a" * 64, 0.0, 0.0, NOW, 7)


@pytest.fixture
def home(ledger_home: Settings) -> Settings:
    """Version 1 is champion."""
    decision = PromotionDecision("fraud", NOW, NOW, "promotion", "promoted", "", "me", True, 1, "a" * 64, None, "d")
    promotions.decide(ledger_home, decision)
    return ledger_home


def started(home: Settings, name: str = "new_model", width: float = 1.0) -> Rollout:
    return rollouts.start(home, rollout(name), FIRST, width)


def test_a_rollout_is_read_as_it_was_recorded(home: Settings) -> None:
    found = started(home)
    assert [found] == rollouts.of_use_case(home, "fraud", live=True) and rollouts.of_use_case(home, "returns") == []
    expected = replace(rollout(), id=found.id, high=1.0, changes=(replace(FIRST, number=1),))
    assert found == expected and found.shares == {"new": 0.1} and Strategy.of_stored(found.strategy) == Strategy()


def test_changes_follow_one_another_and_the_last_one_ends_it(home: Settings) -> None:
    found = started(home)
    paused = rollouts.change(home, found, Change("paused", {"new": 0.1}, "", "me", NOW))
    assert (paused.state, paused.shares) == ("paused", {})
    resumed = rollouts.change(home, paused, Change("resumed", {"new": 0.1}, "", "me", NOW))
    assert (resumed.state, resumed.shares) == ("running", {"new": 0.1})
    ended = rollouts.change(home, resumed, Change("rolled back", {}, "it fails", "evergreen", NOW + timedelta(1)))
    assert ended.ended_at == NOW + timedelta(1) and rollouts.of_use_case(home, "fraud", live=True) == []
    for stale in (found, ended):
        with pytest.raises(Refused, match="expected it as it was read"):
            rollouts.change(home, stale, Change("paused", {}, "", "me", NOW))


def test_two_started_at_once_never_have_the_same_entities(home: Settings) -> None:
    found: list[Rollout | Refused] = []

    def start(number: int) -> None:
        try:
            found.append(started(home, f"r{number}", 0.4))
        except Refused as refused:
            found.append(refused)

    threads = [threading.Thread(target=start, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    parts = sorted((each.low, each.high) for each in found if isinstance(each, Rollout))
    assert parts == [(0.0, 0.4), (0.4, 0.8)]
    refused = [str(each) for each in found if isinstance(each, Refused)]
    assert len(refused) == 2 and all("expected 40% of the entities" in each for each in refused)
    rollouts.start(home, rollout("shadow"), FIRST, 0.0)  # it takes nobody


def test_a_name_is_there_once_and_the_champion_is_whom_it_was_asked_beside(home: Settings) -> None:
    started(home, width=0.2)
    with pytest.raises(Refused, match="no rollout going on has"):
        started(home, width=0.2)
    with pytest.raises(Refused, match="expected version 9 in production, found version 1"):
        rollouts.start(home, rollout("other", champion=9), FIRST, 0.1)


@given(st.lists(st.floats(0.01, 0.6), max_size=8))
def test_parts_that_are_given_out_never_overlap(widths: list[float]) -> None:
    taken: list[tuple[float, float]] = []
    for width in widths:
        try:
            low = rollouts.free_part(taken, width)
        except Refused:
            free = 1 - sum(high - low for low, high in taken)
            assert free < width + 1e-6 or len(taken) > 1  # what is free may lie in several places
            continue
        assert low >= 0 and low + width <= 1 + 1e-9
        assert all(low + width <= other + 1e-9 or low >= end - 1e-9 for other, end in taken)
        taken.append((low, low + width))
