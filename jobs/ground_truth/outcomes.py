"""Recent events and how they turned out: their scores from the nightly log and what is known about them by now, as the
values that the judgements of this room take (`jobs.ground_truth.labelled_scores`).

Read without an engine, of a bounded number of days, and of the log only the columns that are needed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from jobs.arrays import Bools, Floats, Ints
from jobs.datasets.gone_events import GoneEvents
from jobs.datasets.history import labels_of
from jobs.datasets.slices import masks
from jobs.datasets.training_rows import amounts_of
from jobs.ground_truth.label_delay import learn_delay
from jobs.ground_truth.labelled_scores import LabelledEvents
from jobs.ground_truth.performance import DecidedArms, ScoredEvents
from jobs.ground_truth.reports import labels
from jobs.lakehouse.tables import PARTITION, Lakehouse
from jobs.problem import Groups, Problem, Slice
from jobs.rollout_strategy import CHAMPION
from jobs.scoring import prediction_log
from jobs.scoring.decided_columns import LOWER, PROBABILITIES, SCORE, UPPER, classes_of, scores_of
from jobs.tasks.binary import BINARY
from jobs.tasks.task import Task
from jobs.times import NEVER, Times
from jobs.use_case import UseCase, problem_of

DAYS_BEYOND_MATURITY = timedelta(days=76)
"""Events this much older than the declared maturity are looked at: `jobs.ground_truth.concept_drift` compares with 60
mature days, and their windows reach a week back."""


@dataclass(frozen=True, eq=False)
class RecentEvents:
    """The first versions of events of some days that were over, known and not gone at a moment, and their labels."""

    ids: Any
    labelled: LabelledEvents
    """Their labels, with a delay learned from the reports of these events."""
    table: pa.Table
    """The events' own columns."""
    task: Task = BINARY
    """With the classes of their labels."""

    def __len__(self) -> int:
        return len(self.labelled)

    def places(self, ids: Any) -> tuple[Ints, Ints]:
        """Of the `ids` that are among these events: their places here, and there."""
        if not len(ids):  # of no type, then
            return np.zeros(0, np.int64), np.zeros(0, np.int64)
        own = pl.DataFrame({"id": self.ids}).with_row_index("here")
        joined = own.join(pl.DataFrame({"id": ids}).with_row_index("there"), on="id").sort("there")
        return joined["here"].to_numpy(), joined["there"].to_numpy()


@dataclass(frozen=True, eq=False)
class Outcomes:
    """Scored events of recent days, and all events of the same days."""

    known: RecentEvents
    """Events of these days, scored or not."""
    scored: ScoredEvents
    left_out: tuple[str, ...]
    """Declared slices that these rows do not have, with the reason."""

    def of_version(self, version: int) -> Outcomes:
        """Outcomes of the events that this model version scored."""
        return replace(self, scored=self.scored.rows(self.scored.versions == version))


def first_day(use_case: UseCase, as_of: datetime) -> date:
    """The first day that is looked at."""
    return (as_of - use_case.label_maturity - DAYS_BEYOND_MATURITY).date()


def events(lakehouse: Lakehouse, use_case: UseCase, as_of: datetime, columns: Sequence[str] = ()) -> RecentEvents:
    """The recent events (`first_day`), with `columns` of their own, and those of the use case's problem.

    The lakehouse holds those that were read last: the steps of a run look at the same.
    """
    own, problem = lakehouse.schema(use_case.events).names, problem_of(use_case)
    needed = [*_values_of(use_case), *_needed(use_case, problem.slices)]
    names = [*columns, *(name for name in dict.fromkeys(needed) if name in own and name not in columns)]
    key = (use_case.name, lakehouse.versions([use_case.events, use_case.labels]), as_of, set(names))
    return lakehouse.read_once("recent events", key, lambda: _events(lakehouse, use_case, as_of, names))


