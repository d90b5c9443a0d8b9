"""Promotions killed before every statement, and many at once: the ledger holds the old champion or the new one."""

import itertools
import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from jobs.ledger import promotions
from jobs.ledger.promotions import PromotionDecision
from jobs.settings import Settings
from jobs.use_cases.fraud import FRAUD

# A child that is killed needs no start-up of its ledger_home.
FORK = multiprocessing.get_context("fork")
MOMENT = datetime(2026, 3, 1, tzinfo=UTC)


def promotion(version: int, against: int | None) -> PromotionDecision:
    return PromotionDecision(
        "fraud", MOMENT, MOMENT, "promotion", "promoted", "better", "evergreen", True, version, f"{version:064}",
        against, f"{version} against {against}",
    )  # fmt: skip


@contextmanager
def at_statement(number: int, action: Callable[[], None]) -> Iterator[None]:
    """Call `action` before the statement of this number, or else before the commit of the last transaction."""
    seen = 0

    def before(*_: Any) -> None:
        nonlocal seen
        seen += 1
        if seen == number:
            action()

    hooks = [("before_cursor_execute", before), ("commit", before)]
    for name, hook in hooks:
        sa.event.listen(sa.Engine, name, hook)
    try:
        yield
    finally:
        for name, hook in hooks:
            sa.event.remove(sa.Engine, name, hook)


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def promoted_until(ledger_home: Settings, decision: PromotionDecision, statement: int) -> None:
    with at_statement(statement, die):
        promotions.decide(ledger_home, decision)


def sound(ledger_home: Settings) -> list[int]:
    """Versions in production so far, once the ledger is seen to be whole."""
    book = promotions.view(ledger_home, FRAUD)
    promoted = [d for d in book.decisions if d.outcome == "promoted"]
    assert [c.decision for c in book.champions] == [d.id for d in promoted]
    assert [c.version for c in book.champions] == [d.model_version for d in promoted]
    assert [c.closed_by for c in book.champions] == [d.id for d in promoted[1:]] + [None] * bool(promoted)
    assert [d.champion_version for d in promoted] == [None, *(d.model_version for d in promoted)][: len(promoted)]
    return [c.version for c in book.champions]


def test_killed_before_any_statement_it_is_the_old_champion_and_the_next_run_promotes(ledger_home: Settings) -> None:
    promotions.decide(ledger_home, promotion(1, None))
    kills = 0
    for statement in range(1, 100):
        version, current = statement + 1, sound(ledger_home)[-1]
        process = FORK.Process(target=promoted_until, args=(ledger_home, promotion(version, current), statement))
        process.start()
        process.join()
        if process.exitcode == 0:
            assert sound(ledger_home)[-1] == version
            break
        assert process.exitcode == -signal.SIGKILL
        assert sound(ledger_home)[-1] == current
        kills += 1
        assert promotions.decide(ledger_home, promotion(version, current)).outcome == "promoted"
    # Reading champions and decisions, inserting, closing, opening, committing.
    assert kills >= 6


def climb(ledger_home: Settings, start: Any, name: int, results: Any) -> None:
    """Promote one version after another, each against the champion seen before."""
    start.wait()
    for step in range(5):
        current = promotions.champion(ledger_home, FRAUD)
        version = 1000 * (name + 1) + step
        results.put(promotions.decide(ledger_home, promotion(version, current.version if current else None)).outcome)


def test_of_promotions_at_once_each_saw_the_champion_it_replaced(ledger_home: Settings) -> None:
    start, results = FORK.Event(), FORK.Queue()
    processes = [FORK.Process(target=climb, args=(ledger_home, start, name, results)) for name in range(3)]
    for process in processes:
        process.start()
    start.set()
    outcomes = [results.get(timeout=60) for _ in range(15)]
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0] * 3
    assert len(sound(ledger_home)) == outcomes.count("promoted")
    assert outcomes.count("promoted") + outcomes.count("refused") == 15 == len(promotions.decisions(ledger_home, FRAUD))


def race(ledger_home: Settings, start: Any, version: int, results: Any) -> None:
    start.wait()
    results.put(promotions.decide(ledger_home, promotion(version, 1)))


def test_of_two_judged_against_the_same_champion_the_second_is_refused(ledger_home: Settings) -> None:
    promotions.decide(ledger_home, promotion(1, None))
    start, results = FORK.Event(), FORK.Queue()
    processes = [FORK.Process(target=race, args=(ledger_home, start, version, results)) for version in (2, 3)]
    for process in processes:
        process.start()
    start.set()
    found = [results.get(timeout=60) for _ in processes]
    for process in processes:
        process.join()
    winner, loser = sorted(found, key=lambda d: d.outcome)
    assert (winner.outcome, loser.outcome) == ("promoted", "refused")
    assert f"but version {winner.model_version} is in production now" in loser.reason
    assert sound(ledger_home)[-1] == winner.model_version


def promote_for_ever(ledger_home: Settings, underway: Any) -> None:
    for version in itertools.count():
        current = promotions.champion(ledger_home, FRAUD)
        against = current.version if current else None
        promotions.decide(ledger_home, promotion((against or 0) + 1 + version % 2, against))
        underway.set()


def test_killed_at_any_moment_the_ledger_is_whole(ledger_home: Settings) -> None:
    rounds = 8
    for number in range(rounds):
        underway = FORK.Event()
        process = FORK.Process(target=promote_for_ever, args=(ledger_home, underway))
        process.start()
        assert underway.wait(timeout=60)
        process.join(timeout=0.013 * number)
        process.kill()
        process.join()
        sound(ledger_home)
    assert len(sound(ledger_home)) >= rounds
