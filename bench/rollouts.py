"""How often verdicts on rollouts are right, and how soon: `bench/rollouts.py`.

Of 50 canaries each, on independent traffic of known truth: how many that fail, are slow, rank the other way round or
are .03 of average precision worse are rolled back, how many equal ones are, and how many better ones become champion?
Every hour of the first day and every day after that is looked at, labels are mature after a week.

The same canaries by a rule of thumb, as common tools have it: after a fixed time the metrics of the two arms' own
events are compared with fixed thresholds.
"""

import argparse
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
from common import REPORTS
from worlds.rollout_traffic import (
    BETTER,
    EQUAL,
    ERRORS,
    INVERTED,
    MATURITY,
    SLOW,
    START,
    WORSE,
    Candidate,
    Traffic,
    traffic,
)

from jobs.ledger.rollouts import LAST, Arm, Change, Rollout
from jobs.problem import Review
from jobs.rollout_strategy import Strategy
from jobs.rollouts.arm_findings import ArmFindings
from jobs.rollouts.labelled_pairs import labelled_pairs
from jobs.rollouts.verdict import judge
from jobs.stats.metrics import average_precision

RESULT = REPORTS / "rollouts.json"
KINDS: dict[str, tuple[Candidate, str]] = {
    "slow": (SLOW, "rolled back"),
    "failing": (ERRORS, "rolled back"),
    "inverted": (INVERTED, "rolled back"),
    "worse by .03": (WORSE, "rolled back"),
    "equal": (EQUAL, "completed"),
    "better by .03": (BETTER, "completed"),
}
"""Kind -> what is true of it, and the right verdict."""
DAYS, A_DAY = 60, 1_500
STRATEGY = Strategy()
REVIEW = Review(threshold=0.5, capacity=100, cost=5.0)
RULE_DAYS = 14
"""Of the rule of thumb: a week of traffic, and a week until its labels are in."""
RULE_SHARE, RULE_WORSE, RULE_ERRORS, RULE_SLOWER = 0.1, 0.01, 0.01, 2.0
Verdict = tuple[str, float]
"""What became of a rollout, and after how many days."""


def main() -> None:
    """Measure and print; the results go to docs/benchmarks/rollouts.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="not used: the traffic is drawn, so that the truth is known")
    parser.add_argument("--rollouts", type=int, default=50, help="of each kind")
    asked = parser.parse_args()
    measured: dict[str, Any] = {"events_a_day": A_DAY, "days": DAYS, "rollouts_of_each_kind": asked.rollouts}
    for kind, (candidate, right) in KINDS.items():
        seeds = range(asked.rollouts)
        for name, decide in (("evergreen", _by_evergreen), ("rule_of_thumb", _by_rule)):
            measured.setdefault(name, {})[kind] = _told(candidate, right, decide, seeds)
        RESULT.write_text(json.dumps(measured, indent=2) + "\n")
    print(json.dumps(measured, indent=2))


def _told(candidate: Candidate, right: str, decide: Callable[[Traffic], Verdict], seeds: range) -> dict[str, Any]:
    verdicts = [decide(traffic(candidate, RULE_SHARE, DAYS, A_DAY, 1_000 + seed)) for seed in seeds]
    days = [after for kind, after in verdicts if kind == right]
    counts = {kind: sum(found == kind for found, _ in verdicts) for kind in ("rolled back", "completed", "undecided")}
    return counts | {"right": len(days), "median_days_to_the_right_one": float(np.median(days)) if days else None}


def _by_evergreen(drawn: Traffic) -> Verdict:
    """The verdict of a canary that is looked at again and again."""
    arm = Arm("new", 2, "b" * 64, "c" * 64)
    first = Change("started", {"new": STRATEGY.steps[0]}, "", "me", START, number=1)
    rollout = Rollout("fraud", "r", STRATEGY.stored, (arm,), 1, "a" * 64, 0.0, 1.0, START, 0, (first,), id=1)
    for days in _looks():
        now = START + timedelta(days=days)
        verdict = judge(rollout, {"new": _found(drawn.until(now))}, now)
        if verdict.kind in LAST:
            return verdict.kind, days
        if verdict.kind is not None:
            made = Change(verdict.kind, verdict.shares, "", "me", now, number=len(rollout.changes) + 1)
            rollout = replace(rollout, changes=(*rollout.changes, made))
    return "undecided", DAYS


def _looks() -> Iterator[float]:
    yield from (hour / 24 for hour in range(1, 24))
    yield from range(1, DAYS + 1)


def _found(known: Traffic) -> ArmFindings:
    return ArmFindings.of(known.pairs, labelled_pairs(known.pairs, known.outcomes, REVIEW), STRATEGY)


def _by_rule(drawn: Traffic) -> Verdict:
    """Each arm by its own events of the first week, once their labels are in."""
    known = drawn.until(START + timedelta(days=RULE_DAYS) - MATURITY)
    pairs, labels = known.pairs, known.outcomes.labels
    arm, rest = pairs.answered, ~pairs.answered
    if pairs.arm.failed[arm].mean() > RULE_ERRORS:
        return "rolled back", RULE_DAYS - MATURITY.days
    slow = np.nanquantile(pairs.arm.microseconds[arm], 0.95), np.nanquantile(pairs.champion.microseconds[rest], 0.95)
    if slow[0] > RULE_SLOWER * slow[1]:
        return "rolled back", RULE_DAYS - MATURITY.days
    mine = average_precision(labels[arm], pairs.arm.scores[arm])
    worse = mine < average_precision(labels[rest], pairs.champion.scores[rest]) - RULE_WORSE
    return ("rolled back" if worse else "completed"), RULE_DAYS


if __name__ == "__main__":
    main()
