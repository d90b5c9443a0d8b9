"""The alerting sensors on a real Dagster instance: failed jobs, late days, and what they leave alone."""

import itertools
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pyarrow as pa
import pytest
from deltalake import write_deltalake

from jobs.alerts import outbox
from jobs.ingest import registered_inputs
from jobs.lakehouse.tables import Lakehouse
from jobs.ledger import promotions
from jobs.ledger.promotions import PromotionDecision
from jobs.secret import WebhookUrl
from jobs.settings import Settings
from jobs.use_cases.fraud import FRAUD
from orchestration import alert_sensors

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
DAY = timedelta(days=1)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(tmp_path)


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as found:
        yield found


Ticks = Callable[[str], list[Any]]


@pytest.fixture
def tick(settings: Settings, instance: dg.DagsterInstance) -> Ticks:
    """Lets a sensor look once, from where it looked last."""
    clock = itertools.count()
    sensors = {
        s.name: s for s in alert_sensors.build(FRAUD, settings, lambda: NOW + next(clock) * timedelta(minutes=5))
    }
    cursors: dict[str, str | None] = {}

    def look(name: str) -> list[Any]:
        context = dg.build_sensor_context(instance=instance, cursor=cursors.get(name))
        data = sensors[name].evaluate_tick(context)
        cursors[name] = data.cursor
        return [data.skip_message, *(data.dagster_run_reactions or [])]

    for name in ("fraud_run_failed", "fraud_run_succeeded"):
        look(name)  # the first time only notes where history ends
    return look


def run(instance: dg.DagsterInstance, fails: bool, use_case: str = "fraud", name: str = "fraud_lineage") -> None:
    @dg.op
    def train() -> None:
        if fails:
            raise ValueError("no room at postgresql://eve:s3cret@db/x")

    @dg.job(name=name, tags={"use_case": use_case})
    def job() -> None:
        train()

    job.execute_in_process(instance=instance, raise_on_error=False)


def opened(settings: Settings) -> list[tuple[str, str]]:
    return [(told.alert.kind, told.alert.subject) for told in outbox.recorded(settings)]


def test_a_failed_job_is_told_with_its_cause_until_it_succeeds(
    settings: Settings, instance: dg.DagsterInstance, tick: Ticks
) -> None:
    run(instance, fails=True)
    tick("fraud_run_failed")
    [told] = outbox.recorded(settings)
    assert (told.alert.kind, told.alert.subject, told.alert.severity) == ("run_failed", "fraud_lineage", "error")
    assert "train: ValueError: no room at postgresql://eve:***@db/x" in told.alert.message
    run(instance, fails=True)
    tick("fraud_run_failed")
    assert len(outbox.recorded(settings, resolved=True)) == 1
    run(instance, fails=False)
    tick("fraud_run_succeeded")
    assert opened(settings) == []


@pytest.mark.parametrize(
    ("name", "said"), [("fraud_run_failed", "no run failed"), ("fraud_run_succeeded", "no run su")]
)
def test_a_tick_without_a_run_says_so(
    settings: Settings, instance: dg.DagsterInstance, tick: Ticks, name: str, said: str
) -> None:
    [first, *_] = tick(name)
    [sensor] = [s for s in alert_sensors.build(FRAUD, settings) if s.name == name]
    new = sensor.evaluate_tick(dg.build_sensor_context(instance=instance)).skip_message
    assert first == new == f"{said.replace(' su', ' succeeded')} since the last tick"


@pytest.mark.parametrize("first", ["fraud_run_failed", "fraud_run_succeeded"])
@pytest.mark.parametrize(
    ("runs", "expected"), [([True, False], []), ([False, True], [("run_failed", "fraud_lineage")])]
)
def test_the_last_run_counts_whichever_sensor_looks_first(
    settings: Settings, instance: dg.DagsterInstance, tick: Ticks, first: str, runs: list[bool], expected: list[Any]
) -> None:
    for fails in runs:
        run(instance, fails)
    for name in (first, "fraud_run_failed", "fraud_run_succeeded"):
        tick(name)
    assert opened(settings) == expected


