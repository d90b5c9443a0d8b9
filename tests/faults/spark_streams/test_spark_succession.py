"""Declarations that change while Spark computes: a second process takes over, and Spark goes on by the new ones."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from worlds.changed_streams import assert_switched, declarations_change, heard_of_another, night, streamed
from worlds.draws import drawn
from worlds.exact_streams import events, rows_with_features
from worlds.quick_spark import PROGRAM
from worlds.stream_processes import StreamProcess, Topics
from worlds.streamed_world import World, busy_days

from jobs.settings import Settings
from jobs.streams.publishing import PATIENCE_SECONDS
from jobs.streams.stored_features import declared
from jobs.use_cases.fraud import FRAUD

pytestmark = [pytest.mark.servers, pytest.mark.spark, pytest.mark.timeout(900)]


def test_a_later_process_takes_queries_over(
    kafka: str, spark_remote: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPARK_REMOTE", spark_remote)
    world = World(Settings(home=tmp_path / "home"), drawn("declarations that change on Spark"))
    world.history(200)
    busy_days(world, 300)
    night(world, FRAUD)
    topics = Topics(world, kafka)
    topics.fill(len(world.messages) // 2)
    with StreamProcess(world, topics.url, program=PROGRAM) as one:
        one.heard(lambda _: rows_with_features(world) >= len(events(world, topics.sent)), seconds=300)
        declarations_change(world, topics, one)
        assert streamed(world) == declared(FRAUD)
        heard_of_another(world, one, topics.sent)
        topics.fill()
        heard_of_another(world, one, topics.sent)
        before = time.monotonic()
        while rows_with_features(world) < len(events(world)):
            assert time.monotonic() - before < 180
            time.sleep(0.2)
        time.sleep(3 * PATIENCE_SECONDS)  # the online store has them with the next look
        told = one.end()
        assert one.process.returncode == 0, told
    assert_switched(world, monkeypatch)
