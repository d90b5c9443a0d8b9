"""`evergreen serve` with a certificate: HTTP and gRPC by TLS, and nothing without it."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from pathlib import Path

import grpc
import httpx
import numpy as np
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from worlds.certificates import certified
from worlds.exported_models import export, made
from worlds.serve_processes import BODY, PATIENCE, ROWS, Running, started, wait_for

from jobs import settings
from jobs.models.runtime import score

pytestmark = pytest.mark.embedded


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return certified(tmp_path_factory.mktemp("certificate"))


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, certificate: tuple[Path, Path]) -> Iterator[Running]:
    """A server of two workers."""
    folder = tmp_path_factory.mktemp("by-tls")
    home = settings.load({"EVERGREEN_HOME": str(folder / "home")})
    export(home, 3, made(folder / "bundle"))
    options = ("--workers", "2", "--tls-cert", str(certificate[0]), "--tls-key", str(certificate[1]))
    found = started(home, *options)
    found.authority = ssl.create_default_context(cafile=str(certificate[0]))
    try:
        wait_for(found.ready)
        yield found
    finally:
        found.kill()


def test_scores_are_answered_by_tls(running: Running, tmp_path: Path) -> None:
    answer = httpx.post(running.infer, json=BODY, verify=running.authority or True)
    expected = score(made(tmp_path / "same").session(), np.nan_to_num(ROWS)).tolist()
    assert answer.json()["outputs"][0]["data"] == pytest.approx(expected, abs=1e-7)
    assert answer.headers["strict-transport-security"].startswith("max-age=")


def test_grpc_is_answered_by_tls(running: Running, certificate: tuple[Path, Path]) -> None:
    authority = grpc.ssl_channel_credentials(certificate[0].read_bytes())
    with grpc.secure_channel(f"127.0.0.1:{running.grpc_port}", authority) as channel:
        answer = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=PATIENCE)
        assert answer.status == health_pb2.HealthCheckResponse.SERVING


def test_nothing_is_answered_without_tls(running: Running) -> None:
    with pytest.raises(httpx.TransportError):
        httpx.get(f"http://127.0.0.1:{running.port}/readyz")
    with grpc.insecure_channel(f"127.0.0.1:{running.grpc_port}") as channel, pytest.raises(grpc.RpcError) as refused:
        health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=PATIENCE)
    assert refused.value.code() == grpc.StatusCode.UNAVAILABLE


def test_old_versions_of_tls_are_refused(running: Running) -> None:
    old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    old.check_hostname, old.verify_mode = False, ssl.CERT_NONE
    old.set_ciphers("DEFAULT:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLSv1_1 is deprecated"):
        old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises(httpx.TransportError, match=r"EOF|ALERT"):  # the server ends it, not the client
        httpx.get(f"{running.address}/readyz", verify=old)
