"""Scores of rows of the training set, day by day: what one night scored, the next ones need not score again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache, partial
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from jobs.arrays import Float32s
from jobs.datasets import day_cache
from jobs.datasets.day_cache import DayCache
from jobs.lakehouse.tables import PARTITION, Lakehouse
from jobs.models.runtime import score
from jobs.models.tables import features_of
from jobs.registry.bundle import Bundle
from jobs.use_case import UseCase


def scores(
    lakehouse: Lakehouse, use_case: UseCase, bundle: Bundle, rows: pa.Table, version: int, purpose: str
) -> Float32s:
    """Scores by the served graph, float32 [n] (or [n, classes]), of the rows of an interval of time, in their order.

    Args:
        rows: of the training set at `version`, with all of its columns.
        purpose: name of the stored arrays. Those of days that a call does not ask for are forgotten.

    Raises:
        BundleError: the bundle changed since it was verified.
    """
    arrays = stored(lakehouse, use_case, version, purpose, bundle.manifest.names)
    scored = by_day(arrays, use_case, bundle, rows)
    arrays.save()
    return scored


def stored(lakehouse: Lakehouse, use_case: UseCase, version: int, purpose: str, names: Sequence[str] = ()) -> DayCache:
    """The scores that were stored for a purpose; of several models there, each is told apart by its bundle's hash."""
    files = day_cache.files(lakehouse, use_case.training_set, version)
    return DayCache(files, names, day_cache.path(lakehouse.settings, use_case, purpose))


def by_day(arrays: DayCache, use_case: UseCase, bundle: Bundle, rows: pa.Table) -> Float32s:
    """As `scores`, with arrays that the caller saves."""
    days, session, parts, order = rows[PARTITION].to_numpy(), cache(bundle.session), [], []
    for day in np.unique(days):
        places = np.flatnonzero(days == day)
        # The first and the last day may be there in part.
        ends = pc.min_max(rows[use_case.event_timestamp].take(places)).as_py()
        made_of = [bundle.sha256, len(places), str(ends["min"]), str(ends["max"])]
        scoring = partial(_scored, session, rows, places, bundle.manifest.names)
        parts.append(arrays.of("scores", [day.item()], made_of, scoring))
        order.append(places)
    if not parts:
        return np.zeros(0, np.float32)
    scored = np.empty((len(days), *parts[0].shape[1:]), np.float32)
    scored[np.concatenate(order)] = np.concatenate(parts)
    return scored


def _scored(session: Callable[[], Any], rows: pa.Table, places: Any, names: Sequence[str]) -> Float32s:
    return score(session(), features_of(rows.take(places), names))
