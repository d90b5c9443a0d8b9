"""A replay about a number and about classes: what went wrong is noticed by the objective, and learned."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from worlds.deliveries import ARRIVALS, CLASSES, DELAYS
from worlds.small_history import A_DAY, START

from jobs import settings
from jobs.backtesting import replay, timeline
from jobs.backtesting.replay_plan import Plan
from jobs.datasets.history import History, LabelVersions
from jobs.objective import TaskName
from jobs.problem import Family
from jobs.tasks.catalog import task_of
from jobs.tasks.multiclass import Multiclass
from jobs.tasks.task import Task
from jobs.times import NEVER, microseconds
from jobs.use_case import UseCase, problem_of

DAYS, TRAINED, CHANGED, ROWS = 130, 40, 85, 120


def of(use_case: UseCase) -> UseCase:
    family = Family("boosted", fixed={"rounds": 40, "num_leaves": 7})
    return replace(use_case, problem=replace(problem_of(use_case), families=(family,), rules=(), slices=()))


def history(use_case: UseCase) -> History:
    """The first feature says how long it takes; from a day on the second one does. No feature shows the change."""
    random, rows = np.random.default_rng(4), DAYS * ROWS
    times = np.sort(random.integers(0, DAYS * A_DAY, rows)) + microseconds(START)
    features = random.normal(size=(rows, 3)).astype(np.float32)
    changed = times >= microseconds(START + CHANGED * timedelta(days=1))
    number = 10 + 3 * np.where(changed, features[:, 1], features[:, 0]) + 0.5 * random.normal(size=rows)
    known_at = times + (random.exponential(1.0, rows) * A_DAY).astype(np.int64)
    task: Task = task_of(problem_of(use_case))
    values = number
    if isinstance(task, Multiclass):
        task = replace(task, known=tuple(sorted(CLASSES)))
        values = np.digitize(number, (8, 12)).astype(np.int64)
    labels = LabelVersions(np.arange(rows), values, known_at, np.full(rows, NEVER), task)
    return History(("a", "b", "c"), features, times, times, np.arange(rows), None, labels, {})


@pytest.mark.parametrize("task", ["regression", "multiclass"])
def test_a_loss_that_rises_is_seen_and_what_changed_is_learned(task: TaskName, tmp_path: Path) -> None:
    use_case = of(DELAYS if task == "regression" else ARRIVALS)
    events, first = history(use_case), START.date()
    plan = Plan("auto", first, first + timedelta(days=DAYS - 1), first + timedelta(days=TRAINED))
    own = settings.load({"EVERGREEN_HOME": str(tmp_path / "home")})
    made = replay.run(own, use_case, events, plan, tmp_path)
    daily = np.array(replay.outcomes(events, made.decided))
    before, fallen, recovered = (
        np.nanmean(daily[span])
        for span in (slice(CHANGED - 20, CHANGED), slice(CHANGED, CHANGED + 10), slice(-10, None))
    )
    assert np.isnan(daily[:TRAINED]).all() and fallen > 2 * before
    assert recovered < before + 0.3 * (fallen - before)
    alarmed = [day for day in made.days[CHANGED:] if day.drift_alarm]
    of_concept = [n for n, day in enumerate(made.days) if day.scores.get("concept", 0) >= 1]
    assert alarmed and CHANGED <= of_concept[0] <= CHANGED + 5, "the first labels show it"
    assert not any(day.drift_alarm for day in made.days[:CHANGED])
    assert any(day.scores.get("performance", 0) >= 1 for day in alarmed)
    rows = timeline.frame(made.days, daily.tolist(), events.task.objective.name)
    assert timeline.objective_of(rows) == events.task.objective.name in rows.columns
    timeline.write(rows, tmp_path, "a title")
    assert (tmp_path / "timeline.png").stat().st_size > 0
