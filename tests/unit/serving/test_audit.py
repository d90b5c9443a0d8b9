"""What administrators do is in the ledger before it is done: who, what, when, from where, and no secret."""

from __future__ import annotations

import getpass
import json
import socket
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import grpc
import httpx
import pytest
from click.testing import CliRunner
from worlds.exported_models import export, made
from worlds.served import served

from jobs import settings
from jobs.errors import Invalid
from jobs.ledger import admin_actions, database
from jobs.ledger.admin_actions import AdminAction
from jobs.ledger.statements import TABLES, LedgerUnreachable
from jobs.loopback import free_port
from jobs.settings import Settings
from orchestration.cli import main
from serving.app import ServeOptions, application
from serving.inference_protocol import grpc_messages
from serving.web import api_keys

NOW = datetime(2026, 3, 1, tzinfo=UTC)
ABOUT = "/v2/models/fraud"
ME = f"user {getpass.getuser()}"


@pytest.fixture
def home(tmp_path: Path) -> Settings:
    return settings.load({"EVERGREEN_HOME": str(tmp_path / "home")})


def done(home: Settings) -> list[tuple[str, str, str, str]]:
    return [(each.by, each.action, each.subject, each.origin) for _, each in admin_actions.latest(home, 100)][::-1]


def test_keys_that_are_made_and_removed_are_kept_without_their_secret(home: Settings) -> None:
    key = api_keys.add(home, "shop", ["decide", "read", "read"], NOW, 100)
    api_keys.remove(home, "shop", NOW + timedelta(hours=1))
    here = socket.gethostname()
    assert done(home) == [
        (ME, "keys add", "shop: decide, read; 100 requests a second", here), (ME, "keys remove", "shop", here),
    ]  # fmt: skip
    assert [at for at, _ in admin_actions.latest(home, 1)] == [NOW + timedelta(hours=1)]
    for secret in (key, api_keys.digest(key)):
        assert secret.encode() not in (home.home / "ledger.sqlite").read_bytes()


def test_what_is_refused_is_not_kept(home: Settings) -> None:
    api_keys.add(home, "shop", ["read"], NOW)
    for refused in (lambda: api_keys.add(home, "shop", ["read"], NOW), lambda: api_keys.remove(home, "till", NOW)):
        with pytest.raises(Invalid):
            refused()
    assert len(done(home)) == 1


def damage(home: Settings) -> None:
    (home.home / "ledger.sqlite").unlink(missing_ok=True)
    (home.home / "ledger.sqlite").write_bytes(b"no database" * 100)


def test_without_the_ledger_no_key_is_made_or_removed(home: Settings) -> None:
    api_keys.add(home, "shop", ["read"], NOW)
    damage(home)
    with pytest.raises(LedgerUnreachable):
        api_keys.add(home, "till", ["read"], NOW)
    with pytest.raises(LedgerUnreachable):
        api_keys.remove(home, "shop", NOW)
    assert [key.name for key in api_keys.stored(home)] == ["shop"]


@pytest.fixture
def client(home: Settings, tmp_path: Path) -> Iterator[httpx.Client]:
    export(home, 3, made(tmp_path / "bundle"))
    with served(application(home, ServeOptions(("fraud",)))) as address, httpx.Client(base_url=address) as found:
        yield found


def test_calls_that_only_admin_opens_are_kept(client: httpx.Client, home: Settings) -> None:
    scopes: dict[str, list[api_keys.Scope]] = {"boss": ["admin"], "both": ["admin", "read"], "reader": ["read"]}
    keys = {name: api_keys.add(home, name, of, NOW) for name, of in scopes.items()}
    before = len(done(home))
    for key in keys.values():
        assert client.get(ABOUT, params={"token": "c4n4ry"}, headers={"x-api-key": key}).status_code == 200
    assert client.get("/metrics", headers={"x-api-key": keys["reader"]}).status_code == 403
    assert client.get("/healthz").status_code == 200
    assert done(home)[before:] == [("key boss", f"GET {ABOUT}", "", "127.0.0.1")]


