"""The service as clients meet it: routes, keys, bounds of bodies, and errors that tell nothing of the inside."""

from __future__ import annotations

import gzip
import json
import socket
import stat
import subprocess
import sys
import time
import zlib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import httpx
import pytest
from worlds.exported_models import export, made
from worlds.served import served

from jobs import settings
from jobs.errors import Invalid
from jobs.settings import Settings
from serving import app
from serving.app import ServeOptions, application
from serving.inference_protocol import http_messages
from serving.process import check_port, check_reachable
from serving.web import api_keys
from serving.web.access import scope_of
from serving.web.api_keys import SCOPES
from serving.web.body import BodyLimits, decompressed
from serving.web.refusal import Refusal

NOW = datetime(2026, 3, 1, tzinfo=UTC)
BODY = json.dumps({"inputs": [{"name": "features", "datatype": "FP32", "shape": [1, 3], "data": [1, 2, 3]}]}).encode()
INFER = "/v2/models/fraud/infer"
LIMITS = BodyLimits(bytes=1_000)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    folder = tmp_path_factory.mktemp("service")
    found = settings.load({"EVERGREEN_HOME": str(folder / "home")})
    export(found, 3, made(folder / "bundle"))
    return found


@pytest.fixture
def client(home: Settings) -> Iterator[httpx.Client]:
    with served(application(home, ServeOptions(("fraud",)))) as address, httpx.Client(base_url=address) as found:
        yield found
    api_keys.place(home).unlink(missing_ok=True)


def test_models_are_described_and_asked(client: httpx.Client) -> None:
    assert client.get("/v2/health/live").json() == {"live": True}
    assert client.get("/v2/health/ready").json() == {"ready": True}
    ready = client.get("/readyz").json()
    assert ready | {"no_decisions": {}} == {
        "ready": True, "models": {"fraud": "3"}, "refused": {}, "decisions": [], "no_decisions": {},
    }  # fmt: skip
    assert "expected the tables ['fraud.transactions', 'fraud.labels'], found none" in ready["no_decisions"]["fraud"]
    about = client.get("/v2/models/fraud/versions/3").json()
    assert about["inputs"] == [{"name": "features", "datatype": "FP32", "shape": [-1, 3]}]
    counted = client.get("/metrics").text
    answer = client.post(INFER, content=BODY)
    assert answer.status_code == 200 and 0 < answer.json()["outputs"][0]["data"][0] < 1
    assert answer.headers["x-content-type-options"] == "nosniff" and "server" not in answer.headers
    counts = client.get("/metrics").text
    assert answered(counts) == answered(counted) + 1
    assert 'evergreen_model_version{use_case="fraud"} 3.0' in counts


def answered(counts: str) -> float:
    """How many requests for scores were answered, by what Prometheus reads."""
    lines = [line for line in counts.splitlines() if 'http",route="/v2/models/{name}/infer",status="200"}' in line]
    return sum(float(line.split()[1]) for line in lines if line.startswith("evergreen_requests_total"))


@pytest.mark.parametrize(
    ("method", "path", "status", "words"),
    [
        ("GET", "/v2/models/fraud/versions/2", 404, "version 3 is in service"),
        ("GET", "/v2/models/nobody", 404, "expected one of ['fraud']"),
        ("POST", "/v2/models/nobody/infer", 404, "expected one of"),
        ("GET", "/nowhere", 404, "Not Found"),
        ("DELETE", "/v2", 405, "Method Not Allowed"),
        ("POST", INFER, 400, "expected JSON"),
    ],
)
def test_what_there_is_not_is_said(client: httpx.Client, method: str, path: str, status: int, words: str) -> None:
    answer = client.request(method, path)
    assert answer.status_code == status and words in answer.json()["error"]


