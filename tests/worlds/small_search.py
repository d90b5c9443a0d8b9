"""A search in milliseconds, whose best place is known: x = 1, size = 20, plain."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jobs.models.protocol import StepReport
from jobs.problem import Range
from jobs.training.search import Search
from jobs.training.search_space import Space
from jobs.training.trials import Trial

SPACE: Space = {"x": Range(-3, 3), "size": Range(1, 64, log=True, integer=True), "kind": ("plain", "steep")}
SEARCH = Search("demo", SPACE, trials=16, seed=3)
GRID: Space = {"x": Range(0, 1, step=0.5), "size": Range(1, 3, integer=True, step=1), "kind": ("plain", "steep")}


def objective(parameters: Mapping[str, Any], report: StepReport) -> Mapping[str, float]:
    """A bowl; each step comes nearer to its height."""
    height = 1 - (parameters["x"] - 1) ** 2 / 16 - abs(parameters["size"] - 20) / 100
    height -= 0.1 * (parameters["kind"] == "steep")
    for step in range(1, 31):
        report(step, height * step / 30)
    return {"value": height, "steps": 30}


def said(trials: list[Trial]) -> list[tuple[Any, ...]]:
    """All of the trials but the time they took."""
    return [(t.number, dict(t.parameters), t.state, t.value, dict(t.curve)) for t in trials]
