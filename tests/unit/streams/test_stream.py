"""What comes over topics: every message accounted for, and features that are the batch kernel's in every cell."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest
from worlds.streamed_world import PAYMENTS, REPORTS, SECOND, START, ListReader, Row, World

from jobs.ingest.columns_file import ColumnsFile
from jobs.messages.formats import decoder
from jobs.messages.topics import Topics
from jobs.settings import Settings
from jobs.streams import stream, verify
from jobs.streams.stream import Stream
from jobs.use_case import Source
from jobs.use_cases.fraud import FRAUD, FRAUD_REPORTS, TRANSACTIONS

BROKEN = 10_000
"""Ids above it are of payments that break the contract."""


def made(folder: Path, seed: int) -> World:
    world = World(Settings(home=folder), Random(seed))
    world.history(200)
    return world


def opened(world: World) -> Stream:
    places = stream.positions(world.lakehouse, Topics(FRAUD))
    reader = ListReader(places, world.messages, world.chance)
    one = stream.open_stream(world.lakehouse, Topics(FRAUD), reader, decoder(), ColumnsFile())
    stream.start_features(one)
    return one


def run(world: World, steps: int | None = None) -> Stream:
    """From where the last one ended to the end of all topics, or killed after some steps."""
    one = opened(world)
    while (steps is None or steps > 0) and one.step(0):
        steps = None if steps is None else steps - 1
        if world.chance.random() < 0.3:
            one.commit()
    if steps is None:
        one.commit()
    one.close()
    return one


def busy_days(world: World, events: int) -> None:
    """Payments late, twice, out of order and corrected, reports that may come before them, a few broken ones."""
    chance, moment = world.chance, START
    sent: list[Row] = []
    for number in range(1000, 1000 + events):
        moment += timedelta(seconds=chance.randrange(1, 600))
        payment = world.payment(number, moment - timedelta(seconds=chance.choice([0, 0, 5, 3600])))
        report = world.report(payment, moment)
        if chance.random() < 0.1:
            world.send(REPORTS, report, moment)
        world.send(PAYMENTS, payment, moment)
        sent.append(payment)
        if chance.random() < 0.2:
            world.send(PAYMENTS, chance.choice(sent), moment)
        if chance.random() < 0.1:
            corrected = chance.choice(sent) | {"tx_amount": chance.uniform(1, 90)}
            world.send(PAYMENTS, corrected, moment + SECOND)
        if chance.random() < 0.3:
            world.send(REPORTS, world.report(chance.choice(sent), moment), moment + SECOND)
        if chance.random() < 0.05:
            world.send(PAYMENTS, payment | {"transaction_id": BROKEN + number, "tx_amount": -1}, moment)


def contents(world: World, topic: str) -> list[tuple[Any, ...]]:
    """The different rows that a topic holds, each once."""
    rows = [json.loads(message.value or b"") for message in world.messages if message.topic == topic]
    return sorted({tuple(map(str, row.values())) for row in rows if row["transaction_id"] < BROKEN})


def stored(world: World, source: Source) -> list[tuple[Any, ...]]:
    """The rows that the raw table has of a topic."""
    columns = [column.name for column in source.columns]
    rows = world.lakehouse.to_arrow(FRAUD.raw_table(source), None, columns, [("stream_topic", "!=", "")]).to_pylist()
    return sorted(tuple(v.isoformat() if isinstance(v, datetime) else str(v) for v in row.values()) for row in rows)


@pytest.mark.parametrize("seed", range(4))
def test_every_cell_is_what_a_batch_makes_of_it_after_nights_and_deaths(tmp_path: Path, seed: int) -> None:
    world = made(tmp_path, seed)
    busy_days(world, 100)
    everything, world.messages = world.messages, []
    for part in (0.3, 0.6, 1.0):
        world.messages = everything[: int(part * len(everything))]
        run(world, steps=world.chance.randrange(4))
        assert not run(world).note
        if world.chance.random() < 0.6:
            world.night()
    world.night()
    assert stored(world, TRANSACTIONS) == contents(world, PAYMENTS)
    assert stored(world, FRAUD_REPORTS) == contents(world, REPORTS)
    found = verify.verify(world.lakehouse, FRAUD, verify.days_of(world.lakehouse, FRAUD))
    assert (found.different, found.examples) == (0, [])
    assert (found.events, found.not_in_marts, found.decided_elsewhere) == (100, 0, 0)
    assert found.cells == 100 * sum(len(windows.names) for windows in FRAUD.windows)
