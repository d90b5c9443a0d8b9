"""Alerts about a stream: each condition is told once while it lasts, and a moment is no condition."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from jobs.alerts import outbox, stream_alerts
from jobs.processes import this_process
from jobs.settings import Settings
from jobs.streams import health
from jobs.streams.control import Heartbeat
from jobs.streams.health import KEPT_LOOKS, Look, Seen
from jobs.use_cases.fraud import FRAUD

NOW = datetime(2026, 11, 30, tzinfo=UTC)
HERE = Heartbeat(NOW.timestamp(), this_process(), "running", stamp=int(NOW.timestamp() * 1e6))
LATER = NOW + timedelta(minutes=5)
TOPIC = "fraud.transactions"


def open_ones(settings: Settings, said: Heartbeat, looks: list[Look], now: datetime = LATER) -> list[tuple[str, str]]:
    """Kinds and subjects of what is open after a look, of which every one was sent once."""
    stream_alerts.settle(settings, FRAUD, Seen(said, looks, {TOPIC: Counter()}), now)
    found = outbox.recorded(settings)
    assert all(each.notifications == 1 for each in found)
    return [(each.alert.kind, each.alert.subject) for each in found]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(tmp_path)


def looked(said: Heartbeat, count: int = 2, now: datetime = LATER) -> list[Look]:
    return [health.look(said, now.timestamp())] * count


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (replace(HERE, process="1@0.00"), "its process 1 is gone since 2026-11-30 00:00:00 UTC, without a word"),
        (HERE, "lives and says nothing since"),
        (replace(HERE, condition="failed", why="messages are gone"), "failed since 2026-11-30 00:00:00 UTC: messages"),
    ],
)  # fmt: skip
def test_one_that_is_down_is_told_until_it_runs_again(settings: Settings, said: Heartbeat, words: str) -> None:
    for _ in range(3):
        assert open_ones(settings, said, looked(said, 1)) == [("stream_down", "process")]
    [told] = outbox.recorded(settings)
    assert words in told.alert.message and told.alert.severity == "error"
    back = replace(HERE, at=LATER.timestamp())
    assert open_ones(settings, back, looked(back)) == []


def test_one_that_a_person_ended_or_paused_is_no_fault(settings: Settings) -> None:
    ended = replace(HERE, condition="ended", process="1@0.00")
    assert open_ones(settings, ended, looked(ended)) == []
    paused = replace(HERE, condition="paused", at=LATER.timestamp(), lag={TOPIC: 9000}, why="a person asked for it")
    looks = [replace(look, lag={TOPIC: 9000 + n}) for n, look in enumerate(looked(paused, KEPT_LOOKS))]
    assert open_ones(settings, paused, looks) == []


def test_a_broker_that_does_not_answer_for_a_moment_is_not_told(settings: Settings) -> None:
    waits = replace(HERE, condition="waiting", at=LATER.timestamp(), why="nothing answers at 127.0.0.1:9092")
    assert open_ones(settings, waits, looked(waits, 1)) == []
    assert open_ones(settings, waits, looked(waits, 2)) == [("stream_down", "broker")]
    assert "127.0.0.1:9092" in outbox.recorded(settings)[0].alert.message


def test_one_that_falls_behind_is_told_by_topic(settings: Settings) -> None:
    said = replace(HERE, at=LATER.timestamp())
    looks = [Look("running", {TOPIC: 2000 + n, "fraud.fraud_reports": 5000}, n, "") for n in range(KEPT_LOOKS)]
    assert open_ones(settings, said, looks) == [("stream_behind", TOPIC)]


def test_no_messages_and_no_features_are_told(settings: Settings) -> None:
    said = replace(HERE, at=LATER.timestamp(), stamp=int((NOW - timedelta(hours=9)).timestamp() * 1e6), why="no marts")
    assert open_ones(settings, said, looked(said)) == [("stream_behind", "messages"), ("stream_behind", "features")]


def test_dead_letters_are_told_once_while_more_come(settings: Settings) -> None:
    said = replace(HERE, at=LATER.timestamp())
    for count in (3, 4, 5):
        seen = Seen(said, looked(said), {TOPIC: Counter({"tx_amount: below 0": count})})
        stream_alerts.settle(settings, FRAUD, seen, LATER)
    [told] = outbox.recorded(settings)
    assert (told.alert.kind, told.alert.subject, told.notifications) == ("dead_letters", TOPIC, 1)
    assert "3 of the last day did not, mostly as tx_amount: below 0" in told.alert.message
    assert open_ones(settings, said, looked(said)) == []
