"""dbt's page and the drift reports over HTTP, and nothing else of the home."""

import threading
from collections.abc import Iterator
from functools import partial
from http.client import HTTPConnection
from http.server import ThreadingHTTPServer
from pathlib import Path

import pytest

from jobs.loopback import HOST
from orchestration import page_server


@pytest.fixture
def home(tmp_path: Path) -> Path:
    for name in ("docs", "reports/fraud"):
        (tmp_path / name).mkdir(parents=True)
    return tmp_path


@pytest.fixture
def server(home: Path) -> Iterator[ThreadingHTTPServer]:
    pages = partial(page_server.Pages, home / "docs", home / "reports")
    with ThreadingHTTPServer((HOST, 0), pages) as found:
        thread = threading.Thread(target=found.serve_forever)
        thread.start()
        yield found
        found.shutdown()
        thread.join()


def answer(server: ThreadingHTTPServer, path: str, method: str = "GET") -> tuple[int, str, str]:
    connection = HTTPConnection(HOST, server.server_port, timeout=60)
    connection.request(method, path)
    response = connection.getresponse()
    return response.status, response.headers["Content-Type"], response.read().decode()


def test_what_is_not_made_yet_says_what_makes_it(server: ThreadingHTTPServer) -> None:
    status, kind, text = answer(server, "/")
    assert (status, kind) == (404, "text/plain; charset=utf-8") and "`evergreen docs` makes it" in text
    status, _, text = answer(server, "/reports/fraud/2026-06-30.html")
    assert status == 404 and "materialize monitoring/drift_report" in text


def test_the_page_and_the_reports_are_served(server: ThreadingHTTPServer, home: Path) -> None:
    (home / "docs" / "index.html").write_text("<p>models</p>")
    (home / "reports" / "fraud" / "2026-06-30.html").write_text("<p>drift ü</p>")
    for path in ("/", "/index.html", "/?x=1"):
        assert answer(server, path) == (200, "text/html; charset=utf-8", "<p>models</p>")
    path = "/reports/fraud/2026-06-30.html"
    assert answer(server, path) == (200, "text/html; charset=utf-8", "<p>drift ü</p>")
    assert answer(server, "/reports/fraud/latest.html")[2] == "<p>drift ü</p>"
    (home / "reports" / "fraud" / "2026-06-29.html").write_text("older")
    assert answer(server, "/reports/fraud/latest.html")[2] == "<p>drift ü</p>"
    assert answer(server, "/reports/returns/latest.html")[0] == 404
    assert answer(server, path, "HEAD") == (200, "text/html; charset=utf-8", "")


@pytest.mark.parametrize(
    "path",
    [
        "/../secret.html", "/reports/fraud/2026-06-30.parquet", "/reports/fraud/", "/reports/",
        "/reports/../secret.html", "/reports/%2e%2e/secret.html", "/reports/fraud/../../secret.html",
        "/docs/index.html", "/other.html",
    ],
)  # fmt: skip
def test_nothing_else_is_served(server: ThreadingHTTPServer, home: Path, path: str) -> None:
    for name in ("secret.html", "docs/other.html", "reports/fraud/2026-06-30.parquet"):
        (home / name).write_text("s3cret")
    status, _, text = answer(server, path)
    assert status == 404 and "s3cret" not in text
