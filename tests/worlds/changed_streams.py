"""Declarations that change while a stream runs: nights by them, and what has to hold once another process took over."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta

import pytest
from deltalake import write_deltalake
from worlds import changed_declarations
from worlds.changed_declarations import CHANGED
from worlds.stream_processes import StreamProcess, Topics, has_read
from worlds.streamed_world import World

from jobs.feature_store.store import open_store
from jobs.features import window_tables
from jobs.lakehouse.commit_state import keeping
from jobs.streams import control, verify
from jobs.streams.control import Heartbeat
from jobs.streams.stored_features import declared, fingerprints
from jobs.times import days_between
from jobs.use_case import UseCase
from jobs.use_cases import fraud
from jobs.use_cases.fraud import FRAUD


def night(world: World, use_case: UseCase) -> None:
    """Window tables as a run by these declarations leaves them."""
    world.night()
    days = tuple(days_between((world.now - timedelta(days=40)).date(), (world.now + timedelta(days=9)).date()))
    for windows in use_case.windows:
        inputs = {"events": use_case.events, "labels": use_case.labels, "arrivals": use_case.raw_events}
        rows = window_tables.computed(world.lakehouse, windows, inputs, days, world.now + timedelta(days=9))
        write_deltalake(
            world.lakehouse.path(use_case.window_table(windows)), rows, mode="overwrite", schema_mode="overwrite",
            commit_properties=keeping({"fingerprint": windows.fingerprint}),
        )  # fmt: skip


def streamed(world: World) -> list[str | None]:
    return fingerprints(world.lakehouse, map(FRAUD.stream_table, FRAUD.windows))


def has_stored(world: World) -> Callable[[Heartbeat], bool]:
    """Whether features of what came are stored, by the declarations of before."""
    return lambda _: streamed(world) == declared(FRAUD)


def declarations_change(world: World, topics: Topics, one: StreamProcess) -> None:
    """Once what came has features, the code changes, and a night runs by it."""
    one.heard(has_read(topics.sent))
    one.heard(has_stored(world))
    changed_declarations.change(world.settings.home)
    night(world, CHANGED)


def heard_of_another(world: World, one: StreamProcess, messages: int) -> Heartbeat:
    """What another process says once it runs the stream and has read so many messages."""
    before = time.monotonic()
    while time.monotonic() - before < 180:
        said = control.heartbeat(world.settings, FRAUD)
        assert said is not None
        if not said.process.startswith(f"{one.process.pid}@") and has_read(messages)(said):
            return said
        time.sleep(0.05)
    raise AssertionError(f"said last: {said}")


def assert_switched(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every cell, of every event, is of the changed declarations, as a batch makes it, and Feast reads the newest."""
    world.night()
    found = verify.verify(world.lakehouse, CHANGED, verify.days_of(world.lakehouse, CHANGED))
    assert (found.events, found.different, found.examples, found.of_others) == (300, 0, [], 0)
    [customers, *_] = CHANGED.windows
    rows = world.lakehouse.to_arrow(CHANGED.stream_table(customers)).sort_by("event_timestamp").to_pylist()
    assert len(rows) == 300
    newest = {row["customer_id"]: row for row in rows}
    monkeypatch.setattr(fraud, "CUSTOMER_WINDOWS", customers)
    store = open_store(world.lakehouse, CHANGED)
    names = [f"{customers.name}:{name}" for name in customers.names]
    online = store.get_online_features(names, [{"customer_id": each} for each in newest]).to_dict()
    for name in customers.names:
        assert online[name] == [row[name] for row in newest.values()], name
