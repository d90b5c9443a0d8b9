"""Decisions of several workers on one log: the same whoever decides, and in every cell what the batch kernel has."""

from __future__ import annotations

import contextlib
import re
from pathlib import Path
from typing import Any

import pytest
from redis import Redis
from worlds import decided_world
from worlds.decided_world import SECOND, World, decide, server, worker
from worlds.redis_server import RedisServer

from jobs.decisions import base_tables, consistency, entity_states, opened, told
from jobs.decisions.decider import Decider
from jobs.decisions.started import Started
from jobs.errors import Invalid
from jobs.lakehouse.tables import attach
from jobs.online import start_index
from jobs.online.log_records import Conflict
from jobs.secret import Url
from jobs.settings import Settings
from jobs.use_cases.fraud import FRAUD

pytestmark = pytest.mark.embedded
DAY = 86_400 * SECOND


def compared(world: World) -> consistency.Comparison:
    with opened.log_of(world.settings, FRAUD, world.clock) as log:
        base, _ = opened.last_base(log)
        assert base is not None
        house = attach(world.settings)
        rows = base_tables.feature_row(house, FRAUD, base.tables)
        return consistency.compare(house, rows, base, log.records())


def play(world: World, workers: list[Decider], steps: int) -> None:
    """Decisions, reports, corrections and repeats by any worker, with little or much time between them."""
    sent: list[int] = []
    for _ in range(steps):
        world.now += world.chance.choice([0, 1, SECOND, 600 * SECOND, 2 * 86_400 * SECOND])
        one, kind = world.chance.choice(workers), world.chance.random()
        if kind < 0.7 or not sent:
            body = world.given()
            sent.append(decide(one, body).id)
            continue
        id = world.chance.choice([world.chance.choice(sent), world.chance.randrange(300)])
        if kind < 0.85:
            with contextlib.suppress(told.UnknownEvent):  # it was withdrawn
                told.report(one, id, {"is_fraud": world.chance.random() < 0.5})
        elif kind < 0.92:
            told.correct(one, one.schema.read(world.given(transaction_id=id)))
        elif kind < 0.95 and id > 300:
            told.withdraw(one, "events", id)
        else:
            world.chance.choice(workers).catch_up()


@pytest.mark.parametrize("seed", range(4))
def test_every_cell_is_the_batch_kernels_whoever_decided(home: Settings, seed: int) -> None:
    world = decided_world.made(home, seed)
    with server(world), worker(world) as one, worker(world) as other:
        play(world, [one, other], 120)
        with worker(world) as late:
            play(world, [one, other, late], 60)
    found = compared(world)
    assert found.decisions > 100 and found.undecided == 0
    assert found.different == 0, found.examples


@pytest.mark.parametrize("held_every", [1, 5, 10**9])
def test_entities_that_are_let_go_are_made_again_alike(
    home: Settings, held_every: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    # No event is of more entities of a kind, those of its versions before among them.
    monkeypatch.setattr(entity_states, "MOST_HELD", 4)
    monkeypatch.setattr(entity_states, "_HELD_EVERY", held_every)
    world = decided_world.made(home, held_every)
    with server(world), worker(world) as one, worker(world) as other:
        play(world, [one, other], 150)
        assert max(map(len, one.states._held)) == 4
    found = compared(world)
    assert found.decisions > 80 and found.undecided == 0
    assert found.different == 0, found.examples


def test_entities_that_share_a_hash_share_no_fact(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(entity_states, "MOST_HELD", 1)
    monkeypatch.setattr(start_index, "hash", lambda id: 7, raising=False)
    world = decided_world.made(tmp_path)
    with server(world), worker(world) as one, worker(world) as other:
        play(world, [one, other], 60)
    found = compared(world)
    assert found.decisions > 30 and found.different == 0, found.examples


def test_a_new_server_stands_on_newer_tables_and_keeps_what_was_decided(home: Settings) -> None:
    world = decided_world.made(home)
    with server(world), worker(world) as one:
        play(world, [one], 60)
        body = world.given()
        first = decide(one, body)
    # The night brings a file with what was decided here, and events that were not.
    events = [world.event(body["transaction_id"], decided_world.START), world.event(1_000_000, decided_world.START)]
    world.put(events, [world.label(events[0])], mode="append")
    with server(world), worker(world) as one, worker(world) as other:
        assert body["transaction_id"] in one.states.base.absorbed.events
        assert decide(other, body) == first
        play(world, [one, other], 60)
    found = compared(world)
    assert found.decisions > 30 and found.different == 0, found.examples


def test_an_event_that_tables_know_already_counts_once(home: Settings) -> None:
    world = decided_world.made(home)
    with server(world), worker(world) as one, worker(world) as other:
        for id in range(0, 60, 3):
            world.now += SECOND
            decide(world.chance.choice([one, other]), world.given(transaction_id=id))
        play(world, [one, other], 30)
    found = compared(world)
    assert found.different == 0, found.examples


def test_a_repeated_id_is_the_stored_decision_on_every_worker(home: Settings) -> None:
    world = decided_world.made(home)
    with server(world), worker(world) as one, worker(world) as other:
        body = world.given(tx_amount=5)
        first = decide(one, body)
        world.now += SECOND
        assert decide(one, body) == decide(other, body | {"tx_amount": 5.0}) == first
        with pytest.raises(Conflict):
            decide(other, body | {"tx_amount": 6})
        with worker(world) as late:
            assert decide(late, body) == first


def test_an_event_whose_worker_died_is_decided_at_its_place(home: Settings) -> None:
    world = decided_world.made(home)
    with server(world), worker(world) as one, worker(world) as other:
        body = world.given(tx_datetime=None)
        lost = one.start(one.schema.read(body))
        assert isinstance(lost, Started)
        world.now += SECOND
        for _ in range(5):
            same_customer = {name: body[name] for name in ("customer_id", "terminal_id")}
            decide(other, world.given(**same_customer))
        assert other.start(other.schema.read(body)) is None, "another worker is at it, as far as this one can tell"
        assert other.abandoned(0) == [body["transaction_id"]]
        resumed = other.resume(body["transaction_id"])
        assert isinstance(resumed, Started) and resumed.stamp == lost.stamp
        decided = other.finish(resumed, decided_world.score)
        assert not other.abandoned(0)
        # The first worker was only slow: what it says now is what was decided.
        assert one.finish(lost, decided_world.score) == decided
    found = compared(world)
    assert found.different == found.undecided == 0 and found.decisions == 6


def test_a_second_server_shares_the_base_of_the_first(home: Settings) -> None:
    world = decided_world.made(home)
    with server(world), worker(world) as one:
        decide(one, world.given())
        world.put([world.event(5000, decided_world.START)], [], mode="append")
        with server(world), worker(world) as other:
            assert other.states.base.moment == one.states.base.moment
            decide(other, world.given())
    assert compared(world).decisions == 2


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"tx_amount": -1}, "column tx_amount: expected a finite number from 0 to 1e"),
        ({"tx_amount": float("nan")}, "column tx_amount: expected a finite number"),
        ({"tx_amount": "5"}, "column tx_amount: expected a number, found '5'"),
        ({"tx_amount": True}, "column tx_amount: expected a number, found True"),
        ({"tx_amount": 10**400}, "column tx_amount: expected a number that is a double"),
        ({"tx_amount": None}, "column tx_amount: expected a value, found none"),
        ({"customer_id": "x"}, "column customer_id: expected an integer of 64 bits, found 'x'"),
        ({"customer_id": 2**63}, "column customer_id: expected an integer of 64 bits"),
        ({"tx_datetime": "yesterday"}, "column tx_datetime: expected a time in ISO 8601"),
        ({"tx_datetime": 5}, "column tx_datetime: expected a time in ISO 8601"),
        ({"colour": 1}, "column 'colour': expected one of transaction_id, tx_datetime"),
    ],
)
def test_what_a_column_cannot_hold_is_refused_before_it_is_logged(home: Settings, changed: dict, message: str) -> None:  # type: ignore[type-arg]
    world = decided_world.made(home, events=20, future=0)
    with server(world), worker(world) as one:
        with pytest.raises(Invalid, match=message):
            decide(one, world.given() | changed)
        assert [record.id for record in one.log.records()] == ["base/1"]


