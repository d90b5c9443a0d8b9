"""A stream from a folder: a payment topic of lines that are being written, a report topic that is a Delta table."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from random import Random

import polars as pl
import pytest
from deltalake import DeltaTable, write_deltalake
from worlds.streamed_world import PAYMENTS, REPORTS, SECOND, START, World, busy_days, contents, stored

from jobs.errors import Invalid
from jobs.messages.message import Message
from jobs.secret import ClusterUrl
from jobs.settings import Settings
from jobs.streams import opening, stream, verify
from jobs.streams.rewind import rewind
from jobs.streams.stream import Stream
from jobs.times import microseconds
from jobs.use_cases.fraud import FRAUD, FRAUD_REPORTS, TRANSACTIONS

pytestmark = pytest.mark.embedded


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setattr(stream, "MOST", 9)
    (tmp_path / "in").mkdir()
    made = World(Settings(tmp_path / "home", stream_url=ClusterUrl(f"files://{tmp_path}/in")), Random(0))
    made.history(100)
    made.now = START + timedelta(hours=2)
    return made


def write(world: World, folder: Path, messages: Sequence[Message]) -> None:
    """Lines at the ends of several files, the last of them torn now and then; reports in a commit."""
    reports = [json.loads(each.value or b"") for each in messages if each.topic == REPORTS]
    if reports:
        rows = pl.DataFrame(reports).with_columns(pl.col("fraud_reported_at").str.to_datetime(time_zone="UTC"))
        write_deltalake(folder / REPORTS, rows.to_arrow(), mode="append")
    (folder / PAYMENTS).mkdir(exist_ok=True)
    for line in (each.value for each in messages if each.topic == PAYMENTS):
        with (folder / PAYMENTS / f"{world.chance.randrange(3)}.jsonl").open("ab") as file:
            file.write((line or b"") + b"\n")


def run(world: World, steps: int | None = None) -> Stream:
    """From where the last one ended to the end, or killed after some steps."""
    one = opening.open_of(world.settings, FRAUD)
    one.publish = None
    one.clock.now = lambda: microseconds(world.now)
    while steps != 0 and one.step(0.05):
        world.now += world.chance.randrange(1, 900) * SECOND
        steps = None if steps is None else steps - 1
        if world.chance.random() < 0.3:
            one.commit()
    if steps is None:
        one.commit()
    one.close()
    return one


def test_every_cell_is_what_a_batch_makes_of_it_after_nights_compactions_and_deaths(
    world: World, tmp_path: Path
) -> None:
    busy_days(world, 60)
    everything = world.messages
    for part in range(0, len(everything), 25):
        write(world, tmp_path / "in", everything[part : part + 25])
        run(world, steps=world.chance.randrange(4))
        if world.chance.random() < 0.3:
            DeltaTable(tmp_path / "in" / REPORTS).optimize.compact()
        assert not run(world).note
        if world.chance.random() < 0.4:
            world.night()
    world.night()
    assert stored(world, TRANSACTIONS) == contents(world, PAYMENTS)
    assert stored(world, FRAUD_REPORTS) == contents(world, REPORTS)
    found = verify.verify(world.lakehouse, FRAUD, verify.days_of(world.lakehouse, FRAUD))
    assert (found.different, found.examples, found.events, found.not_in_marts) == (0, [], 60, 0)


def test_a_stream_that_is_set_back_brings_no_row_twice(world: World, tmp_path: Path) -> None:
    busy_days(world, 20)
    write(world, tmp_path / "in", world.messages)
    before = run(world).counts
    with pytest.raises(Invalid, match="files and tables, which do not"):
        rewind(world.settings, FRAUD, datetime(2026, 3, 2))
    assert {each.topic for each in rewind(world.settings, FRAUD, None)} >= {PAYMENTS, REPORTS}
    after = run(world).counts
    assert (after.messages, after.new) == (before.messages, 0)
    assert stored(world, TRANSACTIONS) == contents(world, PAYMENTS)
