"""What comes over topics: every message accounted for, and features that are the batch kernel's in every cell."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest
from worlds.streamed_runs import made, opened, run
from worlds.streamed_world import (
    BROKEN,
    PAYMENTS,
    REPORTS,
    SECOND,
    START,
    World,
    busy_days,
    contents,
    deletions,
    stored,
)  # fmt: skip

from jobs.decisions import entity_states
from jobs.streams import feature_tables, features, landing, starting, verify
from jobs.use_cases.fraud import FRAUD, FRAUD_REPORTS, TRANSACTIONS


def run_with_nights_and_deaths(world: World) -> None:
    """All that was sent, as it comes in three parts."""
    everything, world.messages = world.messages, []
    for part in (0.3, 0.6, 1.0):
        world.messages = everything[: int(part * len(everything))]
        run(world, steps=world.chance.randrange(4))
        assert not run(world).note
        if world.chance.random() < 0.6:
            world.night()
    world.night()


@pytest.mark.parametrize("many", [entity_states.MANY, 2])
@pytest.mark.parametrize("seed", range(4))
def test_every_cell_is_what_a_batch_makes_of_it_after_nights_and_deaths(
    tmp_path: Path, seed: int, many: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """many: events that are answered at once by the batch kernel, or one by one."""
    monkeypatch.setattr(entity_states, "MANY", many)
    world = made(tmp_path, seed)
    busy_days(world, 100)
    run_with_nights_and_deaths(world)
    assert stored(world, TRANSACTIONS) == contents(world, PAYMENTS)
    assert stored(world, FRAUD_REPORTS) == contents(world, REPORTS)
    found = verify.verify(world.lakehouse, FRAUD, verify.days_of(world.lakehouse, FRAUD))
    assert (found.different, found.examples) == (0, [])
    assert (found.events, found.not_in_marts, found.decided_elsewhere) == (100, 0, 0)
    assert found.cells == 100 * sum(len(windows.names) for windows in FRAUD.windows)


def standing(world: World, topic: str) -> set[int]:
    """Ids of rows of a topic that are there once all its messages are read."""
    rows: dict[int, list[str]] = {}
    gone: set[int] = set()
    for message in world.messages:
        if message.topic != topic or message.value is None:
            continue
        said = json.loads(message.value)
        row = said.get("before" if said.get("op") == "d" else "after", said)
        number, content = row["transaction_id"], json.dumps(row)
        if not 1000 <= number < BROKEN:
            continue
        if said.get("op") == "d":
            gone |= {number} & rows.keys()
        elif "op" in said or content not in rows.setdefault(number, []):
            rows.setdefault(number, []).append(content)
            gone.discard(number)
    return rows.keys() - gone


@pytest.mark.parametrize("seed", range(6))
def test_what_is_deleted_is_counted_until_that_is_known(tmp_path: Path, seed: int) -> None:
    world = made(tmp_path, seed)
    busy_days(world, 100)
    deletions(world, 0.4)
    run_with_nights_and_deaths(world)
    events = pl.DataFrame(world.lakehouse.to_arrow(FRAUD.events)).filter(pl.col("transaction_id") >= 1000)
    there = set(events.filter(pl.col("superseded_at").is_null())["transaction_id"])
    assert there == standing(world, PAYMENTS) and len(there) < 100
    found = verify.verify(world.lakehouse, FRAUD, verify.days_of(world.lakehouse, FRAUD))
    assert (found.different, found.examples) == (0, [])
    assert (found.events, found.not_in_marts, found.decided_elsewhere) == (100, 0, 0)


def test_a_report_moves_with_the_payment_that_a_correction_moves(tmp_path: Path) -> None:
    world = made(tmp_path, 0)
    hour, of_history = timedelta(hours=1), world.payment(0, START) | {"transaction_id": 0}
    payment = world.payment(1000, START) | {"customer_id": 1}
    world.send(PAYMENTS, payment, START)
    world.send(REPORTS, world.report(payment, START + hour) | {"tx_fraud": True}, START + hour)
    world.send(REPORTS, world.report(of_history, START + hour) | {"tx_fraud": True}, START + hour)
    for moved in (payment, of_history):
        world.send(PAYMENTS, moved | {"customer_id": 2, "terminal_id": 102}, START + 2 * hour)
    for number in range(12):
        at = START + (3 + number) * hour
        world.send(PAYMENTS, world.payment(1001 + number, at) | {"customer_id": 1 + number % 2}, at)
    run(world)
    world.night()
    found = verify.verify(world.lakehouse, FRAUD, verify.days_of(world.lakehouse, FRAUD))
    assert (found.different, found.examples, found.events) == (0, [], 13)


def test_small_files_are_put_together_and_nothing_else_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (landing, feature_tables):
        monkeypatch.setattr(module, "COMPACTED_AFTER", 5)
    world = made(tmp_path, 0)
    busy_days(world, 60)
    one = opened(world)
    while one.step(0):
        one.commit()
    one.close()
    world.night()
    days = verify.days_of(world.lakehouse, FRAUD)
    for table in (FRAUD.raw_table(TRANSACTIONS), FRAUD.stream_table(FRAUD.windows[0])):
        files = [len(world.lakehouse.files_by_day(table)[day]) for day in days]
        assert max(files) <= 6
        assert "stamp" in str(world.lakehouse.state(table))
    assert stored(world, TRANSACTIONS) == contents(world, PAYMENTS)
    assert verify.verify(world.lakehouse, FRAUD, days).different == 0


def test_features_stand_on_newer_marts_once_much_came(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(features, "REBASED_AFTER", 20)
    world = made(tmp_path, 2)
    busy_days(world, 90)
    one, starts = opened(world), 0
    while one.step(0):
        assert one.commit()
        if one.is_behind_marts:
            starting.start_features(one)
            starts += 1
        elif world.chance.random() < 0.3:
            world.night()
    one.commit()
    one.close()
    world.night()
    assert starts >= 2
    found = verify.verify(world.lakehouse, FRAUD, verify.days_of(world.lakehouse, FRAUD))
    assert (found.events, found.different, found.not_in_marts) == (90, 0, 0)


def test_the_label_of_a_payment_is_where_the_payment_was_believed_to_be(tmp_path: Path) -> None:
    world = made(tmp_path, 0)
    at = world.now
    first = world.payment(2000, at) | {"customer_id": 1}
    world.send(PAYMENTS, first, at)
    world.send(REPORTS, world.report(first, at + SECOND) | {"tx_fraud": True}, at + SECOND)
    world.send(PAYMENTS, world.payment(2001, at + 2 * SECOND) | {"customer_id": 2}, at + 2 * SECOND)
    world.send(PAYMENTS, first | {"customer_id": 2}, at + 3 * SECOND)
    world.send(PAYMENTS, world.payment(2002, at + 4 * SECOND) | {"customer_id": 5}, at + 4 * SECOND)
    assert not run(world).note
    world.night()
    found = verify.verify(world.lakehouse, FRAUD, verify.days_of(world.lakehouse, FRAUD))
    assert (found.events, found.different) == (3, 0)
