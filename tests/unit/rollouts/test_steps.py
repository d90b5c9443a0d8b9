"""Rollouts from the log to the ledger: what a look does, whatever happened meanwhile."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from worlds.rollout_log import promote, promoted, started, write
from worlds.rollout_traffic import EQUAL, ERRORS, START, traffic

from jobs.alerts import rollouts as alerts
from jobs.decisions import log_contents, opened
from jobs.decisions.log_contents import Decided, EventCame, Shadow
from jobs.decisions.outcome import Outcome
from jobs.lakehouse.tables import attach
from jobs.ledger import promotions, rollouts
from jobs.ledger.promotions import PromotionDecision
from jobs.ledger.rollouts import Change, Refused, Rollout
from jobs.online.log_records import Log
from jobs.promotion import export_champion, export_onnx
from jobs.registry.champion_bundles import Champions
from jobs.rollout_strategy import Strategy
from jobs.rollouts import conduct, published, steps, waiting
from jobs.rollouts.conduct import By
from jobs.rollouts.logged import Logged
from jobs.settings import Settings
from jobs.use_case import UseCase, problem_of
from jobs.use_cases.fraud import FRAUD

NOW = START + timedelta(hours=8)


class Registry:
    """What is told to the registry."""

    aliases: Mapping[str, int | None]

    def set_aliases(self, settings: Settings, use_case: UseCase, aliases: Mapping[str, int | None]) -> None:
        self.aliases = aliases

    latest_candidate: Any = None
    fetch: Any = None
    register_baseline: Any = None


@pytest.fixture
def home(tmp_path: Path) -> Settings:
    return promoted(Settings(home=tmp_path / "home"))


def logged(rollout: Rollout, log: Log) -> Logged:
    found = Logged(FRAUD, rollout)
    found.add(log.records())
    return found


def step(home: Settings, now: datetime = NOW) -> steps.Looked:
    [found] = steps.step(attach(home), FRAUD, Registry(), now)
    return found


def test_the_log_says_what_both_models_made_of_each_event(home: Settings) -> None:
    rollout, drawn = started(home), traffic(replace(EQUAL, fails=0.2), 0.1, 1, 300, 5)
    write(home, rollout, drawn)
    with opened.log_of(home, FRAUD) as log:
        pairs = logged(rollout, log).of_arm(rollout, "new").pairs
    assert pairs.ids == drawn.pairs.ids and pairs.answered.tolist() == drawn.pairs.answered.tolist()
    assert pairs.arm.failed.tolist() == drawn.pairs.arm.failed.tolist() and not pairs.champion.failed.any()
    assert set(pairs.propensities.round(9)) == {0.1}
    for side, true in ((pairs.champion, drawn.pairs.champion), (pairs.arm, drawn.pairs.arm)):
        assert side.scores.tolist() == pytest.approx(true.scores.tolist(), nan_ok=True)


def test_one_that_fails_is_taken_back_and_the_ledger_says_why(home: Settings) -> None:
    rollout = started(home)
    write(home, rollout, traffic(ERRORS, 0.1, 1, 300, 5))
    found = step(home)
    assert found.rollout.state == "rolled back" and "fails at" in found.rollout.changes[-1].reason
    assert found.rollout.changes[-1].evidence["new"]["findings"][0]["outcome"] == "bad"
    assert published.read(published.path(home, FRAUD)) == ()
    assert steps.step(attach(home), FRAUD, Registry(), NOW) == []


def test_a_healthy_one_goes_on_and_workers_are_told(home: Settings) -> None:
    rollout = started(home)
    write(home, rollout, traffic(EQUAL, 0.1, 1, 300, 5))
    assert step(home).rollout.shares == {"new": 0.5}
    assert published.read(published.path(home, FRAUD))[0].arms[0].share == 0.5
    assert step(home).verdict.kind is None  # the step lasts an hour
    assert step(home, NOW + timedelta(hours=2)).rollout.shares == {"new": 1.0}
    assert "waits for outcomes" in step(home, NOW + timedelta(hours=4)).verdict.reason


def test_a_champion_of_another_day_ends_it(home: Settings) -> None:
    started(home)
    promote(home, 5, 1)
    found = step(home)
    assert found.rollout.state == "aborted" and "version 5 is in production" in found.rollout.changes[-1].reason
    assert published.read(published.path(home, FRAUD)) == ()


def test_a_paused_one_waits_and_what_changed_meanwhile_is_left_to_whoever_did_it(
    home: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    rollout = started(home)
    write(home, rollout, traffic(EQUAL, 0.1, 1, 300, 5))
    looked = steps.look(attach(home), FRAUD, NOW)
    assert looked[0].verdict.kind == "changed"
    conduct.change(home, FRAUD, rollout, "paused", By("me", NOW), "lunch")
    monkeypatch.setattr(steps, "look", lambda *_: looked)
    assert "paused by me meanwhile" in step(home).verdict.reason
    monkeypatch.undo()
    assert step(home).rollout.state == "paused" and published.read(published.path(home, FRAUD)) == ()


def test_completing_makes_it_champion_in_the_same_transaction(home: Settings) -> None:
    rollout, registry = started(home), Registry()
    made = Change("completed", {}, "no worse", "evergreen", NOW)
    ended = conduct.complete(home, FRAUD, registry, rollout, made, "new")
    champion = promotions.champion(home, FRAUD)
    assert champion is not None and (champion.version, champion.sha256) == (2, "b" * 64)
    assert ended.state == "completed" and registry.aliases == {"champion": 2, "previous": 1}
    assert promotions.decisions(home, FRAUD)[-1].reason == "rollout next_model: no worse"


def test_completing_is_refused_whole_when_another_is_champion_by_now(home: Settings) -> None:
    rollout = started(home)
    promote(home, 5, 1)
    with pytest.raises(Refused, match="expected new to become champion"):
        conduct.complete(
            home,
            FRAUD,
            Registry(),
            rollout,
            Change("completed", {}, "", "e", NOW),
            "new",
        )
    [same] = rollouts.of_use_case(home, "fraud", live=True)
    assert same == rollout and len(promotions.decisions(home, FRAUD)) == 2


def test_whoever_dies_between_ledger_and_workers_is_finished_by_the_next_look(home: Settings) -> None:
    rollout = started(home)
    rollouts.change(home, rollout, Change("changed", {"new": 0.5}, "", "me", NOW))
    assert published.read(published.path(home, FRAUD))[0].arms[0].share == 0.1
    steps.step(attach(home), FRAUD, Registry(), NOW)
    assert published.read(published.path(home, FRAUD))[0].arms[0].share == 0.5
    assert export_onnx.root(home, FRAUD).exists()


def test_the_ledger_that_is_down_changes_nothing(home: Settings) -> None:
    started(home)
    before = published.path(home, FRAUD).read_bytes()
    (home.home / "ledger.sqlite").rename(home.home / "kept")
    (home.home / "ledger.sqlite").write_bytes(b"no database, but long enough to be taken for one" * 99)
    with pytest.raises(Exception, match="ledger"):
        steps.step(attach(home), FRAUD, Registry(), NOW)
    assert published.path(home, FRAUD).read_bytes() == before


def wait(home: Settings, version: int) -> None:
    """Let a version that passed the gate wait."""
    promotions.decide(
        home,
        PromotionDecision(
            "fraud",
            NOW,
            NOW,
            "promotion",
            "waiting",
            "it passed",
            "evergreen",
            True,
            version,
            "b" * 64,
            1,
            f"{version}",
        ),
    )


BY_ROLLOUT = replace(FRAUD, problem=replace(problem_of(FRAUD), approval="rollout", rollout=Strategy(step_hours=1.0)))


@pytest.fixture
def staged(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Versions that were exported beside the champion, which the world of these tests has no bundles of."""
    found: list[int] = []

    def stage(lakehouse: Any, use_case: Any, champions: Any, version: int, now: Any) -> Any:
        found.append(version)
        return SimpleNamespace(bundle=SimpleNamespace(sha256="b" * 64), sha256="c" * 64)

    monkeypatch.setattr(export_champion, "stage_version", stage)
    return found


