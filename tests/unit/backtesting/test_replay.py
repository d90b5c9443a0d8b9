"""A replay on a small history with a planted change: seen, learned, recovered from; the same from any day on."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from worlds.draws import drawn
from worlds.pictures import rendered
from worlds.small_history import START, world

from jobs import settings
from jobs.backtesting import replay, replay_log, replay_models, timeline
from jobs.backtesting.replay import Replayed
from jobs.backtesting.replay_plan import Plan, Policy
from jobs.ledger import promotions
from jobs.models.features import rows_of
from jobs.models.protocol import Examples
from jobs.problem import Family
from jobs.registry import bundle
from jobs.registry.bundle import Bundle, Manifest
from jobs.retraining.policy import Rules
from jobs.times import midnight
from jobs.use_cases.fraud import FRAUD, PROBLEM

DAYS, TRAINED, CHANGED = 120, 50, 70
SMALL = replace(FRAUD, problem=replace(PROBLEM, families=(Family("boosted", fixed={"rounds": 40, "num_leaves": 7}),)))
HISTORY = world(seed=3, changed_on=CHANGED, days=DAYS, shift=1.0)


def plan(policy: Policy, instant: bool = False) -> Plan:
    first = START.date()
    return Plan(policy, first, first + timedelta(days=DAYS - 1), first + timedelta(days=TRAINED), instant)


def played(out: Path, policy: Policy, instant: bool = False) -> Replayed:
    own = settings.load({"EVERGREEN_HOME": str(out / "home")})
    return replay.run(own, SMALL, HISTORY, plan(policy, instant), out)


def quality(made: Replayed) -> np.ndarray:
    return np.array(replay.outcomes(HISTORY, made.decided))


@pytest.fixture(scope="module")
def auto(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Replayed]:
    out = tmp_path_factory.mktemp("auto")
    return out, played(out, "auto")


def test_a_new_value_of_a_category_is_seen_the_same_evening_beside_a_vector(tmp_path: Path) -> None:
    """A category, a vector and numbers, as a history has them; from a day on three in ten rows have a new value."""
    small, random = world(seed=3, days=66), np.random.default_rng(0)
    shops = np.array(["north", "south", "east", ""])[random.integers(0, 4, len(small))]
    is_new = (small.days >= small.days[0] + 62) & (random.random(len(small)) < 0.3)
    words = random.normal(size=(2, len(small))).astype(np.float32)
    shop = pa.array(np.where(is_new, "new", shops).tolist())
    features = rows_of([small.features[:, 0], shop, *words], len(small), 4)
    kinds = replace(small, names=("a", "shop", "words[0]", "words[1]"), features=features)
    first = START.date()
    until = Plan("auto", first, first + timedelta(days=65), first + timedelta(days=TRAINED))
    made = replay.run(settings.load({"EVERGREEN_HOME": str(tmp_path / "home")}), SMALL, kinds, until, tmp_path)
    assert next(n for n, day in enumerate(made.days) if day.drift_alarm) == 62 and "(shop)" in made.days[62].reason


def test_a_change_is_seen_the_same_evening_and_learned(auto: tuple[Path, Replayed], tmp_path: Path) -> None:
    days = auto[1].days
    alarms = [n for n, day in enumerate(days) if day.drift_alarm]
    assert alarms[0] == CHANGED and "(c)" in days[CHANGED].reason
    decision = days[CHANGED].decision
    assert decision is not None and decision["episode"] == days[CHANGED].date
    never = played(tmp_path, "never")
    ours, theirs = quality(auto[1]), quality(never)
    np.testing.assert_array_equal(ours[:CHANGED], theirs[:CHANGED])
    assert np.isnan(ours[:TRAINED]).all()
    before, fallen, recovered = (np.nanmean(values) for values in (ours[TRAINED:CHANGED], theirs[-20:], ours[-20:]))
    assert fallen < 0.5 * before and recovered > 0.8 * before
    assert 1 < days[-1].fits <= 1 + Rules().budget
    # Six weeks later the new world is the usual one.
    after = [day.decision for day in days[CHANGED + 42 :]]
    assert after and all(decision and decision["episode"] is None for decision in after)


def test_it_goes_on_from_any_day_to_the_same_result(auto: tuple[Path, Replayed], tmp_path: Path) -> None:
    out, days = auto[0], auto[1].days
    retrained = [n for n, day in enumerate(days) if day.retrained]
    cuts = (3, TRAINED, TRAINED + 1, retrained[0], retrained[0] + 1, DAYS - 1)
    for cut in drawn("replay cut").sample(cuts, 3):
        copy = tmp_path / str(cut)
        shutil.copytree(out, copy)
        lines = (out / replay_log.LINES).read_text().splitlines(keepends=True)
        (copy / replay_log.LINES).write_text("".join(lines[:cut]) + lines[cut][:40])
        again = played(copy, "auto")
        assert [replace(day, seconds=0) for day in again.days] == [replace(day, seconds=0) for day in days]
        np.testing.assert_array_equal(quality(again), quality(auto[1]))


def test_a_replay_shows_on_which_days_a_search_for_features_was_due(tmp_path: Path) -> None:
    whole = replace(plan("auto"), rules=Rules(budget=2, budget_period=timedelta(90)))  # One training learns too little.
    own = settings.load({"EVERGREEN_HOME": str(tmp_path / "home")})
    made = replay.run(own, SMALL, HISTORY, whole, tmp_path)
    due = [n for n, day in enumerate(made.days) if day.due_search]
    trained = [n for n, day in enumerate(made.days) if day.retrained]
    assert trained[-1] + 14 < due[0] < trained[-1] + 30 and due == list(range(due[0], DAYS))
    assert all("a search for features is due: average precision" in made.days[n].reason for n in due)
    shown = timeline.frame(made.days, quality(made).tolist())
    assert shown.filter(timeline.SEARCH_DUE)["date"][0] == START.date() + timedelta(days=due[0])
    assert timeline.objective_of(shown) == "average_precision"
    lines = (tmp_path / replay_log.LINES).read_text().splitlines(keepends=True)
    (tmp_path / replay_log.LINES).write_text("".join(lines[: due[0] + 3]))
    again = replay.run(own, SMALL, HISTORY, whole, tmp_path).days
    assert [replace(day, seconds=0) for day in again] == [replace(day, seconds=0) for day in made.days]


def test_the_ledger_has_every_promotion_at_its_moment(auto: tuple[Path, Replayed]) -> None:
    out, days = auto[0], auto[1].days
    own = settings.load({"EVERGREEN_HOME": str(out / "home")})
    periods = promotions.history(own, SMALL)
    assert [period.version for period in periods] == list(range(1, days[-1].next_champion + 1))
    for day in days[TRAINED:]:
        moment = midnight(START.date() + timedelta(days=days.index(day)))
        found = promotions.champion(own, SMALL, at=moment)
        assert found is not None and found.version == day.champion_version


@pytest.fixture
def damaged(monkeypatch: pytest.MonkeyPatch) -> None:
    """Version 2 becomes a model of nothing, whatever the comparison said."""
    write = bundle.write

    def written(folder: Path, model: Any, manifest: Manifest) -> Bundle:
        if folder.name == "2":
            rng = np.random.default_rng(0)
            noise = rng.normal(size=(2000, len(manifest.names))).astype(np.float32)
            examples = Examples(noise, rng.random(2000) < 0.1, None, manifest.names)
            model.fit(examples, None, seed=0, device="cpu")
        return write(folder, model, manifest)

    monkeypatch.setattr(replay_models, "write", written)


@pytest.mark.usefixtures("damaged")
def test_what_turns_out_worse_is_taken_back(tmp_path: Path) -> None:
    days = played(tmp_path / "whole", "auto", instant=True).days
    restored = [n for n, day in enumerate(days) if day.restored]
    assert len(restored) == 1 and days[restored[0]].restored == 1 and days[restored[0]].champion_version == 2
    assert days[restored[0]].reason.startswith("version 2 rolled back: average precision")
    # The next one is version 3, and is compared with the one that was restored.
    assert days[-1].next_champion > 2
    own = settings.load({"EVERGREEN_HOME": str(tmp_path / "whole" / "home")})
    assert [period.version for period in promotions.history(own, SMALL)][:4] == [1, 2, 1, 3]
    for cut in [drawn("rollback cut").choice((restored[0], restored[0] + 1))]:
        copy = tmp_path / str(cut)
        shutil.copytree(tmp_path / "whole", copy)
        lines = (copy / replay_log.LINES).read_text().splitlines(keepends=True)
        (copy / replay_log.LINES).write_text("".join(lines[:cut]))
        again = played(copy, "auto", instant=True).days
        assert [replace(day, seconds=0) for day in again] == [replace(day, seconds=0) for day in days]


@pytest.fixture(scope="module")
def weekly(tmp_path_factory: pytest.TempPathFactory) -> Replayed:
    return played(tmp_path_factory.mktemp("weekly"), "weekly")


def test_schedules_train_when_they_are_due(weekly: Replayed) -> None:
    days = weekly.days
    assert [n for n, day in enumerate(days) if day.retrained] == list(range(TRAINED + 6, DAYS, 7))


def test_labels_at_once_are_better_than_labels_as_they_come(weekly: Replayed, tmp_path: Path) -> None:
    instant = played(tmp_path, "weekly", instant=True)
    late = slice(CHANGED + 7, CHANGED + 21)
    assert np.nanmean(quality(instant)[late]) > np.nanmean(quality(weekly)[late])
    assert instant.days[-1].reports_known >= weekly.days[-1].reports_known


def test_the_timeline_is_a_row_per_day_and_a_picture(auto: tuple[Path, Replayed], tmp_path: Path) -> None:
    made = timeline.frame(auto[1].days, quality(auto[1]).tolist())
    with rendered():
        timeline.write(made, tmp_path, "small")
    kept = pl.read_parquet(tmp_path / "timeline.parquet")
    assert kept.columns == list(timeline.COLUMNS) and kept.height == DAYS
    assert kept["average_precision"].null_count() >= TRAINED
    drawn = (tmp_path / "timeline.png").read_bytes()
    assert drawn.startswith(b"\x89PNG") and len(drawn) > 2_000
    assert sorted(path.name for path in tmp_path.iterdir()) == ["timeline.parquet", "timeline.png"]


def test_another_plan_does_not_go_on_in_the_same_folder(auto: tuple[Path, Replayed]) -> None:
    out, _ = auto
    before = (out / replay_log.LINES).read_text()
    with pytest.raises(ValueError, match="expected the same replay"):
        played(out, "daily")
    assert (out / replay_log.LINES).read_text() == before
    assert json.loads((out / "plan.json").read_text())["plan"]["policy"] == "auto"
