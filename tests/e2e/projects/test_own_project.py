"""From `evergreen init` to a champion and predictions, by the commands that people type, outside of this repository."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
import time
import urllib.request
from pathlib import Path

import pytest
from worlds import strangers

from jobs import settings
from jobs.lakehouse.tables import attach
from jobs.settings import ROOT

pytestmark = pytest.mark.embedded
NOT_PASSED = ("SPARK_REMOTE", "PYTHONPATH", "EVERGREEN_HOME", "VIRTUAL_ENV")
ALONE = {name: text for name, text in os.environ.items() if name not in NOT_PASSED} | {
    "COLUMNS": "200",
    "PYTHONDONTWRITEBYTECODE": "1",
}
PACKED = ("orchestration", "assets", "serving", "jobs", "dbt_project", "feature_repo", "pyproject.toml", "README.md",
          "LICENSE")  # fmt: skip


def evergreen(installed: Path, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A command of an install, in a folder."""
    command = [str(installed / "evergreen"), *arguments]
    return subprocess.run(command, cwd=folder, env=ALONE, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Programs of an environment that has a wheel of this checkout, and what the tests' own has besides it."""
    folder = tmp_path_factory.mktemp("installed")
    uv, environment = str(Path(sys.prefix) / "bin" / "uv"), folder / "venv"
    source = folder / "source"
    source.mkdir()
    for name in PACKED:  # a copy, as a build leaves its files beside the sources
        (shutil.copytree if (ROOT / name).is_dir() else shutil.copy)(ROOT / name, source / name)
    here = ["--python", sys.executable, "-o", str(folder), str(source)]
    subprocess.run([uv, "build", "--quiet", "--wheel", "--no-build-isolation", *here], check=True)
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment], check=True)
    [wheel] = folder.glob("*.whl")
    python = str(environment / "bin" / "python")
    subprocess.run([uv, "pip", "install", "--quiet", "--no-deps", "--python", python, wheel], check=True)
    # Packages alone: a path in such a file brings no files of its kind there, such as that of this checkout.
    [packages] = environment.glob("lib/python*/site-packages")
    (packages / "locked.pth").write_text(f"{sysconfig.get_paths()['purelib']}\n")
    return environment / "bin"


def test_a_wheel_needs_no_checkout(installed: Path, tmp_path: Path) -> None:
    code = "import jobs, orchestration, jobs.settings as s; print(jobs.__file__, s.ROOT / 'dbt_project')"
    found = subprocess.check_output([installed / "python", "-c", code], cwd=tmp_path, env=ALONE, text=True)
    for place in found.split():
        assert Path(place).is_relative_to(installed.parent) and Path(place).exists()


def test_a_new_project_runs_to_a_champion_and_a_broken_use_case_is_told_in_one_line(
    installed: Path, tmp_path: Path
) -> None:
    before = files_of(installed.parent)
    made = evergreen(installed, tmp_path, "init", "shop")
    assert made.returncode == 0, made.stderr
    shop = tmp_path / "shop"
    (shop / "use_cases" / "bad.py").write_text("1 / 0\n")
    toml = (shop / "evergreen.toml").read_text()
    (shop / "evergreen.toml").write_text(toml.replace('["use_cases', '["use_cases.bad:X", "use_cases'))
    done = evergreen(installed, shop, "run")
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    [told] = [line for line in done.stderr.splitlines() if "left out" in line]
    assert "use_cases.bad:X is left out: use_cases/bad.py, line 1" in told
    house = attach(settings.load({"EVERGREEN_PROJECT": str(shop)}))
    rows = house.to_arrow("shop_features.training_set")
    assert rows.num_rows > 10_000 and {"depot_orders_1d", "depot_late_7d", "distance"} <= set(rows.column_names)
    assert house.to_arrow("shop_serving.prediction_log").num_rows > 0
    models = json.loads(evergreen(installed, shop, "models", "--json").stdout)
    assert models["champions"], models
    assert evergreen(installed, shop, "test").returncode == 0
    assert asked_of_ui(installed, shop) >= {"shop"}
    assert files_of(installed.parent) == before, "nothing is written where it is installed"
    assert not (shop / "use_cases" / ".evergreen").exists() and not (tmp_path / ".evergreen").exists()


def test_a_file_of_a_stranger_becomes_a_project_with_a_champion(installed: Path, tmp_path: Path) -> None:
    file = strangers.german(tmp_path)
    made = evergreen(installed, tmp_path, "propose", "--transactions", str(file), "--name", "shop")
    assert made.returncode == 0, made.stderr
    done = evergreen(installed, tmp_path / "shop", "run")
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    house = attach(settings.load({"EVERGREEN_PROJECT": str(tmp_path / "shop")}))
    assert house.to_arrow("shop_raw.transactions").num_rows == strangers.ROWS, "no row is lost"
    assert house.to_arrow("shop.labels")["betrugsfall"].to_pylist().count(True) > 100
    assert json.loads(evergreen(installed, tmp_path / "shop", "models", "--json").stdout)["champions"]
    assert evergreen(installed, tmp_path / "shop", "test").returncode == 0


def files_of(folder: Path) -> dict[str, tuple[int, int]]:
    """Path, size and time of each file."""
    stats = {path: path.stat() for path in folder.rglob("*") if path.is_file()}
    return {str(path.relative_to(folder)): (stat.st_size, stat.st_mtime_ns) for path, stat in stats.items()}


def asked_of_ui(installed: Path, folder: Path) -> set[str]:
    """The first parts of the keys of all assets that the UI of a project shows."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    query = json.dumps({"query": "{assetNodes {assetKey {path}}}"}).encode()
    server = subprocess.Popen([installed / "evergreen", "ui", "--port", str(port)], cwd=folder, env=ALONE,
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)  # fmt: skip
    try:
        for _ in range(240):
            request = urllib.request.Request(
                f"http://127.0.0.1:{port}/graphql", query, {"Content-Type": "application/json"}
            )
            with (
                contextlib.suppress(OSError, KeyError, TypeError),
                urllib.request.urlopen(request, timeout=30) as answer,
            ):
                nodes = json.load(answer)["data"]["assetNodes"]
                if nodes:
                    return {node["assetKey"]["path"][0] for node in nodes}
            assert server.poll() is None, "the server ended"
            time.sleep(0.5)
        raise AssertionError("the server does not answer")
    finally:
        os.killpg(server.pid, signal.SIGINT)
        server.wait(60)
