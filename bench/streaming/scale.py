"""A cluster of stream processes in simulated time: what each step and commit costs is measured, the rest is queueing.

Each worker takes what came to its keys, at most so much in a step, and commits at each trigger, as one process does
(`jobs.streams.process`). A key is on one worker, whatever its share of events. There is no network here: brokers and
stores have to keep up.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

MOST = 10_000
"""Messages of one step, as in `jobs.streams.stream`."""
IDLE = 0.02
"""Seconds that a step waits for messages."""


@dataclass(frozen=True)
class Costs:
    """Seconds of a core."""

    step: float
    """Of a step, whatever it takes."""
    event: float
    """Of an event more in a step, raw row and features."""
    commit: float
    """Of a commit, whatever it holds."""
    row: float
    """Of a row more in a commit."""


@dataclass(frozen=True)
class Cluster:
    """How many workers, how often they commit, and how uneven keys are."""

    workers: int
    trigger: float
    """Seconds between two commits."""
    keys: int = 1_000_000
    skew: float = 0.0
    """Exponent of Zipf's law for how often keys come; 0: all alike."""

    @property
    def key_shares(self) -> np.ndarray:
        """Share of events that each key has."""
        weights: np.ndarray = np.arange(1, self.keys + 1, dtype=float) ** -self.skew
        shares: np.ndarray = weights / weights.sum()
        return shares

    @property
    def fullest(self) -> float:
        """The share of events that the fullest worker has."""
        at = np.random.default_rng(0).integers(0, self.workers, self.keys)
        return float(np.bincount(at, self.key_shares, self.workers).max())


@dataclass(frozen=True)
class Run:
    """What became of one worker's messages."""

    times: np.ndarray
    """Seconds, at the end of each step."""
    lag: np.ndarray
    """Messages that were there and not taken."""

    @property
    def peak(self) -> int:
        return int(self.lag.max())

    def recovered(self, start: float, usual: float) -> float:
        """Seconds after `start` until the lag is as usual again; infinite if it never is."""
        later = self.times >= start
        times, lag = self.times[later], self.lag[later]
        above = np.flatnonzero(lag > usual)
        if not len(above):
            return 0.0
        return float(times[above[-1] + 1] - start) if above[-1] + 1 < len(lag) else float("inf")


def simulated(
    costs: Costs, trigger: float, arrived: Callable[[float], float], seconds: float, enough: float = -1.0
) -> Run:
    """One worker's run, which ends when no more than `enough` messages wait.

    Args:
        arrived: messages that have come by a moment.
    """
    now, committed, taken, rows = 0.0, 0.0, 0, 0
    times, lag = [0.0], [int(arrived(0.0))]
    while now < seconds and lag[-1] > enough:
        count = min(MOST, int(arrived(now)) - taken)
        spent = costs.step + count * costs.event if count else IDLE
        taken, rows = taken + count, rows + count
        if now - committed > trigger:
            spent, committed, rows = spent + costs.commit + rows * costs.row, now, 0
        now += spent
        times.append(now)
        lag.append(int(arrived(now)) - taken)
    return Run(np.array(times), np.array(lag))


def burst(rate: float, at: float, size: int) -> Callable[[float], float]:
    """Arrivals at an even rate, and so many at once at a moment."""
    return lambda now: rate * now + (size if now >= at else 0)
