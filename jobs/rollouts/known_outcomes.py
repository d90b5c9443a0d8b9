"""How events of the decision log turned out, by reports that came through the log and by those of the tables."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from jobs.rollouts.labelled_pairs import KnownOutcomes
from jobs.times import microseconds
from jobs.use_case import UseCase, problem_of

if TYPE_CHECKING:
    from jobs.arrays import Bools
    from jobs.lakehouse.tables import Lakehouse
    from jobs.rollouts.paired_scores import Logged


def known_outcomes(
    lakehouse: Lakehouse, use_case: UseCase, logged: Logged, ids: Sequence[Any], now: datetime
) -> KnownOutcomes:
    """What is known by `now` of events of the log, in the order of `ids`; of a yes-or-no task.

    An event is positive once it is reported so, and mature once it is older than the use case's label maturity.
    """
    problem, until = problem_of(use_case), microseconds(now - use_case.label_maturity)
    events = [logged.events.get(str(id)) for id in ids]
    values = [{} if each is None else each[0].values for each in events]
    amounts = [float(each.get(problem.amount) or 0.0) if problem.amount else 0.0 for each in values]
    mature = np.array([each is not None and each[1] <= until for each in events], np.bool_)
    labels = _told(use_case, logged, ids)
    if mature.any():  # tables are read for days that somebody asks about only
        labels |= _in_tables(lakehouse, use_case, ids, now)
    return KnownOutcomes(
        labels,
        mature,
        np.array([str(each.get(use_case.cluster_key)) for each in values]),
        np.array(amounts, np.float64),
    )


def _told(use_case: UseCase, logged: Logged, ids: Sequence[Any]) -> Bools:
    labels = [logged.labels.get(str(id)) for id in ids]
    return np.array([each is not None and bool(each.values.get(use_case.label)) for each in labels], np.bool_)


def _in_tables(lakehouse: Lakehouse, use_case: UseCase, ids: Sequence[Any], now: datetime) -> Bools:
    from jobs.ground_truth import outcomes

    reported = np.zeros(len(ids), np.bool_)
    if not lakehouse.exists(use_case.labels):
        return reported
    known = outcomes.events(lakehouse, use_case, now)
    here, there = known.places(np.array(ids))
    reported[there] = known.labelled.reported[here]
    return reported
