"""The task of a problem, and of what was stored."""

from collections.abc import Callable, Mapping
from typing import Any

from jobs.objective import Objective
from jobs.problem import Problem
from jobs.tasks.binary import BINARY, Binary
from jobs.tasks.multiclass import Multiclass
from jobs.tasks.regression import Regression
from jobs.tasks.task import Task

_TASKS: Mapping[str, Callable[[Objective], Task]] = {
    "binary": Binary,
    "multiclass": Multiclass,
    "regression": Regression,
}


def task_of(problem: Problem) -> Task:
    """What a problem asks for; classes are not known before labels were seen."""
    return _TASKS[problem.task](problem.measured_by)


def of_stored(stored: Mapping[str, Any] | None) -> Task:
    """The task that `Task.stored` returned; of what was stored without one, BINARY."""
    if not stored:
        return BINARY
    costs = tuple((true, chosen, cost) for true, chosen, cost in stored["objective"]["costs"])
    objective = Objective(**{**stored["objective"], "costs": costs})
    if stored["name"] == "multiclass":
        return Multiclass(objective, tuple(stored["classes"]))
    return _TASKS[stored["name"]](objective)
