"""Evidence in production is what the evening of a replay shows, put together from the ledger and the history alone."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import pytest
from worlds.small_history import START, world

from jobs import settings
from jobs.backtesting import replay
from jobs.backtesting.replay import Plan
from jobs.backtesting.replay_log import Day, decision_of
from jobs.ledger import promotions
from jobs.models.protocol import Model
from jobs.problem import Family
from jobs.registry.bundle import open_bundle
from jobs.registry.model_versions import bundle_folder
from jobs.retraining import nightly_evidence
from jobs.retraining.nightly_evidence import Period
from jobs.retraining.policy import Rules
from jobs.times import midnight
from jobs.use_cases.fraud import FRAUD, PROBLEM

DAYS, TRAINED, CHANGED = 125, 50, 70
SMALL = replace(FRAUD, problem=replace(PROBLEM, families=(Family("boosted", fixed={"rounds": 40, "num_leaves": 7}),)))
HISTORY = world(seed=3, changed_on=CHANGED, days=DAYS, shift=1.0)


Played = tuple[settings.Settings, list[Day]]


def play(home: Path, rules: Rules) -> Played:
    own = settings.load({"EVERGREEN_HOME": str(home)})
    first = START.date()
    plan = Plan("auto", first, first + timedelta(days=DAYS - 1), first + timedelta(days=TRAINED), rules=rules)
    return own, replay.run(own, SMALL, HISTORY, plan, own.home).days


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Played:
    return play(tmp_path_factory.mktemp("watch"), Rules())


def periods(own: settings.Settings, days: list[Day], as_of: date) -> list[Period]:
    """As `watch.periods`, with the replay's lines for the ledger's decisions."""
    made: dict[int, date | None] = {1: None}
    for day in days:
        if day.decision is not None and day.next_champion != day.champion_version:
            episode = day.decision["episode"]
            made.setdefault(day.next_champion, date.fromisoformat(episode) if episode else None)
    known = [c for c in promotions.history(own, SMALL) if c.since <= midnight(as_of)]
    decisions = [decision for day in days if (decision := decision_of(day)) is not None]
    return nightly_evidence.in_production(known, made, decisions)


def loaded(own: settings.Settings, period: Period) -> Model:
    return open_bundle(bundle_folder(own, SMALL, period.version)).model()


def same(played: Played, chosen: Iterable[int]) -> None:
    """A look at these evenings, from the ledger and the history alone, shows what the replay saw."""
    own, days = played
    decisions = [decision for day in days if (decision := decision_of(day)) is not None]
    for n in sorted(chosen):
        evening = START.date() + timedelta(days=n + 1)
        # The training of an evening is in the ledger as of that evening, and decides from then on.
        standing = [p for p in periods(own, days, evening) if p.since < midnight(evening)]
        before = [decision for decision in decisions if decision.as_of < midnight(evening)]
        monitor = nightly_evidence.watched(
            HISTORY, SMALL, standing, before, midnight(evening), lambda period: loaded(own, period)
        )
        seen = monitor.look(midnight(evening))
        found = {name: round(score, 6) for name, score in seen.scores.items()}
        assert found == days[n].scores, (n, days[n].champion_version)
        assert seen.reports == days[n].reports_known


def test_a_look_shows_what_the_replay_saw(played: Played) -> None:
    _, days = played
    assert len({day.champion_version for day in days}) > 2
    trained = [n for n, day in enumerate(days) if day.retrained]
    # Before and after each training, on the day that the change is seen, and where its episode ends.
    chosen = {TRAINED, CHANGED - 1, CHANGED, CHANGED + 41, CHANGED + 42, DAYS - 1}
    same(played, chosen | {n + k for n in trained for k in (0, 1, 2) if n + k < DAYS})


def test_a_change_that_nobody_is_trained_for_becomes_the_usual_world(tmp_path: Path) -> None:
    played = play(tmp_path, Rules(gain=10.0, refresh=timedelta(days=400)))
    _, days = played
    assert days[-1].fits == 1 and days[CHANGED].drift_alarm
    assert all("drift" not in (day.decision or {})["alarms"] for day in days[CHANGED + 42 :])
    same(played, range(CHANGED + 39, CHANGED + 46))
