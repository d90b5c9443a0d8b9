"""Limits of requests a second: what a bucket of tokens grants, to whom, and in how much memory."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import grpc
import httpx
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from hypothesis import given
from hypothesis import strategies as st
from worlds.exported_models import export, made
from worlds.served import served

from jobs import settings
from jobs.errors import Invalid
from jobs.loopback import free_port
from jobs.settings import Settings
from serving.app import ServeOptions, application
from serving.inference_protocol import grpc_messages
from serving.web import api_keys
from serving.web.rate_limits import BURST_SECONDS, MOST_CALLERS, RateLimits, caller_at

NOW = datetime(2026, 3, 1, tzinfo=UTC)
ABOUT = "/v2/models/fraud"


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


@given(st.floats(0.1, 50), st.integers(1, 4), st.lists(st.floats(0, 5), min_size=1, max_size=60))
def test_a_bucket_grants_what_a_plain_count_of_tokens_does(rate: float, workers: int, pauses: list[float]) -> None:
    clock = Clock()
    limits, share = RateLimits(rate, workers, clock), rate / workers
    room = max(share * BURST_SECONDS, 1)
    tokens = room
    for pause in pauses:
        clock.now += pause
        tokens = min(room, tokens + pause * share)
        if abs(tokens - 1) < 1e-4:
            return  # which of both rounds down is no matter
        wait = limits.wait("shop")
        assert (wait == 0) == (tokens >= 1)
        assert wait == pytest.approx(0 if tokens >= 1 else (1 - tokens) / share, abs=1e-6)
        tokens -= tokens >= 1


@given(st.floats(1, 1e7), st.floats(0.001, 1e6), st.integers(1, 64))
def test_the_first_request_is_granted_whatever_the_clock_shows(now: float, rate: float, workers: int) -> None:
    clock = Clock()
    clock.now = now
    assert RateLimits(rate, workers, clock).wait("shop") == 0


def test_whoever_waits_as_told_is_served() -> None:
    clock = Clock()
    limits = RateLimits(0.5, workers=4, clock=clock)
    assert limits.wait("shop") == 0
    clock.now += limits.wait("shop") + 1e-9
    assert limits.wait("shop") == 0


def test_callers_have_buckets_of_their_own_and_keys_rates_of_their_own() -> None:
    limits = RateLimits(1, clock=Clock())
    assert [limits.wait("shop") > 0 for _ in range(3)] == [False, False, True]
    assert [limits.wait("till") > 0 for _ in range(3)] == [False, False, True]
    assert not any(limits.wait("fast", 100) for _ in range(200)) and limits.wait("fast", 100)


def test_without_a_rate_nothing_is_counted() -> None:
    limits = RateLimits()
    assert not any(limits.wait("shop") for _ in range(100)) and limits.kept == 0


def test_many_addresses_need_no_more_memory() -> None:
    limits = RateLimits(1, clock=Clock())
    for number in range(3 * MOST_CALLERS):
        limits.wait(caller_at(f"address {number}"))
    assert limits.kept == MOST_CALLERS


@pytest.mark.parametrize(("address", "caller"), [
    ("192.0.2.7", "address 192.0.2.7"), ("::ffff:192.0.2.7", "address 192.0.2.7"), ("", "address "),
    ("2001:db8:1:2:3::9", "address 2001:db8:1:2::/64"), ("fe80::1%eth0", "address fe80::/64"), ("unix", "address unix"),
])  # fmt: skip
def test_an_address_stands_for_whoever_can_choose_it(address: str, caller: str) -> None:
    assert caller_at(address) == caller


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    folder = tmp_path_factory.mktemp("limited")
    found = settings.load({"EVERGREEN_HOME": str(folder / "home")})
    export(found, 3, made(folder / "bundle"))
    return found


@pytest.fixture
def limited(home: Settings) -> Iterator[tuple[httpx.Client, grpc.Channel]]:
    """A server that grants a request in 100 seconds to whom nothing else is said of."""
    port = free_port()
    options = ServeOptions(("fraud",), grpc_port=port, rate=0.01)
    target = f"127.0.0.1:{port}"
    with (
        served(application(home, options)) as address,
        httpx.Client(base_url=address) as client,
        grpc.insecure_channel(target) as channel,
    ):
        yield client, channel
    api_keys.place(home).unlink(missing_ok=True)


def asked_by_grpc(channel: grpc.Channel, key: str = "") -> Any:
    method = channel.unary_unary(
        f"/{grpc_messages.SERVICE}/ModelReady",
        request_serializer=grpc_messages.message("ModelReadyRequest").SerializeToString,
        response_deserializer=grpc_messages.message("ModelReadyResponse").FromString,
    )
    metadata = [("x-api-key", key)] if key else []
    return method(grpc_messages.message("ModelReadyRequest")(name="fraud"), metadata=metadata)


def test_an_address_waits_for_its_turn_over_http_and_grpc(limited: tuple[httpx.Client, grpc.Channel]) -> None:
    client, channel = limited
    assert client.get(ABOUT).status_code == 200
    late = client.get(ABOUT)
    assert late.status_code == 429 and 0 < int(late.headers["retry-after"]) <= 100
    assert "address 127.0.0.1: expected fewer requests" in late.json()["error"]
    with pytest.raises(grpc.RpcError) as refused:  # the same address, and so the same bucket
        asked_by_grpc(channel)
    assert refused.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert 0 < int(dict(refused.value.trailing_metadata())["grpc-retry-pushback-ms"]) <= 100_001
    assert client.get("/readyz").status_code == 200
    health = health_pb2_grpc.HealthStub(channel)
    assert health.Check(health_pb2.HealthCheckRequest()).status == health_pb2.HealthCheckResponse.SERVING


def test_a_key_has_the_rate_that_it_was_made_with(limited: tuple[httpx.Client, grpc.Channel], home: Settings) -> None:
    client, channel = limited
    fast, slow = (api_keys.add(home, name, ["read"], NOW, rate) for name, rate in (("fast", 1_000), ("slow", None)))
    for _ in range(20):
        assert client.get(ABOUT, headers={"x-api-key": fast}).status_code == 200
    assert asked_by_grpc(channel, fast).ready and asked_by_grpc(channel, slow).ready
    late = client.get(ABOUT, headers={"x-api-key": slow})
    assert late.status_code == 429 and "key slow" in late.json()["error"]
    assert [client.get(ABOUT, headers={"x-api-key": "guess"}).status_code for _ in range(2)] == [401, 429]


@pytest.mark.parametrize("rate", [0, -1, float("nan"), float("inf")])
def test_a_rate_that_cannot_be_is_refused(home: Settings, rate: float) -> None:
    with pytest.raises(Invalid, match="rate of a key: expected a number above 0"):
        api_keys.add(home, "odd", ["read"], NOW, rate)
    assert api_keys.stored(home) == ()
