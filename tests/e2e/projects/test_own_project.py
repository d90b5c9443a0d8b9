"""From `evergreen init` to a champion and predictions, by the commands that people type, outside of this repository."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from jobs import settings
from jobs.lakehouse.tables import attach

pytestmark = pytest.mark.embedded
WITHOUT_SPARK = {name: text for name, text in os.environ.items() if name != "SPARK_REMOTE"}


def evergreen(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A command, in a folder."""
    environ = WITHOUT_SPARK | {"COLUMNS": "200", "PYTHONPATH": str(settings.ROOT)}
    environ.pop("EVERGREEN_HOME", None)
    command = [sys.executable, "-c", "from orchestration.cli import main; main()", *arguments]
    return subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, check=False)


def test_a_new_project_runs_to_a_champion_and_a_broken_use_case_is_told_in_one_line(tmp_path: Path) -> None:
    made = evergreen(tmp_path, "init", "shop")
    assert made.returncode == 0, made.stderr
    shop = tmp_path / "shop"
    (shop / "use_cases" / "bad.py").write_text("1 / 0\n")
    toml = (shop / "evergreen.toml").read_text()
    (shop / "evergreen.toml").write_text(toml.replace('["use_cases', '["use_cases.bad:X", "use_cases'))
    done = evergreen(shop, "run")
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    [told] = [line for line in done.stderr.splitlines() if "left out" in line]
    assert "use_cases.bad:X is left out: use_cases/bad.py, line 1" in told
    house = attach(settings.load({"EVERGREEN_PROJECT": str(shop)}))
    rows = house.to_arrow("shop_features.training_set")
    assert rows.num_rows > 10_000 and {"depot_orders_1d", "depot_late_7d", "distance"} <= set(rows.column_names)
    assert house.to_arrow("shop_serving.prediction_log").num_rows > 0
    models = json.loads(evergreen(shop, "models", "--json").stdout)
    assert models["champions"], models
    assert not (shop / "use_cases" / ".evergreen").exists() and not (tmp_path / ".evergreen").exists()
