"""Scores of rows of the training set, day by day: what one night scored, the next ones need not score again."""

from __future__ import annotations

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
    """Scores by the served graph, float32 [n], of the rows of an interval of time, in their order.

    Args:
        rows: of the training set at `version`, with all of its columns.
        purpose: name of the stored arrays. Those of days that a call does not ask for are forgotten.

    Raises:
        BundleError: the bundle changed since it was verified.
    """
    files = day_cache.files(lakehouse, use_case.training_set, version)
    arrays = DayCache(files, bundle.manifest.names, day_cache.path(lakehouse.settings, use_case, purpose))
    scored, days = np.zeros(rows.num_rows, np.float32), rows[PARTITION].to_numpy()
    for day in np.unique(days):
        places = np.flatnonzero(days == day)
        # The first and the last day may be there in part.
        ends = pc.min_max(rows[use_case.event_timestamp].take(places)).as_py()
        made_of = [bundle.sha256, len(places), str(ends["min"]), str(ends["max"])]
        scored[places] = arrays.of("scores", [day.item()], made_of, _scoring(bundle, rows, places))
    arrays.save()
    return scored


def _scoring(bundle: Bundle, rows: pa.Table, places: Any) -> Any:
    return lambda: score(bundle.session(), features_of(rows.take(places), bundle.manifest.names))
