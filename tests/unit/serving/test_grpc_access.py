"""Which calls of gRPC need which scope, who calls, and that nothing of a message is read before it is known who."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from worlds.exported_models import export, made
from worlds.served import served

from jobs import settings
from jobs.loopback import free_port
from serving import grpc_access
from serving.app import ServeOptions, application
from serving.inference_protocol import grpc_service
from serving.web import api_keys

NOW = datetime(2026, 3, 1, tzinfo=UTC)
SERVICE = "/inference.GRPCInferenceService"
REFLECTION = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"


@pytest.mark.parametrize(("method", "scope"), [
    (f"{SERVICE}/ServerLive", None), (f"{SERVICE}/ServerReady", None), ("/grpc.health.v1.Health/Watch", None),
    (f"{SERVICE}/ModelReady", "read"), (f"{SERVICE}/ModelMetadata", "read"), (f"{SERVICE}/ServerMetadata", "read"),
    (REFLECTION, "read"), (f"{SERVICE}/ModelInfer", "decide"), ("/new.Service/Change", "decide"),
])  # fmt: skip
def test_a_call_needs_the_scope_of_what_it_does(method: str, scope: str | None) -> None:
    assert grpc_access._scope(method) == scope


@pytest.mark.parametrize(("peer", "address"), [
    ("ipv4:192.0.2.7:5000", "192.0.2.7"), ("ipv6:%5B2001:db8::1%5D:5000", "2001:db8::1"), ("unix:", "unix"), ("", ""),
])  # fmt: skip
def test_the_address_of_a_caller_has_no_port(peer: str, address: str) -> None:
    assert grpc_access._address(peer) == address


def broken(*_: object) -> None:
    raise RuntimeError("secret path")


def test_messages_are_read_after_it_is_known_who_sends_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = settings.load({"EVERGREEN_HOME": str(tmp_path / "home")})
    export(home, 3, made(tmp_path / "bundle"))
    key, port = api_keys.add(home, "shop", ["decide", "read"], NOW), free_port()
    server = served(application(home, ServeOptions(("fraud",), grpc_port=port)))
    with server, grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        infer = channel.unary_unary(f"{SERVICE}/ModelInfer")  # takes bytes as they are

        def code(*metadata: tuple[str, str], content: bytes = b"\xff no message") -> Any:
            with pytest.raises(grpc.RpcError) as refused:
                infer(content, metadata=metadata)
            assert "secret" not in refused.value.details()
            return refused.value.code()

        mine = ("authorization", f"Bearer {key}")
        assert code() == code(("x-api-key", "guess")) == grpc.StatusCode.UNAUTHENTICATED
        assert code(mine) == grpc.StatusCode.INVALID_ARGUMENT
        assert code(mine, content=b"") == grpc.StatusCode.NOT_FOUND  # the model without a name
        monkeypatch.setattr(grpc_service, "model_named", broken)
        assert code(mine, content=b"") == grpc.StatusCode.INTERNAL
        ask = reflection_pb2_grpc.ServerReflectionStub(channel).ServerReflectionInfo
        asked = [reflection_pb2.ServerReflectionRequest(list_services="")]
        [answer] = ask(iter(asked), metadata=[("x-api-key", key)])
        assert "inference.GRPCInferenceService" in {each.name for each in answer.list_services_response.service}
        with pytest.raises(grpc.RpcError, match="UNAUTHENTICATED"):
            next(ask(iter(asked)))
