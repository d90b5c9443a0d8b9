"""Rows that come over a topic and by a file: each is one row, known when the stream saw it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from random import Random

import polars as pl
import pytest
from worlds.streamed_world import PAYMENTS, REPORTS, ListReader, Row, World

from jobs.ingest import load
from jobs.ingest.columns_file import ColumnsFile
from jobs.ingest.registered_inputs import Inputs
from jobs.lakehouse.tables import Lakehouse
from jobs.messages.formats import decoder
from jobs.messages.topics import Topics
from jobs.streams import starting
from jobs.use_case import Source
from jobs.use_cases.fraud import FRAUD, FRAUD_REPORTS, TRANSACTIONS

pytestmark = pytest.mark.embedded
SOURCES = {"transactions": TRANSACTIONS, "reports": FRAUD_REPORTS}


@pytest.fixture
def world(lakehouse: Lakehouse) -> World:
    made = World(lakehouse.settings, Random(0))
    made.history(40)
    return made


def run(world: World) -> None:
    topics = Topics(FRAUD)
    reader = ListReader(starting.positions(world.lakehouse, topics), world.messages, world.chance)
    one = starting.open_stream(world.lakehouse, topics, reader, decoder(), ColumnsFile())
    while one.step(0):
        pass
    one.commit()
    one.close()


def loaded(world: World, name: str, rows: list[Row]) -> tuple[int, int]:
    """Rows of a file that were appended, and that were known already."""
    file = world.settings.home / f"{name}.parquet"
    pl.DataFrame(rows).rename(str.upper).write_parquet(file)
    days = [row[SOURCES[name].event_time].date() for row in rows]
    inputs = Inputs({name: (str(file),)}, min(days), max(days))
    now = datetime.now(UTC)
    result = load.load(world.lakehouse, FRAUD, SOURCES[name], inputs, as_of=now, now=now)
    assert result.unaccounted == 0
    return result.appended, result.already_known


def known_at(world: World, source: Source) -> list[tuple[int, datetime]]:
    rows = world.lakehouse.to_arrow(FRAUD.raw_table(source), None, ["transaction_id", "known_at"]).to_pylist()
    return sorted((row["transaction_id"], row["known_at"]) for row in rows if row["transaction_id"] >= 1000)


def test_a_file_brings_nothing_that_came_over_a_topic_and_all_else(world: World) -> None:
    at = world.now
    payments = [world.payment(1000 + number, at + timedelta(minutes=number)) for number in range(20)]
    reports = [world.report(row, row["tx_datetime"] + timedelta(hours=1)) for row in payments]
    for row in payments[:15]:
        world.send(PAYMENTS, row, row["tx_datetime"] + timedelta(minutes=3))
    for row in reports[:10]:
        world.send(REPORTS, row, row["fraud_reported_at"] + timedelta(minutes=7))
    run(world)
    stamped = known_at(world, FRAUD_REPORTS)
    assert loaded(world, "transactions", payments) == (5, 15)
    assert loaded(world, "reports", reports) == (10, 10)
    assert [row for row in known_at(world, FRAUD_REPORTS) if row in stamped] == stamped
    assert len(known_at(world, FRAUD_REPORTS)) == len(reports)


def test_a_topic_brings_nothing_that_a_file_brought_and_goes_on_after_a_load(world: World) -> None:
    payments = [world.payment(1000 + number, world.now + timedelta(minutes=number)) for number in range(20)]
    world.send(PAYMENTS, payments[0], world.now)
    run(world)
    assert loaded(world, "transactions", payments[:10]) == (9, 1)
    for row in payments:
        world.send(PAYMENTS, row, world.now + timedelta(hours=1))
    run(world)
    assert [id for id, _ in known_at(world, TRANSACTIONS)] == [row["transaction_id"] for row in payments]
    assert loaded(world, "transactions", payments) == (0, 20)
