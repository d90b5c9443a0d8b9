"""A server that decides about payments and purchases, in a thread: small tables or none, models of its features."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random

from worlds import decided_world, exported_models
from worlds.empty_tables import write_empty
from worlds.served import served

from jobs.settings import Settings
from jobs.use_cases.returns import RETURNS
from serving.app import ServeOptions, application
from serving.process import decision_bases

OF_PURCHASES = ("quantity", "amount", "item_lines_7d")


@contextlib.contextmanager
def deciding(settings: Settings, seed: int = 0, grpc_port: int | None = None, threshold: float = 0.5) -> Iterator[str]:
    """The address of a server of a home, which is filled first; its clock goes on from the world's start.

    Of payments there is a history; of purchases, whose ids are texts, there is none.

    threshold: score from which on a payment is reviewed.
    """
    world = decided_world.World(settings, Random(seed))
    world.write()
    bundle = exported_models.made(Path(settings.home) / "made", names=exported_models.OF_EVENTS, threshold=threshold)
    exported_models.export(settings, 3, bundle)
    write_empty(settings, RETURNS)
    other = exported_models.made(Path(settings.home) / "other", names=OF_PURCHASES, use_case=RETURNS)
    exported_models.export(settings, 5, other, use_case=RETURNS)
    options = ServeOptions(("fraud", "returns"), grpc_port=grpc_port, began_at=world.now, began=time.monotonic())
    with decision_bases(settings, options), served(application(settings, options)) as address:
        yield address
