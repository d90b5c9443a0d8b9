"""A replay on a moved clock: the rows and scores of real runs at those moments, and the same result if it is killed."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from worlds.draws import drawn

from jobs import settings
from jobs.backtesting import replay_log
from jobs.datasets import history
from jobs.datasets.history import History
from jobs.datasets.training_rows import read
from jobs.lakehouse import engine
from jobs.lakehouse.tables import attach
from jobs.ledger import promotions
from jobs.registry import model_versions
from jobs.registry.bundle import open_bundle
from jobs.registry.champion_bundles import Champions
from jobs.scoring import batch, prediction_log
from jobs.settings import ROOT, Settings
from jobs.simulate.simulator import scenario, write
from jobs.times import day_number
from jobs.use_cases.fraud import FRAUD
from orchestration import replay_command as job
from orchestration import run_command as run

FIRST, DAYS = date(2026, 3, 1), 75
NAMES = ("transactions", "reports", "customers", "terminals")
DRAWN_DAY = drawn("replay").randrange(62, DAYS - 1)


@dataclass(frozen=True)
class World:
    home: Settings
    files: dict[str, tuple[Path]]
    out: Path
    timeline: pl.DataFrame
    history: History


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("replay")
    write(scenario("stable", start=FIRST, days=DAYS, customers=400, terminals=120, seed=11), str(folder / "raw"))
    files = {name: (folder / "raw" / f"{name}.parquet",) for name in NAMES}
    home = settings.load({"EVERGREEN_HOME": str(folder / "home")})
    out = folder / "weekly"
    timeline = job.run(home, FRAUD, files, None, job.ReplayRequest("weekly"), out)
    [own] = (home.home / "prepared").iterdir()
    lakehouse = attach(replace(home, home=own))
    yield World(home, files, out, timeline, history.read(lakehouse, FRAUD))
    engine.stop(replace(home, home=own))


def test_every_day_of_the_file_is_a_row(world: World) -> None:
    found = world.timeline
    assert found["date"].to_list() == [FIRST + timedelta(days=n) for n in range(DAYS)]
    assert found["rows"].sum() == len(world.history)
    assert found["champion_version"].to_list()[:60] == [0] * 60 and found["average_precision"][:60].null_count() == 60
    assert found["champion_version"].to_list()[60:] == [1] * 7 + [2] * 7 + [3]
    assert found["fits"].to_list()[-1] == 3 and found["retrained"].sum() == 2
    assert found["reports_known"].is_sorted() and found["label_maturity"].is_between(0, 1).all()
    assert pl.read_parquet(world.out / "timeline.parquet").equals(found) and (world.out / "timeline.png").exists()


@pytest.fixture(scope="module")
def dagster(world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """A home of real runs, with the ledger and the bundles of the replay."""
    own = settings.load({"EVERGREEN_HOME": str(tmp_path_factory.mktemp("dagster") / "home")})
    own.home.mkdir()
    shutil.copytree(world.out / "home" / "models", own.home / "models")
    shutil.copy(world.out / "home" / "ledger.sqlite", own.home / "ledger.sqlite")
    yield own
    engine.stop(own)


@pytest.mark.parametrize("day", [DRAWN_DAY])
def test_rows_and_scores_are_those_of_a_run_at_that_moment(world: World, dagster: Settings, day: int) -> None:
    today = FIRST + timedelta(days=int(day))
    as_of = datetime.combine(today + timedelta(days=1), datetime.min.time(), UTC)
    assert run.run(dagster, replace(FRAUD, problem=None), world.files, None, as_of, show=False) == 0
    lakehouse = attach(dagster)
    version = lakehouse.version(FRAUD.training_set)
    assert version is not None
    wanted = read(lakehouse, FRAUD, version, world.history.names)
    found = world.history.training_rows(as_of, FRAUD)
    np.testing.assert_array_equal(found.times, wanted.times)
    np.testing.assert_array_equal(found.examples.labels, wanted.examples.labels)
    np.testing.assert_array_equal(found.examples.features, wanted.examples.features)
    # A night's champion is the one that the night's training made, which decides from the next day on.
    champions = Champions(dagster)
    batch.score_days(lakehouse, FRAUD, [today], as_of, lambda moment: champions.at(FRAUD, moment))
    log = pl.DataFrame(lakehouse.to_arrow(prediction_log.table(FRAUD))).filter(pl.col("event_date") == today)
    log = log.sort("tx_datetime", "transaction_id")
    night = promotions.champion(dagster, FRAUD, at=as_of)
    assert night is not None and log["model_version"].unique().to_list() == [night.version]
    rows = world.history.days == day_number(today)
    model = open_bundle(model_versions.bundle_folder(dagster, FRAUD, night.version)).model()
    np.testing.assert_allclose(log["score"].to_numpy(), model.predict(world.history.features[rows]), atol=1e-5)
    assert world.timeline.row(day, named=True)["rows"] == log.height


def test_killed_and_started_again_it_comes_to_the_same(world: World, tmp_path: Path) -> None:
    out = tmp_path / "again"
    options = [a for name, (file,) in world.files.items() for a in (f"--{name}", str(file))]
    command = [str(Path(sys.executable).parent / "evergreen"), "replay", *options, "--policy", "weekly"]
    environment = {**os.environ, "EVERGREEN_HOME": str(world.home.home)}
    draw = drawn("replay killed")
    for lines in (draw.randrange(1, 60), draw.randrange(61, DAYS - 2)):  # before there is a champion, and after
        process = subprocess.Popen([*command, "--out", str(out)], env=environment, cwd=ROOT, stdout=subprocess.DEVNULL)
        while process.poll() is None and _lines(out) < lines:
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert _lines(out) >= lines
    with (out / replay_log.LINES).open("a") as file:
        file.write('{"date": "2026-05')  # killed in the middle of a line
    again = job.run(world.home, FRAUD, world.files, None, job.ReplayRequest("weekly"), out)
    assert pl.read_parquet(out / "timeline.parquet").equals(again)
    assert again.drop("seconds").equals(world.timeline.drop("seconds"))


def test_another_replay_in_its_folder_is_refused(world: World) -> None:
    with pytest.raises(ValueError, match="expected the same replay or an empty folder"):
        job.run(world.home, FRAUD, world.files, None, job.ReplayRequest("daily"), world.out)


def test_a_span_without_days_to_decide_on_is_refused(world: World, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"the last one after the first training on 2026-04-30"):
        job.run(world.home, FRAUD, world.files, None, job.ReplayRequest("daily", last=date(2026, 4, 1)), tmp_path)


def test_auto_leaves_a_row_for_every_evening(world: World, tmp_path: Path) -> None:
    timeline = job.run(world.home, FRAUD, world.files, None, job.ReplayRequest("auto"), tmp_path / "auto")
    lines = [json.loads(line) for line in (tmp_path / "auto" / replay_log.LINES).read_text().splitlines()]
    assert [line["reason"] for line in lines] == timeline["reason"].to_list()
    assert all(line["decision"]["reason"] for line in lines[60:])
    assert timeline["fits"].to_list()[-1] <= 3


def _lines(out: Path) -> int:
    path = out / replay_log.LINES
    return path.read_text().count("\n") if path.exists() else 0
