"""Events, scores and labels as known at one moment: the value that every judgement of this room is made of.

Cut once per moment, and handed on. What holds of contradicting reports is settled before, in
`jobs.ground_truth.reports`.
"""

from dataclasses import dataclass, fields, replace
from datetime import datetime
from functools import cached_property
from typing import Any, Self

import numpy as np

from jobs.arrays import Bools, Floats, Ints
from jobs.ground_truth.label_delay import Delay
from jobs.ground_truth.reports import reported_until
from jobs.tasks.task import Labels
from jobs.times import MICROSECONDS_A_DAY, Times, ages


@dataclass(frozen=True, eq=False, kw_only=True)
class LabelledEvents:
    """Events and what is known about them at `as_of`; every array holds one value per event."""

    times: Times
    """Moments of the events, microseconds UTC."""
    known_at: Times
    """Moments at which the labels were first reported, microseconds UTC; `NEVER` without a report."""
    positive: Bools
    """Whether an event is reported as positive, be it after `as_of`; where a task has no positives, labelled."""
    delay: Delay
    """Distribution of the time from an event to its report."""
    as_of: datetime
    """Reports that came later are not looked at."""
    values: Labels | None = None
    """What events are reported to be, where that is more than yes or no: as of `Task.unknown` without a report."""

    def __len__(self) -> int:
        return len(self.times)

    @cached_property
    def reported_until(self) -> int:
        """Moment that reporting has reached, see `jobs.ground_truth.reports.reported_until`."""
        return reported_until(self.known_at, self.as_of)

    @cached_property
    def reported(self) -> Bools:
        """Whether each event is known as positive at `as_of`."""
        is_reported: Bools = self.positive & (self.known_at <= self.reported_until)
        return is_reported

    @cached_property
    def shares(self) -> Floats:
        """Expected share of each event's reports that is in: F at the age that reporting has reached."""
        return self.delay.share(ages(self.times, self.reported_until))

    @property
    def days(self) -> Ints:
        """Days of the events since 1970, UTC."""
        return self.times // MICROSECONDS_A_DAY

    def rows(self, places: Ints | Bools) -> Self:
        """The events at these places, known as of the same moment."""
        values = {one.name: getattr(self, one.name) for one in fields(self)}
        chosen: dict[str, Any] = {name: one[places] for name, one in values.items() if isinstance(one, np.ndarray)}
        return replace(self, **chosen)


@dataclass(frozen=True, eq=False, kw_only=True)
class LabelledScores(LabelledEvents):
    """Scored events and what is known about them."""

    scores: Floats
    """Scores of one model, unless declared otherwise: those of another are not comparable."""
