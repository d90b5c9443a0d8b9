"""Values of features for the rows of a search: computed by the kernel of the feature tables, over all facts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from time import process_time

import numpy as np
import polars as pl
import pyarrow as pa

from jobs.arrays import Float32s
from jobs.datasets.event_rows import BOOKKEEPING
from jobs.feature_search.search_rows import SearchRows
from jobs.feature_search.space import Candidate, FactColumns, computed
from jobs.features import window_runs
from jobs.lakehouse.tables import Lakehouse
from jobs.use_case import UseCase
from jobs.windows import Aggregate, WindowFeatures

Columns = Mapping[str, Float32s]
"""Feature -> its value for each row, NaN where it is missing."""
LOW, HIGH = 0.25, 0.9
"""Quantiles of a number below and above which events are counted."""
MOST_WINDOW = 0.5
"""Longest window, as a share of the time that the events cover."""


def facts(use_case: UseCase, rows: SearchRows) -> FactColumns:
    """What the events have to search in, their quantiles, and how late labels are."""
    events, time = rows.events, use_case.event_timestamp
    schema = events.collect_schema()
    others = {use_case.event_id, use_case.label, time, "is_target", *BOOKKEEPING}
    values = {name: kind for name, kind in schema.items() if name not in others}
    numbers = tuple(name for name, kind in values.items() if kind.is_numeric() and name not in use_case.entities)
    columns = [pl.col(name).quantile(level).alias(f"{name}_{level}") for name in numbers for level in (LOW, HIGH)]
    found = events.select(*columns, (pl.col(time).max() - pl.col(time).min()).alias("span")).collect()
    quantiles = {name: (found[f"{name}_{LOW}"][0], found[f"{name}_{HIGH}"][0]) for name in numbers}
    quantiles = {name: ends for name, ends in quantiles.items() if ends[0] is not None and np.isfinite(ends).all()}
    delays = rows.labels.select((pl.col("known_at") - pl.col(time)).quantile(HIGH)).collect().item()
    no_categories = use_case.without_categories
    texts = [name for name, kind in values.items() if kind == pl.String and name not in no_categories]
    return FactColumns(
        tuple(quantiles),
        tuple(dict.fromkeys([*use_case.entities, *texts])),
        tuple(name for name, kind in values.items() if kind == pl.Boolean),
        rows.label_values,
        {name: (_rounded(low), _rounded(high)) for name, (low, high) in quantiles.items()},
        _whole_days(delays or use_case.label_maturity),
        MOST_WINDOW * found["span"][0],
    )


def declared(lakehouse: Lakehouse, use_case: UseCase, rows: SearchRows, only_inputs: bool) -> dict[str, Float32s]:
    """The numbers of the event itself, and the window features that the use case has, unless `only_inputs`."""
    found = {name: values.astype(np.float32) for name, values in rows.inputs.items()}
    for windows in () if only_inputs else use_case.windows:
        found |= _values(lakehouse, windows, rows)
    return found


def of_candidates(
    lakehouse: Lakehouse, use_case: UseCase, rows: SearchRows, candidates: Sequence[Candidate]
) -> dict[str, Float32s]:
    """The features of the candidates."""
    found: dict[str, Float32s] = {}
    for windows in use_case.windows:
        found |= _values(lakehouse, computed(windows, candidates), rows)
    return found


def cost(lakehouse: Lakehouse, windows: WindowFeatures, candidate: Candidate, rows: SearchRows) -> float:
    """Microseconds of processor time of a candidate per row, beyond those of counting the events of a day."""
    spent = []
    for chosen in (computed(windows, [candidate]), replace(windows, aggregates=(Aggregate("count"),), ratios=())):
        began = process_time()
        _values(lakehouse, chosen, rows)
        spent.append(process_time() - began)
    return max(0.0, spent[0] - spent[1]) / max(len(rows.ids), 1) * 1e6


def _values(lakehouse: Lakehouse, windows: WindowFeatures, rows: SearchRows) -> dict[str, Float32s]:
    if not windows.aggregates:
        return {}
    labels = rows.labels if windows.reads_labels else None
    found = window_runs.run(lakehouse, windows, rows.events, labels)
    assert isinstance(found, pa.RecordBatchReader)
    table = pl.DataFrame(found.read_all())
    in_place = rows.ids.to_frame(windows.id).join(table, on=windows.id, how="left", maintain_order="left")
    return {name: in_place[name].cast(pl.Float32).to_numpy() for name in windows.names}


def _whole_days(length: timedelta) -> timedelta:
    return timedelta(days=max(1, -(-length // timedelta(days=1))))


def _rounded(value: float) -> float:
    """To two digits, as a person would declare it."""
    return float(f"{value:.2g}")
