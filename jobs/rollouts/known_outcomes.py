"""How events of the decision log turned out, by reports that came through the log and by those of the tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from jobs.rollouts.labelled_pairs import KnownOutcomes
from jobs.times import microseconds
from jobs.use_case import UseCase

if TYPE_CHECKING:
    from jobs.arrays import Bools
    from jobs.decisions.log_contents import LabelCame
    from jobs.lakehouse.tables import Lakehouse
    from jobs.rollouts.logged import PairsOfLog


def known_outcomes(
    lakehouse: Lakehouse, use_case: UseCase, events: PairsOfLog, told: Mapping[str, LabelCame], now: datetime
) -> KnownOutcomes:
    """What is known by `now` of events of the log; of a yes-or-no task.

    An event is positive once it is reported so, and mature once it is older than the use case's label maturity.

    Args:
        told: by id, what the log says became of events.
    """
    ids = events.pairs.ids
    mature = events.happened <= microseconds(now - use_case.label_maturity)
    labels = _told(use_case, told, ids)
    if mature.any():  # tables are read for days that somebody asks about only
        labels |= _in_tables(lakehouse, use_case, ids, now)
    return KnownOutcomes(labels, mature, events.clusters, events.amounts)


def _told(use_case: UseCase, told: Mapping[str, LabelCame], ids: Sequence[Any]) -> Bools:
    reported = {id for id, label in told.items() if label.values.get(use_case.label)}
    return np.array([str(id) in reported for id in ids], np.bool_)


def _in_tables(lakehouse: Lakehouse, use_case: UseCase, ids: Sequence[Any], now: datetime) -> Bools:
    from jobs.ground_truth import outcomes

    reported = np.zeros(len(ids), np.bool_)
    if not lakehouse.exists(use_case.labels):
        return reported
    # Looks of the same hour read the tables once: days that are mature know no hours.
    hour = now.replace(minute=0, second=0, microsecond=0)
    known = outcomes.events(lakehouse, use_case, hour)
    here, there = known.places(np.array(ids))
    reported[there] = known.labelled.reported[here]
    return reported
