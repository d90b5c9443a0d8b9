"""Every event of a use case with the features known at its own time, and every version of its label, as arrays.

A feature does not depend on the moment that one looks from (`jobs.datasets.training_set`), so one table serves every
`as_of`: what a replay of months in minutes rests on. Which rows and labels were known at a moment is answered here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from jobs.arrays import Bools
from jobs.datasets import event_rows, id_places
from jobs.datasets.event_rows import InputVersions
from jobs.datasets.gone_events import GoneEvents
from jobs.datasets.slices import masks, readable
from jobs.datasets.stored_features import Days, StoredFeatures
from jobs.datasets.training_rows import TrainingRows, amounts_of, codes, features_in
from jobs.errors import Invalid
from jobs.features.fact_frames import arrived
from jobs.lakehouse.tables import PARTITION, Lakehouse, of_days
from jobs.models.features import FeatureRows
from jobs.models.protocol import Examples
from jobs.models.tables import features_of
from jobs.models.vectors import columns_of
from jobs.tasks.binary import BINARY
from jobs.tasks.catalog import task_of
from jobs.tasks.task import Labels, Task
from jobs.times import MICROSECONDS_A_DAY, NEVER, Times, microseconds
from jobs.use_case import UseCase, problem_of

if TYPE_CHECKING:
    from feast import FeatureStore


@dataclass(frozen=True, eq=False)
class LabelVersions:
    """One row per version of a label: it holds in [known_at, superseded_at), microseconds since 1970."""

    rows: npt.NDArray[np.int64]
    """Position of the event."""
    values: Labels
    known_at: Times
    superseded_at: Times
    task: Task = BINARY

    @property
    def reported(self) -> Bools:
        """Whether each version is a report: it says yes, or, of another task, anything."""
        return self.values if self.task.name == "binary" else np.ones(len(self.rows), np.bool_)

    def at(self, moment: int, count: int) -> Labels:
        """Labels of `count` events as known at `moment`, as of `Task.unknown` where nothing is."""
        labels = self.task.unknown(count)
        holds = (self.known_at <= moment) & (moment < self.superseded_at)
        labels[self.rows[holds]] = self.values[holds]
        return labels


@dataclass(frozen=True, eq=False)
class GoneRows:
    """One row per time in which an event was no more: [since, until), microseconds since 1970."""

    rows: npt.NDArray[np.int64]
    """Position of the event."""
    since: Times
    until: Times

    def at(self, moment: int) -> npt.NDArray[np.int64]:
        """Positions of the events that were gone at a moment."""
        return self.rows[(self.since <= moment) & (moment < self.until)]


@dataclass(frozen=True, eq=False)
class History:
    """Events by event time, of one moment by id; every array has one value per event."""

    names: tuple[str, ...]
    features: FeatureRows
    times: Times
    known_at: Times
    blocks: npt.NDArray[np.int64]
    amounts: npt.NDArray[np.float64] | None
    """None: no amount is declared."""
    labels: LabelVersions
    versions: dict[str, int]
    """Delta versions of the tables it was read from."""
    importance: npt.NDArray[np.float64] | None = None
    """How many events each one stands for, where some were blocked (`jobs.actions.exploration`): 0 is a blocked event,
    of which nothing will ever be known. None: all were let through."""
    counts: npt.NDArray[np.float64] | None = None
    """How much each event counts by a declared weight; None: alike."""
    slices: Mapping[str, Bools] = field(default_factory=dict)
    """Guard slices: a mask over the events of each."""
    slices_left_out: tuple[str, ...] = ()
    """Declared slices that these events do not have, and why."""
    gone: GoneRows | None = None
    """None: no event was ever deleted."""

    @property
    def days(self) -> npt.NDArray[np.int64]:
        """Days since 1970, UTC."""
        days: npt.NDArray[np.int64] = self.times // MICROSECONDS_A_DAY
        return days

    def __len__(self) -> int:
        return len(self.times)

    def known(self, as_of: datetime) -> npt.NDArray[np.bool_]:
        """Which events were over and known at `as_of`, and not gone."""
        moment = microseconds(as_of)
        mask: npt.NDArray[np.bool_] = (self.times <= moment) & (self.known_at <= moment)
        if self.gone is not None:
            mask[self.gone.at(moment)] = False
        return mask

    def amounts_of(self, rows: slice) -> npt.NDArray[np.float64] | None:
        """Money at stake in each of these events; None: no amount is declared."""
        return None if self.amounts is None else self.amounts[rows]

    @property
    def let_through(self) -> Bools:
        """Events whose label can become known."""
        return np.ones(len(self), np.bool_) if self.importance is None else self.importance > 0

    @property
    def task(self) -> Task:
        """What the labels are, with the classes of all of their versions."""
        return self.labels.task

    def labels_at(self, as_of: datetime) -> Labels:
        """Labels as known at a moment; `Task.is_known` says which are."""
        return self.labels.at(microseconds(as_of), len(self))

    def training_rows(
        self, as_of: datetime, use_case: UseCase, negative_after: timedelta | None = None, without: Bools | None = None
    ) -> TrainingRows:
        """The training set of `as_of`, by the rule of `jobs.datasets.training_set`.

        Args:
            negative_after: age from which on an event without a label counts as negative (or as `Problem.unlabelled`);
            None: the use case's label maturity. without: events that are held out.
        """
        labels, unlabelled = self.labels_at(as_of), self.task.unlabelled(problem_of(use_case).unlabelled)
        mature = self.times <= microseconds(
            as_of - (use_case.label_maturity if negative_after is None else negative_after)
        )
        inside = self.known(as_of) & (self.times > microseconds(as_of - use_case.training_window))
        inside = inside if without is None else inside & ~without
        known = self.task.is_known(labels)
        chosen = inside & self.let_through & (known if unlabelled is None else known | mature)
        return self.rows(chosen, self.task.settled(labels[chosen], unlabelled))

    def rows(self, chosen: npt.NDArray[np.bool_], labels: Labels) -> TrainingRows:
        """Some events that were let through, as labelled rows; each weighs as many events as it stands for."""
        weights = None if self.importance is None else self.importance[chosen].astype(np.float32)
        if self.counts is not None:
            own = self.counts[chosen].astype(np.float32)
            weights = own if weights is None else weights * own
        examples = Examples(self.features[chosen], labels, weights, self.names, self.task)
        amounts = None if self.amounts is None else self.amounts[chosen]
        return TrainingRows(examples, self.times[chosen], self.blocks[chosen], amounts, -1)


def table(use_case: UseCase) -> str:
    return f"{use_case.features_schema}.history"


def build(lakehouse: Lakehouse, use_case: UseCase, as_of: datetime) -> dict[str, Any]:
    """Bring `table(use_case)` to all events known at `as_of` with their features; the cost follows what changed.

    Returns:
        `version` (of the table), `rows_written` and `days_written` (0 if it held them already).

    Raises ValueError if a table that it is made from does not exist.
    """
    from jobs.feature_store.store import open_store

    name = table(use_case)
    with lakehouse.lock(name):
        inputs = event_rows.inputs(lakehouse, use_case, [use_case.events, use_case.labels], as_of, name)
        last, version = lakehouse.state(name), lakehouse.version(name)
        if version is not None and last == {**inputs.state(), "features": last.get("features")}:
            return {"version": version, "rows_written": 0, "days_written": 0}
        store = open_store(lakehouse, use_case, inputs.versions)
        return _write(lakehouse, use_case, store, inputs, last)


def _write(
    lakehouse: Lakehouse, use_case: UseCase, store: FeatureStore, inputs: InputVersions, last: Mapping[str, Any]
) -> dict[str, Any]:
    name, days = table(use_case), _stale(lakehouse, use_case, store, inputs, last)
    events = event_rows.known(lakehouse, use_case, inputs.versions, inputs.as_of, days)
    expressions = [*event_rows.columns(use_case, events), f"{arrived(use_case.event_timestamp)} as event_known_at"]
    frame = event_rows.with_features(store, use_case, events.selectExpr(*expressions))
    schema = event_rows.schema(frame)
    if lakehouse.exists(name) and set(lakehouse.schema(name).names) != set(schema.names):
        lakehouse.reshape(name, schema, partition_by=[PARTITION])
        return _write(lakehouse, use_case, store, inputs, {})
    rows = events.count()
    version = lakehouse.write(
        name,
        frame.repartition(PARTITION),
        mode="overwrite",
        schema=schema,
        rows=rows,
        replace_where=None if days is None else of_days(days),
        partition_by=[PARTITION],
        state={**inputs.state(), "features": event_rows.feature_names(store, use_case)},
    )
    return {"version": version, "rows_written": rows, "days_written": "all" if days is None else len(days)}


def _stale(
    lakehouse: Lakehouse, use_case: UseCase, store: FeatureStore, inputs: InputVersions, last: Mapping[str, Any]
) -> list[date] | None:
    """Days of which a row may differ from what the table holds; None: any may. Labels are no part of its rows."""
    tables = {name: version for name, version in inputs.versions.items() if name != use_case.labels}
    spans = event_rows.reached(lakehouse, use_case, store, last, replace(inputs, versions=tables))
    if spans is None:
        return None
    # A moment before the last one leaves out what was known later.
    latest = max(inputs.as_of, datetime.fromisoformat(last["as_of"])).date()
    days = {first + timedelta(days=n) for first, end in spans for n in range((end - first).days + 1)}
    return sorted(day for day in days if day <= latest) or [latest]


def read(
    lakehouse: Lakehouse,
    use_case: UseCase,
    version: int | None = None,
    state: Mapping[str, Any] | None = None,
    by_day: bool = False,
) -> History:
    """The history as it was built last, or at `version`. The lakehouse holds the one that was read last.

    Args:
        state: what that version was made from, if the table's log may have forgotten it.
        by_day: whether features are taken day by day only; they are read when they are (`StoredFeatures`).

    Raises ValueError if there is none, or a feature is no number.
    """
    name = table(use_case)
    state = state or lakehouse.state(name, version)
    if not state:
        raise Invalid(f"{name}: expected a history, found none; build it first")
    version = lakehouse.version(name) if version is None else version
    key = (name, version, repr(use_case.problem))
    # A history with all its features serves both.
    by_day = by_day and lakehouse.last_read.get("history", (None,))[0] != key
    what = "history by day" if by_day else "history"
    return lakehouse.read_once(what, key, lambda: _read(lakehouse, use_case, version, state, by_day))


def event_ids(lakehouse: Lakehouse, use_case: UseCase) -> pa.ChunkedArray:
    """The id of every event, in the order of the history as it was built last."""
    columns = [use_case.event_timestamp, use_case.event_id]
    return _sorted(lakehouse.to_arrow(table(use_case), None, columns), use_case)[use_case.event_id]


def _sorted(rows: pa.Table, use_case: UseCase) -> pa.Table:
    keys = [(use_case.event_timestamp, "ascending"), (use_case.event_id, "ascending")]
    return rows.take(pc.sort_indices(rows, sort_keys=keys))


def _read(
    lakehouse: Lakehouse, use_case: UseCase, version: int | None, state: Mapping[str, Any], by_day: bool
) -> History:
    name, problem = table(use_case), problem_of(use_case)
    time, event_id = use_case.event_timestamp, use_case.event_id
    schema = lakehouse.schema(name, version)
    names = features_in(use_case, name, schema, state["features"])
    declared_values = [name for name in (use_case.cluster_key, problem.amount, problem.weight) if name]
    declared, left_out, read = readable(use_case, problem.slices, schema.names)
    columns = dict.fromkeys([time, "event_known_at", event_id, *declared_values, *read])
    columns |= {} if by_day else dict.fromkeys(columns_of(names))
    rows = _sorted(lakehouse.to_arrow(name, version, list(columns)), use_case)
    versions = state["versions"]
    slices, without_profile = masks(lakehouse, use_case, declared, rows, datetime.fromisoformat(state["as_of"]))
    times = _moments(rows[time])

    def of_days(days: Days) -> FeatureRows:
        needed = list(dict.fromkeys([time, event_id, *columns_of(names)]))
        part = [(PARTITION, ">=", days[0]), (PARTITION, "<=", days[1])]
        return features_of(_sorted(lakehouse.to_arrow(name, version, needed, part), use_case), names)

    stored: Any = StoredFeatures(of_days, times // MICROSECONDS_A_DAY)
    return History(
        names,
        stored if by_day else features_of(rows, names),
        times,
        rows["event_known_at"].to_numpy(),
        codes(rows[use_case.cluster_key]),
        amounts_of(rows, problem),
        label_versions(lakehouse, use_case, versions[use_case.labels], rows[event_id]),
        versions,
        slices=slices,
        slices_left_out=(*left_out, *without_profile),
        gone=_gone_rows(lakehouse, use_case, versions[use_case.events], rows[event_id]),
    )


def _gone_rows(lakehouse: Lakehouse, use_case: UseCase, version: int, ids: pa.ChunkedArray) -> GoneRows | None:
    spans = GoneEvents.of(lakehouse, use_case, version).spans
    if spans.is_empty():
        return None
    spans = spans.with_columns(place=pl.Series(id_places.places(pa.chunked_array([spans["id"].to_arrow()]), ids)))
    spans = spans.drop_nulls("place")
    since, until = (_moments(pa.chunked_array([spans[name].to_arrow()])) for name in ("since", "until"))
    return GoneRows(spans["place"].to_numpy().astype(np.int64), since, until)


def label_versions(lakehouse: Lakehouse, use_case: UseCase, version: int | None, ids: pa.ChunkedArray) -> LabelVersions:
    """The labels of the events with these ids, in their order; None: at the latest version.

    Labels of other events are left out: those are not known yet.
    """
    names = [use_case.event_id, use_case.label, "known_at", "superseded_at"]
    labels = lakehouse.to_arrow(use_case.labels, version, names)
    places = id_places.places(labels[use_case.event_id], ids)
    labels, places = labels.filter(pc.is_valid(places)), pc.drop_null(places)
    task, values = labels_of(labels, use_case)
    return LabelVersions(
        places.to_numpy().astype(np.int64),
        values,
        _moments(labels["known_at"]),
        _moments(labels["superseded_at"]),
        task,
    )


def labels_of(versions: pa.Table, use_case: UseCase) -> tuple[Task, Labels]:
    """Labels of the rows of a mart of labels, and the task with their classes. A version without one is none."""
    task, column = task_of(problem_of(use_case)), versions[use_case.label]
    if task.name == "binary":
        return task, column.to_numpy().astype(np.bool_)
    unlabelled = problem_of(use_case).unlabelled
    task = task.of_labels(column, [] if unlabelled is None else [str(unlabelled)])
    known, values = column.is_valid().to_numpy(), task.unknown(len(column))
    values[known] = task.encoded(column.drop_null(), use_case.label)
    return task, values


def _moments(column: Any) -> Times:
    """Microseconds since 1970; null is NEVER."""
    micros = pc.cast(column.cast(pa.timestamp("us", "UTC")), pa.int64())
    moments: Times = pc.fill_null(micros, NEVER).to_numpy().astype(np.int64)
    return moments
