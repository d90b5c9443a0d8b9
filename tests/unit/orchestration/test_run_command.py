"""What `evergreen run` does around a run."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from jobs.ingest import registered_inputs
from jobs.ingest.registered_inputs import Inputs
from jobs.settings import Settings
from jobs.use_cases.fraud import FRAUD
from orchestration import run_command
from orchestration.lineage_run import RunOutcome


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[[str], bool]:
    """Runs a lineage that does nothing but write a text into its input; returns whether anything was new."""
    own, file, day = Settings(home=tmp_path / "home"), tmp_path / "t.csv", date(2026, 1, 1)
    file.write_text("as given")
    registered_inputs.register(own, FRAUD, Inputs({"transactions": (str(file),)}, day, day))

    def made(text: str) -> bool:
        def execute(*_: Any, **__: Any) -> RunOutcome:
            if file.read_text() != text:
                file.write_text(text)
            return RunOutcome(run_id="1", success=True)

        monkeypatch.setattr(run_command, "_prepared", lambda _: execute)
        assert run_command.run(own, FRAUD, {}, None, None, show=False, as_json=True) == 0
        new: bool = json.loads(capsys.readouterr().out)["new"]
        return new

    return made


def test_nothing_is_new_where_nothing_changed(run: Callable[[str], bool]) -> None:
    assert [run("as given") for _ in range(3)] == [True, False, False]


def test_what_changes_an_input_during_a_run_is_new_to_the_next(run: Callable[[str], bool]) -> None:
    assert [run("came while the run read its input") for _ in range(3)] == [True, True, False]