def test_a_candidate_that_waits_is_rolled_out_once_where_that_is_declared(home: Settings, staged: list[int]) -> None:
    wait(home, 2)
    lakehouse, champions, by = attach(home), Champions(home), By("evergreen", NOW)
    assert waiting.start_waiting(lakehouse, FRAUD, champions, by)[0] is None
    rollout, _ = waiting.start_waiting(lakehouse, BY_ROLLOUT, champions, by)
    assert rollout is not None and (rollout.name, rollout.shares) == ("version_2", {"v2": 0.01}) and staged == [2]
    assert waiting.start_waiting(lakehouse, BY_ROLLOUT, champions, by) == (None, "no candidate waits")
    wait(home, 3)
    nobody, why = waiting.start_waiting(lakehouse, BY_ROLLOUT, champions, by)
    assert nobody is None and "expected 100% of the entities" in why  # its turn comes
    conduct.change(home, FRAUD, rollout, "aborted", by, "")
    assert waiting.start_waiting(lakehouse, BY_ROLLOUT, champions, by)[0] is not None


def test_a_candidate_that_was_rolled_back_waits_no_longer(home: Settings) -> None:
    wait(home, 2)
    rollout = started(home)
    write(home, rollout, traffic(ERRORS, 0.1, 1, 300, 5))
    assert step(home).rollout.state == "rolled back"
    ledger = promotions.view(home, FRAUD)
    last = ledger.last(2)
    assert last is not None and last.outcome == "rejected" and "was rolled back: new fails at" in last.reason
    assert ledger.waiting == []


