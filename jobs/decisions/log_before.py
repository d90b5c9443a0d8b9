"""What the log says before the base that a service stands on: tables may have told it too, or something newer."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, NamedTuple

from jobs.decisions import log_contents
from jobs.decisions.feature_row import FeatureRow
from jobs.decisions.log_contents import BASE, EVENT, FACT, TOLD, EventCame, Fact, Telling
from jobs.online.log_records import Record


class ToldBefore(NamedTuple):
    """Something that was told about an event, about its label, or about another fact."""

    of: str
    id: Any
    stamp: int
    moment: int
    """When the world could first know it."""


@dataclass(frozen=True)
class LogBefore:
    """The part of the log before the last base."""

    decided: dict[Any, int] = field(default_factory=dict)
    """Stamps of the events that were decided, by id."""
    told: list[ToldBefore] = field(default_factory=list)

    @classmethod
    def of(cls, records: Iterable[Record], rows: FeatureRow) -> LogBefore:
        """records: the whole log."""
        decided: dict[Any, int] = {}
        told: list[ToldBefore] = []
        before = (0, 0)
        for record in records:
            kind, _, id = record.id.partition("/")
            if kind == EVENT:
                decided[rows.typed_id(id)] = record.stamp
            elif kind in (TOLD, FACT):
                told.append(_told(record))
            elif kind == BASE:
                before = len(decided), len(told)
        return cls(dict(islice(decided.items(), before[0])), told[: before[1]])


@dataclass(frozen=True)
class Absorbed:
    """What of it tables tell too, or something newer: these records add nothing."""

    events: frozenset[Any] = frozenset()
    """Ids of events that were decided."""
    told: frozenset[int] = frozenset()
    """Stamps of what was told."""

    def has(self, stamp: int, fact: Fact) -> bool:
        """Whether a fact of the log adds nothing."""
        return fact.id in self.events if isinstance(fact, EventCame) else stamp in self.told


def _told(record: Record) -> ToldBefore:
    fact = log_contents.decode(record.content)
    assert isinstance(fact, Telling)
    return ToldBefore(log_contents.subject(fact), fact.id, record.stamp, log_contents.moment_of(record.stamp, fact))
