"""A model's scores of recent events that it was not trained on, for a model that has decided few events so far.

Features are those of the table of all events (`jobs.datasets.history`), or else of the training set. The scores of an
evening serve the next ones while the files of their days are the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

import numpy as np

from jobs.arrays import Floats
from jobs.datasets import day_cache, history
from jobs.datasets.day_cache import DayCache
from jobs.ground_truth.outcomes import values
from jobs.lakehouse.tables import PARTITION, Lakehouse
from jobs.models.runtime import score
from jobs.models.tables import features_of
from jobs.registry.bundle import Bundle
from jobs.use_case import UseCase

CACHE = "held_out"
"""Name of the arrays that an evening leaves for the next."""


@dataclass(frozen=True, eq=False)
class HeldOutScores:
    """Ids of events and their scores; one value per event."""

    ids: Any
    scores: Floats


def held_out(
    lakehouse: Lakehouse, use_case: UseCase, bundle: Bundle, since: datetime, until: datetime
) -> HeldOutScores:
    """Scores of the events in (since, until] that happened after the model's training; none where no table has the
    model's features."""
    since = max(since, bundle.manifest.learned_until)
    tables = (name for name in (history.table(use_case), use_case.training_set) if lakehouse.exists(name))
    name = next((name for name in tables if bundle.manifest.columns.keys() <= set(lakehouse.schema(name).names)), None)
    if name is None or since >= until:
        return HeldOutScores(np.array([], dtype=np.int64), np.zeros(0))
    version = lakehouse.version(name)
    files, stored = day_cache.files(lakehouse, name, version), day_cache.path(lakehouse.settings, use_case, CACHE)
    arrays = DayCache(files, bundle.manifest.names, stored)
    days = sorted(day for day in files if since.date() <= day <= until.date())
    scored = cache(lambda: _scored(lakehouse, use_case, bundle, (name, version), (since, until)))
    made_of = [name, bundle.sha256, since.isoformat(), until.isoformat()]
    ids = arrays.of("ids", days, made_of, lambda: scored().ids)
    scores = arrays.of("scores", days, made_of, lambda: scored().scores)
    arrays.save()
    return HeldOutScores(ids, scores)


def _scored(
    lakehouse: Lakehouse,
    use_case: UseCase,
    bundle: Bundle,
    table: tuple[str, int | None],
    span: tuple[datetime, datetime],
) -> HeldOutScores:
    (since, until), time = span, use_case.event_timestamp
    rows = lakehouse.to_arrow(
        *table,
        columns=list(dict.fromkeys([use_case.event_id, *bundle.manifest.columns])),
        filters=[
            (PARTITION, ">=", since.date()), (PARTITION, "<=", until.date()), (time, ">", since), (time, "<=", until)
        ],
    )  # fmt: skip
    scores = score(bundle.session(), features_of(rows, bundle.manifest.names)).astype(np.float64)
    return HeldOutScores(values(rows[use_case.event_id]), scores)