def test_a_call_that_the_ledger_does_not_take_is_not_answered(client: httpx.Client, home: Settings) -> None:
    boss, reader = api_keys.add(home, "boss", ["admin"], NOW), api_keys.add(home, "reader", ["read"], NOW)
    damage(home)
    refused = client.get(ABOUT, headers={"x-api-key": boss})
    assert refused.status_code == 503 and "the ledger does not take" in refused.json()["error"]
    assert client.get(ABOUT, headers={"x-api-key": reader}).status_code == 200


def test_calls_of_grpc_are_kept_too(home: Settings, tmp_path: Path) -> None:
    export(home, 3, made(tmp_path / "bundle"))
    boss, port = api_keys.add(home, "boss", ["admin"], NOW), free_port()
    service = f"/{grpc_messages.SERVICE}/ModelReady"
    server = served(application(home, ServeOptions(("fraud",), grpc_port=port)))
    with server, grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        ask = channel.unary_unary(service, grpc_messages.message("ModelReadyRequest").SerializeToString)
        ask(grpc_messages.message("ModelReadyRequest")(name="fraud"), metadata=[("x-api-key", boss)])
    assert done(home)[1:] == [("key boss", service, "", "127.0.0.1")]


def test_the_ledger_of_an_earlier_release_gets_the_table(home: Settings) -> None:
    home.home.mkdir()
    with closing(sqlite3.connect(home.home / "ledger.sqlite")) as connection, connection:
        connection.execute(TABLES[0])
    with database.transaction(home):
        pass
    api_keys.add(home, "shop", ["read"], NOW)
    assert len(done(home)) == 1


def test_both_ways_make_the_same_table(tmp_path: Path) -> None:
    homes = [settings.load({"EVERGREEN_HOME": str(tmp_path / name)}) for name in ("plain", "whole")]
    admin_actions.latest(homes[0], 1)
    with database.transaction(homes[1]):
        pass
    shapes = []
    for home in homes:
        with closing(sqlite3.connect(home.home / "ledger.sqlite")) as connection:
            shapes.append(connection.execute("pragma table_info(admin_actions)").fetchall())
    plain, whole = ([(name, kind.lower(), *rest) for _, name, kind, *rest in shape] for shape in shapes)
    assert plain == whole and len(plain) == 6


def test_commands_show_what_was_done(home: Settings) -> None:
    environment = {"EVERGREEN_HOME": str(home.home)}
    empty = CliRunner().invoke(main, ["keys", "log"], env=environment)
    assert "Nothing yet" in empty.output
    made_ = CliRunner().invoke(main, ["keys", "add", "shop", "--rate", "5"], env=environment)
    key = made_.output.splitlines()[-1]
    shown = CliRunner().invoke(main, ["keys", "log"], env=environment)
    listed = CliRunner().invoke(main, ["keys", "list"], env=environment)
    as_json = json.loads(CliRunner().invoke(main, ["keys", "log", "--json"], env=environment).output)
    [row] = as_json
    assert "keys add" in shown.output and "5/s" in listed.output and f"{datetime.now(UTC):%Y-%m-%d}" in listed.output
    assert (row["by"], row["action"], row["subject"]) == (ME, "keys add", "shop: decide; 5 requests a second")
    assert key.startswith("eg_") and key not in shown.output + listed.output + json.dumps(as_json)


def test_servers_keep_it_in_postgresql_as_well(ledger_home: Settings) -> None:
    admin_actions.record(ledger_home, AdminAction("key boss", "GET /", "", "192.0.2.1"), NOW)
    admin_actions.record(ledger_home, AdminAction("key boss", "GET /2", "", "192.0.2.1"), NOW)
    assert [(at, each.action) for at, each in admin_actions.latest(ledger_home, 1)] == [(NOW, "GET /2")]
