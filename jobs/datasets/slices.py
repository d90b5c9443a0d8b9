"""Guard slices and groups as masks over rows: by a column of the rows, or of a profile that is joined by its key."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from itertools import pairwise

import numpy as np
import polars as pl
import pyarrow as pa

from jobs.arrays import Bools
from jobs.errors import Invalid
from jobs.lakehouse.tables import Lakehouse
from jobs.problem import Groups, Slice
from jobs.use_case import UseCase

KNOWN_AT = "known_at"
MOST_GROUPS = 50
"""Groups of more values are not slices to guard but an identifier."""


def readable(
    use_case: UseCase, declared: Sequence[Slice | Groups], present: Sequence[str]
) -> tuple[list[Slice | Groups], list[str], list[str]]:
    """Which of the declared slices rows with these columns can have, why not the others, and the columns to read."""
    chosen, left_out, read = [], [], list[str]()
    for guard in declared:
        needed = [guard.column] if guard.source is None else list(use_case.source(guard.source).key)
        if missing := sorted(set(needed) - set(present)):
            left_out.append(f"slice {guard.name}: the events have no columns {missing}")
        else:
            chosen.append(guard)
            read += needed
    return chosen, left_out, read


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
            masks[guard.name] = mask(guard, values)
        else:
            masks |= dict(_groups(guard, values))
    return masks, tuple(left_out)


def _values(
    lakehouse: Lakehouse, use_case: UseCase, guard: Slice | Groups, rows: pa.Table, as_of: datetime
) -> pl.Series | None:
    """The guarded column, one value per row; None if it is that of a profile which was never loaded."""
    if guard.source is None:
        if guard.column not in rows.column_names:
            raise Invalid(
                f"slice {guard.name}: expected column {guard.column!r} in {use_case.training_set}, found "
                f"{rows.column_names}; correct the declaration"
            )
        return pl.Series(guard.column, pl.from_arrow(rows.select([guard.column])).to_series())  # type: ignore[union-attr]
    source = use_case.source(guard.source)
    table = use_case.raw_table(source)
    if not lakehouse.exists(table):
        return None
    profile = pl.DataFrame(lakehouse.to_arrow(table, columns=[*source.key, guard.column, KNOWN_AT]))
    known_profile = profile.filter(pl.col(KNOWN_AT) <= as_of).sort(KNOWN_AT).unique(source.key, keep="last")
    keys = [pl.col(name).cast(pl.String) for name in source.key]
    row_keys = pl.DataFrame(rows.select(list(source.key))).with_columns(keys)
    joined = row_keys.join(
        known_profile.select(*keys, pl.col(guard.column).alias("_value")),
        on=source.key,
        how="left",
        maintain_order="left",
    )
    return joined["_value"]


def mask(guard: Slice, values: pl.Series) -> Bools:
    """Rows inside the bounds and among the values; true is 1. A missing value, also an empty text, is in no slice."""
    values = values.replace("", None) if values.dtype == pl.String else values
    inside = values.is_not_null()
    if guard.values:
        inside &= values.cast(pl.String).is_in(list(guard.values))
    values = values.cast(pl.UInt8) if values.dtype == pl.Boolean else values
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
            yield part.name, mask(part, values)
        return
    distinct = sorted(values.drop_nulls().cast(pl.String).replace("", None).drop_nulls().unique().to_list())
    if len(distinct) > MOST_GROUPS:
        raise Invalid(
            f"slice {guard.name}: expected at most {MOST_GROUPS} values of {guard.column!r}, found {len(distinct)}; "
            "cut numbers at edges, or declare a Slice of the values that matter"
        )
    for value in distinct:
        yield f"{guard.name}:{value}", mask(Slice(guard.name, guard.column, values=(value,)), values)


def _band(low: float | None, high: float | None) -> str:
    if low is None:
        return f"below {high:g}"
    return f"from {low:g}" if high is None else f"{low:g} to {high:g}"
