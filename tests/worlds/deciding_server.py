"""A server that decides about payments: small tables, a small model of features that it computes, in a thread."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random

from worlds import decided_world, exported_models
from worlds.served import served

from jobs.settings import Settings
from serving.app import ServeOptions, application
from serving.process import decision_bases


@contextlib.contextmanager
def deciding(settings: Settings, seed: int = 0, grpc_port: int | None = None) -> Iterator[str]:
    """The address of a server of a home, which is filled first; its clock goes on from the world's start."""
    world = decided_world.World(settings, Random(seed))
    world.write()
    bundle = exported_models.made(Path(settings.home) / "made", names=exported_models.OF_EVENTS)
    exported_models.export(settings, 3, bundle)
    options = ServeOptions(("fraud",), grpc_port=grpc_port, began_at=world.now, began=time.monotonic())
    with decision_bases(settings, options), served(application(settings, options)) as address:
        yield address
