"""A client that takes its time with the head of a request loses its connection; others keep theirs."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator

import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from worlds.served import served

from serving.web import patient_protocol

pytestmark = pytest.mark.embedded
SECONDS = 0.5


@pytest.fixture
def port(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    monkeypatch.setattr(patient_protocol, "HEAD_SECONDS", SECONDS)
    app = Starlette(routes=[Route("/", lambda request: PlainTextResponse("well"))])
    with served(app) as address:
        yield int(address.rpartition(":")[2])


def closed(connection: socket.socket) -> bool:
    """Whether the other side closes a connection soon."""
    connection.settimeout(20 * SECONDS)
    try:
        return connection.recv(1000) == b""
    except ConnectionResetError:
        return True


def answered(connection: socket.socket) -> bool:
    """Whether the other side answers, its head and body in one packet or in several, before it closes."""
    connection.settimeout(20 * SECONDS)
    answer = b""
    while packet := connection.recv(1000):
        answer += packet
        if answer.endswith(b"well"):
            return True
    return False


@pytest.mark.parametrize("sent", [b"", b"GET / HTTP/1.1\r\nHost: a\r\nX-Slow: "], ids=["nothing", "half a head"])
def test_a_head_that_does_not_end_is_not_waited_for(port: int, sent: bytes) -> None:
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(sent)
        assert closed(connection)


def test_a_second_head_on_a_connection_has_the_same_time(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert answered(connection)
        time.sleep(2 * SECONDS)
        connection.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert answered(connection), "silence between requests is not the head of one"
        connection.sendall(b"GET / HTTP/1.1\r\nHost: ")
        assert closed(connection)
