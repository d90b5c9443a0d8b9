"""Traces reach a collector over OTLP, from the request to the log, and one that is dead is nobody's business."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
from worlds.deciding_server import deciding
from worlds.trace_collector import Collector, attributes, collecting

from jobs.loopback import free_port
from jobs.secret import Url
from jobs.settings import Settings
from serving.decisions.grpc_decisions import FILE, ROUTE
from serving.telemetry import otlp, tracing

pytestmark = pytest.mark.embedded

EVENT = {"customer_id": 2, "terminal_id": 100, "tx_amount": 7}
TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
FOLLOWED, NOT_FOLLOWED = f"00-{TRACE}-{SPAN}-01", f"00-{TRACE}-{SPAN}-00"
DECIDE = "POST /v1/{use_case}/decisions"


@pytest.fixture
def home(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "home")


@pytest.fixture
def collector() -> Iterator[Collector]:
    with collecting() as found:
        yield found


def decide(address: str, id: int, parent: str | None = None) -> int:
    headers = {} if parent is None else {"traceparent": parent}
    return httpx.post(
        f"{address}/v1/fraud/decisions", json={**EVENT, "transaction_id": id}, headers=headers, timeout=30
    ).status_code


def test_a_trace_of_the_client_goes_on_to_the_log(home: Settings, collector: Collector) -> None:
    with deciding(replace(home, traces=collector.url, traces_share=0.0)) as address:
        assert decide(address, 1, FOLLOWED) == 200
        assert (decide(address, 2), decide(address, 3, NOT_FOLLOWED)) == (200, 200)
    [span] = collector.named(DECIDE)
    assert (span.trace_id.hex(), span.parent_span_id.hex()) == (TRACE, SPAN)
    children = collector.within(span)
    assert [child.name for child in children] == ["append", "features", "model", "log"]
    assert {child.trace_id.hex() for child in children} == {TRACE}
    moments = [moment for each in children for moment in (each.start_time_unix_nano, each.end_time_unix_nano)]
    assert sorted([span.start_time_unix_nano, *moments, span.end_time_unix_nano]) == [
        span.start_time_unix_nano, *moments, span.end_time_unix_nano
    ]  # fmt: skip
    told = {"http.route": "/v1/{use_case}/decisions", tracing.STATUS: 200, "evergreen.model_version": "3"}
    assert told.items() <= attributes(span).items() and collector.services == {"evergreen"}
    assert len(collector.spans) == 5


def test_a_share_of_requests_is_followed_by_chance_and_a_broken_header_counts_as_none(
    home: Settings, collector: Collector
) -> None:
    with deciding(replace(home, traces=collector.url, traces_share=1.0)) as address:
        assert [decide(address, 1), decide(address, 2, "00-broken-01"), decide(address, 3, NOT_FOLLOWED)] == [200] * 3
        assert httpx.post(f"{address}/v1/fraud/decisions", json={}).status_code == 400
    spans = collector.named(DECIDE)
    assert [attributes(span)[tracing.STATUS] for span in spans] == [200, 200, 400]
    assert all(not span.parent_span_id for span in spans) and len({span.trace_id for span in spans}) == 3


def test_events_of_a_list_share_the_stages_that_they_went_through(home: Settings, collector: Collector) -> None:
    events = [{"transaction_id": n, "customer_id": n, "terminal_id": 100 + n, "tx_amount": 7} for n in range(1, 4)]
    with deciding(replace(home, traces=collector.url)) as address:
        httpx.post(f"{address}/v1/fraud/decisions", json=events, headers={"traceparent": FOLLOWED}).raise_for_status()
    [span] = collector.named(DECIDE)
    assert attributes(span)["evergreen.decisions"] == 3
    together = [each.name for each in collector.within(span) if attributes(each)["evergreen.events"] == 3]
    assert together == ["append", "features", "model", "log"]  # besides, one whose features take long has its own


def test_decisions_over_grpc_are_followed_too(home: Settings, collector: Collector) -> None:
    port = free_port()
    request = FILE.message("DecideRequest")(
        use_case="fraud", event='{"transaction_id": 1, "customer_id": 2, "terminal_id": 100, "tx_amount": 7}'
    )
    with (
        deciding(replace(home, traces=collector.url), grpc_port=port),
        grpc.insecure_channel(f"127.0.0.1:{port}") as channel,
    ):
        call = channel.unary_unary(
            ROUTE, FILE.message("DecideRequest").SerializeToString, FILE.message("DecideResponse").FromString
        )
        assert call(request, metadata=(("traceparent", FOLLOWED),)).decision
    [span] = collector.named(ROUTE)
    assert span.parent_span_id.hex() == SPAN
    assert [child.name for child in collector.within(span)] == ["append", "features", "model", "log"]


@contextlib.contextmanager
def nobody() -> Iterator[Url]:
    yield Url(f"http://127.0.0.1:{free_port()}")


@contextlib.contextmanager
def silent() -> Iterator[Url]:
    with socket.create_server(("127.0.0.1", 0), backlog=8) as server:
        yield Url(f"http://127.0.0.1:{server.getsockname()[1]}")


@pytest.mark.parametrize("dead", [nobody, silent])
def test_a_dead_collector_fails_nothing_and_keeps_no_server_from_ending(home: Settings, dead: Any) -> None:
    with dead() as url:
        with deciding(replace(home, traces=url, traces_share=1.0)) as address:
            with httpx.Client(base_url=address, timeout=30) as client:
                answers = [client.post("/v1/fraud/decisions", json=EVENT | {"transaction_id": n}) for n in range(600)]
            assert {answer.status_code for answer in answers} == {200}  # more than a batch
            ending = time.monotonic()
        assert time.monotonic() - ending < otlp.STOP_SECONDS + 5


def test_nothing_is_followed_where_traces_are_off() -> None:
    tracing.start(Settings(home=Path("/nowhere")))
    assert tracing.begin([("traceparent", FOLLOWED)]) is None
