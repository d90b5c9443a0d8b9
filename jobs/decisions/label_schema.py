"""Reports about events as clients send them: the event's id, the columns of a label, and when the report was made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from jobs.decisions.event_schema import KINDS, EventSchema
from jobs.decisions.given_values import Reader, reader
from jobs.errors import Invalid
from jobs.online.column_type import ColumnType
from jobs.use_case import Column, UseCase

REPORTED_AT = "reported_at"


@dataclass(frozen=True)
class LabelSchema:
    """What a report holds."""

    id_column: str
    asked: Mapping[str, tuple[Column, Reader]]
    """Columns of the label, all of them required."""
    _read_id: Reader
    _read_time: Reader

    @classmethod
    def of(cls, use_case: UseCase, labels: Mapping[str, ColumnType], events: EventSchema) -> LabelSchema:
        """labels: the types of the label and of the columns of labels that windows read."""
        declared = {column.name: column for column in use_case.computed}
        asked = {}
        for name, type in labels.items():
            column = declared.get(name) or Column(name, KINDS[type.kind])
            asked[name] = (column, reader(column, type.kind))
        time = reader(Column(REPORTED_AT, "timestamp"), None)
        return cls(use_case.event_id, asked, events.asked[use_case.event_id].read, time)

    def read(self, given: Mapping[str, Any]) -> tuple[Any, dict[str, Any], int | None]:
        """Id of the event, columns of the label, and when it was reported.

        Raises Invalid as `EventSchema.read` does.
        """
        names = [self.id_column, *self.asked, REPORTED_AT]
        if unknown := given.keys() - set(names):
            raise Invalid(f"column {str(min(unknown))[:80]!r}: expected one of {', '.join(names)}; leave it out")
        if missing := [name for name in names[:-1] if given.get(name) is None]:
            raise Invalid(f"column {missing[0]}: expected a value, found none; send it")
        values = {name: read(given[name]) for name, (_, read) in self.asked.items()}
        reported = given.get(REPORTED_AT)
        return self._read_id(given[self.id_column]), values, None if reported is None else self._read_time(reported)
