"""The time-ordered split at `as_of`: what is trained on, what parameters are chosen on, what is kept for the gate."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import numpy.typing as npt

from jobs.arrays import Bools
from jobs.limits import Limits
from jobs.tasks.binary import BINARY
from jobs.tasks.task import Labels, Task
from jobs.times import Times, microseconds

WINDOWS = ("training", "validation", "final", "judged")


@dataclass(frozen=True)
class Split:
    """Moments that part a training set. Every window is open at its start and closed at its end.

    training   (.., validation_start - maturity]   labels known when validation begins
    validation (validation_start, judged_start]
    final      (.., judged_start - maturity]       what the candidate is trained on in the end
    judged     (judged_start, judged_end]          left to the gate
    """

    maturity: timedelta
    validation_start: datetime
    judged_start: datetime
    judged_end: datetime

    def training(self, times: Times) -> Bools:
        return times <= microseconds(self.validation_start - self.maturity)

    def validation(self, times: Times) -> Bools:
        return _within(times, self.validation_start, self.judged_start)

    def final(self, times: Times) -> Bools:
        return times <= microseconds(self.judged_start - self.maturity)

    def judged(self, times: Times) -> Bools:
        return _within(times, self.judged_start, self.judged_end)


def split(as_of: datetime, maturity: timedelta, validation: timedelta, judged: timedelta) -> Split:
    """The split of what was known at `as_of`: the judged rows are the latest whose labels are mature.

    Args:
        maturity: age at which a label counts as known.
        validation, judged: lengths of these windows.
    """
    end = as_of - maturity
    return Split(maturity, end - judged - validation, end - judged, end)


@dataclass(frozen=True, eq=False)
class LabelledTimes:
    """What says whether a window holds enough to judge a model; every array has one value per row."""

    times: Times
    labels: Labels
    blocks: npt.NDArray[np.generic]
    """The entity whose rows share their noise."""
    task: Task = BINARY

    def enough(self, within: Bools, limits: Limits) -> bool:
        """Whether the rows `within` a window are as many, with evidence in as many blocks, as the limits ask for."""
        evidence = self.task.informative(self.labels[within])
        blocks = len(np.unique(self.blocks[within][evidence]))
        return limits.enough(len(evidence), int(evidence.sum()), blocks)


def stretched(rows: LabelledTimes, usual: datetime, end: datetime, earliest: datetime, limits: Limits) -> datetime:
    """When the judged window begins: `usual`, or as many days before it as it takes to hold enough until `end`.

    Returns:
        `usual` also if no start down to `earliest` is enough.
    """
    start = usual
    while start == usual or start >= earliest:
        if rows.enough(_within(rows.times, start, end), limits):
            return start
        start -= timedelta(days=1)
    return usual


def with_evidence(parts: Split, longest: timedelta, rows: LabelledTimes, limits: Limits) -> Split:
    """The split with a judged window that holds enough, if one of at most `longest` does and leaves enough to learn."""
    earliest = parts.judged_end - longest
    start = stretched(rows, parts.judged_start, parts.judged_end, earliest, limits)
    moved = start - parts.judged_start
    longer = Split(parts.maturity, parts.validation_start + moved, start, parts.judged_end)
    return parts if refusal(longer, rows.times, rows.labels, rows.task) else longer


def refusal(parts: Split, times: Times, labels: Labels, task: Task = BINARY) -> str | None:
    """Why these rows cannot be learned from yet, in plain words; None if they can."""
    windows = {
        "training": (parts.training(times), f"until {parts.validation_start - parts.maturity:%Y-%m-%d %H:%M}"),
        "validation": (parts.validation(times), f"{parts.validation_start:%Y-%m-%d} to {parts.judged_start:%Y-%m-%d}"),
    }
    for name, (mask, when) in windows.items():
        if lacking := task.lacking(labels[mask]):
            return f"the {name} window ({when}) {lacking}: wait for more days and labels"
    return None


def _within(times: Times, start: datetime, end: datetime) -> Bools:
    return (times > microseconds(start)) & (times <= microseconds(end))
