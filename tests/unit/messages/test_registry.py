"""A registry that does not say what a schema is: the stream waits, and is told what to do, without its password."""

from __future__ import annotations

import json
import socket
import threading
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from worlds.made_messages import decoded, faults, made_of
from worlds.registered_messages import avro_body, framed, record_of

from jobs.errors import Invalid
from jobs.loopback import HOST, free_port
from jobs.messages import registry as registry_module
from jobs.messages.formats import decoder
from jobs.messages.registered_values import UNKNOWN
from jobs.messages.registry import Registry, RegistryError

SCHEMA = record_of(a="long")
MESSAGE = framed(7, avro_body(SCHEMA, {"a": 5}))


@contextmanager
def answering(status: int, body: bytes, asked: list[tuple[str, str | None]] | None = None) -> Iterator[str]:
    """Address of a server that has one answer."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if asked is not None:
                asked.append((self.path, self.headers["Authorization"]))
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *arguments: object) -> None:
            pass

    with HTTPServer((HOST, 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://{HOST}:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, b"<html>"), (200, b"[]"), (200, b"{}"), (200, b'{"schema": null}'), (404, b"no such page"),
        (404, b'{"error_code": 404}'), (404, b"[]"), (401, b'{"error_code": 40403}'), (500, b""), (503, b"{}"),
    ],
)  # fmt: skip
def test_an_answer_that_says_nothing_of_the_schema_is_raised(status: int, body: bytes) -> None:
    with answering(status, body) as url, pytest.raises(RegistryError, match=r"expected a schema registry's answer"):
        decoder("auto", Registry(url))(made_of([b"{}", MESSAGE]))


def test_a_schema_is_asked_for_once_and_an_unknown_one_each_time() -> None:
    asked: list[tuple[str, str | None]] = []
    with answering(200, json.dumps({"schema": json.dumps(SCHEMA)}).encode(), asked) as url:
        decode = decoder("avro", Registry(f"{url}/apis/"))
        assert [decoded(decode, MESSAGE, MESSAGE).records["a"].to_list() for _ in range(3)] == [["5", "5"]] * 3
    assert asked == [("/apis/schemas/ids/7", None)]
    # What is known needs no registry any more.
    assert decoded(decode, MESSAGE).schemas == ["7"]
    asked.clear()
    with answering(404, b'{"error_code": 40403, "message": "Schema not found"}', asked) as url:
        decode = decoder("avro", Registry(url))
        assert [faults(decoded(decode, MESSAGE, MESSAGE)) for _ in range(2)] == [[UNKNOWN, UNKNOWN]] * 2
    assert len(asked) == 2


def test_a_registry_that_is_down_or_silent_is_told_of_without_its_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry_module, "SECONDS", 0.2)
    with socket.create_server((HOST, 0)) as silent:
        for port in (silent.getsockname()[1], free_port()):
            decode = decoder("auto", Registry(f"http://someone:hunter22@{HOST}:{port}"))
            with pytest.raises(RegistryError, match=rf"{HOST}:{port}.*start the registry") as raised:
                decode(made_of([MESSAGE]))
            assert "hunter22" not in str(raised.value)
            assert decoded(decode, b'{"a": 1}').records["a"].to_list() == ["1"]


def test_user_and_password_go_where_http_has_them() -> None:
    asked: list[tuple[str, str | None]] = []
    with answering(200, json.dumps({"schema": "{}"}).encode(), asked) as url:
        Registry(url.replace("://", "://me:p%40ss@")).schema(1)
    assert asked == [("/schemas/ids/1", f"Basic {b64encode(b'me:p@ss').decode()}")]


def test_what_cannot_be_a_registry_is_refused() -> None:
    with pytest.raises(Invalid, match=r"registry: expected an address such as http.*, found file://"):
        decoder("auto", Registry("file:///etc/passwd"))
    with pytest.raises(Invalid, match=r"format=avro: expected the address of a schema registry, found none"):
        decoder("avro")
