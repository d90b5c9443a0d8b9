"""Decisions while workers are killed, disks are full, stores go away and models turn bad: right, flagged or refused.

In every case the log says what clients were told, and the batch kernel what the log says.
"""

from __future__ import annotations

import resource
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random

import httpx
import psutil
import pytest
from worlds import decided_world, exported_models
from worlds.decided_world import World
from worlds.payment_clients import Clients
from worlds.redis_server import RedisServer
from worlds.serve_processes import Running, started, wait_for, workers_of

from jobs.checks import online_decisions
from jobs.decisions import log_contents, opened
from jobs.decisions.log_contents import Decided
from jobs.decisions.opened import log_file
from jobs.lakehouse.tables import attach
from jobs.secret import Url
from jobs.settings import Settings
from jobs.use_cases.fraud import FRAUD

pytestmark = [pytest.mark.embedded, pytest.mark.servers]
AS_OF = ("--use-case", "fraud", "--as-of", "2026-05-20T12:00:00")


@pytest.fixture
def world(tmp_path: Path) -> World:
    """A home with tables and a model in service."""
    home = Settings(home=tmp_path / "home")
    world = World(home, Random(1))
    world.write()
    bundle = exported_models.made(tmp_path / "made", names=exported_models.OF_EVENTS)
    exported_models.export(home, 3, bundle)
    return world


@pytest.fixture
def running(world: World) -> Iterator[list[Running]]:
    """Servers that a test starts; they are gone afterwards."""
    servers: list[Running] = []
    yield servers
    for each in servers:
        each.kill()


def payments(world: World, count: int) -> list[decided_world.Row]:
    """Payments of few customers, some of them late."""
    return [world.given() for _ in range(count)]


def logged(settings: Settings) -> dict[object, Decided]:
    with opened.log_of(settings, FRAUD) as log:
        contents = [log_contents.decode(record.content) for record in log.records()]
    return {each.id: each for each in contents if isinstance(each, Decided)}


def require_agreement(settings: Settings, clients: Clients, count: int) -> None:
    """The log holds each event once, as clients were told, and as the batch kernel has it."""
    decided = logged(settings)
    assert decided.keys() == clients.answers.keys() and len(decided) == count
    for id, answers in clients.answers.items():
        for answer in answers:
            assert (answer["score"], answer["decision"]) == (decided[id].outcome.score, decided[id].outcome.decision)
    found = online_decisions.compared(attach(settings), FRAUD)
    assert found is not None
    assert (found.different, found.undecided) == (0, 0), found.examples


def test_a_worker_is_killed_under_load_again_and_again(world: World, running: list[Running]) -> None:
    server = started(world.settings, *AS_OF, "--workers", "2")
    running.append(server)
    wait_for(server.ready)
    clients, over = Clients([server.address]), threading.Event()

    def kill_on() -> None:
        chance = Random(2)
        while not over.wait(1.5):
            if len(workers := workers_of(server)) == 2:
                chance.choice(workers).send_signal(signal.SIGKILL)

    killer = threading.Thread(target=kill_on)
    killer.start()
    clients.send(payments(world, 600))
    over.set()
    killer.join()
    wait_for(lambda: not undecided(world.settings))
    require_agreement(world.settings, clients, 600)


def undecided(settings: Settings) -> int:
    found = online_decisions.compared(attach(settings), FRAUD)
    assert found is not None
    return found.undecided


def test_two_servers_of_one_home_decide_as_one(world: World, running: list[Running]) -> None:
    running += [started(world.settings, *AS_OF), started(world.settings, *AS_OF)]
    for each in running:
        wait_for(each.ready)
    clients = Clients([each.address for each in running])
    events = payments(world, 150)
    # Every payment twice, at once, at either server.
    together = [threading.Thread(target=clients.send, args=(events, 3)) for _ in range(2)]
    for thread in together:
        thread.start()
    for thread in together:
        thread.join()
    assert all(len(answers) == 2 and answers[0] == answers[1] for answers in clients.answers.values())
    require_agreement(world.settings, clients, 150)