def test_a_declaration_changed_over_running_servers_is_refused(home: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    world = decided_world.made(home, events=20, future=0)
    with server(world), worker(world) as one:
        decide(one, world.given())
        monkeypatch.setattr(opened, "fingerprint", lambda rows: "other")
        with (
            pytest.raises(Invalid, match="expected the declarations that the running servers decide by"),
            worker(world),
        ):
            pass
    # Once they ended, the next server stands on the new declarations.
    with server(world), worker(world) as one:
        decide(one, world.given())


@pytest.mark.servers
def test_one_stream_through_both_logs_gives_the_same_decisions(redis: RedisServer, tmp_path: Path) -> None:
    client = Redis.from_url(redis.url)
    client.flushall()
    client.close()
    contents = []
    for name, url in (("file", None), ("redis", Url(redis.url))):
        world = decided_world.made(Settings(home=tmp_path / name, online_store_url=url), 7)
        with server(world), worker(world) as one, worker(world) as other:
            play(world, [one, other], 150)
        with opened.log_of(world.settings, FRAUD, world.clock) as log:
            contents.append([(record.id, record.stamp, without_latency(record.content)) for record in log.records()])
    assert contents[0] == contents[1]


def without_latency(content: bytes) -> bytes:
    return re.sub(rb'"latency":\d+,?', b"", content)


def decide_some(world: World, workers: list[Decider], count: int) -> None:
    """Decisions by any worker, and reports about some of them."""
    for _ in range(count):
        world.now += world.chance.choice([1, SECOND, 6 * 3600 * SECOND])
        id = decide(world.chance.choice(workers), world.given(tx_datetime=None)).id
        if world.chance.random() < 0.3:
            told.report(world.chance.choice(workers), id, {"is_fraud": world.chance.random() < 0.5})


@pytest.mark.servers
def test_a_store_that_was_trimmed_behind_a_slow_worker_is_decided_on_alike(redis: RedisServer, tmp_path: Path) -> None:
    client: Any = Redis.from_url(redis.url)
    client.flushall()
    world = decided_world.made(Settings(home=tmp_path, online_store_url=Url(redis.url)))
    with server(world), worker(world) as one:
        decide_some(world, [one], 40)
    world.now += 100 * DAY
    later = world.event(1_000_000, decided_world.START)
    world.put([later], [world.label(later)], mode="append")
    with server(world), worker(world) as slow, worker(world) as quick:
        decide_some(world, [slow, quick], 40)
        before = client.xlen("evergreen:fraud:log")
        opened.trim_store(world.settings, slow.log, FRAUD, world.now)
        assert 80 < client.xlen("evergreen:fraud:log") <= before - 80
        world.now += 100 * DAY
        # As by the clock of Redis, which stands still here.
        for name in [*client.scan_iter("*:facts:*"), *client.scan_iter("*:first:*")]:
            client.delete(name)
        decide_some(world, [quick], 30)
        decide_some(world, [slow, quick], 40)
    client.close()
    found = compared(world)
    assert found.decisions == 110 and found.different == found.undecided == 0, found.examples
