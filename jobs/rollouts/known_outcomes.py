"""How events of the decision log turned out, by reports that came through the log and by those of the tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from jobs.rollouts.labelled_pairs import KnownOutcomes
from jobs.tasks.catalog import task_of
from jobs.tasks.task import Labels, Task
from jobs.times import microseconds
from jobs.use_case import UseCase, problem_of

if TYPE_CHECKING:
    from jobs.arrays import Bools, Ints
    from jobs.decisions.log_contents import LabelCame
    from jobs.ground_truth.outcomes import RecentEvents
    from jobs.lakehouse.tables import Lakehouse
    from jobs.rollouts.logged import PairsOfLog


def known_outcomes(
    lakehouse: Lakehouse, use_case: UseCase, events: PairsOfLog, told: Mapping[str, LabelCame], now: datetime
) -> KnownOutcomes:
    """What is known by `now` of events of the log; of a yes-or-no task.

    An event is positive once it is reported so, and mature once it is older than the use case's label maturity.

    Args:
        told: by id, what the log says became of events.
    """
    ids = events.pairs.ids
    mature = events.happened <= microseconds(now - use_case.label_maturity)
    labels = _told(use_case, told, ids)
    if mature.any():  # tables are read for days that somebody asks about only
        labels |= _in_tables(lakehouse, use_case, ids, now)
    return KnownOutcomes(labels, mature, events.clusters, events.amounts)


def known_labels(
    lakehouse: Lakehouse, use_case: UseCase, events: PairsOfLog, told: Mapping[str, LabelCame], now: datetime
) -> tuple[Task, Labels, Bools]:
    """The labels of events of the log by `now`, of any task: the task with their classes, labels as it takes them, and
    whether each is mature and known. What the log was told comes before what tables say.
    """
    ids = events.pairs.ids
    mature = events.happened <= microseconds(now - use_case.label_maturity)
    found: dict[str, Any] = {}
    if mature.any() and lakehouse.exists(use_case.labels):
        found = _reported(lakehouse, use_case, ids, now)
    for id, label in told.items():
        found[id] = label.values.get(use_case.label)
    return _encoded(use_case, [found.get(str(id)) for id in ids], mature)


def _encoded(use_case: UseCase, values: Sequence[Any], mature: Bools) -> tuple[Task, Labels, Bools]:
    problem = problem_of(use_case)
    reported = [value for value in values if value is not None]
    more = [] if problem.unlabelled is None else [str(problem.unlabelled)]
    column = pa.chunked_array([pa.array(reported)]) if reported else None
    task = task_of(problem)
    task = task if column is None or problem.task == "binary" else task.of_labels(column, more)
    labels = task.unknown(len(values))
    if column is not None:
        labels[[value is not None for value in values]] = task.encoded(column, use_case.label)
    unlabelled = task.unlabelled(problem.unlabelled)
    known = mature & (task.is_known(labels) | (unlabelled is not None))
    return task, task.settled(labels, unlabelled), known


def _reported(lakehouse: Lakehouse, use_case: UseCase, ids: Sequence[Any], now: datetime) -> dict[str, Any]:
    """Id -> the label that tables know."""
    known, here, there = _recent(lakehouse, use_case, ids, now)
    labelled, classes = known.labelled, known.task.classes
    values = labelled.reported if labelled.values is None else labelled.values
    told = {int(at): values[own].item() for own, at in zip(here, there, strict=True) if labelled.reported[own]}
    return {str(ids[at]): classes[value] if classes else value for at, value in told.items()}


def _recent(
    lakehouse: Lakehouse, use_case: UseCase, ids: Sequence[Any], now: datetime
) -> tuple[RecentEvents, Ints, Ints]:
    """What tables know of recent events; and of those among `ids` their places there, and among `ids`."""
    from jobs.ground_truth import outcomes

    # Looks of the same hour read the tables once: days that are mature know no hours.
    known = outcomes.events(lakehouse, use_case, now.replace(minute=0, second=0, microsecond=0))
    return known, *known.places(np.array(ids))


def _told(use_case: UseCase, told: Mapping[str, LabelCame], ids: Sequence[Any]) -> Bools:
    reported = {id for id, label in told.items() if label.values.get(use_case.label)}
    return np.array([str(id) in reported for id in ids], np.bool_)


def _in_tables(lakehouse: Lakehouse, use_case: UseCase, ids: Sequence[Any], now: datetime) -> Bools:
    reported = np.zeros(len(ids), np.bool_)
    if lakehouse.exists(use_case.labels):
        known, here, there = _recent(lakehouse, use_case, ids, now)
        reported[there] = known.labelled.reported[here]
    return reported
