"""`evergreen rollout` on a home whose ledger has one: what is printed, and what workers read after each command."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from jobs.ledger import promotions, rollouts
from jobs.ledger.promotions import PromotionDecision
from jobs.ledger.rollouts import Arm, Change, Rollout
from jobs.rollout_strategy import Strategy
from jobs.rollouts import published
from jobs.settings import Settings
from jobs.use_cases.fraud import FRAUD
from orchestration.cli import main


@pytest.fixture
def home(tmp_path: Path) -> Settings:
    """Version 1 is champion; version 2 answers for a tenth of the customers."""
    found = Settings(home=tmp_path / "home")
    at = datetime.now(UTC)
    promotions.decide(
        found, PromotionDecision("fraud", at, at, "promotion", "promoted", "", "me", True, 1, "a" * 64, None, "d")
    )
    arm = Arm("v2", 2, "b" * 64, "c" * 64)
    wanted = Rollout("fraud", "spring", Strategy().stored, (arm,), 1, "a" * 64, 0.0, 0.0, at, 0)
    rollouts.start(found, wanted, Change("started", {"v2": 0.1}, "try it", "me", at), 1.0)
    published.publish(found, FRAUD)
    return found


def tell(home: Settings, *words: str, status: int = 0) -> Result:
    result = CliRunner().invoke(main, ["rollout", *words], env={"EVERGREEN_HOME": str(home.home)})
    assert result.exit_code == status, result.output
    return result


def shares(home: Settings) -> list[float]:
    return [arm.share for each in published.read(published.path(home, FRAUD)) for arm in each.arms]


def test_it_is_paused_resumed_and_aborted(home: Settings) -> None:
    assert shares(home) == [0.1]
    assert "paused" in tell(home, "pause", "spring", "--by", "me", "--reason", "lunch").output
    assert shares(home) == []
    assert "running" in tell(home, "resume", "spring", "--by", "me").output
    assert shares(home) == [0.1]
    assert "aborted" in tell(home, "abort", "spring", "--by", "you").output
    assert shares(home) == []
    [ended] = rollouts.of_use_case(home, "fraud")
    assert [change.kind for change in ended.changes] == ["started", "paused", "resumed", "aborted"]
    assert (ended.changes[1].reason, ended.changes[3].by) == ("lunch", "you")
    for command in ("pause", "resume", "abort"):
        refused = tell(home, command, "spring", "--by", "me", status=1)
        assert "expected one that goes on (none), found no such" in refused.output


def test_its_state_is_told_to_people_and_programs(home: Settings) -> None:
    said = tell(home, "status").output
    assert "rollout spring" in said and "v2 10%" in said and "beside" in said and "version 1" in said
    assert "nothing yet: v2: 0 of 500 events that a step needs" in said
    [one] = json.loads(tell(home, "status", "--json").output)
    assert (one["name"], one["state"], one["follows"]["kind"]) == ("spring", "running", None)
    tell(home, "abort", "spring", "--by", "me")
    assert "No rollout of fraud is going on" in tell(home, "status").output
    assert "aborted" in tell(home, "status", "--all").output


def test_a_look_does_nothing_before_there_is_evidence(home: Settings) -> None:
    assert "nothing yet" in tell(home, "step").output
    assert shares(home) == [0.1]


def test_what_cannot_start_says_why_and_changes_nothing(home: Settings) -> None:
    cases = {
        ("two words", "3"): "expected names of letters",
        ("autumn", "3", "4"): "canary: expected one version, found 2",
        ("autumn", "3", "4", "--strategy", "shadow"): "shadow: expected one version, found 2",
        ("autumn", "1"): "expected versions beside the champion, found version 1",
        ("autumn", "3", "--strategy", "ab", "--share", "1.0", "--share", "0.5"): "expected one for each of 1 versions",
        (
            "autumn",
            "3",
            "4",
            "--strategy",
            "ab",
            "--share",
            "0.7",
            "--share",
            "0.7",
        ): "expected a share of 0 to 1 in all",
    }
    for words, expected in cases.items():
        result = CliRunner().invoke(
            main, ["rollout", "start", *words, "--by", "me"], env={"EVERGREEN_HOME": str(home.home)}
        )
        assert result.exit_code in (1, 2) and expected in result.output, (words, result.output)
    assert len(rollouts.of_use_case(home, "fraud")) == 1
