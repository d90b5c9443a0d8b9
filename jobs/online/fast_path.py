"""What makes an entity's next decision quick: its facts in series, ready for any window that ends now.

It is made of the facts of `jobs.online.fact_lines`, and made anew whenever something came out of order.
"""

from collections.abc import Mapping, Sequence
from math import inf, isfinite
from typing import Any

import numpy as np

from jobs.online.evaluation import Value
from jobs.online.fact_lines import FactLines
from jobs.online.plan import Event, Plan
from jobs.online.scanning import prepared
from jobs.online.series import Fact, Series


class FastPath:
    """The series of one entity. While no column of its facts is null, fewer of them hold everything."""

    __slots__ = ("_is_dense", "_plan", "_series", "is_interim")

    def __init__(self, plan: Plan, events: FactLines, labels: FactLines, coming: Mapping[str, Any]) -> None:
        """coming: columns of the event that is entered next. Ratios of events are known."""
        self.is_interim = prepared.kernel() is None
        """Facts are not scanned yet."""
        lines = {"events": events, "labels": labels}
        self._is_dense = None not in coming.values() and not any(_has_null(plan, of, lines[of]) for of in lines)
        self._plan = plan.dense if self._is_dense else plan
        orders = {of: lines[of].in_order() for of in lines}
        self._series = [_made(self._plan, at, lines, orders) for at in range(len(self._plan.selections))]

    def takes(self, values: Mapping[str, Any]) -> bool:
        """Whether a fact with these columns can be inserted."""
        return not self._is_dense or None not in values.values()

    def enter(self, event: Event, values: dict[str, Any], moment: int) -> list[Value] | None:
        """Insert an event with its ratios; the features that it is no part of, and room for the rest.

        None: a ratio is too large, which shows when part of the work is done; then this is of no use any more.
        """
        series, plan = self._series, self._plan
        ratios, width = plan.features.ratios, plan.width
        found: list[Value] = [None] * (width + len(ratios))
        plan.before(series, moment, found)
        fact = Fact(event.happened, values)
        for number, (ratio, level) in enumerate(zip(ratios, plan.levels, strict=True)):
            self._insert(plan.takers[number], fact)
            if level is not None:
                level(series, moment, found)
            value = values[ratio.name] = _ratio(values[ratio.column], found[width + number])
            if value is not None and abs(value) > plan.bounds["events"].get(ratio.name, inf):
                return None
        self._insert(plan.takers[-1], fact)
        return found

    def complete(self, moment: int, found: list[Value]) -> list[Value]:
        """The features of the event that was entered last, or of a target that enters nothing."""
        self._plan.after(self._series, moment, found)
        del found[self._plan.width :]
        return found

    def at(self, moment: int) -> list[Value]:
        """The features of a target that is no fact itself."""
        found: list[Value] = [None] * (self._plan.width + len(self._plan.features.ratios))
        self._plan.before(self._series, moment, found)
        return self.complete(moment, found)

    def add_event(self, event: Event, values: dict[str, Any]) -> None:
        """Insert an event that became known last and is not decided here; there are no ratios."""
        self._insert(self._plan.takers[-1], Fact(event.happened, values))

    def add_label(self, label: Event, values: dict[str, Any]) -> None:
        """Insert a label that became known last."""
        self._insert(self._plan.label_takers, Fact(label.happened, values))

    def _insert(self, takers: Sequence[int], fact: Fact) -> None:
        """Put a fact into some of the series, where it meets their conditions."""
        plan, values = self._plan, fact.values
        for at in takers:
            column = plan.selections[at].column
            if column is not None and values[column] is None:
                continue
            for one in plan.comparisons[at]:
                if not one.meets(values[one.column]):
                    break
            else:
                self._series[at].insert(fact)


def _has_null(plan: Plan, of: str, lines: FactLines) -> bool:
    return not all(lines.valid(name).all() for name, _, _ in plan.given[of])


def _made(plan: Plan, at: int, lines: Mapping[str, FactLines], orders: Mapping[str, Any]) -> Series:
    chosen, contents = plan.selections[at], plan.contents[at]
    facts, order = lines[chosen.of], orders[chosen.of]
    meets = np.ones(len(order), bool)
    if chosen.column is not None:
        meets &= facts.valid(chosen.column)[order]
    for one in plan.comparisons[at]:
        meets &= one.meet(facts.numbers(one.column)[order], facts.valid(one.column)[order])
    order = order[meets]
    columns = {name: facts.numbers(name)[order] for name in {*contents.values, *contents.sums}}
    return Series(contents, facts.times()[0][order], columns)


def _ratio(value: Any, level: Value) -> float | None:
    if value is None or level is None or not level > 0:
        return None
    ratio = float(value) / level + 0.0
    return ratio if isfinite(ratio) else None
