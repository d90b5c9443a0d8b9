"""What a shadow costs those who wait: p99 of a server whose other model scores every event after the answer, over that
of a server without, at half of the maximum of the one without."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from common import spread

from deciding.home import VERSIONS, Day
from deciding.http import deciding
from deciding.load import closed, opened
from jobs.decisions import log_contents
from jobs.decisions import opened as homes
from jobs.ledger import promotions, rollouts
from jobs.ledger.promotions import PromotionDecision
from jobs.ledger.rollouts import Arm, Change, Rollout
from jobs.promotion import export_onnx
from jobs.rollout_strategy import Strategy
from jobs.rollouts import published
from jobs.settings import Settings
from jobs.use_cases.fraud import FRAUD

MOST_SECONDS, SHARE, ROUNDS = 5.0, 0.5, 6
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def measured(day: Day, folder: Path, seconds: float) -> dict[str, Any]:
    """Rounds in turns, each server first in every second one."""
    shadowed = Day(_with_shadow(day.copy(folder / "home")), day.payments, day.ends)
    with deciding(day, folder / "plain") as plain, deciding(shadowed, folder / "shadowed") as other:
        most = closed(plain[0].port, plain[1], min(seconds, MOST_SECONDS)).rate
        servers, rounds = {"plain": plain, "shadowed": other}, []
        for number in range(ROUNDS):
            names = list(servers)[:: 1 if number % 2 else -1]
            loads = {name: opened(servers[name][0].port, servers[name][1], most * SHARE, seconds) for name in names}
            rounds.append({name: load.percentiles() | {"failed": len(load.failures)} for name, load in loads.items()})
            print(f"{SHARE:.0%} of {most:.0f} a second:", rounds[-1], flush=True)
    return _told(rounds) | {"shadows_of_decisions": _shadows(Settings(home=folder / "shadowed" / "home"))}


def _told(rounds: list[dict[str, dict[str, float]]]) -> dict[str, Any]:
    return {
        "p99_of_plain": spread((one["shadowed"]["p99"] / one["plain"]["p99"] for one in rounds), 2),
        "p50_of_plain": spread((one["shadowed"]["p50"] / one["plain"]["p50"] for one in rounds), 2),
        "failed": sum(int(side["failed"]) for one in rounds for side in one.values()),
    }


def _with_shadow(settings: Settings) -> Settings:
    """The home with its other model as a shadow of all events."""
    first, other = VERSIONS
    decision = PromotionDecision("fraud", NOW, NOW, "promotion", "promoted", "", "bench", True, first, "", None, "d")
    promotions.decide(settings, decision)
    exported = export_onnx.open_export(export_onnx.root(settings, FRAUD) / str(other))
    arm = Arm("other", other, exported.bundle.sha256, exported.sha256)
    wanted = Rollout("fraud", "shadow", Strategy("shadow").stored, (arm,), first, "", 0.0, 0.0, NOW, 0)
    rollouts.start(settings, wanted, Change("started", {"other": 0.0}, "", "bench", NOW), 0.0)
    published.publish(settings, FRAUD)
    return settings


def _shadows(settings: Settings) -> float:
    """Share of the decisions that the shadow scored."""
    with homes.log_of(settings, FRAUD) as log:
        kinds = [record.id.partition("/")[0] for record in log.records()]
    return round(kinds.count(log_contents.SHADOW) / max(1, kinds.count(log_contents.DECISION)), 4)
