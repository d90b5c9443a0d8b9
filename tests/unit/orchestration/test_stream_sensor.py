"""A sensor that looks at real heartbeats and tables tells Dagster what is new, and people what is wrong, once."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest
from worlds.streamed_runs import made, run
from worlds.streamed_world import PAYMENTS, START, World, busy_days

from assets.keys import Keys
from jobs.alerts import outbox
from jobs.processes import this_process
from jobs.streams import control
from jobs.streams.control import Heartbeat
from jobs.use_cases.fraud import FRAUD
from orchestration import stream_sensor

MINUTE = timedelta(minutes=1)
KEYS = Keys(FRAUD)
Tick = Callable[[], tuple[str, list[str]]]


class Sensor:
    """Ticks of the sensor as the daemon makes them, a minute apart."""

    def __init__(self, world: World, instance: dg.DagsterInstance) -> None:
        self.world, self.instance = world, instance
        self.now, self.cursor = datetime.now(UTC), ""

    def tick(self) -> tuple[str, list[str]]:
        """What it says, and of which assets and checks it tells."""
        sensor = stream_sensor.build(self.world.settings, FRAUD, lambda: self.now)
        found = sensor.evaluate_tick(dg.build_sensor_context(self.instance, cursor=self.cursor or None))
        self.cursor = found.cursor or self.cursor
        self.now += MINUTE
        for event in found.asset_events:
            self.instance.report_runless_asset_event(event)
        names = [getattr(e, "check_name", None) or e.asset_key.to_user_string() for e in found.asset_events]
        return found.skip_message or "", names

    def says(self, **said: object) -> None:
        """Let the stream say that of itself, now."""
        beat = Heartbeat(self.now.timestamp(), this_process(), "running", stamp=time.time_ns() // 1000)
        control.beat(self.world.settings, FRAUD, replace(beat, **said))  # type: ignore[arg-type]


@pytest.fixture
def sensor(tmp_path: Path) -> Iterator[Sensor]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield Sensor(made(tmp_path, 1), instance)


def test_nothing_is_told_of_a_stream_that_never_ran(sensor: Sensor) -> None:
    assert sensor.tick() == ("the stream has not run yet: `evergreen stream run` starts it", [])


def test_topics_and_tables_are_observed_when_something_is_new(sensor: Sensor) -> None:
    busy_days(sensor.world, 20)
    run(sensor.world)
    read = {PAYMENTS: {"0": 21}}
    sensor.says(positions=read, lag={PAYMENTS: 3}, left_out={PAYMENTS: ["shop"]})
    text, told = sensor.tick()
    assert text == "the stream is running" or "contract" in text
    for name in ("fraud/topics/transactions", "fraud/stream/customer_windows"):
        assert told.count(name) == 1
    [seen] = sensor.instance.fetch_observations(KEYS.topics["transactions"], limit=9).records
    metadata = seen.asset_observation.metadata  # type: ignore[union-attr]
    assert (metadata["read_up_to"].value, metadata["lag"].value) == (21, 3)
    assert metadata["left_out"].value == "shop" and "| 0 | 21 |" in str(metadata["positions"].value)
    [table] = sensor.instance.fetch_observations(KEYS.stream_tables["customer_windows"], limit=9).records
    assert table.asset_observation.metadata["dagster/row_count"].value == 20  # type: ignore[union-attr]
    assert sensor.tick()[1] == []
    sensor.says(positions={PAYMENTS: {"0": 22}}, lag={PAYMENTS: 3}, left_out={PAYMENTS: ["shop"]})
    assert sensor.tick()[1] == ["fraud/topics/transactions"]


def test_dead_letters_are_alerted_and_fail_their_check(sensor: Sensor) -> None:
    sensor.world.send(PAYMENTS, sensor.world.payment(5000, START) | {"tx_amount": -1})
    run(sensor.world)
    sensor.says(lag={PAYMENTS: 0})
    text, told = sensor.tick()
    assert "1 of the last day did not" in text and "no_dead_letters" in told
    [check] = sensor.instance.event_log_storage.get_latest_asset_check_execution_by_key(
        [dg.AssetCheckKey(KEYS.topics["transactions"], "no_dead_letters")]
    ).values()
    assert check.status.value == "FAILED"
    for _ in range(3):
        sensor.says(lag={PAYMENTS: 0})
        sensor.tick()
    [alert] = outbox.recorded(sensor.world.settings)
    assert (alert.alert.kind, alert.notifications) == ("dead_letters", 1)


def test_what_happened_to_a_topic_is_observed_and_fails_its_check(sensor: Sensor) -> None:
    again = {"at": sensor.now.timestamp(), "what": "it was made again"}
    sensor.says(lag={PAYMENTS: 0}, changes={PAYMENTS: [again]})
    _, told = sensor.tick()
    assert "topic_unchanged" in told
    [seen] = sensor.instance.fetch_observations(KEYS.topics["transactions"], limit=9).records
    assert "it was made again" in str(seen.asset_observation.metadata["changes"].value)  # type: ignore[union-attr]


def test_a_process_that_died_is_alerted_once_and_resolved_when_it_is_back(sensor: Sensor) -> None:
    sensor.says(process="1@0.00")
    assert sensor.tick()[0] == "the stream is running"
    for _ in range(3):
        sensor.tick()
    [alert] = outbox.recorded(sensor.world.settings)
    assert (alert.alert.kind, alert.alert.subject, alert.notifications) == ("stream_down", "process", 1)
    sensor.says()
    assert sensor.tick()[0] == "the stream is running"
    assert outbox.recorded(sensor.world.settings) == []


def test_a_lag_that_grows_at_five_looks_is_alerted(sensor: Sensor) -> None:
    texts = []
    for look in range(5):
        sensor.says(lag={PAYMENTS: 5000 + look})
        texts.append(sensor.tick()[0])
    assert ["5,004 messages wait" in text for text in texts] == [False] * 4 + [True]
