"""The review queue of a use case, `{use_case}_serving.review_queue`: events that reviewers are asked about, and why.

A day's queue is made once, from the prediction log, and stays: a second one would exceed the day's capacity. Events
are picked in `jobs.actions.review_sampling`.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from jobs.actions.review_sampling import Queue, queue
from jobs.arrays import Bools, Floats
from jobs.datasets.training_rows import codes
from jobs.errors import EvergreenError
from jobs.lakehouse.tables import PARTITION, Lakehouse
from jobs.scoring import prediction_log
from jobs.scoring.prediction_log import TIME
from jobs.use_case import UseCase, problem_of, review_of

QUEUE_COLUMNS: Mapping[str, tuple[pa.DataType, str]] = {
    "score": (pa.float32(), "Score of the model in production."),
    "model_version": (pa.int64(), "Version of that model."),
    "place": (pa.int64(), "Order in which events are to be reviewed, from 1."),
    "reason": (pa.string(), "risk, uncertainty or random."),
    "propensity": (pa.float64(), "Chance of the event to be in the queue; 1 if its score put it there."),
    "asked_at": (TIME, "The moment (as_of) at which the queue was made."),
    PARTITION: (pa.date32(), "UTC day of the event."),
}
"""Columns of a row besides those of its event -> type, description."""
DESCRIPTIONS: Mapping[str, str] = {name: text for name, (_, text) in QUEUE_COLUMNS.items()}


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
    problem, review, event_id = problem_of(use_case), review_of(use_case), use_case.event_id
    picks = queue(
        scored["score"].to_numpy().astype(np.float64),
        review.threshold,
        review.capacity,
        day,
        amounts=_amounts(scored, problem.amount),
        entities=codes(scored[use_case.cluster_key]),
        reviewed=_known(lakehouse, use_case, scored[event_id], as_of),
        seed=problem.seed,
    )
    columns = [*prediction_log.event_columns(use_case), "score", "model_version"]
    return _rows(scored.select(columns).take(pa.array(picks.rows)), picks, day, as_of)


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
    """The nightly rows of a day, in an order that never changes."""
    log = prediction_log.table(use_case)
    of_day = [(PARTITION, "=", day), ("origin", "=", prediction_log.NIGHTLY)]
    names = [*prediction_log.event_columns(use_case), "score", "model_version"]
    names += [amount] if (amount := problem_of(use_case).amount) else []
    log_columns = lakehouse.schema(log).names if lakehouse.exists(log) else []
    rows = (
        lakehouse.to_arrow(log, columns=[n for n in names if n in log_columns], filters=of_day) if log_columns else None
    )
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
