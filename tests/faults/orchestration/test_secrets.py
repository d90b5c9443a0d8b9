"""A secret in a setting is in no output, no file, no event of Dagster and no argument of a process."""

from __future__ import annotations

import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psutil
import psycopg
import pytest
from psycopg import sql

from jobs.loopback import free_port, listens
from jobs.settings import Settings
from orchestration.error_boundary import NOBODY

CANARY = "c4n4ry-9d1f"
SECRETS = {
    "EVERGREEN_ONLINE_STORE": f"redis://:{CANARY}@127.0.0.1:1",
    "EVERGREEN_PREDICTIONS": f"postgresql://eve:{CANARY}@127.0.0.1:1/x?password={CANARY}",
    "EVERGREEN_ALERT_WEBHOOK": f"http://127.0.0.1:1/{CANARY}?token={CANARY}",
    "EVERGREEN_ALERT_WEBHOOK_SECRET": CANARY,
    "EVERGREEN_ALERT_EMAIL": f"smtp://eve:{CANARY}@127.0.0.1:1/?from=a@b.org&to=c@d.org",
}


def arguments(process: psutil.Process) -> list[str]:
    """The arguments of a process and of all that it started."""
    found = []
    for each in [process, *process.children(recursive=True)]:
        try:
            found += each.cmdline()
        except psutil.NoSuchProcess:
            continue
    return found


def watched(process: subprocess.Popen[str]) -> tuple[str, set[str]]:
    """What a process prints until it ends, and the arguments of it and of all that it started meanwhile."""
    seen: set[str] = set()
    while True:
        try:
            seen |= set(arguments(psutil.Process(process.pid)))
            output, _ = process.communicate(timeout=0.3)
            return output, seen
        except subprocess.TimeoutExpired:
            continue


def assert_no_secret(home: Path, *texts: str) -> None:
    assert not [text for text in texts if CANARY in text]
    files = [file for file in home.rglob("*") if file.is_file()]
    assert len(files) > 100 and [file for file in files if CANARY.encode() in file.read_bytes()] == []


def test_a_run_that_fails_leaves_no_secret(
    home: Settings, evergreen: Callable[..., subprocess.Popen[str]], world: list[str]
) -> None:
    process = evergreen(home.home, "run", *world, **SECRETS)
    output, seen = watched(process)
    assert process.returncode == 1 and "online_store" in output, output
    assert any("engine_server" in text for text in seen)
    assert_no_secret(home.home, output, *seen)


PASSWORD = f"{CANARY}%4@/:w#?[x]&=', é"
STORES = ("DAGSTER", "LEDGER", "TRACKING", "TUNING", "PREDICTIONS")


@pytest.fixture
def servers(postgresql: str) -> Iterator[dict[str, str]]:
    """Settings with a real PostgreSQL and a real Redis that ask for a password, and a webhook with a token."""
    written, port = quote(PASSWORD, safe=""), free_port()
    with psycopg.connect(postgresql, autocommit=True) as connection:
        connection.execute(sql.SQL("create role keeper login password {}").format(PASSWORD))
        for name in STORES:
            connection.execute(sql.SQL("create database {} owner keeper").format(sql.Identifier(f"of_{name}")))
    place = postgresql.partition("@")[2].partition("/")[0]
    found = {f"EVERGREEN_{name}": f"postgresql://keeper:{written}@{place}/of_{name}" for name in STORES}
    binary = shutil.which("redis-server")
    assert binary, "redis-server is missing: apt-get install redis-server"
    redis = subprocess.Popen([binary, "-"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    assert redis.stdin is not None
    redis.stdin.write(f'port {port}\nbind 127.0.0.1\nsave ""\nrequirepass {CANARY}-of-redis\n')
    redis.stdin.close()
    while not listens(port):
        assert redis.poll() is None
        time.sleep(0.05)
    yield {**found, "EVERGREEN_ONLINE_STORE": f"redis://:{CANARY}-of-redis@127.0.0.1:{port}/0"}
    redis.terminate()
    redis.wait()


@pytest.mark.servers
def test_a_run_on_servers_succeeds_and_leaves_no_secret(
    home: Settings,
    evergreen: Callable[..., subprocess.Popen[str]],
    world: list[str],
    servers: dict[str, str],
    receiver: Any,
) -> None:
    variables = {
        **servers,
        "EVERGREEN_ALERT_WEBHOOK": f"{receiver.url}&key={CANARY}", "EVERGREEN_ALERT_WEBHOOK_SECRET": CANARY,
    }  # fmt: skip
    process = evergreen(home.home, "run", *world, **variables)
    output, seen = watched(process)
    assert process.returncode == NOBODY, output
    for words in (("status",), ("doctor",), ("alerts", "--test"), ("maintain",)):
        asked = evergreen(home.home, *words, **variables)
        text, more = watched(asked)
        assert asked.returncode == 0, text
        output, seen = output + text, seen | more
    assert len(receiver.posts) == 1 and CANARY not in str(receiver.posts)
    up = evergreen(home.home, "up", "--port", str(free_port()), **variables)
    assert up.stdout is not None
    block = [up.stdout.readline() for _ in range(6)]
    assert block[0].startswith("Evergreen is up"), block
    seen |= set(arguments(psutil.Process(up.pid)))
    assert any("code-server" in text for text in seen) and any("api" in text for text in seen)
    up.send_signal(signal.SIGTERM)
    rest, _ = up.communicate(timeout=120)
    assert "EVERGREEN_DAGSTER" in (home.dagster_home / "dagster.yaml").read_text()
    assert not (home.home / "ledger.sqlite").exists() and not (home.dagster_home / "history").exists()
    assert_no_secret(home.home, output, rest, *block, *seen)
    stored = {name: _everything(servers[f"EVERGREEN_{name}"]) for name in STORES}
    assert "ASSET_MATERIALIZATION" in stored["DAGSTER"] and stored["LEDGER"]
    assert [name for name, text in stored.items() if CANARY in text] == []


def _everything(url: str) -> str:
    """All rows of all tables of a database, as text: runs, events, metadata, alerts."""
    with psycopg.connect(url) as connection:
        query = "select quote_ident(table_schema) || '.' || quote_ident(table_name) from information_schema.tables"
        tables = connection.execute(
            f"{query} where table_schema not in ('pg_catalog', 'information_schema')"
        ).fetchall()
        return "\n".join(str(connection.execute(f"select * from {name}".encode()).fetchall()) for (name,) in tables)