def test_keys_open_what_their_scopes_say(client: httpx.Client, home: Settings) -> None:
    keys = {scope: api_keys.add(home, scope, [scope], NOW) for scope in SCOPES}
    asked = {"decide": ("POST", INFER), "read": ("GET", "/v2/models/fraud"), "metrics": ("GET", "/metrics")}
    for scope, key in keys.items():
        for needed, (method, path) in asked.items():
            answer = client.request(method, path, content=BODY, headers={"authorization": f"Bearer {key}"})
            assert (answer.status_code == 200) == (scope in (needed, "admin")), (scope, needed)
            assert answer.status_code in (200, 403)
    assert client.get("/readyz").status_code == 200  # orchestrators have no key
    assert client.post(INFER, content=BODY, headers={"x-api-key": keys["decide"]}).status_code == 200
    for headers in ({}, {"authorization": "Bearer no"}, {"authorization": "Basic eDp5"}, {"x-api-key": "é\xff"}):
        answer = client.post(INFER, content=BODY, headers={k.encode(): v.encode("latin-1") for k, v in headers.items()})
        assert answer.status_code == 401 and answer.headers["www-authenticate"] == "Bearer"
    api_keys.remove(home, "decide", NOW)
    assert client.post(INFER, content=BODY, headers={"x-api-key": keys["decide"]}).status_code == 401


def test_a_removed_key_is_refused_within_a_second_and_a_new_one_is_let_in_at_once(
    home: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()  # as servers look
    key = api_keys.add(home, "till", ["decide"], NOW)
    with served(application(home, ServeOptions(("fraud",)))) as address, httpx.Client(base_url=address) as client:

        def status(key: str) -> int:
            return client.post(INFER, content=BODY, headers={"x-api-key": key}).status_code

        assert status(key) == 200
        assert status(api_keys.add(home, "shop", ["decide"], NOW)) == 200
        api_keys.remove(home, "till", NOW)
        until = time.monotonic() + 1
        while status(key) == 200:
            assert time.monotonic() < until
    api_keys.place(home).unlink()


def infer(path: str, more: str = "") -> bytes:
    return f"POST {path} HTTP/1.1\r\nHost: localhost\r\n{more}Content-Length: {len(BODY)}\r\n\r\n".encode() + BODY


@pytest.mark.parametrize("path", [INFER, f"{INFER}?as=ever"])
def test_requests_behind_one_another_are_answered_in_order_until_the_client_closes(
    client: httpx.Client, path: str
) -> None:
    with socket.create_connection(("127.0.0.1", client.base_url.port or 0), timeout=10) as connection:
        last = infer(path, "Connection: close\r\n")
        connection.sendall(infer(path) + infer("/v2/models/nobody/infer") + last[:-5])
        connection.sendall(last[-5:])
        answers = b"".join(iter(lambda: connection.recv(10_000), b""))
    heads = [part.partition(b"\r\n\r\n")[0].lower() for part in answers.split(b"HTTP/1.1 ")[1:]]
    assert [head[:3] for head in heads] == [b"200", b"404", b"200"]
    assert [b"connection: close" in head for head in heads] == [False, False, True]


@pytest.mark.parametrize("headers", [{}, {"content-encoding": "gzip"}])
def test_a_request_that_takes_a_route_has_the_same_answer(client: httpx.Client, headers: dict[str, str]) -> None:
    for body in (BODY, b"{", BODY.replace(b"FP32", b"FP64")):
        content = gzip.compress(body) if headers else body
        hot, routed = (client.post(f"{INFER}{query}", content=content, headers=headers) for query in ("", "?as=ever"))
        assert (hot.status_code, hot.content) == (routed.status_code, routed.content)
        assert hot.headers.items() - {("date", hot.headers["date"])} == (
            routed.headers.items() - {("date", routed.headers["date"])}
        )


def test_a_server_that_others_reach_answers_nobody_once_its_last_key_is_gone(home: Settings) -> None:
    api_keys.add(home, "shop", ["decide"], NOW)
    with served(application(home, ServeOptions(("fraud",), host="0.0.0.0"))) as address:
        for take_away in (lambda: api_keys.remove(home, "shop", NOW), lambda: api_keys.place(home).unlink()):
            take_away()
            assert httpx.post(f"{address}{INFER}", content=BODY).status_code == 401
            assert httpx.get(f"{address}/readyz").status_code == 200


def test_keys_are_kept_as_hashes_that_their_owner_alone_reads(home: Settings) -> None:
    key = api_keys.add(home, "shop", ["decide"], NOW)
    place = api_keys.place(home)
    assert key not in place.read_text() and stat.S_IMODE(place.stat().st_mode) == 0o600
    with pytest.raises(Invalid, match="'shop' is taken"):
        api_keys.add(home, "shop", ["read"], NOW)
    with pytest.raises(Invalid, match="there are shop"):
        api_keys.remove(home, "till", NOW)
    api_keys.remove(home, "shop", NOW)
    with pytest.raises(Invalid, match="letters"):
        api_keys.add(home, "a\nb", ["read"], NOW)


@pytest.mark.parametrize("content", ["{", "{}", '{"keys": [{"name": "x", "sha256": "0", "scopes": ["all"]}]}'])
def test_damaged_keys_let_nobody_in(client: httpx.Client, home: Settings, content: str) -> None:
    api_keys.place(home).write_text(content)
    assert client.post(INFER, content=BODY).status_code == 503
    assert client.get("/readyz").status_code == 200


@pytest.mark.parametrize("host", ["no.such.host.invalid", "", "\0", "x" * 300, "\n", "203.0.113.9"])
def test_an_address_that_is_not_ours_is_refused(host: str) -> None:
    with pytest.raises(Invalid, match="expected"):
        check_port(host, 8080)


def test_a_port_that_is_taken_is_refused() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(Invalid, match="it taken"):
        check_port("127.0.0.1", taken.getsockname()[1])


def test_other_machines_need_a_key(home: Settings) -> None:
    check_reachable(home, "127.0.0.1")
    with pytest.raises(Invalid, match="evergreen keys add"):
        check_reachable(home, "0.0.0.0")
    api_keys.add(home, "shop", ["decide"], NOW)
    check_reachable(home, "0.0.0.0")
    api_keys.remove(home, "shop", NOW)


@pytest.mark.parametrize(("encoding", "pack"), [("gzip", gzip.compress), ("deflate", zlib.compress)])
def test_compressed_bodies_are_read(client: httpx.Client, encoding: str, pack: Callable[[bytes], bytes]) -> None:
    answer = client.post(INFER, content=pack(BODY), headers={"content-encoding": encoding})
    assert answer.json() == client.post(INFER, content=BODY).json()


@pytest.mark.parametrize(
    ("content", "headers", "status"),
    [
        (BODY, {"content-encoding": "br"}, 415),
        (BODY, {"content-encoding": "gzip"}, 400),
        (gzip.compress(BODY)[:-3], {"content-encoding": "gzip"}, 400),
        (gzip.compress(BODY) + b"more", {"content-encoding": "gzip"}, 400),
        (gzip.compress(b"0" * 9_000_000), {"content-encoding": "gzip"}, 413),
        (b"0" * 9_000_000, {}, 413),
    ],
    ids=["unknown encoding", "not packed", "cut", "more behind", "bomb", "large"],
)
def test_bodies_beyond_their_bounds_are_refused(
    client: httpx.Client, content: bytes, headers: dict[str, str], status: int
) -> None:
    answer = client.post(INFER, content=content, headers=headers)
    assert answer.status_code == status and "expected" in answer.json()["error"]


def test_a_length_is_believed_when_it_is_too_large(client: httpx.Client) -> None:
    with socket.create_connection((client.base_url.host, client.base_url.port or 0), timeout=10) as connection:
        connection.sendall(f"POST {INFER} HTTP/1.1\r\nhost: localhost\r\ncontent-length: 9000000\r\n\r\n{{".encode())
        assert connection.recv(12) == b"HTTP/1.1 413"  # while the rest was never sent


def test_a_slow_body_is_given_up(home: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app, "BodyLimits", lambda: BodyLimits(seconds=0.2))
    with served(application(home, ServeOptions(("fraud",)))) as address:
        host, port = address.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), timeout=10) as connection:
            connection.sendall(f"POST {INFER} HTTP/1.1\r\nhost: localhost\r\ncontent-length: 100\r\n\r\n{{".encode())
            assert connection.recv(12) == b"HTTP/1.1 408"


