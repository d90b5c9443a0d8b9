"""Looks at a champion are numbered; the same evidence is the same look, whoever asks and how often."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from jobs.ledger import looks, promotions
from jobs.ledger.looks import Question
from jobs.ledger.promotions import Champion, Evaluation
from jobs.settings import Settings
from jobs.stats.alpha_spending import following, ordinary

AS_OF = datetime(2026, 5, 1, tzinfo=UTC)
CHAMPION = Champion("fraud", 3, "a" * 64, AS_OF - timedelta(days=9), None, decision=7)
QUESTION = Question("d1", "fraud", CHAMPION, AS_OF, 0.05)


def number(home: Settings, digest: str, question: Question = QUESTION) -> int:
    return looks.take(home, replace(question, digest=digest)).number


def test_every_evidence_is_one_look_however_often_it_is_asked(ledger_home: Settings) -> None:
    assert [number(ledger_home, digest) for digest in ("d1", "d2", "d1", "d2", "d3")] == [1, 2, 1, 2, 3]


def test_looks_start_anew_with_a_new_champion_and_in_another_use_case(ledger_home: Settings) -> None:
    assert [number(ledger_home, digest) for digest in ("d1", "d2")] == [1, 2]
    assert number(ledger_home, "d3", replace(QUESTION, champion=replace(CHAMPION, version=4, decision=8))) == 1
    assert number(ledger_home, "d4", replace(QUESTION, use_case="returns")) == 1
    assert number(ledger_home, "d5", replace(QUESTION, champion=None)) == 1
    assert number(ledger_home, "d6") == 3


def test_looks_at_once_get_numbers_of_their_own(ledger_home: Settings) -> None:
    with ThreadPoolExecutor(4) as pool:
        taken = list(pool.map(lambda n: number(ledger_home, f"d{n % 8}"), range(16)))
    assert sorted(set(taken)) == list(range(1, 9)) and taken[:8] == taken[8:]


def test_a_look_keeps_what_it_was_allowed(ledger_home: Settings) -> None:
    first = looks.take(ledger_home, QUESTION)
    assert looks.take(ledger_home, replace(QUESTION, alpha=0.3)) == first


def test_a_look_in_doubt_spends_more_of_the_same_allowance_and_is_the_same_look_when_asked_again(
    ledger_home: Settings,
) -> None:
    first = looks.take(ledger_home, QUESTION)
    second = looks.take(ledger_home, replace(QUESTION, digest="d2", doubted=True))
    third = looks.take(ledger_home, replace(QUESTION, digest="d3"))
    assert second == following(first, 0.05, True) and third == following(second, 0.05)
    assert looks.take(ledger_home, replace(QUESTION, digest="d2")) == second
    assert second.level < ordinary(2, 0.05).level and third.spent < 0.05


def test_evaluations_of_releases_that_did_not_number_looks_count(ledger_home: Settings) -> None:
    old = Evaluation("e1", "fraud", AS_OF, 4, "b" * 64, 3, False, False, {}, {})
    earlier_tenure = replace(old, digest="e2", as_of=CHAMPION.since - timedelta(days=1))
    for evaluation in (old, earlier_tenure, replace(old, digest="e3"), replace(old, digest="e4", champion_version=2)):
        promotions.record_evaluation(ledger_home, evaluation)
    assert [number(ledger_home, digest) for digest in ("d1", "d2")] == [3, 4]
