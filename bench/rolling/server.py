"""A decision server in a process of its own, whose clock the bench moves, and whose candidate is what the bench says.

Both models read from an event what they are to say of it, so that the truth about them is known; everything else is
the service as it is: HTTP, features, arms, breakers, shadows, log.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import uvicorn
from worlds import decided_world, exported_models

from jobs.loopback import free_port
from jobs.settings import Settings
from jobs.use_cases.fraud import FRAUD
from serving.app import ServeOptions, application
from serving.live_models.live_model import LiveModel
from serving.process import decision_bases
from serving.web.patient_protocol import PatientProtocol

CHAMPION, CANDIDATE = 1, 2
NAMES = ("tx_amount", "terminal_id", "hour_of_day")
LEVELS = 998
"""Of a score: the terminal of an event says them, 1000 x that of the champion + that of the candidate."""
FAILS = 999
"""In place of the candidate's: it raises."""
START_SECONDS = 60


@dataclass(frozen=True, eq=False)
class Moved:
    """What bench and server share: a moment in microseconds since 1970, and how long the candidate takes."""

    values: Any

    @classmethod
    def at(cls, moment: int) -> Moved:
        return cls(multiprocessing.get_context("spawn").Array("q", [moment, 0]))

    def clock(self) -> int:
        moment: int = self.values[0]
        return moment

    def move(self, moment: int) -> None:
        self.values[0] = moment

    def delay(self, microseconds: float) -> None:
        self.values[1] = round(microseconds)


@dataclass(frozen=True)
class _Options(ServeOptions):
    moved: Moved | None = None

    def clock(self) -> int:
        assert self.moved is not None
        return self.moved.clock()


def made(home: Path) -> Settings:
    """A home in which version 1 is in service and version 2 is exported beside it."""
    settings = Settings(home=home)
    decided_world.World(settings, Random(0)).write()
    for version in (CANDIDATE, CHAMPION):
        bundle = exported_models.made(home / f"made-{version}", version, names=NAMES)
        if version == CHAMPION:
            exported_models.export(settings, version, bundle)
        else:
            exported_models.stage(settings, version, bundle)
    return settings


@contextlib.contextmanager
def serving(settings: Settings, moved: Moved) -> Iterator[int]:
    """The port of a server of the home."""
    port, context = free_port(), multiprocessing.get_context("spawn")
    process = context.Process(target=_serve, args=(str(settings.home), port, moved.values), daemon=True)
    process.start()
    try:
        _wait(process, port)
        yield port
    finally:
        process.terminate()
        process.join()


def _wait(process: Any, port: int) -> None:
    import httpx

    until = time.monotonic() + START_SECONDS
    while True:
        assert process.is_alive() and time.monotonic() < until, "the server did not start"
        with contextlib.suppress(httpx.HTTPError):
            if httpx.get(f"http://127.0.0.1:{port}/v2/health/ready").status_code == 200:
                return
        time.sleep(0.05)


def _serve(home: str, port: int, values: Any) -> None:
    os.environ["EVERGREEN_HOME"] = home
    moved, settings = Moved(values), Settings(home=Path(home))
    LiveModel.run = lambda model, rows: _said(model, rows, moved)  # type: ignore[method-assign, assignment]
    LiveModel.is_alike = True  # type: ignore[method-assign, assignment]
    options = _Options((FRAUD.name,), port=port, moved=moved)
    with decision_bases(settings, options):
        uvicorn.run(
            application(settings, options), port=port, log_level="error", access_log=False,
            http=PatientProtocol, ws="none",
        )  # fmt: skip


def _said(model: LiveModel, rows: Any, moved: Moved) -> Any:
    [values] = rows.values()
    codes = np.nan_to_num(values[:, NAMES.index("terminal_id")]).astype(np.int64)
    if model.version == str(CHAMPION):
        return (codes // 1000 / LEVELS).astype(np.float32)
    if moved.values[1]:
        time.sleep(moved.values[1] * 1e-6 * len(codes))
    if (codes % 1000 == FAILS).any():
        raise ValueError("the graph cannot take this row")
    return (codes % 1000 / LEVELS).astype(np.float32)
