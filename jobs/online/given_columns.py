"""The columns that come with an event, as several plans hold them: each is looked at once."""

from collections.abc import Sequence
from math import inf
from typing import Any

from jobs.online.column_type import ColumnType
from jobs.online.plan import Event, Plan, expect_number_up_to, expect_time


class GivenColumns:
    """What the events of some plans must be like."""

    def __init__(self, plans: Sequence[Plan]) -> None:
        self._id = next(((plan.features.id, plan.id) for plan in plans), None)
        columns: dict[str, tuple[ColumnType, float]] = {}
        for name, type, largest in (column for plan in plans for column in plan.given["events"]):
            columns[name] = type, min(largest, columns.get(name, (type, inf))[1])
        self._columns = [(name, type, largest) for name, (type, largest) in columns.items()]

    def held(self, event: Event) -> dict[str, Any]:
        """The columns that any plan reads, as they are held. Raises Invalid as `Plan.checked` does."""
        if self._id is not None:
            name, type = self._id
            type.checked(name, event.id)
        expect_time(event)
        held = {}
        for name, type, largest in self._columns:
            held[name] = value = type.checked(name, event.values.get(name))
            expect_number_up_to(largest, name, value)
        return held
