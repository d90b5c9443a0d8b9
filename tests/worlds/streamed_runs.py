"""Streams over a world's topics, run to their end or killed on the way."""

from __future__ import annotations

from pathlib import Path
from random import Random

from worlds.streamed_world import ListReader, World

from jobs.ingest.columns_file import ColumnsFile
from jobs.messages.formats import decoder
from jobs.messages.topics import Topics
from jobs.settings import Settings
from jobs.streams import starting
from jobs.streams.rebuilding import Rebuilding
from jobs.streams.stream import Stream
from jobs.use_case import UseCase
from jobs.use_cases.fraud import FRAUD


def made(folder: Path, seed: int) -> World:
    world = World(Settings(home=folder), Random(seed))
    world.history(200)
    return world


def opened(world: World, use_case: UseCase = FRAUD, rebuilding: Rebuilding | None = None) -> Stream:
    topics = Topics(use_case)
    reader = ListReader(starting.positions(world.lakehouse, topics), world.messages, world.chance)
    one = starting.open_stream(world.lakehouse, topics, reader, decoder(), ColumnsFile())
    starting.start_features(one, rebuilding=rebuilding)
    return one


def run(world: World, steps: int | None = None, use_case: UseCase = FRAUD) -> Stream:
    """From where the last one ended to the end of all topics, or killed after some steps."""
    one = opened(world, use_case)
    while (steps is None or steps > 0) and one.step(0):
        steps = None if steps is None else steps - 1
        if world.chance.random() < 0.3:
            world.chance.choice([one.commit, one.begin_commit])()
    if steps is None:
        one.commit()
    one.close()
    return one