def _events(lakehouse: Lakehouse, use_case: UseCase, as_of: datetime, columns: Sequence[str]) -> RecentEvents:
    time, event_id = use_case.event_timestamp, use_case.event_id
    recent = (PARTITION, ">=", first_day(use_case, as_of))
    table = lakehouse.to_arrow(
        use_case.events,
        columns=list(dict.fromkeys([event_id, time, *columns])),
        filters=[recent, ("version", "=", 1), ("known_at", "<=", as_of), (time, "<=", as_of)],
    )
    gone = GoneEvents.of(lakehouse, use_case).at(as_of)
    if len(gone):
        table = table.filter(pc.invert(pc.is_in(table[event_id], value_set=gone.to_arrow())))
    names = [event_id, use_case.label, "known_at", "superseded_at"]
    reports = lakehouse.to_arrow(use_case.labels, columns=names, filters=[recent, ("known_at", "<=", as_of)])
    if use_case.problem is not None and use_case.problem.task != "binary":
        reports = reports.filter(pc.is_valid(reports[use_case.label]))
    task, reported = labels_of(reports, use_case)
    ids, times = values(table[event_id]), moments(table[time])
    versions = labels(
        ids,
        values(reports[event_id]),
        moments(reports["known_at"]),
        reported,
        as_of,
        moments(reports["superseded_at"]),
        task,
    )
    delay = learn_delay(times[versions.positive], versions.known_at[versions.positive], as_of, use_case.label_maturity)
    labelled = LabelledEvents(
        times=times,
        known_at=versions.known_at,
        positive=versions.positive,
        delay=delay,
        as_of=as_of,
        values=None if task.name == "binary" else versions.values,
    )
    return RecentEvents(ids, labelled, table, task)


def outcomes(
    lakehouse: Lakehouse,
    use_case: UseCase,
    problem: Problem,
    as_of: datetime,
    slices: Sequence[Slice | Groups] = (),
) -> Outcomes | None:
    """The recent events that the nightly log has scores of, with masks of `slices`; None if none.

    A row's own values are those of its event, its features those that it was scored with: a slice over a feature that
    no model of these days used is left out.
    """
    log = prediction_log.table(use_case)
    if not lakehouse.exists(log):
        return None
    own, logged = lakehouse.schema(use_case.events).names, lakehouse.schema(log).names
    needed = dict.fromkeys([*_values_of(use_case), *_needed(use_case, slices)])
    recent = events(lakehouse, use_case, as_of, [name for name in needed if name in own])
    features = [name for name in needed if name not in own and name in logged]
    rows = _logged_scores(lakehouse, use_case, as_of, features)
    place, row = recent.places(values(rows[use_case.event_id]))
    if not len(place):
        return None
    rows, of_event = rows.take(row), recent.table.take(place)
    for name in features:
        of_event = of_event.append_column(name, rows[name])
    judged_slices, missing = _judged_slices(slices, of_event.column_names)
    inside, left_out = masks(lakehouse, use_case, judged_slices, of_event, as_of)
    scored = _scored(recent.labelled.rows(place), rows, of_event, use_case, inside, recent.task)
    return Outcomes(recent, scored, (*missing, *left_out))


def _logged_scores(lakehouse: Lakehouse, use_case: UseCase, as_of: datetime, features: Sequence[str]) -> pa.Table:
    log = prediction_log.table(use_case)
    decided = [name for name in _DECIDED if name in lakehouse.schema(log).names]
    rows = lakehouse.to_arrow(
        log,
        columns=[use_case.event_id, SCORE, "model_version", "origin", *decided, *_of_task(use_case), *features],
        filters=[(PARTITION, ">=", first_day(use_case, as_of))],
    )
    rows = prediction_log.one_per_event(use_case, rows)
    # What is drawn by row must not depend on the order of files.
    return rows.sort_by(use_case.event_id)


