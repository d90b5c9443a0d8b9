"""A run that is killed, or whose disk is full, at any first write of a home: the next ones make what a clean run makes.

Points are drawn from all moments that a clean run was seen to have; `make explore` draws again and again.
"""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from worlds import disturbed_runs
from worlds.disturbed_runs import FULL, KILL, USE_CASE
from worlds.draws import drawn
from worlds.examples import EXPLORE, SECONDS

from jobs import settings, unfinished
from jobs.integrity import home_check
from jobs.lakehouse import engine
from jobs.lakehouse.tables import attach
from jobs.ledger import promotions
from jobs.settings import ROOT
from jobs.simulate import simulator

POINTS = {KILL: 2, FULL: 1}
"""Moments of one home, each of another run."""
DISK = "600m"
Tables = Callable[..., Mapping[str, list[tuple[Any, ...]]]]


@dataclass(frozen=True)
class Run:
    """How a run ended, what it printed, and the moments it had until it was disturbed."""

    status: int
    output: str
    moments: list[str]


@dataclass(frozen=True)
class Clean:
    """The moments of a run that nothing disturbed, and what it made."""

    moments: list[str]
    made: dict[str, Any]


class Runs:
    """Makes runs of one small world."""

    def __init__(self, process: subprocess.Popen[str], folder: Path, files: Mapping[str, str]) -> None:
        self._process, self._folder, self._files = process, folder, files

    def __call__(self, home: Path, fault: str | None = None, at: str | None = None) -> Run:
        log, trace = self._folder / "log", self._folder / "trace"
        trace.write_text("")
        order = {
            "home": str(home),
            "files": self._files,
            "fault": fault,
            "at": at,
            "log": str(log),
            "trace": str(trace),
        }
        assert self._process.stdin and self._process.stdout
        self._process.stdin.write(f"{json.dumps(order)}\n")
        self._process.stdin.flush()
        status = json.loads(self._process.stdout.readline())
        return Run(status, log.read_text(), trace.read_text().splitlines())


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runs]:
    folder = tmp_path_factory.mktemp("runs")
    world = simulator.scenario("stable", days=24, customers=300, terminals=150)
    files = {
        name: str(file) for name, file in simulator.write(world, folder).items() if name in ("transactions", "reports")
    }
    inherited = {n: v for n, v in os.environ.items() if not n.startswith(("EVERGREEN_", "SPARK_", "DAGSTER_"))}
    with subprocess.Popen(
        [sys.executable, "-W", "ignore", "-m", disturbed_runs.__name__],
        env={**inherited, "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}", "COLUMNS": "200"},
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        yield Runs(process, folder, files)


@pytest.fixture(scope="module")
def clean(runs: Runs, tmp_path_factory: pytest.TempPathFactory, tables: Tables) -> Clean:
    home = tmp_path_factory.mktemp("clean") / "home"
    done = runs(home)
    assert done.status == 0, done.output
    found = Clean(done.moments, made(home, tables))
    engine.stop(settings.load({"EVERGREEN_HOME": str(home)}))
    areas = {area(moment) for moment in found.moments}
    assert {"state", "dagster", "models", "serving", "feast", "tracking", "ledger.sqlite", "version.json"} <= areas
    return found


def area(moment: str) -> str:
    """The part of a home that a moment changes: its folder, or a table's schema."""
    path = moment.removeprefix("rename to ").removeprefix("open ").removeprefix("written ").removeprefix("sqlite ")
    path = path.removeprefix("remove ").split(" ")[0].lstrip(".")
    parts = path.replace(".json.HEX.evergreen-tmp", ".json").split("/")
    return "/".join(parts[: 2 if parts[0] == "warehouse" else 1])


def points(clean: Clean, fault: str, round_: int) -> list[str]:
    """Moments of one home in their order: of areas drawn first, as Dagster's has a third of all."""
    draw, by_area = drawn(f"{fault} at first writes {round_}"), defaultdict(list)
    for moment in clean.moments:
        by_area[area(moment)].append(moment)
    chosen = {draw.choice(by_area[name]) for name in draw.sample(sorted(by_area), POINTS[fault])}
    return [moment for moment in clean.moments if moment in chosen]


def rounds() -> Iterator[int]:
    """One in tests of everybody; in `make explore` as many as there is time for."""
    began, exploring = time.monotonic(), hypothesis.settings.get_current_profile_name() == EXPLORE
    yield 0
    number = 1
    while exploring and time.monotonic() - began < SECONDS:
        yield number
        number += 1


def made(home: Path, tables: Tables) -> dict[str, Any]:
    """What a run made, less times of the clock and what interrupted runs may add to histories of runs."""
    own = settings.load({"EVERGREEN_HOME": str(home)})
    ledger = promotions.view(own, USE_CASE)
    return {
        **{name: [rounded(row) for row in rows] for name, rows in tables(home).items()},
        "decisions": [(d.kind, d.outcome, d.model_version, d.sha256, d.as_of) for d in ledger.decisions],
        "champions": ledger.champions,
        "pins": rows_of(own.home / "ledger.sqlite", "select * from pins"),
        "predictions": rows_of(own.predictions, "select * from fraud_predictions"),
        "online": rows_of(own.home / "feast" / "online.db", "select * from evergreen_fraud_customer_windows__written"),
        "versions": rows_of(own.home / "tracking" / "mlflow.db", "select name, version from model_versions"),
        "unfinished": [path.name for path in home.rglob("*") if unfinished.is_one(path.name)],
        "damage": list(home_check.findings(attach(own), (USE_CASE,))),
    }


def rounded(row: tuple[Any, ...]) -> tuple[Any, ...]:
    """The order in which an engine adds numbers is its own."""
    return tuple(round(value, 9) if isinstance(value, float) else value for value in row)


def rows_of(file: str | Path, query: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(f"{Path(file).as_uri()}?mode=ro", uri=True)) as connection:
        return sorted(connection.execute(query).fetchall(), key=repr)


def assert_made(home: Path, clean: Clean, tables: Tables, chosen: list[str]) -> None:
    found = made(home, tables)
    differing = {name for name in found.keys() | clean.made.keys() if found.get(name) != clean.made.get(name)}
    assert not differing, (chosen, {name: (clean.made.get(name), found.get(name)) for name in differing})


@pytest.mark.timeout(0)
def test_a_run_killed_at_any_first_write_is_made_good_by_the_next(
    runs: Runs, clean: Clean, tmp_path: Path, tables: Tables
) -> None:
    for number in rounds():
        home, chosen = tmp_path / str(number), points(clean, KILL, number)
        with_engine = drawn(f"engine {number}").choice(chosen)
        for point in chosen:
            done = runs(home, KILL, point)
            if done.status == 0 and point != chosen[0]:
                break  # it was written before, between two moments of another process
            assert done.status == -signal.SIGKILL and done.moments[-1] == point, (point, done.output)
            record = home / "engine" / "server.json"
            if point == with_engine and record.exists():
                os.kill(json.loads(record.read_text())["pid"], signal.SIGKILL)
        last = runs(home)
        engine.stop(settings.load({"EVERGREEN_HOME": str(home)}))
        assert last.status == 0, (chosen, last.output)
        assert_made(home, clean, tables, chosen)


@pytest.mark.timeout(0)
def test_a_disk_that_is_full_from_any_first_write_on_is_told_and_made_good_with_room(
    runs: Runs, clean: Clean, tmp_path: Path, tables: Tables
) -> None:
    for number in rounds():
        home, chosen = tmp_path / str(number), points(clean, FULL, number)
        home.mkdir()
        mount(home, "-t", "tmpfs", "-o", f"size={DISK}", "tmpfs")
        try:
            for point in chosen:
                done = runs(home, FULL, point)
                said = "Traceback" in done.output or "panicked" in done.output
                assert done.status in (0, 1) and not said, (point, done.output)
                # Without room for a cache or a log a run goes on.
                assert done.status == 0 or "expected room on the disk" in done.output, (point, done.output)
                mount(home, "-o", f"remount,size={DISK}")
            last = runs(home)
            assert last.status == 0, (chosen, last.output)
            assert_made(home, clean, tables, chosen)
        finally:
            engine.stop(settings.load({"EVERGREEN_HOME": str(home)}))
            subprocess.run(["umount", "--lazy", str(home)], check=True)


def mount(folder: Path, *options: str) -> None:
    done = subprocess.run(["mount", *options, str(folder)], check=False, capture_output=True, text=True)
    if done.returncode:
        pytest.fail(f"this test mounts small file systems, which needs root: {done.stderr}")
