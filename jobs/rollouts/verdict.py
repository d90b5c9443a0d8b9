"""What follows from the findings about the arms of a rollout: back, on, to the end, or nothing yet."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from jobs.ledger.rollouts import ChangeKind, Rollout
from jobs.rollout_strategy import Strategy
from jobs.rollouts.arm_findings import ArmFindings
from jobs.rollouts.bandit import shares_by_gain
from jobs.rollouts.findings import Finding, in_words


@dataclass(frozen=True)
class Verdict:
    """What to do with a rollout."""

    kind: ChangeKind | None
    """None: nothing yet."""
    reason: str
    shares: Mapping[str, float] = field(default_factory=dict)
    winner: str | None = None
    """Of a rollout that completes: the arm that becomes champion; None: the champion stays."""


def judge(rollout: Rollout, found: Mapping[str, ArmFindings], now: datetime) -> Verdict:
    """The verdict on a running rollout. Half the evidence decides nothing: an arm that nothing is known of waits.

    Args:
        found: of every arm.
    """
    strategy, shares = Strategy.of_stored(rollout.strategy), rollout.last_running.shares
    alive = {name: arm for name, arm in found.items() if name in shares}
    bad = {name: arm for name, arm in alive.items() if arm.is_bad}
    if bad and len(bad) == len(alive):
        return Verdict("rolled back", _why(bad))
    if bad:
        return Verdict(
            "changed", f"out: {_why(bad)}", {name: share for name, share in shares.items() if name not in bad}
        )
    if why := _too_early(rollout, strategy, alive, now):
        return Verdict(None, why)
    if strategy.kind in ("ab", "bandit"):
        return _of_several(rollout, strategy, alive)
    [(name, arm)] = alive.items()
    step = _next_step(strategy, shares.get(name, 0.0))
    if strategy.kind == "canary" and step is not None:
        return Verdict("changed", f"nothing speaks against it after {arm.events} events", {name: step})
    if not arm.shows("quality"):
        return Verdict(None, f"waits for outcomes: {_open(arm)}")
    return Verdict("completed", in_words(list(arm.findings), "good"), winner=name)


def _too_early(rollout: Rollout, strategy: Strategy, alive: Mapping[str, ArmFindings], now: datetime) -> str | None:
    since, least = rollout.last_running.changed_at, timedelta(hours=strategy.step_hours)
    for name, arm in alive.items():
        if arm.events < strategy.least_events:
            return f"{name}: {arm.events} of {strategy.least_events} events that a step needs"
    return f"this step lasts until {since + least:%Y-%m-%d %H:%M}" if now - since < least else None


def _next_step(strategy: Strategy, share: float) -> float | None:
    return next((step for step in strategy.steps if step > share), None)


def _of_several(rollout: Rollout, strategy: Strategy, alive: Mapping[str, ArmFindings]) -> Verdict:
    """The best arm, once it is shown to earn more than the champion; meanwhile a bandit moves its shares."""
    better = {name: arm for name, arm in alive.items() if arm.is_better}
    if better:
        best = max(better, key=lambda name: better[name].money[0])
        return Verdict("completed", f"{best}: {in_words(list(better[best].findings), 'good')}", winner=best)
    if strategy.kind == "ab":
        return Verdict(None, "no arm is shown to be better yet: " + "; ".join(map(_open, alive.values())))
    shares = shares_by_gain({name: arm.money for name, arm in alive.items()}, strategy, rollout.id)
    return Verdict("changed", "shares follow what the arms earned", shares)


def _open(arm: ArmFindings) -> str:
    of_outcomes = [each for each in arm.findings if each.name in ("quality", "money", "gain")]
    return in_words(of_outcomes, "open") or "no outcomes yet"


def _why(bad: Mapping[str, ArmFindings]) -> str:
    return "; ".join(f"{name} {in_words(list(arm.findings), 'bad')}" for name, arm in bad.items())


def evidence(found: Mapping[str, ArmFindings]) -> dict[str, Any]:
    """The findings as the ledger keeps them; ends that are infinite are null."""
    return {
        name: {
            "events": arm.events,
            "findings": [_plain(each) for each in arm.findings],
            "business": [each._asdict() for each in arm.business],
        }
        for name, arm in found.items()
    }


def _plain(finding: Finding) -> dict[str, Any]:
    numbers = {name: getattr(finding, name) for name in ("estimate", "lower", "upper")}
    finite = {name: number if abs(number) != float("inf") else None for name, number in numbers.items()}
    told = {"name": finding.name, "outcome": finding.outcome, "said": finding.said}
    return {**told, "observations": finding.observations, **finite}
