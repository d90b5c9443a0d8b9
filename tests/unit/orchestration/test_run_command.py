"""What `evergreen run` does around a run."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from jobs.ingest import registered_inputs
from jobs.ingest.registered_inputs import Inputs
from jobs.ledger.promotions import Champion, LedgerView, PromotionDecision
from jobs.settings import Settings
from jobs.use_cases.fraud import FRAUD
from orchestration import in_production, run_command
from orchestration.error_boundary import NOBODY
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
        assert run_command.run(own, FRAUD, {}, None, None, show=False, as_json=True) == NOBODY
        told = json.loads(capsys.readouterr().out)
        assert told["champion"] is None
        new: bool = told["new"]
        return new

    return made


def test_nothing_is_new_where_nothing_changed(run: Callable[[str], bool]) -> None:
    assert [run("as given") for _ in range(3)] == [True, False, False]


def test_what_changes_an_input_during_a_run_is_new_to_the_next(run: Callable[[str], bool]) -> None:
    assert [run("came while the run read its input") for _ in range(3)] == [True, True, False]


def decided(outcome: str, evidence: dict[str, Any] | None = None) -> PromotionDecision:
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    return PromotionDecision(
        "fraud", moment, moment, "promotion", outcome, "the reason", "evergreen", True, 7, "", None,  # type: ignore[arg-type]
        evidence=evidence or {"provisional": False},
    )  # fmt: skip


def test_who_is_in_production_is_the_first_thing_that_is_told() -> None:
    champion = Champion("fraud", 7, "", datetime(2026, 1, 1, tzinfo=UTC), None, 1)
    thin = decided("promoted", {"provisional": True})
    told = {
        "young": in_production.warning(LedgerView([], []), {"fraud/training/candidate": "no candidate: too young"}),
        "refused": in_production.warning(LedgerView([], [decided("refused")]), {}),
        "waiting": in_production.warning(LedgerView([], [decided("waiting")]), {}),
        "provisional": in_production.warning(LedgerView([champion], [thin]), {}),
        "fine": in_production.warning(LedgerView([champion], [decided("promoted")]), {}),
    }
    assert told == {
        "young": "Nobody is in production: no candidate: too young",
        "refused": "Nobody is in production: the reason",
        "waiting": "Nobody is in production: version 7 waits for `evergreen approve 7 --by NAME --because REASON`",
        "provisional": "Version 7 is champion provisionally: the reason",
        "fine": None,
    }


def test_a_cause_that_ended_several_steps_is_told_once() -> None:
    errors = ["fraud/raw/terminals: sc://x: no answer", "fraud/raw/customers: sc://x: no answer", "fraud/labels: other"]
    assert list(run_command._by_cause(errors)) == [
        "fraud/raw/terminals, fraud/raw/customers: sc://x: no answer",
        "fraud/labels: other",
    ]
