"""An event without features of what is known now is decided by those of tables, then by rules, then by default."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from worlds import decided_world
from worlds.decided_world import SECOND, NoModel, World, decide, server, worker

from jobs.decisions.decider import Decider
from jobs.decisions.entity_states import EntityStates
from jobs.decisions.fallback import Fallback
from jobs.decisions.log_contents import Decided
from jobs.decisions.started import Started
from jobs.problem import Review
from jobs.use_case import problem_of
from jobs.use_cases.fraud import FRAUD

pytestmark = pytest.mark.embedded


def without_now(one: Decider, world: World, body: dict[str, Any], fallback: Any = None) -> Decided:
    """A decision of which the features of what is known now could not be had."""
    started = one.start(one.schema.read(body))
    assert isinstance(started, Started)
    started.give_up("features took longer than 1 seconds")
    score = NoModel()
    score.fallback = fallback
    return one.finish(started, score)


def test_features_are_those_of_a_server_that_has_heard_nothing_since_its_tables(tmp_path: Path) -> None:
    busy, quiet = (decided_world.made(tmp_path / name, seed=3) for name in ("busy", "quiet"))
    body = busy.given(customer_id=5, terminal_id=103, tx_amount=9.5, tx_datetime=None)
    with server(busy), worker(busy) as one:
        for _ in range(20):
            busy.now += SECOND
            decide(one, busy.given(customer_id=5, terminal_id=103))
        busy.now += SECOND
        stale = without_now(one, busy, body)
        busy.now += SECOND
        fresh = decide(one, body | {"transaction_id": 99})
        base = one.states.base.moment
    with server(quiet), worker(quiet) as one:
        quiet.now = stale.decided_at
        alone = decide(one, body)
    assert alone.decided_at == stale.decided_at
    assert stale.features == alone.features and stale.features != fresh.features
    assert (stale.fallback, stale.reason) == ("nightly_features", "features took longer than 1 seconds")
    assert stale.staleness == stale.decided_at - base and stale.outcome.score is not None
    assert alone.fallback is None and alone.staleness == 0


def test_features_that_cannot_be_computed_give_way_to_those_of_tables(tmp_path: Path) -> None:
    def broken() -> list[Any]:
        raise ZeroDivisionError

    world = decided_world.made(tmp_path, events=40, future=0)
    with server(world), worker(world) as one:
        started = one.start(one.schema.read(world.given()))
        assert isinstance(started, Started)
        started.found = [broken]
        decided = one.finish(started, NoModel())
    assert (decided.fallback, decided.reason) == (
        "nightly_features", "features could not be computed: ZeroDivisionError",
    )  # fmt: skip
    assert decided.features and decided.staleness > 0


RULES: Any = ((("tx_amount", ">=", 100), "review"),)


@pytest.mark.parametrize(("amount", "expected"), [(500, ("rules", "review")), (5, ("default", "block"))])
def test_rules_and_then_the_default_decide_where_tables_fail_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, amount: int, expected: tuple[str, str]
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError

    world = decided_world.made(tmp_path, events=20, future=0)
    problem = problem_of(FRAUD)
    assert problem.review is not None
    review: Review = replace(problem.review, without_model=RULES, otherwise="block")
    with server(world), worker(world) as one:
        fallback = Fallback(replace(problem, review=review), one.rows)
        monkeypatch.setattr(EntityStates, "of_tables", broken)
        decided = without_now(one, world, world.given(tx_amount=amount), fallback)
    assert (decided.fallback, decided.outcome.decision) == expected
    assert decided.outcome.score is None and decided.features == [] and decided.staleness == 0