def test_a_full_disk_refuses_and_a_free_one_goes_on(world: World, running: list[Running]) -> None:
    server = started(world.settings, *AS_OF)
    running.append(server)
    wait_for(server.ready)
    clients = Clients([server.address])
    clients.send(payments(world, 5), threads=1)
    size, process = log_file(world.settings, FRAUD).stat().st_size, psutil.Process(server.process.pid)
    process.rlimit(psutil.RLIMIT_FSIZE, (size + 10, resource.RLIM_INFINITY))
    refused = httpx.post(f"{server.address}/v1/fraud/decisions", json=world.given())
    assert refused.status_code == 503 and refused.headers["retry-after"] == "5", refused.text
    assert "nothing was decided, as the log did not take it" in refused.json()["error"]
    assert log_file(world.settings, FRAUD).stat().st_size == size
    process.rlimit(psutil.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    clients.send(payments(world, 5), threads=1)
    require_agreement(world.settings, clients, 10)


def test_a_bundle_of_unknown_features_stays_out_of_service(
    world: World, running: list[Running], tmp_path: Path
) -> None:
    server = started(world.settings, *AS_OF)
    running.append(server)
    wait_for(server.ready)
    exported_models.export(world.settings, 4, exported_models.made(tmp_path / "other"))
    wait_for(lambda: "fraud" in httpx.get(f"{server.address}/readyz").json()["refused"])
    ready = httpx.get(f"{server.address}/readyz").json()
    assert "expected features among the windows" in ready["refused"]["fraud"] and ready["models"] == {"fraud": "3"}
    clients = Clients([server.address])
    clients.send(payments(world, 5))
    assert {answer["model_version"] for answers in clients.answers.values() for answer in answers} == {"3"}


def test_tables_that_come_after_the_server_are_stood_on(running: list[Running], tmp_path: Path) -> None:
    home = Settings(home=tmp_path / "other" / "home")
    bundle = exported_models.made(tmp_path / "other" / "made", names=exported_models.OF_EVENTS)
    exported_models.export(home, 3, bundle)
    server = started(home, *AS_OF)
    running.append(server)
    wait_for(server.ready)
    world = World(home, Random(1))
    refused = httpx.post(f"{server.address}/v1/fraud/decisions", json=world.given())
    assert refused.status_code == 503 and "expected the tables" in refused.json()["error"]
    world.write(events=50)
    clients = Clients([server.address])
    clients.send(payments(world, 10))
    require_agreement(home, clients, 10)


def test_a_store_that_goes_away_and_comes_back_is_told_what_was_decided(
    world: World, running: list[Running], tmp_path: Path
) -> None:
    with RedisServer(tmp_path / "redis") as redis:
        home = Settings(home=world.settings.home, online_store_url=Url(redis.url))
        server = started(home, *AS_OF)
        running.append(server)
        wait_for(server.ready)
        clients = Clients([server.address])
        clients.send(payments(world, 30))
        redis.kill()
        away = payments(world, 20)
        clients.send(away)
        told = [clients.answers[event["transaction_id"]][0] for event in away]
        assert {answer["fallback"] for answer in told} == {"cached_state"}
        assert all(answer["freshness"]["seconds"] > 0 and answer["score"] is not None for answer in told)
        redis.start()
        time.sleep(2)
        again = Clients([server.address])
        again.send(away)
        for event in away:
            assert again.answers[event["transaction_id"]] == clients.answers[event["transaction_id"]]
        clients.send(payments(world, 30))
        assert clients.answers[world.ids][0]["fallback"] is None
        require_agreement(home, clients, 80)


def test_a_worker_that_knows_nothing_newer_than_tables_says_so_while_the_store_is_away(
    world: World, running: list[Running], tmp_path: Path
) -> None:
    with RedisServer(tmp_path / "redis") as redis:
        home = Settings(home=world.settings.home, online_store_url=Url(redis.url))
        server = started(home, *AS_OF)
        running.append(server)
        wait_for(server.ready)
        redis.kill()
        clients = Clients([server.address])
        mine = {"customer_id": 5, "terminal_id": 103, "tx_datetime": None}
        sent = [world.given(**mine) for _ in range(2)]
        for each in sent:
            clients.send([each], threads=1)
        first, second = (clients.answers[each["transaction_id"]][0] for each in sent)
        # Of the second one it knows the first, which is newer than the tables.
        assert (first["fallback"], second["fallback"]) == ("nightly_features", "cached_state")
        assert "knows nothing newer" in first["reason"] and first["score"] is not None
        assert 0 < first["freshness"]["seconds"] < 600
        counted = httpx.get(f"{server.address}/metrics").text
        assert 'evergreen_fallbacks_total{fallback="nightly_features",use_case="fraud"} 1.0' in counted
        redis.start()
        wait_for(lambda: len(logged(home)) == 2)
        assert [each.fallback for each in logged(home).values()] == ["nightly_features", "cached_state"]
        require_agreement(home, clients, 2)


def test_a_store_that_was_flushed_is_stood_on_anew(world: World, running: list[Running]) -> None:
    with RedisServer() as redis:
        home = Settings(home=world.settings.home, online_store_url=Url(redis.url))
        server = started(home, *AS_OF)
        running.append(server)
        wait_for(server.ready)
        Clients([server.address]).send(payments(world, 10))
        redis.kill()
        redis.start()
        clients = Clients([server.address])
        clients.send(payments(world, 20))
        wait_for(lambda: len(logged(home)) == 20)
        require_agreement(home, clients, 20)
