"""A model's scores of recent events that it was not trained on, for a model that has decided few events so far.

Features are those of the table of all events (`jobs.datasets.history`), or else of the training set.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np

from jobs.arrays import Floats
from jobs.datasets import history
from jobs.ground_truth.outcomes import values
from jobs.lakehouse.tables import PARTITION, Lakehouse
from jobs.models.runtime import score
from jobs.models.tables import features_of
from jobs.registry.bundle import Bundle
from jobs.use_case import UseCase


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
    name = next((name for name in tables if set(bundle.manifest.names) <= set(lakehouse.schema(name).names)), None)
    time = use_case.event_timestamp
    if name is None or since >= until:
        return HeldOutScores(np.array([], dtype=np.int64), np.zeros(0))
    rows = lakehouse.to_arrow(
        name,
        columns=list(dict.fromkeys([use_case.event_id, *bundle.manifest.names])),
        filters=[
            (PARTITION, ">=", since.date()), (PARTITION, "<=", until.date()), (time, ">", since), (time, "<=", until)
        ],
    )  # fmt: skip
    scores = score(bundle.session(), features_of(rows, bundle.manifest.names)).astype(np.float64)
    return HeldOutScores(values(rows[use_case.event_id]), scores)
