"""What `/metrics` says of a server that decides: stages, objectives, scores, features, breakers, ages and versions."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from worlds.deciding_server import deciding
from worlds.redis_server import RedisServer

from jobs.decisions import opened, shipping
from jobs.lakehouse.tables import attach
from jobs.online.log_records import Entry
from jobs.online.redis_log import RedisLog
from jobs.secret import Url
from jobs.settings import ROOT, Settings
from jobs.use_cases.fraud import FRAUD
from serving.live_models.live_model import LiveModel
from serving.telemetry import slos, states
from serving.telemetry.registry import OWN

pytestmark = pytest.mark.embedded


class Scraped:
    """The samples of one answer of `/metrics`."""

    def __init__(self, text: str) -> None:
        found = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
        self._samples = [(sample.name, sample.labels, sample.value) for sample in found]

    def __call__(self, name: str, **labels: str) -> float:
        """The sum of the samples of a name that have these labels."""
        return sum(value for each, own, value in self._samples if each == name and labels.items() <= own.items())

    def values(self, label: str, name: str, **labels: str) -> set[str]:
        """Values of a label, of the samples of a name that have these labels."""
        return {own[label] for each, own, _ in self._samples if each == name and labels.items() <= own.items()}


@pytest.fixture
def home(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "home")


@pytest.fixture
def client(home: Settings) -> Iterator[httpx.Client]:
    with deciding(home) as address, httpx.Client(base_url=address) as found:
        yield found


def scraped(client: httpx.Client) -> Scraped:
    return Scraped(client.get("/metrics").raise_for_status().text)


def decided(client: httpx.Client, first: int, count: int) -> list[dict[str, Any]]:
    event = {"customer_id": 2, "terminal_id": 100, "tx_amount": 7}
    answers = [client.post("/v1/fraud/decisions", json=event | {"transaction_id": first + n}) for n in range(count)]
    return [answer.raise_for_status().json() for answer in answers]


def test_each_decision_is_counted_once_by_stage_score_and_feature(client: httpx.Client) -> None:
    before = scraped(client)
    answers = decided(client, 700, 5)
    after = scraped(client)

    def more(name: str, **labels: str) -> float:
        return after(name, **labels) - before(name, **labels)

    for name in ("evergreen_decisions_total", "evergreen_decision_seconds_count", "evergreen_score_count"):
        assert more(name, use_case="fraud") == 5, name
    for stage in ("append", "features", "model", "log"):
        assert more("evergreen_stage_seconds_count", use_case="fraud", stage=stage) == 5
    assert more("evergreen_decisions_total", use_case="fraud", arm="champion") == 5
    assert more("evergreen_model_seconds_count", use_case="fraud", model="3") == 5
    assert more("evergreen_score_sum", model="3") == pytest.approx(sum(each["score"] for each in answers), abs=1e-9)
    features = after.values("feature", "evergreen_feature_count", use_case="fraud")
    assert 6 <= len(features) <= 12
    for feature in features:
        assert (
            more("evergreen_feature_count", feature=feature) + more("evergreen_feature_missing_total", feature=feature)
            == 5
        )
    whole, stages = more("evergreen_decision_seconds_sum"), more("evergreen_stage_seconds_sum")
    assert 0 < stages < whole
    assert after("evergreen_model_version", use_case="fraud") == 3


def test_objectives_are_told_and_what_misses_them_is_counted(
    client: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("serving.telemetry.decision_metrics.LATENCY_SECONDS", 0.0)
    before = scraped(client)
    decided(client, 800, 3)
    client.post("/v1/fraud/decisions", json={"transaction_id": 1})  # is refused (400), which is nobody's fault here
    after = scraped(client)
    for slo in slos.SLOS:
        assert after("evergreen_slo_objective", slo=slo.name) == slo.objective
    found = {
        slo.name: tuple(
            after(f"evergreen_slo_{name}_total", slo=slo.name) - before(f"evergreen_slo_{name}_total", slo=slo.name)
            for name in ("events", "bad")
        )
        for slo in slos.SLOS
    }
    assert found == {"availability": (4, 0), "latency": (3, 3), "usual_way": (3, 0)}


def test_a_model_that_fails_opens_its_breaker_and_counts_as_not_the_usual_way(
    client: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    decided(client, 900, 1)
    before = scraped(client)

    def fail(*_: object) -> None:
        raise RuntimeError("broken")

    monkeypatch.setattr(LiveModel, "run_each", fail)
    decided(client, 901, 6)
    after = scraped(client)
    assert (before("evergreen_breaker", of="model"), after("evergreen_breaker", of="model", use_case="fraud")) == (0, 2)
    assert after("evergreen_breaker", of="store") == 0
    for name in ("evergreen_fallbacks_total", "evergreen_slo_bad_total"):
        assert after(name) - before(name) == 6


def test_ages_of_tables_and_log_grow_and_what_is_shipped_waits_no_more(home: Settings, client: httpx.Client) -> None:
    decided(client, 1000, 1)
    waiting = scraped(client)
    for name in ("evergreen_tables_age_seconds", "evergreen_log_age_seconds", "evergreen_log_unshipped_seconds"):
        assert 0 < waiting(name, use_case="fraud") < 600, name
    shipping.ship(attach(home), FRAUD)
    assert scraped(client)("evergreen_log_unshipped_seconds", use_case="fraud") == 0


def test_the_log_says_its_last_stamp(home: Settings) -> None:
    with opened.log_of(home, FRAUD, lambda: 70) as log:
        assert log.last_stamp() == 0
        log.append("event/1", b"{}")
        assert log.last_stamp() == 70


@pytest.mark.servers
def test_a_log_in_a_store_says_it_too() -> None:
    with RedisServer() as server:
        log = RedisLog(server.url, "log", reach=10, now=lambda: 70)
        assert log.last_stamp() == 0
        log.append_all([Entry("event/1", b"{}"), Entry("event/2", b"{}")])
        assert log.last_stamp() == 71
        log.close()


@pytest.mark.servers
def test_counts_are_told_while_the_store_is_away_and_its_breaker_is_open(home: Settings) -> None:
    with RedisServer() as server:
        own = replace(home, online_store_url=Url(server.url))
        with deciding(own) as address, httpx.Client(base_url=address, timeout=30) as client:
            decided(client, 1100, 1)
            before = scraped(client)
            server.kill()
            decided(client, 1101, 3)
            after = scraped(client)
    assert (before("evergreen_breaker", of="store"), after("evergreen_breaker", of="store", use_case="fraud")) == (0, 2)
    name = "evergreen_decision_seconds_count"
    assert after(name) - before(name) == 3
    assert after("evergreen_log_age_seconds", use_case="fraud") >= 0


def test_each_metric_has_labels_so_that_none_is_written_where_it_is_only_imported() -> None:
    assert states.RUNNING in OWN._collector_to_names
    assert [metric for metric in OWN._collector_to_names if not metric._labelnames] == []  # type: ignore[attr-defined]


WORKER = """
import sys
from prometheus_client import Gauge
from serving.telemetry import slos
from serving.telemetry.registry import OWN, registry
running = Gauge("running", "Of a state.", registry=OWN, multiprocess_mode="livesum")
if sys.argv[1] == "count":
    slos.LATENCY.count(2, 1)
    running.set(5)
else:
    running.set(1)
    found = registry(True)
    print(found.get_sample_value("evergreen_slo_events_total", {"slo": "latency"}))
    print(found.get_sample_value("running"))
"""


def test_counts_of_a_dead_worker_stay_and_its_states_go(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PROMETHEUS_MULTIPROC_DIR": str(tmp_path)}

    def worker(does: str) -> str:
        command = [sys.executable, "-c", WORKER, does]
        return subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout

    worker("count")
    assert worker("tell").split() == ["2.0", "1.0"]
