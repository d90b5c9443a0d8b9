"""`evergreen features search` writes a report and a patch that applies to the declarations of the use case."""

from __future__ import annotations

import json
import subprocess
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from worlds import bursts

from jobs import settings
from jobs.lakehouse.tables import Lakehouse
from jobs.settings import ROOT
from orchestration.cli import main

DAYS = 70


def search(*words: str) -> Result:
    return CliRunner(env={"COLUMNS": "80"}).invoke(main, ["features", "search", *words])


def test_a_search_prints_what_helps_and_writes_report_and_patch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EVERGREEN_HOME", str(tmp_path))
    bursts.write(Lakehouse(settings.load()), days=DAYS)
    as_of = f"{bursts.START + timedelta(days=DAYS):%Y-%m-%d}"
    result = search("--from-nothing", "--as-of", as_of)
    assert result.exit_code == 0, result.output
    report = json.loads((tmp_path / "feature_search" / f"fraud_{as_of}T000000.json").read_text())
    [name, *_] = [one["feature"] for one in report["proposed"]]
    assert name in result.output and "git apply" in " ".join(result.output.split())
    patch = (tmp_path / "feature_search" / f"fraud_{as_of}T000000.patch").read_text()
    assert f"name='{name}'" in patch or f'name="{name}"' in patch
    applied = subprocess.run(["git", "apply", "--check", "-"], input=patch, text=True, cwd=ROOT, check=False)
    assert applied.returncode == 0


def test_a_home_without_data_is_told_what_to_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVERGREEN_HOME", str(tmp_path))
    result = search()
    assert result.exit_code == 2 and "start with `evergreen run`" in result.stderr