def _scored(
    labelled: LabelledEvents,
    rows: pa.Table,
    of_event: pa.Table,
    use_case: UseCase,
    slices: Mapping[str, Bools],
    task: Task,
) -> ScoredEvents:
    problem = problem_of(use_case)
    if task.classes:
        task = task.of_labels(pa.chunked_array([sorted(classes_of(rows))], pa.string()), task.classes)
    lower, upper = (_numbers(rows[name]) if task.name == "regression" else None for name in (LOWER, UPPER))
    return ScoredEvents(
        task=task,
        unlabelled=problem.unlabelled,
        lower=lower,
        upper=upper,
        weights=None if problem.weight is None else _numbers(of_event[problem.weight]),
        times=labelled.times,
        scores=scores_of(rows, task.classes),
        versions=rows["model_version"].to_numpy(),
        entities=_codes(of_event[use_case.cluster_key]),
        amounts=amounts_of(of_event, problem_of(use_case)),
        known_at=labelled.known_at,
        positive=labelled.positive,
        delay=labelled.delay,
        as_of=labelled.as_of,
        slices=slices,
        values=labelled.values,
        decided=_decided(rows),
    )


_DECIDED = ("arm", "decision", "verdict")


def _decided(rows: pa.Table) -> DecidedArms:
    """What was decided; of logs of earlier releases, by the champion."""
    verdict = _column(rows, "verdict", pa.string())
    alert = pc.coalesce(pc.not_equal(verdict, "approve"), _column(rows, "decision", pa.bool_()), False)
    return DecidedArms(
        pc.fill_null(_column(rows, "arm", pa.string()), CHAMPION).to_numpy().astype(str),
        alert.to_numpy(),
        pc.fill_null(pc.equal(verdict, "block"), False).to_numpy(),
    )


def _column(rows: pa.Table, name: str, kind: pa.DataType) -> pa.ChunkedArray:
    """A column, or one of nulls."""
    found = rows[name] if name in rows.column_names else pa.chunked_array([pa.nulls(len(rows), kind)])
    return found.cast(kind)


def _of_task(use_case: UseCase) -> list[str]:
    """Columns of the log by which only this use case's task is measured."""
    task = problem_of(use_case).task
    return {"multiclass": [PROBABILITIES], "regression": [LOWER, UPPER]}.get(task, [])


def _numbers(column: pa.ChunkedArray) -> Floats:
    """Numbers, NaN where there is none."""
    numbers: Floats = column.cast(pa.float64()).to_numpy().astype(np.float64)
    return numbers


def values(column: pa.ChunkedArray) -> Any:
    """Ids as numbers or strings, shape (rows,)."""
    ids = column.to_numpy()
    return ids.astype(str) if ids.dtype == object else ids


def moments(column: pa.ChunkedArray) -> Times:
    """Microseconds since 1970; null is `jobs.times.NEVER`."""
    micros = pc.cast(column.cast(pa.timestamp("us", "UTC")), pa.int64())
    times: Times = pc.fill_null(micros, NEVER).to_numpy().astype(np.int64)
    return times


def _values_of(use_case: UseCase) -> list[str]:
    """Columns that performance is measured by, besides scores and labels."""
    problem = problem_of(use_case)
    declared = (problem.cluster_key, problem.amount, problem.weight)
    return [name for name in declared if name]


def _needed(use_case: UseCase, slices: Sequence[Slice | Groups]) -> list[str]:
    """Columns that slices are made of: their own, or the key of the profile that has it."""
    return [
        name for each in slices for name in ([each.column] if each.source is None else use_case.source(each.source).key)
    ]


def _judged_slices(
    slices: Sequence[Slice | Groups], names: Sequence[str]
) -> tuple[list[Slice | Groups], tuple[str, ...]]:
    judged = [each for each in slices if each.source is not None or each.column in names]
    left_out = [each for each in slices if each not in judged]
    return judged, tuple(f"slice {each.name}: no model of these days used {each.column}" for each in left_out)


def _codes(column: pa.ChunkedArray) -> Ints:
    """A number per entity that sorts like it; 0 is none."""
    series = pl.Series("entity", pl.from_arrow(column))
    return series.rank("dense").fill_null(0).cast(pl.Int64).to_numpy()
