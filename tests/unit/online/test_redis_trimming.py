"""A log in Redis does not grow for ever: old records go, old entities go, and a worker that was slow notices."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from redis import Redis
from worlds.redis_server import RedisServer

from jobs.online.log_records import Appended, Entry
from jobs.online.redis_log import RedisLog

pytestmark = [pytest.mark.embedded, pytest.mark.servers]
REACH = 300_000
"""Microseconds that facts are reached for."""


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    with RedisServer() as running:
        yield running


@pytest.fixture
def store(server: RedisServer) -> Iterator[Redis]:
    client = Redis.from_url(server.url)
    client.flushall()
    yield client
    client.close()


def opened(server: RedisServer, stamps: Iterator[int]) -> RedisLog:
    return RedisLog(server.url, "log", reach=REACH, now=lambda: next(stamps))


def told(log: RedisLog, id: str, seen: int) -> Appended:
    [answer] = log.append_all([Entry(id, id.encode(), [("one", seen)])])
    assert isinstance(answer, Appended)
    return answer


def test_old_records_go_with_their_ids_but_for_those_to_keep(server: RedisServer, store: Redis) -> None:
    log, count = opened(server, iter(range(1000, 10_000))), 1200
    for number in range(count):
        log.append("base/1" if number == 3 else f"event/{number}", b"x")
    log.trim(1000 + count - 5, "base/")
    left = ["base/1", *(f"event/{number}" for number in range(count - 5, count))]
    assert [record.id for record in log.records()] == left
    assert store.hlen("log:stamps") == len(left)
    assert log.get("event/7") is None and log.get("base/1") is not None
    assert log.append("event/7", b"y").record.stamp == 1000 + count
    log.trim(0, "base/")
    assert len(list(log.records())) == len(left) + 1


def test_a_record_that_nobody_closed_is_not_looked_for_for_ever(server: RedisServer, store: Redis) -> None:
    log = opened(server, iter([1000, 2000]))
    for id in ("event/1", "event/2"):
        log.append_all([Entry(id, b"", opens=True)])
    log.trim(2000, "base/")
    assert log.open_records(5000) == ["event/2"]


def test_facts_of_an_entity_go_when_nothing_was_told_of_it_for_long(server: RedisServer, store: Redis) -> None:
    log = opened(server, iter(range(1000, 2000)))
    told(log, "a", 0)
    assert store.exists("log:facts:one", "log:first:one") == 2
    time.sleep(2 * REACH / 1e6)
    assert store.exists("log:facts:one", "log:first:one") == 0


@pytest.mark.parametrize("more", [1, 3, 5], ids=["fewer than it had", "as many", "more"])
def test_a_worker_whose_facts_are_gone_begins_anew(server: RedisServer, store: Redis, more: int) -> None:
    """However many facts came since, none is taken for one that it has."""
    slow, quick = (opened(server, iter(range(start, start + 1000))) for start in (1000, 2000))
    seen = 0
    for id in "abc":
        [of_entity] = told(slow, id, seen).of_entities
        assert not of_entity.is_whole
        seen = of_entity.seen
    time.sleep(2 * REACH / 1e6)
    for number in range(more):
        told(quick, f"new {number}", 0)
    for found in (slow.facts(("one", seen)), *told(slow, "d", seen).of_entities):
        assert found.is_whole
        assert [content.decode() for _, content in found.facts] == [f"new {number}" for number in range(more)]


def test_a_worker_that_has_all_facts_is_told_of_new_ones_alone(server: RedisServer, store: Redis) -> None:
    log = opened(server, iter(range(3000, 9000)))
    [first] = told(log, "p", 0).of_entities
    told(log, "q", 0)
    for found in (log.facts(("one", first.seen)), *told(log, "r", first.seen).of_entities):
        assert not found.is_whole and [content for _, content in found.facts] == [b"q"]