def test_a_small_body_cannot_become_a_large_one() -> None:
    bomb = gzip.compress(b"0" * 50_000_000)
    assert len(bomb) < 60_000
    with pytest.raises(Refusal, match="at most 1,000 bytes"):
        decompressed(bomb, "gzip", LIMITS)
    assert decompressed(gzip.compress(b"0" * 1_000), "gzip", LIMITS) == b"0" * 1_000
    with pytest.raises(Refusal, match="at most 1,000 bytes"):
        decompressed(gzip.compress(b"0" * 1_001), "gzip", LIMITS)


def test_an_error_of_ours_shows_nothing_of_the_inside(client: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("secret path")

    monkeypatch.setattr(http_messages, "answer", broken)
    answer = client.post(INFER, content=BODY)
    assert answer.status_code == 500 and answer.json() == {"error": "an error of this server; its log says more"}


def test_nothing_heavy_is_imported() -> None:
    heavy = ["torch", "pyspark", "mlflow", "optuna", "feast", "dagster", "pandas", "sklearn", "lightgbm", "sqlalchemy"]
    code = f"import sys, serving.process; print([name for name in {heavy} if name in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, cwd=settings.ROOT)
    assert found.stdout == "[]\n"


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (BODY.replace(b"[1, 2, 3]", b"[NaN, 2, 3]"), "expected JSON"),
        (BODY.replace(b"[1, 2, 3]", b"[" * 40 + b"]" * 40), "at most 32 brackets"),
        (BODY.replace(b"{", b'{"inputs": [], ', 1), "found 'inputs' twice"),
        (BODY.replace(b"[1, 2, 3]", b"[" + b"1," * 50_000 + b"1]"), "at most 41,000 items"),
    ],
    ids=["no JSON", "deep", "twice", "many"],
)
def test_json_beyond_its_bounds_is_refused(client: httpx.Client, body: bytes, words: str) -> None:
    answer = client.post(INFER, content=body)
    assert answer.status_code == 400 and words in answer.json()["error"]


