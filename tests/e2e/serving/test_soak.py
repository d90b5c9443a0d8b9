"""Two workers at half of their most: no row is lost or doubled, each is as the batch kernel has it, memory is flat.

`EVERGREEN_TEST_SOAK_SECONDS` says how long; an hour of it, with large tables, is in `bench/decisions.py`.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import psutil
import pytest
from worlds import decided_world, exported_models
from worlds.decided_world import World
from worlds.payment_clients import Clients
from worlds.serve_processes import Running, started, wait_for

from jobs.checks import online_decisions
from jobs.decisions import opened
from jobs.decisions.log_contents import DECISION, EVENT
from jobs.lakehouse.tables import attach
from jobs.settings import Settings
from jobs.use_cases.fraud import FRAUD

pytestmark = pytest.mark.embedded
SECONDS = float(os.environ.get("EVERGREEN_TEST_SOAK_SECONDS", "20"))
AT_ONCE = 40
MOST_GROWTH = 16 * 2**20
"""Bytes by which both workers may grow from the second quarter of the time to the last."""


@pytest.fixture
def world(tmp_path: Path) -> World:
    world = decided_world.made(Settings(home=tmp_path / "home"), seed=1)
    bundle = exported_models.made(tmp_path / "made", names=exported_models.OF_EVENTS)
    exported_models.export(world.settings, 3, bundle)
    return world


@pytest.fixture
def server(world: World) -> Iterator[Running]:
    running = started(world.settings, "--use-case", "fraud", "--as-of", "2026-05-20T12:00:00", "--workers", "2")
    wait_for(running.ready)
    yield running
    running.kill()


def resident(server: Running) -> int:
    """Bytes of all processes of a server."""
    processes = psutil.Process(server.process.pid).children(recursive=True)
    return sum(each.memory_info().rss for each in processes)


@pytest.mark.timeout(SECONDS + 240)
def test_a_long_run_loses_and_doubles_nothing_in_flat_memory(world: World, server: Running) -> None:
    clients, sizes, until = Clients([server.address]), [], time.monotonic() + SECONDS
    while (began := time.monotonic()) < until:
        clients.send([world.given() for _ in range(AT_ONCE)])
        sizes.append(resident(server))
        time.sleep(time.monotonic() - began)  # half of the time nothing is asked
    quarter = len(sizes) // 4
    assert quarter, "too slow for any judgement"
    grown = median(sizes[-quarter:]) - median(sizes[quarter : 2 * quarter])
    assert grown < MOST_GROWTH, f"{grown:,} bytes in {len(clients.answers):,} decisions"
    assert not clients.refusals
    with opened.log_of(world.settings, FRAUD) as log:
        names = Counter(record.id for record in log.records())
    assert max(names.values()) == 1
    sent = {f"{kind}/{id}" for kind in (EVENT, DECISION) for id in clients.answers}
    assert {name for name in names if name.partition("/")[0] in (EVENT, DECISION)} == sent
    found = online_decisions.compared(attach(world.settings), FRAUD)
    assert found is not None and (found.decisions, found.undecided) == (len(clients.answers), 0)
    assert found.different == 0, found.examples
