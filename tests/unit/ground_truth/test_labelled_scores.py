"""One moment's events, scores and labels: what is known at it, and what stays of it in a part of the rows."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np

from jobs.ground_truth.label_delay import learn_delay
from jobs.ground_truth.labelled_scores import LabelledScores
from jobs.times import MICROSECONDS_A_DAY as DAY
from jobs.times import NEVER, microseconds

AS_OF = datetime(2026, 4, 1, tzinfo=UTC)
NOW = microseconds(AS_OF)
NONE = np.array([], dtype=np.int64)


def labelled() -> LabelledScores:
    """Events of ten days, one a day, the oldest first; every second one is reported after three days."""
    times = NOW - np.arange(10, 0, -1) * DAY
    positive = np.arange(10) % 2 == 0
    return LabelledScores(
        times=times,
        scores=np.linspace(0, 1, 10),
        known_at=np.where(positive, times + 3 * DAY, NEVER),
        positive=positive,
        delay=learn_delay(NONE, NONE, AS_OF, timedelta(days=14)),
        as_of=AS_OF,
    )


def test_only_positives_reported_by_then_are_known() -> None:
    assert labelled().reported.nonzero()[0].tolist() == [0, 2, 4, 6]
    earlier = replace(labelled(), as_of=AS_OF - timedelta(days=4))
    assert earlier.reported.nonzero()[0].tolist() == [0, 2]


def test_shares_are_those_of_the_age_that_reporting_has_reached() -> None:
    now, earlier = labelled(), replace(labelled(), as_of=AS_OF - timedelta(days=4))
    assert now.shares.tolist() == now.delay.share(np.arange(10, 0, -1)).tolist()
    assert (earlier.shares < now.shares)[:6].all() and not earlier.shares[6:].any()


def test_a_part_of_the_rows_keeps_moment_and_delay() -> None:
    every = labelled()
    for places in (np.array([8, 1]), np.isin(np.arange(10), [1, 8])):
        part = every.rows(places)
        assert sorted(part.scores) == sorted(every.scores[[1, 8]]) and len(part) == 2
        assert sorted(part.days) == sorted(every.days[[1, 8]])
        assert part.as_of == every.as_of and part.delay is every.delay
