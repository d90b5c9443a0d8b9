"""The ledger: history, compare and set, pins, on SQLite and a real PostgreSQL; killed and at once in tests/faults."""

import socket
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from jobs.ledger import pins, promotions
from jobs.ledger.database import LedgerUnreachable
from jobs.ledger.promotions import DecisionKind, Evaluation, PromotionDecision
from jobs.secret import Url
from jobs.settings import Settings
from jobs.use_cases.fraud import FRAUD

DAY = timedelta(days=1)
START = datetime(2026, 3, 1, tzinfo=UTC)


def decision(version: int, against: int | None, day: int = 0, kind: DecisionKind = "promotion") -> PromotionDecision:
    return PromotionDecision(
        "fraud", START, START + day * DAY, kind, "promoted", "better", "evergreen", True, version, f"{version:064}",
        against, f"{version} against {against}", {"difference": 0.03}, {"fraud_features.training_set": 7},
    )  # fmt: skip


def in_production(ledger_home: Settings) -> list[int]:
    return [c.version for c in promotions.history(ledger_home, FRAUD)]


def test_a_promotion_closes_one_champion_and_opens_the_next(ledger_home: Settings) -> None:
    first = promotions.decide(ledger_home, decision(1, None))
    second = promotions.decide(ledger_home, decision(2, 1, day=5))
    one, two = promotions.history(ledger_home, FRAUD)
    assert (one.version, one.since, one.until, one.closed_by) == (1, START, START + 5 * DAY, second.id)
    assert (two.version, two.since, two.until, two.decision) == (2, START + 5 * DAY, None, second.id)
    assert promotions.champion(ledger_home, FRAUD) == two and two.sha256 == f"{2:064}"
    assert promotions.decisions(ledger_home, FRAUD) == [first, second]
    assert promotions.decisions(ledger_home, FRAUD, "rollback") == []


def test_who_was_in_production_at_a_moment(ledger_home: Settings) -> None:
    promotions.decide(ledger_home, decision(1, None, day=1))
    promotions.decide(ledger_home, decision(2, 1, day=5))
    moments = (START, START + DAY, START + 5 * DAY - timedelta(microseconds=1), START + 5 * DAY, START + 90 * DAY)
    found = [promotions.champion(ledger_home, FRAUD, at) for at in moments]
    assert [c.version if c else None for c in found] == [None, 1, 1, 2, 2]


def test_only_who_was_judged_against_todays_champion_is_promoted(ledger_home: Settings) -> None:
    promotions.decide(ledger_home, decision(1, None))
    promotions.decide(ledger_home, decision(2, 1))
    late = promotions.decide(ledger_home, decision(3, 1))
    assert late.outcome == "refused" and "judged against version 1, but version 2 is in production now" in late.reason
    nobody = promotions.decide(ledger_home, decision(4, None))
    assert nobody.outcome == "refused" and "judged against no champion" in nobody.reason
    assert in_production(ledger_home) == [1, 2]


def test_history_is_not_rewritten(ledger_home: Settings) -> None:
    promotions.decide(ledger_home, decision(1, None, day=5))
    earlier = promotions.decide(ledger_home, decision(2, 1, day=4))
    assert earlier.outcome == "refused" and "history is not rewritten" in earlier.reason
    assert in_production(ledger_home) == [1]


def test_the_same_evidence_makes_no_second_row(ledger_home: Settings) -> None:
    once = promotions.decide(ledger_home, replace(decision(1, None), outcome="refused", reason="worse"))
    again = promotions.decide(ledger_home, decision(1, None))
    assert again == once and promotions.decisions(ledger_home, FRAUD) == [once] and in_production(ledger_home) == []


def test_a_check_inside_the_transaction_refuses(ledger_home: Settings) -> None:
    refused = promotions.decide(ledger_home, decision(1, None), lambda book: "not today" if not book.champion else None)
    assert (refused.outcome, refused.reason) == ("refused", "not today")


def test_a_failing_check_leaves_nothing(ledger_home: Settings) -> None:
    def fails(book: promotions.LedgerView) -> str | None:
        raise KeyError("broken")

    with pytest.raises(KeyError):
        promotions.decide(ledger_home, decision(1, None), fails)
    assert promotions.view(ledger_home, FRAUD) == promotions.LedgerView([], [])


def test_a_rollback_restores_the_last_that_was_not_rolled_back_itself(ledger_home: Settings) -> None:
    for version, against in ((1, None), (2, 1), (3, 2)):
        promotions.decide(ledger_home, decision(version, against))
    for expected in (2, 1):
        book = promotions.view(ledger_home, FRAUD)
        assert book.previous and book.champion and book.previous.version == expected
        promotions.decide(ledger_home, decision(expected, book.champion.version, kind="rollback"))
    book = promotions.view(ledger_home, FRAUD)
    assert in_production(ledger_home) == [1, 2, 3, 2, 1] and book.previous is None and book.rolled_back == {2, 3}


def test_the_last_decision_tells_whether_something_was_decided_since(ledger_home: Settings) -> None:
    assert promotions.last_decision(ledger_home, FRAUD) == 0
    first = promotions.decide(ledger_home, decision(1, None))
    promotions.decide(ledger_home, replace(decision(1, None), use_case="returns"))
    assert promotions.last_decision(ledger_home, FRAUD) == first.id > 0


def test_use_cases_have_champions_of_their_own(ledger_home: Settings) -> None:
    promotions.decide(ledger_home, decision(1, None))
    promotions.decide(ledger_home, replace(decision(1, None), use_case="returns"))
    assert in_production(ledger_home) == [1] and promotions.champion(ledger_home, replace(FRAUD, name="returns"))


def test_an_evaluation_is_kept_once(ledger_home: Settings) -> None:
    found = Evaluation("d" * 64, "fraud", START, 3, "a" * 64, None, True, False, {"difference": 0.1}, {"rows": 3})
    assert promotions.evaluation(ledger_home, found.digest) is None
    assert promotions.record_evaluation(ledger_home, found) == found
    assert (
        promotions.record_evaluation(ledger_home, replace(found, passed=False))
        == found
        == promotions.evaluation(ledger_home, found.digest)
    )


def test_pins_are_in_the_same_database(ledger_home: Settings) -> None:
    pins.pin(ledger_home, {"fraud.transactions": 3, "fraud.labels": 2}, by="model 1")
    pins.pin(ledger_home, {"fraud.transactions": 3}, by="model 1")
    pins.pin(ledger_home, {"fraud.transactions": 1}, by="model 2")
    promotions.decide(ledger_home, decision(1, None))
    assert pins.pinned(ledger_home, "fraud.transactions") == [1, 3]
    pins.unpin(ledger_home, by="model 1")
    assert pins.pinned(ledger_home, "fraud.transactions") == [1] and pins.pinned(ledger_home, "fraud.labels") == []
    assert (ledger_home.home / "ledger.sqlite").exists() == (ledger_home.ledger_url is None)


def test_another_database_is_refused_in_words(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="expected postgresql://user@host/database, found mysql"):
        promotions.view(Settings(tmp_path, ledger_url=Url("mysql://root@localhost/x")), FRAUD)


def test_a_database_that_does_not_answer_is_named_without_its_password(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and nobody listens
        url = f"postgresql://evergreen:secret@127.0.0.1:{taken.getsockname()[1]}/ledger"
        with pytest.raises(LedgerUnreachable, match="start it, or correct EVERGREEN_LEDGER") as raised:
            promotions.view(Settings(tmp_path, ledger_url=Url(url)), FRAUD)
    assert "evergreen:***@127.0.0.1" in str(raised.value) and "secret" not in str(raised.value)
