"""What is decided while no model answers, or no features are there: rules that were declared, then a default."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any

from jobs.conditions import Condition, conditions
from jobs.decisions.fallback_order import DEFAULT, RULES
from jobs.decisions.feature_row import FeatureRow
from jobs.decisions.outcome import Outcome
from jobs.decisions.scores import Scored
from jobs.problem import Problem

_COMPARED: dict[str, Callable[[Any, Any], bool]] = {
    "==": operator.eq, "!=": operator.ne, "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
    "in": lambda value, among: value in among,
}  # fmt: skip


class Fallback:
    """The declared fallbacks of a problem."""

    def __init__(self, problem: Problem, rows: FeatureRow) -> None:
        """Raises Invalid if a rule reads what is no feature."""
        self._review = problem.review
        self._rules = []
        for where, verdict in problem.review.without_model if problem.review else ():
            checks = [(rows.place(one.column), one) for one in conditions(where)]
            self._rules.append((checks, verdict))

    def of_row(self, row: Sequence[Any], reason: str) -> Scored:
        """The first rule whose conditions hold, or the default, for a row of features. None holds for a null."""
        for checks, verdict in self._rules:
            if all(_holds(row[at], condition) for at, condition in checks):
                return Scored(Outcome(None, verdict), None, None, RULES, reason)
        # Nothing but of a yes-or-no question that is reviewed.
        decision = self._review.otherwise if self._review else None
        return Scored(Outcome(None, decision), None, None, DEFAULT, reason)


def _holds(value: Any, condition: Condition) -> bool:
    return value is not None and _COMPARED[condition.comparison](value, condition.value)
