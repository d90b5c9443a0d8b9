"""Evidence in production is what the evening of a replay shows, put together from the ledger and the history alone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import date, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from worlds.draws import drawn
from worlds.small_history import START, world

from jobs import settings
from jobs.backtesting import replay, replay_models
from jobs.backtesting.replay_log import Day, decision_of
from jobs.backtesting.replay_plan import Plan
from jobs.datasets.day_cache import DayCache
from jobs.datasets.history import History
from jobs.ledger import promotions
from jobs.models.protocol import Examples
from jobs.problem import Family
from jobs.registry import bundle
from jobs.registry.bundle import Bundle, Manifest, open_bundle
from jobs.registry.champion_bundles import ChampionModel
from jobs.registry.model_versions import bundle_folder
from jobs.retraining import monitor, nightly_evidence
from jobs.retraining.monitor import DailyEvidence, MonitorState
from jobs.retraining.monitored_history import MonitoredHistory
from jobs.retraining.nightly_evidence import Period
from jobs.retraining.policy import Rules
from jobs.times import microseconds, midnight
from jobs.use_cases.fraud import FRAUD, PROBLEM

DAY = timedelta(days=1)
DAYS, TRAINED, CHANGED = 125, 50, 70
SMALL = replace(FRAUD, problem=replace(PROBLEM, families=(Family("boosted", fixed={"rounds": 40, "num_leaves": 7}),)))
HISTORY = world(seed=3, changed_on=CHANGED, days=DAYS, shift=1.0)
EVENINGS = sorted(drawn("evenings").sample(range(TRAINED, DAYS), 25))


@dataclass(frozen=True)
class Played:
    settings: settings.Settings
    history: History
    rules: Rules
    days: list[Day]
    seen: list[DailyEvidence]
    """Of every evening."""


def late(history: History) -> History:
    """Whole days, and parts of days, that came when later ones were there: of the reference, and around the change."""
    known, number = history.known_at.copy(), history.days - history.days[0]
    part = np.random.default_rng(5).random(len(history))
    for day, on, share in ((40, 60, 1), (55, 58, 0.5), (60, 75, 1), (71, 74, 1), (80, 83, 1), (90, 101, 0.7)):
        known[(number == day) & (part < share)] = microseconds(START + (on + 1) * DAY)
    return replace(history, known_at=known)


@pytest.fixture
def damaged(monkeypatch: pytest.MonkeyPatch) -> None:
    """Version 2 becomes a model of nothing, and is taken back."""
    write = bundle.write

    def written(folder: Path, model: Any, manifest: Manifest) -> Bundle:
        if folder.name == "2":
            noise = np.random.default_rng(0).normal(size=(2000, len(manifest.names))).astype(np.float32)
            model.fit(Examples(noise, noise[:, 0] > 1.3, None, manifest.names), None, seed=1, device="cpu")
        return write(folder, model, manifest)

    monkeypatch.setattr(replay_models, "write", written)


def periods(own: settings.Settings, days: list[Day], as_of: date) -> list[Period]:
    """As `nightly_evidence.periods`, with the replay's lines for the ledger's decisions."""
    episodes: dict[int, date | None] = {1: None}
    for day in days:
        if day.decision is not None and day.next_champion != day.champion_version:
            episode = day.decision["episode"]
            episodes.setdefault(day.next_champion, date.fromisoformat(episode) if episode else None)
    known = [c for c in promotions.history(own, SMALL) if c.since <= midnight(as_of)]
    decisions = [decision for day in days if (decision := decision_of(day)) is not None]
    return nightly_evidence.in_production(known, episodes, decisions)


def evenings(played: Played, chosen: Iterable[int] = EVENINGS) -> Iterator[tuple[int, DailyEvidence, DailyEvidence]]:
    """Number of each evening, what the replay saw, and what is seen from the ledger and the history alone."""
    own, known, days = played.settings, MonitoredHistory.of(played.history, SMALL), played.days
    decisions = [decision for day in days if (decision := decision_of(day)) is not None]
    names = played.history.names
    champions: Any = cache(lambda version: ChampionModel(open_bundle(bundle_folder(own, SMALL, version)), names))
    # Files are as they were on every evening; what late deliveries change is for the cache to see.
    files = {START.date() + n * DAY: "as written" for n in range(DAYS)}
    for n in chosen:
        evening = START.date() + (n + 1) * DAY
        # The training of an evening is in the ledger as of that evening, and decides from then on; what was restored
        # that evening is what the evidence is about.
        tonight = days[n].restored
        in_production = [
            p
            for p in periods(own, days, evening)
            if p.since < midnight(evening) or (p.version == tonight and p.since == midnight(evening))
        ]
        before = [decision for decision in decisions if decision.as_of < midnight(evening)]
        known = replace(known, cache=DayCache(files, names, own.home / "cache.npz"))
        events = nightly_evidence.happened(
            known, in_production, before, midnight(evening), lambda period: champions(period.version), played.rules
        )
        yield n, played.seen[n], monitor.evening(MonitorState(), known, events, midnight(evening))[1]
        assert known.cache is not None
        known.cache.save()


def play(home: Path, monkeypatch: pytest.MonkeyPatch, history: History, rules: Rules, instant: bool = False) -> Played:
    own, seen = settings.load({"EVERGREEN_HOME": str(home)}), []
    whole = monitor.evening

    def recorded(*args: Any) -> tuple[MonitorState, DailyEvidence]:
        state, evidence = whole(*args)
        seen.append(evidence)
        return state, evidence

    first = START.date()
    plan = Plan("auto", first, first + (DAYS - 1) * DAY, first + TRAINED * DAY, instant, rules=rules)
    with monkeypatch.context() as patched:
        patched.setattr(monitor, "evening", recorded)
        days = replay.run(own, SMALL, history, plan, own.home).days
    return Played(own, replay.instantly(history) if instant else history, rules, days, seen)


@pytest.mark.parametrize("delivered", [HISTORY, late(HISTORY)], ids=["in time", "late"])
def test_every_evening_shows_what_the_replay_saw(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, delivered: History
) -> None:
    played = play(tmp_path, monkeypatch, delivered, Rules())
    assert len({day.champion_version for day in played.days}) > 3
    for n, replayed, nightly in evenings(played):
        assert nightly == replayed, n
    assert any(evidence.drift is not None and evidence.drift.alarm for evidence in played.seen)
    assert any(evidence.concept is not None and evidence.concept.judged for evidence in played.seen)


@pytest.mark.usefixtures("damaged")
def test_evenings_around_a_rollback_show_what_the_replay_saw(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    played = play(tmp_path, monkeypatch, late(HISTORY), Rules(), instant=True)
    assert [day.restored for day in played.days if day.restored] == [1]
    for n, replayed, nightly in evenings(played):
        assert nightly == replayed, n


def test_a_change_that_no_model_is_trained_for_becomes_the_usual_world(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    played = play(tmp_path, monkeypatch, HISTORY, Rules(gain=10.0, refresh=timedelta(days=400)))
    days = played.days
    assert days[-1].fits == 1 and days[CHANGED].drift_alarm
    assert all("drift" not in (day.decision or {})["alarms"] for day in days[CHANGED + 42 :])
    for n, replayed, nightly in evenings(played, range(CHANGED + 39, CHANGED + 46)):
        assert nightly == replayed, n
