"""One small world and one clean run, shared by tests that break runs; `evergreen` as a process of its own."""

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from worlds.shared import built_once, session_folder

from jobs import settings
from jobs.lakehouse import dbt_models, engine
from jobs.settings import Settings
from jobs.simulate import simulator
from jobs.use_cases.fraud import FRAUD
from orchestration import run_command
from orchestration.error_boundary import NOBODY, report

RunHere = Callable[[Settings, list[str]], int]
Command = Callable[..., "subprocess.Popen[str]"]
Tables = Callable[..., Mapping[str, list[tuple[Any, ...]]]]


@pytest.fixture
def home(home: Settings) -> Settings:
    """A new home that knows what dbt makes of the project: processes then need not parse it."""
    dbt_models.manifest(home)
    return home


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Eight days of payments of 100 cardholders, as arguments of `evergreen run`: too young for a champion, so that a
    run which does everything ends with `NOBODY`."""
    folder = tmp_path_factory.mktemp("world")
    files = simulator.write(simulator.scenario("stable", days=8, customers=100, terminals=75), folder)
    return ["--transactions", str(files["transactions"]), "--reports", str(files["reports"])]


@pytest.fixture(scope="session")
def evergreen() -> Command:
    """Starts `evergreen ...` for a home, in a process group of its own."""

    def start(home: Path, *arguments: str, **environment: str) -> "subprocess.Popen[str]":
        inherited = {n: v for n, v in os.environ.items() if not n.startswith(("EVERGREEN_", "SPARK_", "DAGSTER_"))}
        return subprocess.Popen(
            [str(Path(sys.executable).with_name("evergreen")), *arguments],
            env={**inherited, "EVERGREEN_HOME": str(home), "COLUMNS": "200", **environment},
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
        )  # fmt: skip

    return start


@pytest.fixture(scope="session")
def run_here() -> RunHere:
    """What `evergreen run` does, in this process: for runs that nothing kills, which then need not import again."""

    def run(home: Settings, world: list[str]) -> int:
        files = {name.removeprefix("--"): (Path(path),) for name, path in zip(world[::2], world[1::2], strict=True)}
        try:
            return run_command.run(home, FRAUD, files, None, None, show=False)
        except Exception as error:
            return report(error)

    return run


@pytest.fixture(scope="session")
def clean(
    tmp_path_factory: pytest.TempPathFactory, run_here: RunHere, world: list[str], tables: Tables
) -> Mapping[str, list[tuple[Any, ...]]]:
    """The tables of a run that nothing disturbed, made once for all workers."""

    def build(folder: Path) -> None:
        home = settings.load({"EVERGREEN_HOME": str(folder)})
        assert run_here(home, world) == NOBODY
        engine.stop(home)

    found = tables(built_once(session_folder(tmp_path_factory, "clean"), build))
    assert len(found["fraud.transactions"]) > 500 and found["fraud_features.training_set"]
    return found
