"""What a search proposes: what the world is made of, and nothing where nothing helps."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Literal

import numpy as np
import polars as pl
import pytest
from worlds import bursts
from worlds.bursts import BURSTS, END

from jobs import settings as settings_module
from jobs.errors import Invalid
from jobs.feature_search import feature_columns, search_rows
from jobs.feature_search.search import Found, search
from jobs.feature_search.space import candidates
from jobs.feature_search.trees import Judge
from jobs.lakehouse.tables import Lakehouse
from jobs.problem import Family
from jobs.settings import Settings
from jobs.use_case import Column, UseCase, problem_of
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
    windows, *others = BURSTS.windows
    counted = Aggregate("count", windows=(HOUR,), name="in_an_hour")
    use_case = replace(BURSTS, windows=(replace(windows, aggregates=(counted,), ratios=()), *others))
    result = found(settings, use_case)
    assert result.proposals == () and min(result.before) > 0.8


def test_too_few_labels_are_refused_with_the_period(settings: Settings) -> None:
    lakehouse = Lakehouse(settings)
    bursts.write(lakehouse)
    with pytest.raises(Invalid, match=r"expected at least 20 known positives.*before the\s*period 2026-03-0"):
        search_rows.read(lakehouse, BURSTS, bursts.START + timedelta(days=16))


@pytest.mark.parametrize("task", ["regression", "multiclass"])
def test_labels_of_any_task_are_read_and_counted(settings: Settings, task: Literal["regression", "multiclass"]) -> None:
    lakehouse = Lakehouse(settings)
    kind, label = ("number", pl.lit(2.5)) if task == "regression" else ("string", pl.lit("late"))
    bursts.write(lakehouse, label=pl.when(pl.col("tx_amount") > 20).then(label).otherwise(label + label))
    problem = replace(problem_of(BURSTS), task=task, review=None, rules=(), families=(Family("boosted"),), fairness=())
    use_case = replace(
        BURSTS, problem=replace(problem, slices=()), computed=(Column("is_fraud", kind),)  # type: ignore[arg-type]
    )  # fmt: skip
    rows = search_rows.read(lakehouse, use_case, END)
    facts = feature_columns.facts(use_case, rows)
    assert facts.label_values == (() if task == "regression" else ("late", "latelate"))
    offered = candidates(use_case, facts)
    of_labels = {str(c.aggregate.name): c for c in offered if c.aggregate.of == "labels"}
    expected = "customer_known_label_mean" if task == "regression" else "customer_known_2_latelate"
    columns = feature_columns.of_candidates(lakehouse, use_case, rows, [of_labels[expected]])
    known = columns[f"{expected}_7d"][rows.periods[1].valid]
    assert np.nanmax(known) == (5.0 if task == "regression" else max(known)) and np.nanmax(known) > 0
    assert Judge(rows, columns).quality(list(columns))[0] > 0


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
