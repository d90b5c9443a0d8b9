"""What comes over topics: every message accounted for, and features that are the batch kernel's in every cell."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest
from worlds.streamed_world import PAYMENTS, REPORTS, ListReader, World, busy_days, contents, stored

from jobs.ingest.columns_file import ColumnsFile
from jobs.messages.formats import decoder
from jobs.messages.topics import Topics
from jobs.settings import Settings
from jobs.streams import stream, verify
from jobs.streams.stream import Stream
from jobs.use_cases.fraud import FRAUD, FRAUD_REPORTS, TRANSACTIONS


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