@pytest.mark.parametrize(("method", "path", "scope"), [
    ("GET", "/healthz", None), ("GET", "/readyz", None),
    ("GET", "/v2/health/ready", None), ("GET", "/metrics", "metrics"),
    ("GET", "/v2/models/fraud", "read"), ("HEAD", "/v2", "read"),
    ("GET", "/nowhere", "read"), ("GET", "/healthz/", "read"),
    ("POST", INFER, "decide"), ("POST", "/v1/fraud/decisions", "decide"),
    ("DELETE", "/v1/fraud/events/7", "decide"), ("PATCH", "/anything", "decide"),
    ("GET", "/v1/fraud/entities/7", "entities"), ("HEAD", "/v1/x/entities/a/b", "entities"),
    ("GET", "/v1/entities/7", "read"),
])  # fmt: skip
def test_a_request_needs_the_scope_of_what_it_does(method: str, path: str, scope: str | None) -> None:
    assert scope_of(method, path) == scope


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/readyz"), ("GET", "/nowhere"), ("DELETE", "/v2"), ("POST", INFER)]
)
def test_every_answer_keeps_browsers_careful(client: httpx.Client, method: str, path: str) -> None:
    headers = client.request(method, path).headers
    assert headers["x-content-type-options"] == "nosniff" and headers["x-frame-options"] == "DENY"
    assert headers["referrer-policy"] == "no-referrer" and headers["cache-control"] == "no-store"
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert "strict-transport-security" not in headers and "server" not in headers


@pytest.mark.parametrize("host", ["example.org", "example.org:8080", "127.0.0.1.a.org", "localhost.org", "[::1", ""])
def test_a_name_that_somebody_else_gives_this_machine_does_not_get_in_without_a_key(
    client: httpx.Client, home: Settings, host: str
) -> None:
    """Its owner's page would be one of ours to a browser, which then sends the name as host and as origin."""
    headers = {"host": host, "origin": f"http://{host}"}
    assert client.post(INFER, content=BODY, headers=headers).status_code == 403
    key = api_keys.add(home, "shop", ["decide"], NOW)
    assert client.post(INFER, content=BODY, headers=headers | {"x-api-key": key}).status_code == 200


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:80", "127.0.0.1:1", "[::1]:8080"])
def test_this_machine_is_known_by_its_own_names(client: httpx.Client, host: str) -> None:
    assert client.post(INFER, content=BODY, headers={"host": host}).status_code == 200


@pytest.mark.parametrize("origin", ["https://example.org", "null", "http://127.0.0.1:1", "http://localhost", ""])
def test_pages_of_other_sites_do_not_get_in_without_a_key(client: httpx.Client, home: Settings, origin: str) -> None:
    refused = client.post(INFER, content=BODY, headers={"origin": origin})
    assert refused.status_code == 403 and "another site" in refused.json()["error"]
    assert client.post(INFER, content=BODY, headers={"origin": str(client.base_url).rstrip("/")}).status_code == 200
    key = api_keys.add(home, "shop", ["decide"], NOW)
    assert client.post(INFER, content=BODY, headers={"origin": origin, "x-api-key": key}).status_code == 200
