"""When the stages of a decision ended, of events that are worked on together."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

from jobs.decisions.feature_row import Row
from jobs.decisions.scores import Baseline, Score, Scored


class Stages:
    """Stages one after another, each of which begins when the one before ends.

    They are `append` (an event is appended and entered), `features` (they are found), `model` (it scores them) and
    `log` (the decision is appended).
    """

    __slots__ = ("_began", "_ends", "events")

    def __init__(self, events: int = 1) -> None:
        """events: how many are worked on."""
        self._began, self.events = time.perf_counter(), events
        self._ends: list[tuple[str, float]] = []

    def ended(self, stage: str) -> None:
        """A stage ends now."""
        self._ends.append((stage, time.perf_counter()))

    def __iter__(self) -> Iterator[tuple[str, float, float]]:
        """Name, begin and end of each, in seconds of `time.perf_counter`."""
        begin = self._began
        for stage, end in self._ends:
            yield stage, begin, end
            begin = end


class TimedScore:
    """What scores, with the ends of the stages that its calls divide."""

    def __init__(self, score: Score, stages: Stages) -> None:
        self._score, self._stages = score, stages

    @property
    def fallback(self) -> Baseline:
        return self._score.fallback

    def __call__(self, rows: Sequence[Row]) -> list[Scored]:
        self._stages.ended("features")
        scored = self._score(rows)
        self._stages.ended("model")
        return scored
