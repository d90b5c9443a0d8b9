"""`evergreen doctor`: what works on this machine, what is missing, and how to mend it."""

from __future__ import annotations

import os
import shutil
import socket
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

import click

from jobs import settings as settings_module
from jobs.display import listed
from jobs.error_messages import bug, message_of
from jobs.java_servers.java import look_for_java
from jobs.lakehouse import engine
from jobs.messages.connection import DECISIONS, is_kafka
from jobs.secret import ClusterUrl, Url
from jobs.settings import ROOT, Settings
from orchestration import same_names
from orchestration.printing import cell, console, json_option, print_json, say
from orchestration.same_names import CODE

NEEDED_DISK_GB = 5
UI_PORT = 3000


@dataclass(frozen=True)
class Check:
    """The result of one check."""

    name: str
    good: bool
    found: str
    mend: str = ""
    """What to do when the check is bad."""
    needed: bool = True
    """Every command needs it; otherwise only what `mend` names does."""


@click.command()
@json_option
@click.option("--deep", is_flag=True, help="Read every table, bundle and exported model, and say what mends damage.")
def doctor(as_json: bool, deep: bool) -> None:
    """Check Python, Java, stores, ports and disk, and say how to mend what is missing."""
    settings = settings_module.load()
    found = find_damage(settings) if deep else []
    missing = run(settings, as_json, found)
    if deep and not as_json:
        _print_damage(found)
    sys.exit(missing)


def find_damage(settings: Settings) -> list[Check]:
    """Everything in the home that is not as it was written."""
    from jobs.integrity import home_check
    from jobs.lakehouse.tables import attach
    from jobs.use_cases.catalog import USE_CASES

    findings = home_check.findings(attach(settings), USE_CASES)
    return [Check(finding.place, False, finding.found, finding.mend) for finding in findings]


def _print_damage(damage: Sequence[Check]) -> None:
    for check in damage:
        say(f"{check.name}: {check.found}", "damaged", "red")
        say(f"  mend it by: {check.mend}")
    if not damage:
        say("Tables, bundles, exported models, ledger and registry are as they were written.")


def run(settings: Settings, as_json: bool = False, damage: Sequence[Check] = ()) -> int:
    """Print every check, as JSON with the `damage` found; 1 if something needed is missing or damaged."""
    checks = list(examine(settings))
    if as_json:
        print_json([vars(check) for check in [*checks, *damage]])
    else:
        _print(settings, checks)
    return int(any(check.needed and not check.good for check in [*checks, *damage]))


def _print(settings: Settings, checks: Sequence[Check]) -> None:
    from rich.table import Table

    table = Table(title=cell(f"evergreen doctor ({settings.home})"), title_justify="left")
    for column in ("check", "", "found", "how to mend"):
        table.add_column(column, overflow="fold")
    for check in checks:
        mark = ("ok", "green") if check.good else ("missing", "red") if check.needed else ("optional", "yellow")
        table.add_row(cell(check.name), cell(*mark), cell(check.found), cell("" if check.good else check.mend))
    console().print(table)


def examine(settings: Settings) -> Iterator[Check]:
    """All checks, without changing anything but starting the embedded engine."""
    version = ".".join(map(str, sys.version_info[:3]))
    supported = (3, 11) <= sys.version_info[:2] <= (3, 13)
    yield Check("Python", supported, version, "install Python 3.11, 3.12 or 3.13, and Evergreen there")
    yield _packages(settings)
    yield _home(settings)
    yield _disk(settings)
    yield _engine(settings)
    yield _online_store(settings)
    yield _ledger(settings)
    yield _runs(settings)
    if settings.stream_url and settings.stream_url.parts.scheme != DECISIONS:
        yield _topics(settings.stream_url)
    yield _port(UI_PORT)
    yield _java()
    for program, package, use in (
        ("mvn", "maven", "fetch the jars of `evergreen spark` and `evergreen kafka`"),
        ("chromium", "chromium", "run the browser tests"),
        ("redis-server", "redis-server", "run the Redis tests"),
        ("psql", "postgresql", "run the PostgreSQL tests"),
    ):
        path = shutil.which(program)
        yield Check(program, bool(path), path or "not on PATH", f"apt-get install {package} (to {use})", needed=False)


