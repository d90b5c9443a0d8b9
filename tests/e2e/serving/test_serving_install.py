"""A serving install, made as its image makes it: it serves what the lineage exported, soon and in little memory."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import numpy as np
import psutil
import pytest
from worlds import decided_world
from worlds.exported_models import OF_EVENTS, export, made
from worlds.locked_environments import serving_install
from worlds.serve_processes import BODY, PATIENCE, ROWS, started, wait_for

from jobs import settings
from jobs.models.runtime import score
from jobs.settings import Settings

pytestmark = pytest.mark.embedded

READ_ONLY = (
    "unshare", "--mount", "--map-root-user", "sh", "-euc",
    'mount --bind "$1" "$1"; mount -o remount,bind,ro /; touch "$1/../x" || true; '
    'export TMPDIR="$1/tmp" HOME="$1"; shift; exec "$@"', "sh",
)  # fmt: skip
"""Runs a command (after the name of a folder) where nothing but that folder can be written, as a container does."""
MOST_SECONDS = 20
"""Loose, as tests run side by side; one alone takes less than a second."""
MOST_MEGABYTES = 500


@pytest.fixture(scope="module")
def programs() -> Path:
    return serving_install()


@pytest.fixture
def home(tmp_path: Path) -> Settings:
    return settings.load({"EVERGREEN_HOME": str(tmp_path / "home")})


def listed(programs: Path) -> set[str]:
    command = [
        str(programs / "python"),
        "-c",
        "from importlib import metadata as m; [print(d.name) for d in m.distributions()]",
    ]
    return set(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split())


def test_it_holds_evergreen_and_no_library_of_the_lineage(programs: Path) -> None:
    found = {name.lower() for name in listed(programs)}
    assert {"evergreen-ml", "onnxruntime", "starlette"} <= found
    assert not found & {"torch", "pyspark", "dagster", "feast", "mlflow", "pandas", "scikit-learn", "optuna"}


def test_it_answers_as_the_model_scores_and_says_what_it_takes(
    programs: Path, home: Settings, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    bundle = made(tmp_path / "bundle", 1)
    export(home, 3, bundle)
    start = time.monotonic()
    running = started(home, command=(str(programs / "evergreen"),))
    try:
        wait_for(running.ready)
        seconds = time.monotonic() - start
        answer = httpx.post(running.infer, json=BODY).raise_for_status().json()
        assert httpx.get(f"http://127.0.0.1:{running.port}/").status_code == 200  # its page came along
        megabytes = psutil.Process(running.process.pid).memory_info().rss / 1e6
    finally:
        running.kill()
    expected = score(bundle.session(), np.nan_to_num(ROWS)).tolist()
    assert answer["model_version"] == "3"
    assert answer["outputs"][0]["data"] == pytest.approx(expected, abs=1e-7)
    record_property("measured", f"start to ready {seconds:.2f} s, {megabytes:.0f} MB resident")
    assert seconds < MOST_SECONDS and megabytes < MOST_MEGABYTES


def test_it_decides_with_the_features_of_the_last_second(programs: Path, home: Settings, tmp_path: Path) -> None:
    decided_world.made(home.home)
    export(home, 3, made(tmp_path / "bundle", 1, names=OF_EVENTS))
    running = started(home, command=(str(programs / "evergreen"),))
    event = {"customer_id": 1, "terminal_id": 100, "tx_amount": 12.5}
    try:
        wait_for(running.ready)
        url = f"http://127.0.0.1:{running.port}/v1/fraud/decisions?explain=true"
        first, second = (httpx.post(url, json=event | {"transaction_id": id}).json() for id in (1_000_001, 1_000_002))
    finally:
        running.kill()
    for answer in (first, second):
        assert answer["decision"] in ("approve", "review", "block") and answer["model_version"] == "3"
        assert answer["fallback"] is None and answer["reasons"]
    assert first["decided_at"] < second["decided_at"]


@pytest.mark.servers
def test_two_workers_write_to_their_home_alone(programs: Path, home: Settings, tmp_path: Path) -> None:
    export(home, 3, made(tmp_path / "bundle", 1))
    (home.home / "tmp").mkdir()
    running = started(home, "--workers", "2", command=(*READ_ONLY, str(home.home), str(programs / "evergreen")))
    try:
        wait_for(running.ready)
        assert httpx.post(running.infer, json=BODY).status_code == 200
    finally:
        running.process.terminate()
        said = running.process.communicate(timeout=PATIENCE)[0]
    assert "Read-only file system" in said, "the folder above the home could be written"
    assert "Traceback" not in said


def test_a_command_of_the_lineage_says_what_to_install(programs: Path, home: Settings) -> None:
    environment = {"EVERGREEN_HOME": str(home.home), "PATH": "/usr/bin:/bin"}
    done = subprocess.run([programs / "evergreen", "ui"], capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 1 and "expected the Python package dagster" in done.stderr
    assert "Traceback" not in done.stderr
