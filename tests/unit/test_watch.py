"""Evidence in production is what the evening of a replay shows, put together from the ledger and the history alone."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

import pytest
from small_history import START, world

from jobs import ledger, replay, settings, watch
from jobs.bundle import open_bundle
from jobs.challenge import midnight
from jobs.problem import Family
from jobs.registry import bundle_folder
from jobs.replay import Plan
from jobs.replay_lines import Day
from jobs.use_cases.fraud import FRAUD, PROBLEM
from jobs.watch import Period

DAYS, TRAINED, CHANGED = 125, 50, 70
SMALL = replace(FRAUD, problem=replace(PROBLEM, families=(Family("boosted", fixed={"rounds": 40, "num_leaves": 7}),)))
HISTORY = world(seed=3, changed_on=CHANGED, days=DAYS, shift=1.0)


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> tuple[settings.Settings, list[Day]]:
    own = settings.load({"EVERGREEN_HOME": str(tmp_path_factory.mktemp("watch"))})
    first = START.date()
    plan = Plan("auto", first, first + timedelta(days=DAYS - 1), first + timedelta(days=TRAINED))
    return own, replay.run(own, SMALL, HISTORY, plan, own.home)


def periods(own: settings.Settings, days: list[Day], as_of: date) -> list[Period]:
    """As `watch.periods`, with the replay's lines for the ledger's decisions."""
    made: dict[int, date | None] = {1: None}
    for day in days:
        if day.decision is not None and day.next_champion != day.champion_version:
            episode = day.decision["episode"]
            made.setdefault(day.next_champion, date.fromisoformat(episode) if episode else None)
    known = [c for c in ledger.history(own, SMALL) if c.since <= midnight(as_of)]
    return [Period(c.version, c.sha256, c.since, made[c.version]) for c in known]


def loaded(own: settings.Settings, period: Period) -> object:
    return open_bundle(bundle_folder(own, SMALL, period.version)).model()


def test_a_look_shows_what_the_replay_saw(played: tuple[settings.Settings, list[Day]]) -> None:
    own, days = played
    assert len({day.champion_version for day in days}) > 2
    trained = [n for n, day in enumerate(days) if day.retrained]
    # Before and after each training, on the day that the change is seen, and where its episode ends.
    chosen = {TRAINED, CHANGED - 1, CHANGED, CHANGED + 41, CHANGED + 42, DAYS - 1}
    chosen |= {n + k for n in trained for k in (0, 1, 2) if n + k < DAYS}
    for n in sorted(chosen):
        evening = START.date() + timedelta(days=n + 1)
        # The training of an evening is in the ledger as of that evening, and decides from then on.
        standing = [p for p in periods(own, days, evening) if p.since < midnight(evening)]
        monitor = watch.watched(HISTORY, SMALL, standing, midnight(evening), lambda period: loaded(own, period))
        seen = monitor.look(midnight(evening))
        found = {name: round(score, 6) for name, score in seen.scores.items()}
        assert found == days[n].scores, (n, days[n].champion_version)
        assert seen.reports == days[n].reports_known
