"""Reviewers at a server whose workers die: nobody gets what another has, no day more than its room, verdicts stay."""

from __future__ import annotations

import signal
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from random import Random

import httpx
import pytest
from worlds import exported_models
from worlds.decided_world import World
from worlds.redis_server import RedisServer
from worlds.serve_processes import Running, started, wait_for, workers_of

from jobs.actions.review_sampling import live_room
from jobs.decisions import log_contents, opened
from jobs.decisions.log_contents import LabelCame, Unsure
from jobs.secret import Url
from jobs.settings import Settings
from jobs.use_case import review_of
from jobs.use_cases.fraud import FRAUD

pytestmark = [pytest.mark.embedded, pytest.mark.servers]
OPTIONS = ("--use-case", "fraud", "--as-of", "2026-05-20T12:00:00", "--workers", "2")
ROOM = live_room(review_of(FRAUD).capacity)
CASES, REVIEWERS, PATIENCE, MOST_KILLED = 100, 4, 60, 3
WORDS = ("positive", "negative", "unsure")


@pytest.fixture(params=["file", "redis"])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    """A home with tables, and a model that lets every payment be reviewed."""
    with RedisServer() as redis:
        store = Url(redis.url) if request.param == "redis" else None
        world = World(Settings(home=tmp_path / "home", online_store_url=store), Random(1))
        world.write()
        bundle = exported_models.made(tmp_path / "made", names=exported_models.OF_EVENTS, threshold=0.1)
        exported_models.export(world.settings, 3, bundle)
        yield world


@pytest.fixture
def running(world: World) -> Iterator[Running]:
    """A server of two workers."""
    server = started(world.settings, *OPTIONS)
    try:
        wait_for(server.ready)
        yield server
    finally:
        server.kill()


class Reviewer(threading.Thread):
    """Takes cases and judges half of them, by whichever worker answers."""

    def __init__(self, name: str, server: Running) -> None:
        super().__init__(name=name)
        self._address, self._chance = server.address, Random(name)
        self.got: set[int] = set()
        self.judged: dict[int, str] = {}

    def run(self) -> None:
        for _ in range(16):
            asked = {"reviewer": self.name, "limit": 10}
            for id in [case["transaction_id"] for case in self._ask("GET", "", params=asked)]:
                self.got.add(id)
                if self._chance.random() < 0.5:
                    word = self._chance.choice(WORDS)
                    self._ask("POST", f"/{id}", json={"verdict": word, "reviewer": self.name})
                    self.judged[id] = word

    def _ask(self, method: str, path: str, **asked: object) -> list[dict[str, int]]:
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            try:
                answer = httpx.request(method, f"{self._address}/v1/fraud/reviews{path}", timeout=10, **asked)  # type: ignore[arg-type]
                if answer.status_code == 200:
                    found: list[dict[str, int]] = answer.json()
                    return found
                assert answer.status_code == 503, answer.text
            except httpx.TransportError:
                time.sleep(0.1)
        raise AssertionError(f"{method} {path}: no answer")


def test_nobody_gets_what_another_has_while_workers_die(world: World, running: Running) -> None:
    events = [world.given(tx_datetime=None) for _ in range(CASES)]
    decided = httpx.post(f"{running.address}/v1/fraud/decisions", json=events, timeout=60).json()
    assert {each["decision"] for each in decided} == {"review"}
    reviewers = [Reviewer(f"reviewer {n}", running) for n in range(REVIEWERS)]
    for each in reviewers:
        each.start()
    killed = 0
    while any(each.is_alive() for each in reviewers):
        if killed < MOST_KILLED and len(workers := workers_of(running)) == 2:
            workers[killed % 2].send_signal(signal.SIGKILL)
            killed += 1
        time.sleep(0.3)
    for each in reviewers:
        each.join()
    assert killed
    holders = defaultdict(set)
    for each in reviewers:
        for id in each.got:
            holders[id].add(each.name)
    assert all(len(names) == 1 for names in holders.values()) and len(holders) == ROOM
    judged = {id: (word, each.name) for each in reviewers for id, word in each.judged.items()}
    assert len(judged) > 20 and logged(world.settings) == judged


def logged(settings: Settings) -> dict[int, tuple[str, str]]:
    """The verdict that the log has of each event, and whose."""
    with opened.log_of(settings, FRAUD) as log:
        contents = [log_contents.decode(record.content) for record in log.records()]
    found = {each.id: ("unsure", each.reviewer) for each in contents if isinstance(each, Unsure)}
    labels = [each for each in contents if isinstance(each, LabelCame) and each.reviewer]
    assert len({each.id for each in labels} & found.keys()) == 0 and len({each.id for each in labels}) == len(labels)
    words = {True: "positive", False: "negative"}
    return found | {each.id: (words[each.values["is_fraud"]], str(each.reviewer)) for each in labels}
