"""Checks of streams: what is refused, and features that are compared with batch once, and again until they agree."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from deltalake import write_deltalake
from worlds.streamed_runs import made, run
from worlds.streamed_world import PAYMENTS, START, busy_days

from jobs.checks import streams
from jobs.lakehouse.commit_state import keeping
from jobs.messages.topics import Topics
from jobs.processes import this_process
from jobs.streams.control import Heartbeat
from jobs.streams.refused import refused
from jobs.streams.stream import MOST
from jobs.streams.verified_days import verify_new
from jobs.use_cases.fraud import FRAUD, TRANSACTIONS

NOW = datetime(2026, 11, 30, tzinfo=UTC)
SAID = Heartbeat(NOW.timestamp(), this_process(), "running", lag={PAYMENTS: 7})


def test_a_topic_has_a_lag_a_voice_and_no_dead_letters() -> None:
    assert [each.passed for each in streams.of_topic(SAID, PAYMENTS, Counter(), NOW)] == [True] * 4
    behind = replace(SAID, lag={PAYMENTS: MOST + 1})
    later = NOW + timedelta(minutes=2)
    found = streams.of_topic(behind, PAYMENTS, Counter({"tx_amount: below 0": 2}), later)
    assert [each.passed for each in found] == [False] * 3 + [True]
    assert found[0].text == "expected at most 10,000 messages, found 10,001"
    assert "silent, 120 seconds ago" in found[1].text and "2 (2: tx_amount: below 0)" in found[2].text


def test_a_change_of_a_topic_is_told_for_a_day() -> None:
    changed = replace(SAID, changes={PAYMENTS: [{"at": NOW.timestamp(), "what": "it was made again"}]})
    outcome = streams.unchanged(changed, PAYMENTS, NOW + timedelta(hours=23))
    assert not outcome.passed and outcome.text.endswith("2026-11-30 00:00:00: it was made again")
    assert streams.unchanged(changed, PAYMENTS, NOW + timedelta(hours=25)).passed
    assert streams.unchanged(changed, "fraud.fraud_reports", NOW).passed


@pytest.mark.parametrize("said", [None, replace(SAID, condition="ended")])
def test_a_stream_that_is_not_to_run_is_not_judged(said: Heartbeat | None) -> None:
    assert streams.fresh(said, NOW + timedelta(days=9)).expected == ""
    assert streams.computed(said).expected == ""


def test_features_that_are_not_computed_are_told_with_the_reason() -> None:
    assert streams.computed(SAID).passed
    assert not streams.computed(replace(SAID, why="no marts yet")).passed


def test_refused_are_messages_of_the_topic_that_break_the_contract(tmp_path: Path) -> None:
    world = made(tmp_path, 1)
    for number, amount in enumerate([-1, 5, -2]):
        world.send(PAYMENTS, world.payment(5000 + number, START) | {"tx_amount": amount})
    run(world)
    now = datetime.now(UTC)
    assert refused(world.lakehouse, Topics(FRAUD), TRANSACTIONS, now).total() == 2
    assert refused(world.lakehouse, Topics(FRAUD), TRANSACTIONS, now + timedelta(days=2)).total() == 0


def test_features_are_compared_when_marts_have_their_events_and_then_no_more(tmp_path: Path) -> None:
    world = made(tmp_path, 2)
    busy_days(world, 30)
    run(world)
    assert "in no mart yet" in streams.judged(world.lakehouse, FRAUD).text
    world.night()
    found = streams.judged(world.lakehouse, FRAUD)
    assert found.passed and found.numbers["events"] == 30 and not found.numbers["not_in_marts"]
    assert streams.judged(world.lakehouse, FRAUD).expected == ""
    world.send(PAYMENTS, world.payment(7000, START + timedelta(days=3)), START + timedelta(days=3))
    run(world)
    world.night()
    assert streams.judged(world.lakehouse, FRAUD).numbers["events"] == 1


def test_a_cell_that_differs_holds_back_until_it_is_mended(tmp_path: Path) -> None:
    world = made(tmp_path, 3)
    busy_days(world, 20)
    run(world)
    world.night()
    table = FRAUD.stream_table(FRAUD.windows[0])
    name = FRAUD.windows[0].names[0]
    rows = pl.DataFrame(world.lakehouse.to_arrow(table))
    wrong = rows.with_columns(pl.when(pl.int_range(pl.len()) == 3).then(pl.col(name) + 1).otherwise(pl.col(name)))
    for _ in range(2):
        _put(world.lakehouse.path(table), wrong, world.lakehouse.state(table))
        outcome = streams.judged(world.lakehouse, FRAUD)
        assert outcome.holds_back and outcome.numbers["different"] == 1 and name in outcome.text
    _put(world.lakehouse.path(table), rows, world.lakehouse.state(table))
    assert streams.judged(world.lakehouse, FRAUD).passed and verify_new(world.lakehouse, FRAUD) is None


def _put(path: str, rows: pl.DataFrame, state: Mapping[str, Any]) -> None:
    """Write a table anew, with its state."""
    write_deltalake(path, rows.to_arrow(), mode="overwrite", commit_properties=keeping(state))
