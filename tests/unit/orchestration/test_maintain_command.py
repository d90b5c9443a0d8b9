"""`evergreen maintain`: what it removes of trainings and of killed runs."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner

from jobs import unfinished
from orchestration.cli import main


def test_old_bundles_of_trainings_and_what_killed_runs_left_are_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EVERGREEN_HOME", str(tmp_path))
    trainings = tmp_path / "training" / "fraud"
    for name, days in {
        "0123456789abcdef": 8,
        "0123456789abcdef-baselines": 8,
        "fedcba9876543210-baselines": 6,
        "families": 9,
    }.items():
        (trainings / name / "rule").mkdir(parents=True)
        moment = (datetime.now(UTC) - timedelta(days=days)).timestamp()
        os.utime(trainings / name, (moment, moment))
    left = tmp_path / "state" / "fraud" / f".run.json.0123456789ab{unfinished.SUFFIX}"
    left.parent.mkdir(parents=True)
    left.write_text("{")
    done = CliRunner().invoke(main, ["maintain"], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    assert {path.name for path in trainings.iterdir()} == {"families", "fedcba9876543210-baselines"}
    assert not left.exists()
    assert "trainings: bundles of 2 removed" in done.output
    CliRunner().invoke(main, ["maintain", "--retain-hours", "0"], catch_exceptions=False)
    assert [path.name for path in trainings.iterdir()] == ["families"]