def test_jobs_are_told_apart_and_other_use_cases_left_alone(
    settings: Settings, instance: dg.DagsterInstance, tick: Ticks
) -> None:
    run(instance, fails=True, use_case="returns", name="returns_lineage")
    run(instance, fails=True)
    run(instance, fails=True, name="fraud_training")
    for _ in range(3):
        tick("fraud_run_failed")
    run(instance, fails=False, name="fraud_training")
    tick("fraud_run_succeeded")
    assert opened(settings) == [("run_failed", "fraud_lineage")]


def alive(settings: Settings, last: date) -> None:
    registered_inputs.register(
        settings, FRAUD, registered_inputs.Inputs({"transactions": ("x.parquet",)}, date(2026, 9, 1), last)
    )


def three_days_late(settings: Settings) -> None:
    """A champion since the 10th, features and nightly predictions through the 18th."""
    lakehouse = Lakehouse(settings)
    days = pa.table({"event_date": [date(2026, 11, 1) + n * DAY for n in range(18)], "origin": ["nightly"] * 18})
    for table in (FRAUD.events, "fraud_serving.prediction_log", *(FRAUD.window_table(w) for w in FRAUD.windows)):
        write_deltalake(lakehouse.path(table), days, mode="overwrite", partition_by=["event_date"])
    since = datetime(2026, 11, 10, tzinfo=UTC)
    promotions.decide(
        settings,
        PromotionDecision("fraud", since, since, "promotion", "promoted", "", "evergreen", True, 1, "0" * 64, None),
    )


def test_a_living_input_alerts_when_it_is_late_and_recovers(settings: Settings, tick: Ticks) -> None:
    alive(settings, date(2026, 11, 18))
    three_days_late(settings)
    [said] = tick("fraud_lateness")
    assert "for 2026-11-19 and 2 later days" in said and "newest day in fraud_features.customer_windows" in said
    late = [("late_predictions", "2026-11-19"), ("stale_features", "fraud")]
    assert opened(settings) == late
    tick("fraud_lateness")
    assert opened(settings) == late and all(told.notifications == 1 for told in outbox.recorded(settings))
    days = pa.table({"event_date": [date(2026, 11, 19) + n * DAY for n in range(3)], "origin": ["nightly"] * 3})
    for table in (FRAUD.events, "fraud_serving.prediction_log", *(FRAUD.window_table(w) for w in FRAUD.windows)):
        write_deltalake(Lakehouse(settings).path(table), days, mode="append", partition_by=["event_date"])
    assert tick("fraud_lateness") == ["nothing is late"] and opened(settings) == []


def test_a_history_is_never_late(settings: Settings, tick: Ticks) -> None:
    alive(settings, date(2026, 11, 18))
    three_days_late(settings)
    tick("fraud_lateness")
    alive(settings, date(2026, 10, 1))
    assert tick("fraud_lateness") == ["the input is history, which is never late"] and opened(settings) == []


def test_each_tick_delivers_what_was_left_waiting(settings: Settings, tick: Ticks, receiver: Any) -> None:
    receiver.status = 500
    told = outbox.Alert("fraud", "drift", "tx_amount", "Too high.", "warning", NOW)
    outbox.send(replace(settings, alert_webhook=WebhookUrl(receiver.url)), told, NOW)
    receiver.status = 200
    other = alert_sensors.lateness(FRAUD, replace(settings, alert_webhook=WebhookUrl(receiver.url)), lambda: NOW)
    with dg.DagsterInstance.ephemeral() as instance:
        other.evaluate_tick(dg.build_sensor_context(instance=instance))
    assert len(receiver.posts) == 1


def test_the_sensors_are_part_of_the_definitions(settings: Settings) -> None:
    names = [sensor.name for sensor in alert_sensors.build(FRAUD, settings)]
    assert names == ["fraud_lateness", "fraud_run_failed", "fraud_run_succeeded"]
