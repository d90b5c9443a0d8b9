"""What `evergreen models` prints at the width of a usual terminal."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner

from jobs import settings
from jobs.ledger import promotions
from jobs.ledger.promotions import PromotionDecision
from jobs.settings import Settings
from orchestration.cli import main

NOW = datetime(2026, 11, 22, 12, 30, tzinfo=UTC)
REASON = "average precision of 0.776 on the latest two weeks of mature labels is better beyond noise than 0.510"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A home with a promotion by a run and an approval by a person who was not authenticated."""
    own = settings.load({"EVERGREEN_HOME": str(tmp_path)})
    promoted = PromotionDecision(
        "fraud", NOW, NOW, "promotion", "promoted", REASON, "run", True, 1, "a" * 64, None, "digest"
    )
    promotions.decide(own, promoted)
    approved = PromotionDecision(
        "fraud", NOW, NOW, "approval", "promoted", "reads [better]", "anna", False, 2, "b" * 64, 1, "another digest"
    )
    promotions.decide(own, approved)
    monkeypatch.setattr(settings, "load", lambda *_: own)
    return own


def printed(*options: str) -> str:
    result = CliRunner(env={"COLUMNS": "80"}).invoke(main, ["models", *options])
    assert result.exit_code == 0, result.output
    return result.output


@pytest.mark.usefixtures("home")
def test_both_tables_fit_80_characters_and_lose_no_word() -> None:
    lines = printed().splitlines()
    assert max(map(len, lines)) <= 80
    words = " ".join(lines).split()
    assert all(word in words for word in REASON.split())
    assert " ".join(words).count("2026-11-22 12:30") == 3, "two beginnings and an end, none of them wrapped"
    [approval] = [line for line in lines if "approval" in line]
    assert "promoted" in approval and "reads [better] (by anna)" in approval


@pytest.mark.usefixtures("home")
def test_details_print_every_field_on_a_line_of_its_own() -> None:
    lines = printed("--details").splitlines()
    assert f"  reason           {REASON}" in lines and "  by               anna (unauthenticated)" in lines
    assert "  champion before  1" in lines
