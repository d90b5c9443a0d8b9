"""Alerts killed at every step, and sent by many processes at once: nothing is lost, nothing is told twice."""

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from jobs.alerts import channels, outbox
from jobs.alerts.outbox import Alert
from jobs.alerts.records import LEASE
from jobs.secret import WebhookUrl
from jobs.settings import Settings

FORK = multiprocessing.get_context("fork")
NOW = datetime(2026, 11, 22, 6, tzinfo=UTC)
ALERT = Alert("fraud", "drift", "tx_amount", "PSI .02 was expected, .4 found: look at the source.", "warning", NOW)


@pytest.fixture
def settings(ledger_home: Settings, receiver: Any) -> Settings:
    found = replace(ledger_home, alert_webhook=WebhookUrl(receiver.url))
    outbox.recorded(found)  # makes the tables
    return found


@contextmanager
def at_statement(number: int, action: Callable[[], None]) -> Iterator[None]:
    """Call `action` before the statement or commit of this number."""
    seen = 0

    def before(*_: Any) -> None:
        nonlocal seen
        seen += 1
        if seen == number:
            action()

    for name in ("before_cursor_execute", "commit"):
        sa.event.listen(sa.Engine, name, before)
    yield
    for name in ("before_cursor_execute", "commit"):
        sa.event.remove(sa.Engine, name, before)


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def send_until(settings: Settings, alert: Alert, statement: int) -> None:
    with at_statement(statement, die):
        outbox.send(settings, alert, NOW)


def in_a_child(target: Callable[..., None], *arguments: Any) -> int:
    process = FORK.Process(target=target, args=arguments)
    process.start()
    process.join()
    return int(process.exitcode or 0)


def test_killed_before_any_statement_it_is_told_by_whoever_comes_next(settings: Settings, receiver: Any) -> None:
    """Only a kill between an answer of the receiver and the note of it repeats a post, with the same key."""
    kills = 0
    for statement in range(1, 100):
        alert, before = replace(ALERT, subject=f"feature {statement}"), len(receiver.posts)
        if (ended := in_a_child(send_until, settings, alert, statement)) == 0:
            break
        assert ended == -signal.SIGKILL
        kills, posted = kills + 1, len(receiver.posts) - before
        outbox.send(settings, alert, NOW + LEASE)
        assert [told.waiting for told in outbox.recorded(settings) if told.alert.subject == alert.subject] == [{}]
        posts = receiver.posts[before:]
        assert {post["subject"] for post in posts} == {alert.subject} and len({post["key"] for post in posts}) == 1
        assert len(posts) <= 1 + posted
    # Looking, recording, its deliveries, commit; looking for them, commit; twice claiming, reading, ending.
    assert kills >= 12
    assert outbox.flush(settings, NOW + 2 * LEASE) == 0


def record_only(settings: Settings, alert: Alert) -> None:
    channels.deliver = lambda *_: die()
    outbox.send(settings, alert, NOW)


def test_killed_between_record_and_delivery_it_is_delivered_by_the_next_flush(
    settings: Settings, receiver: Any
) -> None:
    assert in_a_child(record_only, settings, ALERT) == -signal.SIGKILL
    assert receiver.posts == [] and outbox.open_subjects(settings, "fraud", "drift") == ["tx_amount"]
    # The channel that the killed process was at (the webhook or the log) stays its own until the lease is over.
    outbox.flush(settings, NOW + timedelta(minutes=1))
    outbox.flush(settings, NOW + LEASE)
    assert len(receiver.posts) == 1 and outbox.recorded(settings)[0].waiting == {}
    assert outbox.flush(settings, NOW + 2 * LEASE) == 0


def send_all(settings: Settings, start: Any, results: Any) -> None:
    start.wait()
    for number in range(6):
        results.put(outbox.send(settings, replace(ALERT, subject=f"feature {number}"), NOW))


def test_of_processes_at_once_one_tells(settings: Settings, receiver: Any) -> None:
    start, results = FORK.Event(), FORK.Queue()
    processes = [FORK.Process(target=send_all, args=(settings, start, results)) for _ in range(3)]
    for process in processes:
        process.start()
    start.set()
    told = [results.get(timeout=60) for _ in range(18)]
    for process in processes:
        process.join()
        assert process.exitcode == 0
    assert sum(told) == 6
    assert sorted(post["subject"] for post in receiver.posts) == [f"feature {number}" for number in range(6)]
    assert outbox.flush(settings, NOW + LEASE) == 0
