"""The time-ordered split at `as_of`: what is trained on, what parameters are chosen on, what is kept for the gate."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from jobs.arrays import Bools
from jobs.times import Times, microseconds

WINDOWS = ("training", "validation", "final", "judged")
MINIMUM_POSITIVES = 10
"""With fewer, a window says nothing about which model is better."""


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


def refusal(parts: Split, times: Times, labels: Bools) -> str | None:
    """Why these rows cannot be learned from yet, in plain words; None if they can."""
    windows = {
        "training": (parts.training(times), f"until {parts.validation_start - parts.maturity:%Y-%m-%d %H:%M}"),
        "validation": (parts.validation(times), f"{parts.validation_start:%Y-%m-%d} to {parts.judged_start:%Y-%m-%d}"),
    }
    for name, (mask, when) in windows.items():
        rows, positives = int(mask.sum()), int(labels[mask].sum())
        if positives < MINIMUM_POSITIVES or positives == rows:
            return (
                f"the {name} window ({when}) holds {positives} positives in {rows} rows; expected at least "
                f"{MINIMUM_POSITIVES} positives, and negatives too: wait for more days and labels"
            )
    return None


def _within(times: Times, start: datetime, end: datetime) -> Bools:
    return (times > microseconds(start)) & (times <= microseconds(end))
