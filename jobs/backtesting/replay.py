"""Months of continuous training in minutes: the day's decisions, the evening's evidence, the night's training, moved on
day by day over a history whose features were computed once.

A policy decides when to train: `never` (after the first time), `weekly`, `daily`, or `auto`, which asks
`jobs.retraining.policy`, lets a paired comparison decide about promotion, and takes back what turned out worse. What a
day came to is one line of `days.jsonl`, written when all of it is done: a replay that was killed goes on behind the
last whole line, to the same result, as nothing but those lines, the bundles and the history is needed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path

from jobs.arrays import Floats
from jobs.backtesting.replay_log import Day
from jobs.backtesting.replay_plan import Plan
from jobs.backtesting.replay_world import ReplayWorld
from jobs.datasets.history import History, LabelVersions
from jobs.settings import Settings
from jobs.tasks.task import Labels, Task
from jobs.times import NEVER
from jobs.use_case import UseCase

ReplayProgress = Callable[[int, int, str], None]

DecidedRows = tuple[slice, Floats | None]
"""Rows of a day, and what the champion of that day made of them; None: there was no champion yet."""


@dataclass(frozen=True, eq=False)
class Replayed:
    """What a replay came to, a line and its decisions for each day."""

    days: list[Day]
    decided: list[DecidedRows]
    predict: Callable[[int, slice], Floats]
    """Scores of any of its models for rows of the history."""

    def scored_days(self) -> Iterator[tuple[slice, date, Floats | None]]:
        """The rows, the date and the scores of each day; no scores where no model was in production."""
        for day, (rows, scores) in zip(self.days, self.decided, strict=True):
            yield rows, date.fromisoformat(day.date), scores


def run(
    settings: Settings,
    use_case: UseCase,
    history: History,
    plan: Plan,
    out: Path,
    progress: ReplayProgress | None = None,
) -> Replayed:
    """Replay what is not replayed yet in `out`; returns all days.

    Raises:
        ValueError: there is nothing to learn from at the first training, or `out` holds another replay.
    """
    world = ReplayWorld(settings, use_case, instantly(history) if plan.instant else history, plan, out)
    days = list(world.resumed())
    total = (plan.last - plan.first).days + 1
    while len(days) < total:
        days.append(world.day(plan.first + timedelta(days=len(days))))
        if progress is not None:
            progress(len(days), total, days[-1].reason)
    dates = [date.fromisoformat(day.date) for day in days]
    decided = [(world.known.rows_of(day), world.scores.get(day)) for day in dates]
    return Replayed(days, decided, lambda version, rows: world.models.model(version).predict(history.features[rows]))


def instantly(history: History) -> History:
    """The same history with the last version of every label known at the time of its event."""
    labels = history.labels
    final = labels.superseded_at == NEVER
    places = labels.rows[final]
    labels_at_once = LabelVersions(
        places, labels.values[final], history.times[places], labels.superseded_at[final], labels.task
    )
    return replace(history, labels=labels_at_once)


def outcomes(history: History, decided: Iterable[DecidedRows]) -> list[float]:
    """The objective of each day's decisions with the labels known in the end; NaN where there is none.

    Where the replay acted these are all labels too, of blocked events as well.
    """
    labels = history.labels.at(NEVER - 1, len(history))
    return [
        float("nan") if scores is None else _objective(history.task, labels[rows], scores) for rows, scores in decided
    ]


def _objective(task: Task, labels: Labels, scores: Floats) -> float:
    """NaN where it is undefined; an event of a binary task that was never reported is none."""
    if task.name == "binary":
        positive = labels == 1
        return task.value(positive, scores) if positive.any() else float("nan")
    known = task.is_known(labels)
    return task.value(labels[known], scores[known]) if known.any() else float("nan")
