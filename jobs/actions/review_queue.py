"""The review queue of a use case, `{use_case}_serving.review_queue`: events that reviewers are asked about, and why.

A day's queue is made once, from the prediction log, and stays: a second one would exceed the day's capacity. Events
that were judged while they were fresh are left out, and count (`jobs.scoring.live_verdicts`). Events are picked in
`jobs.actions.review_sampling`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import date, datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from jobs.actions.review_sampling import Queue, Reason, Shares, ordered, queue
from jobs.arrays import Bools, Floats
from jobs.datasets.training_rows import codes
from jobs.errors import EvergreenError
from jobs.lakehouse.tables import PARTITION, Lakehouse
from jobs.problem import Problem
from jobs.scoring import live_verdicts, prediction_log
from jobs.scoring.decided_columns import LOWER, PREDICTION, PROBABILITIES, UPPER, classes_of, scores_of
from jobs.scoring.prediction_log import TIME
from jobs.tasks.catalog import task_of
from jobs.use_case import UseCase, problem_of, review_of

QUEUE_COLUMNS: Mapping[str, tuple[pa.DataType, str]] = {
    "score": (pa.float32(), "Score of the model in production."),
    "model_version": (pa.int64(), "Version of that model."),
    "place": (pa.int64(), "Order in which events are to be reviewed, from 1."),
    "reason": (pa.string(), "risk, uncertainty or random; of numbers and classes also cost or largest."),
    "propensity": (pa.float64(), "Chance of the event to be in the queue; 1 if its score put it there."),
    "asked_at": (TIME, "The moment (as_of) at which the queue was made."),
    PARTITION: (pa.date32(), "UTC day of the event."),
}
"""Columns of a row besides those of its event -> type, description."""
BY_UNCERTAINTY = Shares(uncertainty=0.0)
"""Of a queue that uncertainty orders anyway."""


def columns(use_case: UseCase) -> dict[str, tuple[pa.DataType, str]]:
    """Columns of a row besides those of its event: type and description."""
    log = prediction_log.decided(use_case)
    return {**{name: log[name] for name in _of_task(use_case)}, **QUEUE_COLUMNS}


class NothingScored(EvergreenError, ValueError):
    """There are no predictions of the day."""


def table(use_case: UseCase) -> str:
    return f"{use_case.name}_serving.review_queue"


def stored_queue(lakehouse: Lakehouse, use_case: UseCase, day: date) -> pa.Table | None:
    """The queue of a day, in its order; None if none was made."""
    if not lakehouse.exists(table(use_case)):
        return None
    rows = lakehouse.to_arrow(table(use_case), filters=[(PARTITION, "=", day)])
    return rows.sort_by("place") if rows.num_rows else None


def make_queue(lakehouse: Lakehouse, use_case: UseCase, day: date, as_of: datetime) -> pa.Table:
    """The queue of a day; made and written now if there is none yet.

    Raises:
        NothingScored: there are no predictions of that day.
        ValueError: the use case has no problem.
    """
    name = table(use_case)
    with lakehouse.lock(name):
        queue = stored_queue(lakehouse, use_case, day)
        if queue is not None:
            return queue
        queue = _made(lakehouse, use_case, day, as_of)
        if queue.num_rows:
            lakehouse.write(
                name, queue, mode="append", schema=queue.schema, rows=queue.num_rows, partition_by=[PARTITION],
                state={"day": day.isoformat(), "as_of": as_of.isoformat()},
            )  # fmt: skip
        return queue


def _made(lakehouse: Lakehouse, use_case: UseCase, day: date, as_of: datetime) -> pa.Table:
    scored = _scored(lakehouse, use_case, day)
    ids, judged = scored[use_case.event_id], live_verdicts.judged(lakehouse, use_case, day, as_of)
    is_judged: Bools = pc.is_in(ids, value_set=judged.ids.cast(ids.type)).to_numpy()
    reviewed = _known(lakehouse, use_case, ids, as_of) | is_judged
    picks = _picks(use_case, scored, (day, judged.of_day), reviewed)
    return _rows(scored.select(_shown(use_case)).take(pa.array(picks.rows)), picks, day, as_of)


def _picks(use_case: UseCase, scored: pa.Table, day_taken: tuple[date, int], reviewed: Bools) -> Queue:
    """day_taken: the day, and how many events were reviewed on it before."""
    day, taken = day_taken
    problem, shared = problem_of(use_case), use_case.cluster_key
    entities = codes(scored[shared]) if shared in scored.column_names else None
    if problem.queue is None:
        review, scores = review_of(use_case), scored["score"].to_numpy().astype(np.float64)
        return queue(
            scores, review.threshold, review.capacity, day, amounts=_amounts(scored, problem.amount),
            entities=entities, reviewed=reviewed, shares=Shares(taken=taken), seed=problem.seed,
        )  # fmt: skip
    values, doubts = _values(problem, scored)
    reason: Reason = problem.queue.by
    shares = replace(BY_UNCERTAINTY if reason == "uncertainty" else Shares(), taken=taken)
    return ordered(
        (reason, values), doubts, problem.queue.capacity, day, entities=entities, reviewed=reviewed, shares=shares,
        seed=problem.seed,
    )  # fmt: skip


def _values(problem: Problem, scored: pa.Table) -> tuple[Floats, Floats]:
    """What the queue of numbers or classes goes by, and how unsure the model is about each row."""
    assert problem.queue is not None
    task = task_of(problem)
    if problem.task == "multiclass":
        task = task.of_labels(pa.chunked_array([sorted(classes_of(scored))], pa.string()))
    scores, ends = scores_of(scored, task.classes), None
    if problem.task == "regression":
        lower, upper = (scored[name].cast(pa.float64()).to_numpy() for name in (LOWER, UPPER))
        ends = lower, upper
    doubts = task.uncertainty(scores, ends)
    costs = task.doubts(scores, ends)
    return {"uncertainty": doubts, "cost": costs, "largest": scores}[problem.queue.by], doubts


def _shown(use_case: UseCase) -> list[str]:
    """Columns of the log that a row of the queue has: its event, and what the model says."""
    return [*prediction_log.event_columns(use_case), "score", *_of_task(use_case), "model_version"]


def _of_task(use_case: UseCase) -> list[str]:
    return {"multiclass": [PREDICTION], "regression": [LOWER, UPPER]}.get(problem_of(use_case).task, [])


def _rows(picked: pa.Table, picks: Queue, day: date, as_of: datetime) -> pa.Table:
    more = {
        "place": np.arange(1, len(picks) + 1),
        "reason": list(picks.reasons),
        "propensity": picks.propensities,
        "asked_at": [as_of] * len(picks),
        PARTITION: [day] * len(picks),
    }
    for column, values in more.items():
        picked = picked.append_column(column, pa.array(values, QUEUE_COLUMNS[column][0]))
    return picked


def _scored(lakehouse: Lakehouse, use_case: UseCase, day: date) -> pa.Table:
    """What was scored on a day, each event once, in an order that never changes."""
    log = prediction_log.table(use_case)
    of_day = [(PARTITION, "=", day)]
    problem = problem_of(use_case)
    names = ["origin", *_shown(use_case), *filter(None, [problem.amount, problem.cluster_key])]
    names += [PROBABILITIES] if problem.task == "multiclass" else []
    log_columns = lakehouse.schema(log).names if lakehouse.exists(log) else []
    rows = (
        lakehouse.to_arrow(log, columns=[n for n in dict.fromkeys(names) if n in log_columns], filters=of_day)
        if log_columns
        else None
    )
    rows = None if rows is None else prediction_log.one_per_event(use_case, rows).drop(["origin"])
    if rows is None or not rows.num_rows:
        raise NothingScored(f"expected predictions of {day} in {log}, found none; `evergreen run` scores")
    return rows.sort_by([(use_case.event_timestamp, "ascending"), (use_case.event_id, "ascending")])


def _amounts(scored: pa.Table, column: str | None) -> Floats | None:
    """Amounts of the rows; None without any, or where the log lacks some, as the model does not use them."""
    if column is None or column not in scored.column_names or scored[column].null_count:
        return None
    amounts: Floats = scored[column].to_numpy().astype(np.float64)
    return amounts


def _known(lakehouse: Lakehouse, use_case: UseCase, ids: pa.ChunkedArray, as_of: datetime) -> Bools:
    """Whether the label of each event is known at a moment."""
    if not lakehouse.exists(use_case.labels):
        return np.zeros(len(ids), np.bool_)
    labels = lakehouse.to_arrow(use_case.labels, columns=[use_case.event_id, "known_at"])
    # The few ids are looked up by the many labels: a table of all labels would be built for one day's events.
    labels = labels.filter(pc.is_in(labels[use_case.event_id], value_set=ids.combine_chunks()))
    reported = labels.filter(pc.less_equal(labels["known_at"], pa.scalar(as_of, labels["known_at"].type)))
    is_reported: Bools = pc.is_in(ids, value_set=reported[use_case.event_id].combine_chunks()).to_numpy()
    return is_reported
