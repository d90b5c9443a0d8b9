"""Each fallback in its order, as clients meet it: flagged in the answer, the metrics and the log."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from worlds.deciding_server import deciding

from jobs.decisions import fallback_order, log_contents, opened
from jobs.decisions.log_contents import Decided
from jobs.online.entity_facts import EntityFacts
from jobs.settings import Settings
from jobs.use_cases.fraud import FRAUD
from serving.decisions import service

pytestmark = pytest.mark.embedded


@pytest.fixture
def home(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path)


@pytest.fixture
def client(home: Settings) -> Iterator[httpx.Client]:
    with deciding(home) as address, httpx.Client(base_url=address) as found:
        yield found


@pytest.fixture(autouse=True)
def slow(monkeypatch: pytest.MonkeyPatch) -> None:
    """The batch kernel finds all features, and nobody waits for it."""
    monkeypatch.setattr(EntityFacts, "_is_fast", lambda *_: False)
    monkeypatch.setattr(service, "FEATURE_SECONDS", 1e-6)


def decided(client: httpx.Client) -> dict[str, Any]:
    event = {"transaction_id": 500, "customer_id": 2, "terminal_id": 100, "tx_amount": 7}
    answer = client.post("/v1/fraud/decisions", json=event)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def logged(home: Settings) -> list[Decided]:
    with opened.log_of(home, FRAUD) as log:
        contents = [log_contents.decode(record.content) for record in log.records()]
    return [each for each in contents if isinstance(each, Decided)]


def test_features_that_take_too_long_give_way_to_those_of_tables(client: httpx.Client, home: Settings) -> None:
    answer = decided(client)
    assert answer["fallback"] == "nightly_features" and "took longer" in answer["reason"]
    assert answer["score"] is not None
    last = logged(home)[-1]
    assert (last.fallback, last.staleness > 0) == ("nightly_features", True) and last.features
    assert answer["freshness"]["seconds"] == last.staleness / 1e6
    assert 'evergreen_fallbacks_total{fallback="nightly_features",use_case="fraud"}' in client.get("/metrics").text


def test_without_those_of_tables_in_time_the_baseline_decides(
    client: httpx.Client, home: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "TABLES_SECONDS", 1e-6)
    answer = decided(client)
    assert answer["fallback"] in fallback_order.ORDER[2:] and answer["score"] is None
    assert logged(home)[-1].features == []
