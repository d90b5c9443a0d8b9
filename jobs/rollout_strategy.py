"""How a new model is brought in beside the champion: the declaration; how it is carried out is in `jobs.rollouts`."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal

from jobs.declared_types import check

StrategyKind = Literal["shadow", "canary", "ab", "bandit"]
LEAST_EVENTS = 20
CHAMPION = "champion"
"""The arm of the model in production, as the prediction log names it."""


@dataclass(frozen=True)
class Strategy:
    """A strategy and when it goes on, or back.

    `shadow`: the new model scores every event after the answer, and answers nobody. `canary`: it answers a share of
    the entities that grows by steps. `ab`: fixed shares of several versions until one is shown to be best. `bandit`:
    shares follow what the arms earned.
    """

    kind: StrategyKind = "canary"
    steps: tuple[float, ...] = (0.01, 0.1, 0.5, 1.0)
    """Of a canary: its share of the entities, step by step; at the end of the last one it becomes champion."""
    step_hours: float = 24.0
    """How long each step lasts at least; of others, how long before a verdict for the new model."""
    least_events: int = 500
    """Events that both models scored before a step ends, or there is a verdict for the new model."""
    explored: float = 0.1
    """Of a bandit: share of the entities that is spread over all arms evenly, so that each can still be judged."""
    choice: Literal["thompson", "epsilon_greedy"] = "thompson"
    """How a bandit shares the rest: by the chance that an arm is best, or all of it to the best."""
    shadows: bool = True
    """Whether every model scores each event that takes part, whichever answers: then outcomes are compared in pairs.
    Without, `ab` and `bandit` compare what the arms' own events earned."""
    margin: float = 0.02
    """Loss of the objective up to which a model may still become champion: not worse is enough after the gate."""
    level: float = 0.95
    """Confidence of every verdict over all looks at it."""
    most_failures: float = 0.01
    """Share of the events at which the new model may fail."""
    slow_ms: float = 5.0
    """A model that takes longer than this, and than three times the champion's 95th percentile, is slow at an event."""
    most_slow: float = 0.05
    """Share of the events at which it may be slow."""
    most_alerts: float = 0.05
    """How far the share of events that it does not approve may lie from the champion's."""

    def __post_init__(self) -> None:
        check(self, _misfits)

    @classmethod
    def of_stored(cls, stored: Mapping[str, Any]) -> Strategy:
        """The strategy that `stored` was; fields of later releases are left out."""
        names = {each.name for each in fields(cls)}
        values = {name: value for name, value in stored.items() if name in names}
        return cls(**{**values, "steps": tuple(values.get("steps", cls.steps))})

    @property
    def stored(self) -> dict[str, Any]:
        """As JSON has it."""
        return {each.name: getattr(self, each.name) for each in fields(self)} | {"steps": list(self.steps)}


def _misfits(strategy: Strategy) -> Iterator[str]:
    steps = strategy.steps
    if not steps or list(steps) != sorted(set(steps)) or not steps[0] > 0 or steps[-1] != 1:
        yield f"steps: expected growing shares above 0 that end with 1, found {list(steps)}; correct them"
    shares = {name: getattr(strategy, name) for name in ("most_failures", "most_slow", "most_alerts", "explored")}
    if wrong := {name: share for name, share in shares.items() if not 0 < share < 1}:
        yield f"expected shares between 0 and 1, found {wrong}; correct them"
    if not 0.5 <= strategy.level < 1:
        yield f"level: expected a confidence from 0.5 to below 1, found {strategy.level}; correct it"
    if strategy.least_events < LEAST_EVENTS:
        yield f"least_events: expected {LEAST_EVENTS} or more, found {strategy.least_events}; fewer show nothing"
    if not strategy.shadows and strategy.kind in ("shadow", "canary"):
        yield f"shadows: expected True for {strategy.kind}, whose verdict is on pairs of scores, found False; take `ab`"
    amounts = (strategy.step_hours, strategy.slow_ms, strategy.margin)
    if not all(math.isfinite(amount) and amount >= 0 for amount in amounts):
        yield f"step_hours, slow_ms and margin: expected 0 or more, found {amounts}; correct them"
