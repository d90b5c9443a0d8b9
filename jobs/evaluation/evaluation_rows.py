"""The rows that a candidate is judged on: the latest whose labels are mature, with blocks, money and guard slices.

Read from one version of the training set, without an engine. Who is judged on them is `jobs.evaluation.contenders`'
business.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa

from jobs.arrays import Bools
from jobs.datasets import time_split
from jobs.evaluation import gate
from jobs.lakehouse.tables import PARTITION, Lakehouse
from jobs.problem import Groups, Problem, Slice
from jobs.use_case import UseCase

KNOWN_AT = "known_at"
MOST_GROUPS = 50
"""Groups of more values are not slices to guard but an identifier."""


@dataclass(frozen=True, eq=False)
class JudgedRows:
    """Rows of the window (start, end], as a table with the training set's columns."""

    table: pa.Table
    version: int
    """Delta version of the training set."""
    start: datetime
    end: datetime
    labels: Bools
    slices: Mapping[str, Bools] = field(default_factory=dict)
    left_out: tuple[str, ...] = ()
    """Declared slices that these rows do not have, and why."""

    def __len__(self) -> int:
        return len(self.labels)

    def column(self, name: str) -> Any:
        """Values of a column, shape (rows,)."""
        return self.table.column(name).to_numpy()

    def for_gate(self, problem: Problem) -> gate.Rows:
        """Labels, blocks and slices, as the gate takes them."""
        return gate.Rows(self.labels, self.column(problem.cluster_key), self.slices)


def read(lakehouse: Lakehouse, use_case: UseCase, problem: Problem, version: int, as_of: datetime) -> JudgedRows:
    """The judged rows of `as_of`, from this version of the training set.

    Raises:
        ValueError: a slice is declared over a column that neither the training set nor a loaded profile has.
    """
    parts = time_split.split(as_of, use_case.label_maturity, problem.validation_window, problem.evaluation_window)
    start, end = parts.judged_start, parts.judged_end
    table = between(lakehouse, use_case, version, start, end)
    labels = table.column(use_case.label).to_numpy().astype(np.bool_)
    slices, left_out = masks(lakehouse, use_case, problem.slices, table, as_of)
    return JudgedRows(table, version, start, end, labels, slices, left_out)


def between(
    lakehouse: Lakehouse,
    use_case: UseCase,
    version: int,
    start: datetime,
    end: datetime,
    columns: Sequence[str] | None = None,
) -> pa.Table:
    """Rows of the training set with event times in (start, end]."""
    time = use_case.event_timestamp
    # The partition's days prune files, the time cuts the first and the last of them.
    days = [(PARTITION, ">=", start.date()), (PARTITION, "<=", end.date())]
    return lakehouse.to_arrow(
        use_case.training_set, version, columns, [*days, (time, ">", start), (time, "<=", end)]
    )  # fmt: skip


def masks(
    lakehouse: Lakehouse, use_case: UseCase, declared: Iterable[Slice | Groups], rows: pa.Table, as_of: datetime
) -> tuple[dict[str, Bools], tuple[str, ...]]:
    """Name -> mask of the declared slices (of groups: `name:value` for each value), and those left out, with why."""
    masks: dict[str, Bools] = {}
    left_out = []
    for guard in declared:
        values = _values(lakehouse, use_case, guard, rows, as_of)
        if values is None:
            left_out.append(f"slice {guard.name}: {guard.source} was never loaded")
        elif isinstance(guard, Slice):
            masks[guard.name] = _mask(guard, values)
        else:
            masks |= dict(_groups(guard, values))
    return masks, tuple(left_out)


def _values(
    lakehouse: Lakehouse, use_case: UseCase, guard: Slice | Groups, rows: pa.Table, as_of: datetime
) -> pl.Series | None:
    """The guarded column, one value per row; None if it is that of a profile which was never loaded."""
    if guard.source is None:
        if guard.column not in rows.column_names:
            raise ValueError(
                f"slice {guard.name}: expected column {guard.column!r} in {use_case.training_set}, found "
                f"{rows.column_names}; correct the declaration"
            )
        return pl.Series(guard.column, pl.from_arrow(rows.select([guard.column])).to_series())  # type: ignore[union-attr]
    source = use_case.source(guard.source)
    table = use_case.raw_table(source)
    if not lakehouse.exists(table):
        return None
    profile = pl.DataFrame(lakehouse.to_arrow(table, columns=[*source.key, guard.column, KNOWN_AT]))
    known = profile.filter(pl.col(KNOWN_AT) <= as_of).sort(KNOWN_AT).unique(source.key, keep="last")
    keys = [pl.col(name).cast(pl.String) for name in source.key]
    asked = pl.DataFrame(rows.select(list(source.key))).with_columns(keys)
    joined = asked.join(
        known.select(*keys, pl.col(guard.column).alias("_value")), on=source.key, how="left", maintain_order="left"
    )
    return joined["_value"]


def _mask(guard: Slice, values: pl.Series) -> Bools:
    """Rows inside the bounds and among the values; a missing value is in no slice."""
    inside = values.is_not_null()
    if guard.values:
        inside &= values.cast(pl.String).is_in(list(guard.values))
    if guard.minimum is not None:
        inside &= values >= guard.minimum
    if guard.maximum is not None:
        inside &= values < guard.maximum
    return inside.fill_null(False).to_numpy().astype(np.bool_)


def _groups(guard: Groups, values: pl.Series) -> Iterator[tuple[str, Bools]]:
    if guard.edges:
        bounds = [None, *guard.edges, None]
        for low, high in pairwise(bounds):
            part = Slice(f"{guard.name}:{_band(low, high)}", guard.column, low, high)
            yield part.name, _mask(part, values)
        return
    found = sorted(values.drop_nulls().cast(pl.String).unique().to_list())
    if len(found) > MOST_GROUPS:
        raise ValueError(
            f"slice {guard.name}: expected at most {MOST_GROUPS} values of {guard.column!r}, found {len(found)}; cut "
            "numbers at edges, or declare a Slice of the values that matter"
        )
    for value in found:
        yield f"{guard.name}:{value}", _mask(Slice(guard.name, guard.column, values=(value,)), values)


def _band(low: float | None, high: float | None) -> str:
    if low is None:
        return f"below {high:g}"
    return f"from {low:g}" if high is None else f"{low:g} to {high:g}"
