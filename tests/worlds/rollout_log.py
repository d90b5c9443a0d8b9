"""The ledger and the log of a home in which a rollout goes on, as servers write them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from worlds.rollout_traffic import START, Traffic

from jobs.arrays import Bools
from jobs.decisions import log_contents, opened
from jobs.decisions.log_contents import Decided, EventCame, LabelCame, Shadow
from jobs.decisions.outcome import Outcome
from jobs.ledger import promotions, rollouts
from jobs.ledger.promotions import PromotionDecision
from jobs.ledger.rollouts import Arm, Change, Rollout
from jobs.rollout_strategy import Strategy
from jobs.rollouts import published
from jobs.settings import Settings
from jobs.use_cases.fraud import FRAUD


def promote(home: Settings, version: int, champion: int | None, kind: Any = "promotion") -> None:
    digest = f"{version} {kind}"
    decision = PromotionDecision(
        "fraud", START, START, kind, "promoted", "", "me", True, version, "a" * 64, champion, digest
    )
    assert promotions.decide(home, decision).outcome == "promoted"


def promoted(home: Settings) -> Settings:
    """The home, with version 1 as its champion."""
    promote(home, 1, None)
    return home


def started(home: Settings, share: float = 0.1, log_stamp: int = 0, **strategy: Any) -> Rollout:
    """A canary of version 2."""
    arm = Arm("new", 2, "b" * 64, "c" * 64)
    plan = Strategy(**{"step_hours": 1.0, "least_events": 200, **strategy})
    wanted = Rollout("fraud", "next_model", plan.stored, (arm,), 1, "a" * 64, 0.0, 0.0, START, log_stamp)
    found = rollouts.start(home, wanted, Change("started", {"new": share}, "", "me", START), 1.0)
    published.publish(home, FRAUD)
    return found


def write(
    home: Settings,
    rollout: Rollout,
    drawn: Traffic,
    first: int = 0,
    last: int | None = None,
    *,
    reported: Bools | None = None,
) -> None:
    """Let the log have decisions and shadows of this traffic, from one event to another; reported: as positive."""
    pairs, now = drawn.pairs, [0]
    with opened.log_of(home, FRAUD, lambda: now[0]) as log:
        for place, id in list(enumerate(pairs.ids))[first:last]:
            now[0] = int(pairs.stamps[place])
            amount = float(drawn.outcomes.amounts[place])
            came = EventCame(id, {"customer_id": str(drawn.outcomes.clusters[place]), "tx_amount": amount})
            record = log.append(log_contents.name("event", id), log_contents.encode(came)).record
            for one in _contents(rollout, drawn, place, record.stamp):
                name = f"decision/{id}" if isinstance(one, Decided) else log_contents.shadow_name(one)
                log.append(name, log_contents.encode(one))
            if reported is not None and reported[place]:
                told = LabelCame(id, record.stamp, {}, {"is_fraud": True})
                log.append(log_contents.name("told", id, 1), log_contents.encode(told))


def _contents(rollout: Rollout, drawn: Traffic, place: int, stamp: int) -> Sequence[Decided | Shadow]:
    pairs, name = drawn.pairs, rollout.arms[0].name
    id, answered, failed = pairs.ids[place], bool(pairs.answered[place]), bool(pairs.arm.failed[place])
    share = float(pairs.propensities[place])
    of_champion = _outcome(float(pairs.champion.scores[place]))
    of_arm = Outcome(None) if failed else _outcome(float(pairs.arm.scores[place]))
    arm, chance = (f"{rollout.id}:{name}", share) if answered else (f"{rollout.id}:champion", 1 - share)
    used, fallback = (of_arm, None) if answered and not failed else (of_champion, "champion" if answered else None)
    decided = Decided(id, stamp, used, [1.0], "1", "x", fallback=fallback, arm=arm, propensity=chance, scoring=200)
    if not rollout.strategy["shadows"] or (answered and failed):
        return (decided,)
    if answered:
        return decided, Shadow(id, stamp, rollout.id, "champion", of_champion, "1", 200)
    return decided, Shadow(id, stamp, rollout.id, name, of_arm, "2", 200, "it failed" if failed else None)


def _outcome(score: float) -> Outcome:
    return Outcome(score, "review" if score >= 0.5 else "approve")