def _packages(settings: Settings) -> Check:
    others = same_names.found(settings)
    names = f"{', '.join(CODE)} are Evergreen's alone"
    mend = f"rename or uninstall what is not Evergreen's: Evergreen's are in {ROOT}, and Python takes one of both"
    return Check("packages", not others, f"{listed(others)} beside Evergreen's own" if others else names, mend)


def _home(settings: Settings) -> Check:
    try:
        settings.home.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=settings.home):
            return Check("EVERGREEN_HOME", True, str(settings.home))
    except OSError as error:
        return Check(
            "EVERGREEN_HOME",
            False,
            message_of(error) or bug(error),
            "point EVERGREEN_HOME at a folder you may write to",
        )


def _disk(settings: Settings) -> Check:
    folder = next(p for p in (settings.home, *settings.home.parents) if p.exists())
    free = shutil.disk_usage(folder).free / 1e9
    mend = f"free {NEEDED_DISK_GB} GB below {folder}, or point EVERGREEN_HOME elsewhere"
    return Check("disk", free > NEEDED_DISK_GB, f"{free:.0f} GB free", mend)


def _engine(settings: Settings) -> Check:
    name, mend = "embedded engine", f"look into {settings.home / 'engine'}: its log is there"
    if settings.spark_remote:
        name, mend = "Spark (SPARK_REMOTE)", "start it, or unset SPARK_REMOTE for the embedded engine"
    try:
        address = engine.url(settings)
        return Check(name, True, str(settings.spark_remote or address.split(";")[0]))
    except (engine.EngineUnreachable, OSError) as error:
        return Check(name, False, message_of(error) or bug(error), mend)


def _online_store(settings: Settings) -> Check:
    mend = "start it, or unset EVERGREEN_ONLINE_STORE for SQLite"
    return _server("online store", "Redis", settings.online_store_url, 6379, mend)


def _ledger(settings: Settings) -> Check:
    mend = "start PostgreSQL, or unset EVERGREEN_LEDGER for SQLite"
    return _server("ledger", "PostgreSQL", settings.ledger_url, 5432, mend)


def _runs(settings: Settings) -> Check:
    mend = "start PostgreSQL, or correct EVERGREEN_DAGSTER"
    return _server("runs and events", "PostgreSQL", settings.dagster_url, 5432, mend)


def _server(name: str, product: str, url: Url | None, port: int, mend: str) -> Check:
    """Whether a server answers at a URL, which is shown without its password; none is needed without a URL."""
    if url is None:
        return Check(name, True, "SQLite under EVERGREEN_HOME")
    parts = url.parts
    host, port = parts.hostname or "localhost", parts.port or port
    good = _listens(host, port)
    return Check(name, good, f"{product} at {host}:{port}" if good else f"nothing answers at {host}:{port}", mend)


def _topics(url: ClusterUrl) -> Check:
    """Whether the folder is there, or one of the brokers answers: it knows the others."""
    if not is_kafka(url):
        folder = Path(unquote(url.parts.path))
        return Check("streams", folder.is_dir(), f"files in {folder}", "make the folder, or correct EVERGREEN_STREAM")
    brokers = [(host, port or 9092) for host, port in url.hosts]
    answering = next((f"{host}:{port}" for host, port in brokers if _listens(host, port)), None)
    mend = "start it (`evergreen kafka` runs one on this machine), or correct EVERGREEN_STREAM"
    return Check("streams", answering is not None, f"Kafka at {answering}" if answering else f"none at {url}", mend)


def _listens(host: str, port: int) -> bool:
    try:
        with socket.create_connection((host, port), timeout=3):
            return True
    except OSError:
        return False


def _port(port: int) -> Check:
    busy = _listens("127.0.0.1", port)
    mend = f"something listens there already (the UI?); `evergreen ui --port` takes another than {port}"
    return Check(f"port {port} (UI)", not busy, "in use" if busy else "free", mend, needed=False)


def _java() -> Check:
    mend = "apt-get install openjdk-17-jre-headless (only for `evergreen spark` and `evergreen kafka`)"
    java = look_for_java(os.environ)
    return Check("Java 17", java.new_enough, java.answer if java.path else "not on PATH", mend, needed=False)
