"""Decisions over gRPC, as a client sees them that knows the server by reflection alone."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
from google.protobuf import descriptor_pool, message_factory
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase
from worlds.deciding_server import deciding

from jobs.loopback import free_port
from jobs.settings import Settings
from serving.decisions.service import DecisionService

pytestmark = pytest.mark.embedded
PAYMENT = {"transaction_id": 2**53 + 1, "customer_id": 1, "terminal_id": 100, "tx_amount": 12.5}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, grpc.Channel]]:
    port = free_port()
    home = Settings(home=Path(tmp_path_factory.mktemp("home")))
    with deciding(home, grpc_port=port) as address, grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield address, channel


def ask(channel: grpc.Channel, **request: Any) -> Any:
    """A call by what reflection says of the service."""
    pool = descriptor_pool.DescriptorPool(ProtoReflectionDescriptorDatabase(channel))
    method = pool.FindServiceByName("evergreen.DecisionService").FindMethodByName("Decide")
    asks, answers = (message_factory.GetMessageClass(one) for one in (method.input_type, method.output_type))
    call = channel.unary_unary(
        "/evergreen.DecisionService/Decide",
        asks.SerializeToString,
        answers.FromString,
    )
    return call(asks(**request), timeout=60)


def test_a_decision_is_that_of_http(server: tuple[str, grpc.Channel]) -> None:
    address, channel = server
    found = ask(channel, use_case="fraud", event=json.dumps(PAYMENT), explain=True)
    answer = json.loads(found.answer)
    assert answer["transaction_id"] == 2**53 + 1 and answer["reasons"] is not None
    assert (found.decision, found.score, found.fallback) == (answer["decision"], answer["score"], "")
    del answer["reasons"]
    assert httpx.post(f"{address}/v1/fraud/decisions", json=PAYMENT).json() == answer
    counted = httpx.get(f"{address}/metrics").text
    assert (
        'evergreen_requests_total{protocol="grpc",route="/evergreen.DecisionService/Decide",status="200"} 1.0'
        in counted
    )


@pytest.mark.parametrize(
    ("request_", "status", "message"),
    [
        ({"use_case": "other", "event": "{}"}, grpc.StatusCode.NOT_FOUND, "expected one of"),
        ({"use_case": "fraud", "event": "{"}, grpc.StatusCode.INVALID_ARGUMENT, "expected JSON"),
        ({"use_case": "fraud", "event": "[]"}, grpc.StatusCode.INVALID_ARGUMENT, "found a list"),
        ({"use_case": "fraud", "event": '{"transaction_id": 1}'}, grpc.StatusCode.INVALID_ARGUMENT, "customer_id"),
    ],
)
def test_what_is_no_event_is_refused(
    server: tuple[str, grpc.Channel], request_: dict[str, str], status: grpc.StatusCode, message: str
) -> None:
    with pytest.raises(grpc.RpcError) as refused:
        ask(server[1], **request_)
    error: Any = refused.value
    assert error.code() == status and message in error.details()


def test_the_same_id_with_other_content_exists_already(server: tuple[str, grpc.Channel]) -> None:
    ask(server[1], use_case="fraud", event=json.dumps(PAYMENT | {"transaction_id": 77}))
    with pytest.raises(grpc.RpcError) as refused:
        ask(server[1], use_case="fraud", event=json.dumps(PAYMENT | {"transaction_id": 77, "tx_amount": 1}))
    error: Any = refused.value
    assert error.code() == grpc.StatusCode.ALREADY_EXISTS


def test_an_error_that_nobody_foresaw_is_counted_as_the_servers(
    server: tuple[str, grpc.Channel], monkeypatch: pytest.MonkeyPatch
) -> None:
    address, channel = server

    async def fail(*_: object) -> None:
        raise RuntimeError("unforeseen")

    monkeypatch.setattr(DecisionService, "decide", fail)
    with pytest.raises(grpc.RpcError):
        ask(channel, use_case="fraud", event=json.dumps(PAYMENT))
    counted = httpx.get(f"{address}/metrics").text
    assert 'route="/evergreen.DecisionService/Decide",status="500"} 1.0' in counted
    assert 'evergreen_slo_bad_total{slo="availability"}' in counted
