"""How a stream is, as it is seen from outside by looks at its heartbeat, once in a while.

Who is told, and what is checked, is in `jobs.alerts` and `jobs.checks`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import pairwise

from jobs.streams.control import Heartbeat

SILENT_SECONDS = 60.0
"""A heartbeat comes every second; a long commit may hold it back."""
STARTING_SECONDS = 1800.0
"""A start reads raw tables and marts before it says anything more."""
QUIET = timedelta(hours=6)
"""Without a message for as long, whoever sends may have stopped."""
KEPT_LOOKS = 5
"""Looks over which a lag has to grow at each."""
LEAST_LAG = 1000
"""Messages; less than that is what comes between two steps."""
RUNNING, WAITING, DOWN = "running", "waiting", ("dead", "silent", "failed")
"""States. Dead: its process is gone, without a word. Silent: it is there, and says nothing."""


@dataclass(frozen=True)
class Look:
    """What one look at a stream found."""

    state: str
    """Its condition, or that it is dead or silent."""
    lag: Mapping[str, int]
    """Topic -> messages that were not taken."""
    messages: int
    """Taken since it started."""
    why: str
    """Why it waits or failed, or what it leaves undone."""


@dataclass(frozen=True)
class Seen:
    """What is known of a stream at the last of some looks."""

    said: Heartbeat
    looks: Sequence[Look]
    """The latest, at most KEPT_LOOKS, the last one last."""
    refused: Mapping[str, Counter[str]]
    """Topic -> reason -> messages of the last day that broke the contract."""


def look(said: Heartbeat, now: float) -> Look:
    """What is seen of a stream at a moment, in seconds since 1970."""
    return Look(state(said, now), dict(said.lag), said.counts.get("messages", 0), said.why)


def state(said: Heartbeat, now: float) -> str:
    """The condition that a stream is in, or that it is dead or silent.

    One that spoke just now lives, also on another machine, whose processes cannot be seen.
    """
    patience = STARTING_SECONDS if said.condition == "starting" and said.is_alive else SILENT_SECONDS
    if said.condition in ("ended", "failed") or now - said.at <= patience:
        return said.condition
    return "silent" if said.is_alive else "dead"


def lasts(looks: Sequence[Look], condition: str) -> bool:
    """Whether the last two looks found the same, so that it is more than a moment."""
    return len(looks) > 1 and all(each.state == condition for each in looks[-2:])


def growing(looks: Sequence[Look]) -> dict[str, int]:
    """Topic -> lag, of those whose lag grew at each of the kept looks."""
    if len(looks) < KEPT_LOOKS or any(each.state != RUNNING for each in looks):
        return {}
    lags = {topic: [each.lag.get(topic, 0) for each in looks] for topic in looks[-1].lag}
    return {
        topic: lag[-1]
        for topic, lag in lags.items()
        if lag[-1] >= LEAST_LAG and all(before < after for before, after in pairwise(lag))
    }


def quiet_for(seen: Seen, now: float) -> timedelta | None:
    """How long no message came, if that is longer than QUIET; None also if it cannot be known.

    Messages that are read again have the stamps of when they came first.
    """
    since, looks = timedelta(seconds=now - seen.said.stamp / 1e6), seen.looks
    is_still = lasts(looks, RUNNING) and looks[-1].messages == looks[-2].messages
    return since if seen.said.stamp and is_still and since > QUIET else None
