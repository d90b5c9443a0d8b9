"""Packets of facts, folded by bucket in any portions: features are what the evaluator makes of the same facts."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from worlds import streamed_logins
from worlds.draws import drawn
from worlds.login_world import SHOP
from worlds.streamed_runs import made, opened
from worlds.streamed_world import BROKEN, DAY, PAYMENTS, SECOND, START, World, busy_days, deletions

from jobs.features.window_runs import kernel_of
from jobs.spark_streams.features import SparkFeatures
from jobs.spark_streams.packet_kernel import Fold, unpacked
from jobs.spark_streams.packets import BUCKET, FACTS, STAMP, WINDOWS, Facts, Packets, history
from jobs.streams import feature_tables
from jobs.streams.bootstrap import Bootstrap
from jobs.streams.event_facts import Told
from jobs.use_case import UseCase
from jobs.use_cases.fraud import FRAUD

BUCKETS = 3


class Handed:
    """What a stream hands on, as `SparkTables` does, without Spark."""

    def __init__(self, world: World, use_case: UseCase) -> None:
        self.packets, self.windows = Packets(world.lakehouse, use_case, BUCKETS), use_case.windows
        self.facts: list[Facts] = []

    def begin(self, marts: Any, stamp: int) -> None:
        known = [(windows, history(windows, marts)) for windows in self.windows]
        self.version = self.packets.begin(known)
        self.facts = [Facts(windows, number, facts.schema) for number, (windows, facts) in enumerate(known)]

    def hand_on(self, change: Any) -> None:
        for facts in self.facts:
            facts.add(change, is_target=True)

    def append(self, stamp: int) -> None:
        self.packets.append([(facts.windows, facts.take()) for facts in self.facts], stamp)

    def close(self) -> None:
        """There is nothing to end."""


def computed(world: World, use_case: UseCase, handed: Handed) -> dict[str, pl.DataFrame]:
    """Features of all packets, of which each bucket gets several at once or one by one."""
    schemas = feature_tables.schemas(world.lakehouse, use_case)
    folds = {w.name: Fold(w, kernel_of(w, schema)) for w, schema in zip(use_case.windows, schemas, strict=True)}
    packets = world.lakehouse.to_arrow(handed.packets.table).to_pylist()
    waiting: dict[Any, list[dict[str, Any]]] = defaultdict(list)
    states: dict[Any, bytes] = {}
    rows = defaultdict(list)

    def fold(at: tuple[str, int]) -> None:
        came, waiting[at] = waiting[at], []
        states[at], found = folds[at[0]](states.get(at), [each[FACTS] for each in came], came[-1][STAMP])
        if found is not None:
            rows[at[0]].append(unpacked(found))

    for packet in sorted(packets, key=lambda each: each[STAMP]):
        at = packet[WINDOWS], packet[BUCKET]
        waiting[at].append(packet)
        if world.chance.random() < 0.6:
            fold(at)
    for at in [at for at, left in waiting.items() if left]:
        fold(at)
    return {name: pl.concat(parts) for name, parts in rows.items()}


def moves(world: World) -> None:
    """Corrections that put payments to other customers and terminals, and payments after them."""
    chance, moment = world.chance, START + 2 * DAY
    sent = [json.loads(message.value or b"") for message in world.messages if message.topic == PAYMENTS]
    for number, row in enumerate(row for row in sent if row["transaction_id"] < BROKEN):
        if chance.random() < 0.3:
            world.send(PAYMENTS, row | {"customer_id": chance.randrange(6)}, moment + number * SECOND)
        if chance.random() < 0.3:
            world.send(PAYMENTS, row | {"terminal_id": 100 + chance.randrange(5)}, moment + number * SECOND)
        if chance.random() < 0.3:
            world.send(PAYMENTS, world.payment(5000 + number, moment), moment + number * SECOND)


@pytest.mark.parametrize("seed", [drawn("packets").randrange(10_000) for _ in range(2)])
def test_packets_in_any_portions_are_what_the_evaluator_makes_of_the_same_facts(tmp_path: Path, seed: int) -> None:
    world = made(tmp_path, seed)
    busy_days(world, 80)
    moves(world)
    deletions(world, 0.3)
    same(world, FRAUD, tmp_path)


@pytest.mark.parametrize("seed", [drawn("packets of logins").randrange(10_000) for _ in range(2)])
def test_packets_of_facts_that_are_no_events_are_too(tmp_path: Path, seed: int) -> None:
    bank = streamed_logins.made(tmp_path, seed)
    bank.busy_days(80)
    same(bank, SHOP, tmp_path)


def same(world: World, use_case: UseCase, folder: Path) -> None:
    """Raise unless the features of packets are those that the stream has stored."""
    one = opened(world, use_case)
    while one.step(0):
        one.commit()
    assert not one.note
    one.close()
    streamed = {w.name: pl.DataFrame(world.lakehouse.to_arrow(use_case.stream_table(w))) for w in use_case.windows}
    first = min(rows["event_timestamp"].cast(pl.Int64).sort().to_list()[0] for rows in streamed.values())
    bootstrap, handed = Bootstrap.of(world.lakehouse, use_case, first - 1), Handed(world, use_case)
    features = SparkFeatures(bootstrap, handed, 0, folder / "other")  # type: ignore[arg-type]
    some: list[tuple[int, Told]] = []
    for each in bootstrap.raw():
        some.append(each)
        if world.chance.random() < 0.2:
            assert not list(features.take(some))
            handed.append(each[0])
            some = []
    assert not list(features.take(some))
    handed.append(each[0])
    features.close()
    found = computed(world, use_case, handed)
    assert found.keys() == streamed.keys()
    for name, rows in found.items():
        expected = streamed[name].sort(use_case.event_id)
        assert rows.sort(use_case.event_id).select(expected.columns).equals(expected)
