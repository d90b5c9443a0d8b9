"""What a search proposes: what the world is made of, and nothing where nothing helps."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from worlds import bursts
from worlds.bursts import BURSTS, END

from jobs import settings as settings_module
from jobs.errors import Invalid
from jobs.feature_search import search_rows
from jobs.feature_search.search import Found, search
from jobs.lakehouse.tables import Lakehouse
from jobs.problem import Family, Problem
from jobs.settings import Settings
from jobs.use_case import Column, UseCase
from jobs.windows import Aggregate

MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return settings_module.load({"EVERGREEN_HOME": str(tmp_path)})


def found(settings: Settings, use_case: UseCase = BURSTS, telling: bool = True, said: list[str] | None = None) -> Found:
    lakehouse = Lakehouse(settings)
    bursts.write(lakehouse, telling)
    return search(lakehouse, use_case, END, 600, use_case is BURSTS, said.append if said is not None else print)


def test_a_search_from_nothing_finds_what_the_world_is_made_of(settings: Settings) -> None:
    said: list[str] = []
    result = found(settings, said=said)
    [first, *_] = result.proposals
    assert first.candidate.windows == "customer_windows"
    assert {MINUTE * 10, HOUR} & set(first.candidate.aggregate.windows)
    assert max(result.before) < 0.2 and min(result.after) > 0.8
    assert result.difference is not None and result.difference.is_beyond_noise
    told = result.summary()
    assert [one["feature"] for one in told["proposed"]] == [p.candidate.aggregate.name for p in result.proposals]
    tried = {*told["not_beyond_noise"], *told["not_tried"], *(one["feature"] for one in told["proposed"])}
    assert said[0].startswith(f"{len(tried)} candidates, "), "every candidate is told of"


def test_where_labels_are_drawn_by_lot_nothing_is_proposed(settings: Settings) -> None:
    assert found(settings, telling=False).proposals == ()


def test_what_is_declared_already_is_not_proposed_again(settings: Settings) -> None:
    windows, others = BURSTS.windows
    counted = Aggregate("count", windows=(HOUR,), name="in_an_hour")
    use_case = replace(BURSTS, windows=(replace(windows, aggregates=(counted,), ratios=()), others))
    result = found(settings, use_case)
    assert result.proposals == () and min(result.before) > 0.8


def test_too_few_labels_are_refused_with_the_period(settings: Settings) -> None:
    lakehouse = Lakehouse(settings)
    bursts.write(lakehouse)
    with pytest.raises(Invalid, match=r"expected at least 20 known positives.*before the\s*period 2026-03-0"):
        search_rows.read(lakehouse, BURSTS, bursts.START + timedelta(days=16))


def test_a_task_that_is_not_binary_is_refused(settings: Settings) -> None:
    label = Column("is_fraud", "number")
    numbers = Problem(families=(Family("boosted"),), task="regression")
    with pytest.raises(Invalid, match="expected a binary task, found regression"):
        search_rows.read(Lakehouse(settings), replace(BURSTS, problem=numbers, computed=(label,)), END)


def test_labels_of_a_period_are_those_known_when_it_began(settings: Settings) -> None:
    lakehouse = Lakehouse(settings)
    bursts.write(lakehouse)
    rows = search_rows.read(lakehouse, BURSTS, END)
    times = rows.events.filter("is_target").sort("transaction_id").collect()
    fraud = set(rows.labels.collect()["transaction_id"])
    for period, start in zip(rows.periods, (END - timedelta(days=16), END - timedelta(days=9)), strict=True):
        learned = times.filter(times["transaction_id"].is_in(rows.ids[period.train].implode()))
        assert learned["tx_datetime"].max() <= start  # type: ignore[operator]
        known = {
            number for number, when in zip(learned["transaction_id"], learned["tx_datetime"], strict=True)
            if number in fraud and when + timedelta(days=1) <= start
        }  # fmt: skip
        assert set(rows.ids[period.train].filter(period.train_labels.tolist())) == known
