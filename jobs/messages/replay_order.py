"""In which order the messages of a replayed world arrive and are sent: late, twice and out of order as asked for.

Pure functions of times and a seed. What is in the messages: see `jobs.messages.replay`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

import numpy as np
import polars as pl

from jobs.arrays import Ints

FARTHEST = 1000
"""So many messages may come before the second copy of a message, or overtake one that is out of order."""


@dataclass(frozen=True)
class Disturbance:
    """What happens to messages on their way."""

    late: timedelta = timedelta(0)
    """Each arrives up to this long after it became known, at random."""
    duplicates: float = 0.0
    """Share of the messages that are sent twice."""
    disorder: float = 0.0
    """Share of the messages that others overtake that arrived later."""
    seed: int = 0


def arrivals(known_at: pl.Series, disturbance: Disturbance, stream: int) -> pl.Series:
    """When rows arrive that became known at these times.

    stream: tells sources apart, so that the rows of each are late for themselves. A row is as late whatever other
    rows are there behind it.
    """
    longest = disturbance.late // timedelta(microseconds=1)
    late = _generator(disturbance, stream).integers(0, longest, len(known_at), endpoint=True)
    return known_at + pl.Series(late).cast(pl.Duration("us"))


def sending_order(count: int, disturbance: Disturbance) -> Ints:
    """Of messages in the order of their arrival, the number of each in the order in which they are sent.

    A number that comes twice is a duplicate.
    """
    rng, places = _generator(disturbance, 0), np.arange(count, dtype=np.float64)
    behind = _distances(rng, count) * (rng.random(count) < disturbance.disorder)
    twice = np.flatnonzero(rng.random(count) < disturbance.duplicates)
    numbers = np.concatenate([np.arange(count), twice])
    # A half puts it behind the message of that place.
    moved = np.concatenate([behind, behind[twice] + _distances(rng, count)[twice]])
    order: Ints = numbers[np.argsort(places[numbers] + moved + 0.5 * (moved > 0), kind="stable")]
    return order


def _distances(rng: np.random.Generator, count: int) -> Ints:
    """Distances from 1 to FARTHEST, each order of magnitude as often as the others."""
    distances: Ints = (FARTHEST ** rng.random(count)).astype(np.int64)
    return distances


def _generator(disturbance: Disturbance, stream: int) -> np.random.Generator:
    return np.random.default_rng([disturbance.seed, stream])
