"""Features on a real Spark, from a real Kafka, through faults: every cell is what a batch makes, each row once."""

from __future__ import annotations

import json
import os
import shutil
import signal
from pathlib import Path

import pytest
from worlds.draws import drawn
from worlds.kafka_server import CACHE
from worlds.stream_processes import StreamProcess, Topics, has_read
from worlds.streamed_world import BROKEN, PAYMENTS, World, busy_days

from jobs.lakehouse import spark_server
from jobs.loopback import HOST, free_port
from jobs.settings import ROOT, Settings
from jobs.streams import verify
from jobs.use_cases.fraud import FRAUD

pytestmark = [pytest.mark.servers, pytest.mark.spark, pytest.mark.timeout(1800)]


@pytest.fixture
def world(tmp_path: Path) -> World:
    made = World(Settings(home=tmp_path / "home"), drawn("spark streams"))
    made.history(100)
    busy_days(made, 100)
    return made


def ids(world: World, messages: int | None = None) -> set[int]:
    """Of payments among the first messages those that keep the contract."""
    sent = {json.loads(m.value or b"")["transaction_id"] for m in world.messages[:messages] if m.topic == PAYMENTS}
    return {id for id in sent if id < BROKEN}


def rows(world: World) -> int:
    """Rows of the table of features that has least."""
    tables = [FRAUD.stream_table(windows) for windows in FRAUD.windows]
    return min(world.lakehouse.row_count(table) if world.lakehouse.exists(table) else 0 for table in tables)


def wait_for_features(one: StreamProcess, messages: int | None = None) -> None:
    """Wait until the events among the first messages, or all, have features."""
    wanted = len(ids(one.world, messages))
    one.heard(lambda said: rows(one.world) >= wanted, seconds=600)


def assert_exact(world: World) -> None:
    """A row for each event in every table, and features are what a batch makes of them."""
    world.night()
    for windows in FRAUD.windows:
        stored = world.lakehouse.to_arrow(FRAUD.stream_table(windows), columns=[windows.id]).column(0).to_pylist()
        assert sorted(stored) == sorted(ids(world))
    found = verify.verify(world.lakehouse, FRAUD, verify.days_of(world.lakehouse, FRAUD))
    assert (found.different, found.examples, found.not_in_marts) == (0, [], 0)


def test_a_kill_and_a_lost_checkpoint_lose_and_double_nothing(
    world: World, kafka: str, spark_remote: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPARK_REMOTE", spark_remote)
    topics, half = Topics(world, kafka), len(world.messages) // 2
    topics.fill(half)
    with StreamProcess(world, topics.url) as one:
        wait_for_features(one, half)
    # Its queries go on without it, and must not beside those of the next one.
    shutil.rmtree(Path(world.lakehouse.warehouse) / "_streams", ignore_errors=True)
    topics.fill()
    with StreamProcess(world, topics.url) as one:
        wait_for_features(one)
        assert "events with features" in one.end()
    assert_exact(world)


def test_features_go_on_from_tables_when_spark_is_back(
    world: World, kafka: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepared, port = spark_server.prepare(CACHE, ROOT / "requirements.lock"), free_port()
    monkeypatch.setenv("SPARK_REMOTE", f"sc://{HOST}:{port}")
    topics, half = Topics(world, kafka), len(world.messages) // 2
    topics.fill(half)
    log = tmp_path / "log"
    spark = spark_server.start(prepared, port, world.lakehouse.warehouse, log, spark_server.QUICK_TO_WARM)
    with StreamProcess(world, topics.url) as one:
        wait_for_features(one, half)
        os.killpg(spark.pid, signal.SIGKILL)
        spark.process.wait()
        topics.fill()
        one.heard(has_read(len(world.messages)), seconds=200)
        one.heard(lambda said: "SPARK_REMOTE" in said.why, seconds=300)
        spark = spark_server.start(prepared, port, world.lakehouse.warehouse, log, spark_server.QUICK_TO_WARM)
        wait_for_features(one)
        one.end()
    spark.stop()
    assert_exact(world)
