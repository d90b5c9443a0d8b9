"""An event between the request for its decision and the decision."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

from jobs.decisions.entity_states import Found
from jobs.decisions.event_schema import Given
from jobs.decisions.log_contents import Decided
from jobs.online.evaluation import Value
from jobs.online.plan import Event


class Awaited(NamedTuple):
    """An event that somebody waits for."""

    given: Given
    began: float
    """Seconds of `time.perf_counter` at which the request came."""
    followed: Any = None
    """What whoever follows the request keeps of it; None: nobody does."""


@dataclass(slots=True)
class Started:
    """An event in its place in the log, whose features are found or can be found in any thread."""

    event: Event
    stamp: int
    values: Mapping[str, Any]
    found: Sequence[Found]
    began: float
    unfound: str | None = None
    """Why there are no features of what is known now; None: there are, or will be."""
    was_known: bool = False
    """Whether tables knew the event before it came."""
    of_tables: Sequence[Sequence[Value]] | None = None
    """Those of tables alone in place of them; empty: there are none either; None: nobody has looked for them."""

    @property
    def is_slow(self) -> bool:
        """Whether finding the features takes long."""
        return any(callable(one) for one in self.found)

    def find(self) -> None:
        """Find the features, in whatever thread."""
        self.found = [one() if callable(one) else one for one in self.found]

    def give_up(self, reason: str) -> None:
        """Let there be no features of what is known now: a fallback decides."""
        self.unfound = reason


Begun: TypeAlias = Started | Decided | Exception | None
"""What became of an event that is to be decided: it is entered, was decided before, is refused, or another is at it."""
