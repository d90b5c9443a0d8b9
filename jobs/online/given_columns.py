"""The columns that come with an event, as several plans hold them: each is looked at once."""

from collections.abc import Sequence
from math import inf
from typing import Any

from jobs.online.plan import Event, Given, Plan, held_columns


class GivenColumns:
    """What the events of some plans must be like."""

    def __init__(self, plans: Sequence[Plan]) -> None:
        """plans: of one use case, so that ids and columns have one type in all of them; those that count the facts of
        another source read nothing of events."""
        plans = [plan for plan in plans if plan.features.facts is None]
        columns: dict[str, Given] = {}
        for name, type, largest in (column for plan in plans for column in plan.given["events"]):
            columns[name] = name, type, min(largest, columns[name][2] if name in columns else inf)
        self._columns = list(columns.values())
        self._id = next(((plan.features.id, plan.id) for plan in plans), None)

    def held(self, event: Event) -> dict[str, Any]:
        """The columns that any plan reads, as they are held. Raises Invalid as `Plan.checked` does."""
        return {} if self._id is None else held_columns(self._id, self._columns, event)