def test_a_rollback_is_told_for_a_day(home: Settings) -> None:
    rollout = started(home)
    assert alerts.rolled_back([rollout], NOW) == []
    ended = conduct.change(home, FRAUD, rollout, "rolled back", By("evergreen", NOW), "it fails")
    [alert] = alerts.rolled_back([ended], NOW + timedelta(hours=23))
    assert (alert.kind, alert.subject) == (
        "rolled_back",
        "next_model",
    ) and "it fails; version 1 answers" in alert.message
    assert alerts.rolled_back([ended], NOW + timedelta(hours=25)) == []
    assert alerts.rolled_back([ended, replace(rollout, id=2)], NOW) == []  # another one goes on


def test_a_shadow_never_had_a_chance_to_answer(home: Settings) -> None:
    rollout = started(home, 0.0, kind="shadow")
    with opened.log_of(home, FRAUD) as log:
        for id, arm in ((1, "champion"), (2, "9:other")):
            log.append(log_contents.name("event", id), log_contents.encode(EventCame(id, {"customer_id": 1})))
            decided = Decided(id, 5, Outcome(0.2, "approve"), [1.0], "1", arm=arm, propensity=0.25)
            shadow = Shadow(id, 5, rollout.id, "new", Outcome(0.7, "review"), "2", 30)
            log.append(log_contents.name("decision", id), log_contents.encode(decided))
            log.append(f"shadow/{rollout.id}/new/{id}", log_contents.encode(shadow))
        pairs = logged(rollout, log).of_arm(rollout, "new").pairs
    assert pairs.ids == [1, 2] and pairs.propensities.tolist() == [0.0, 0.0] and not pairs.answered.any()
    assert pairs.arm.scores.tolist() == [0.7, 0.7]
    assert pairs.champion.known.tolist() == [True, False]  # what another rollout's arm answered is not the champion's
