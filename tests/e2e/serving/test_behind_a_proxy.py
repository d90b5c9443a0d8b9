"""Two servers behind HAProxy, by the configuration that we ship: each is exchanged, and no request fails."""

from __future__ import annotations

import contextlib
import itertools
import os
import re
import signal
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from worlds import decided_world
from worlds.exported_models import OF_EVENTS, export, made
from worlds.serve_processes import BODY, PATIENCE, Asking, Running, started, wait_for

from jobs import settings
from jobs.decisions import opened
from jobs.decisions.log_contents import DECISION, EVENT
from jobs.loopback import free_port
from jobs.settings import ROOT, Settings
from jobs.use_cases.fraud import FRAUD
from tools.check_test_needs import haproxy

pytestmark = [pytest.mark.embedded, pytest.mark.servers]

CONFIGURATION = ROOT / "deploy" / "haproxy" / "haproxy.cfg"
CLIENTS = 3


@pytest.fixture
def home(tmp_path: Path) -> Settings:
    found = settings.load({"EVERGREEN_HOME": str(tmp_path / "home")})
    decided_world.made(found.home)
    export(found, 3, made(tmp_path / "bundle", names=OF_EVENTS))
    return found


@pytest.fixture
def servers(home: Settings) -> Iterator[list[Running]]:
    """Two that are ready, to be exchanged in place."""
    found = [started(home), started(home)]
    try:
        for running in found:
            wait_for(running.ready)
        yield found
    finally:
        for running in found:
            running.kill()


@pytest.fixture
def proxy(servers: list[Running]) -> Iterator[str]:
    """The address of HAProxy before them."""
    program = haproxy()
    assert program, "HAProxy is missing: apt-get install haproxy"
    address, first, second = (f"127.0.0.1:{port}" for port in (free_port(), *(each.port for each in servers)))
    addresses = {"EVERGREEN_PROXY": address, "EVERGREEN_FIRST": first, "EVERGREEN_SECOND": second}
    with subprocess.Popen([program, "-db", "-q", "-f", CONFIGURATION], env={**os.environ, **addresses}) as process:
        wait_for(lambda: answers(f"http://{address}/readyz"))
        yield f"http://{address}"
        process.terminate()


def answers(url: str) -> bool:
    try:
        return httpx.get(url).status_code == 200
    except httpx.TransportError:
        return False


def asked(running: Running) -> int:
    """Decisions that a server has answered well."""
    counts = httpx.get(f"http://127.0.0.1:{running.port}/metrics").text
    lines = [
        line for line in counts.splitlines() if line.startswith("evergreen_requests_total") and "/decisions" in line
    ]
    return sum(int(float(line.split()[-1])) for line in lines if re.search(r'status="(200|ok)"', line, re.I))


def exchange(servers: list[Running], n: int) -> None:
    """End a server as an orchestrator does, start another in its place, and wait until it is asked, too."""
    former = servers[n]
    former.process.send_signal(signal.SIGTERM)
    assert former.process.wait(PATIENCE) in (0, -signal.SIGTERM)
    former.kill()
    servers[n] = started(former.home, port=former.port)
    wait_for(servers[n].ready)
    wait_for(lambda: asked(servers[n]) > 0)


def test_servers_are_exchanged_and_each_event_is_decided_once(
    home: Settings, servers: list[Running], proxy: str
) -> None:
    ids = itertools.count(1_000_000)
    event = {"customer_id": 1, "terminal_id": 100, "tx_amount": 12.5}
    asking = Asking(f"{proxy}/v1/fraud/decisions", lambda: event | {"transaction_id": next(ids)})
    threads = [threading.Thread(target=asking.run) for _ in range(CLIENTS)]
    for thread in threads:
        thread.start()
    try:
        wait_for(lambda: all(asked(running) > 0 for running in servers))
        for n in range(len(servers)):
            exchange(servers, n)
    finally:
        asking.ended.set()
        for thread in threads:
            thread.join()
    assert not asking.failures and set(asking.versions) == {"3"}
    with contextlib.closing(opened.open_log(home, FRAUD)) as log:
        kept = [record.id for record in log.records()]
    sent = {str(id) for id in range(1_000_000, next(ids))}
    for kind in (EVENT, DECISION):
        found = [id.partition("/")[2] for id in kept if id.partition("/")[0] == kind.rstrip("/")]
        assert len(found) == len(sent) and set(found) == sent


def test_a_server_that_is_killed_is_replaced_by_the_other(servers: list[Running], proxy: str) -> None:
    servers[0].kill()
    for _ in range(20):
        assert httpx.post(f"{proxy}/v2/models/fraud/infer", json=BODY).status_code == 200


def test_customers_see_no_counts(proxy: str) -> None:
    assert httpx.get(f"{proxy}/metrics").status_code == 403
