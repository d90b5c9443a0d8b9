"""Rollouts through HTTP at a clock that the bench moves: `bench/rollouts_http.py`.

Canaries of known truth beside a server that decides about every event: what becomes of them, after how many days, how
many requests the arm answered, and what callers noticed. Reports come in by HTTP three days after their events; a look
is taken every hour of the first day, and every day after that.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from common import REPORTS
from deciding.load import Load, closed, request
from rolling.server import CANDIDATE, CHAMPION, FAILS, LEVELS, Moved, made, serving
from rollouts import KINDS
from worlds.rollout_log import promote as promoted
from worlds.rollout_traffic import MATURITY, START, Candidate, Traffic, traffic

from jobs.lakehouse.tables import attach
from jobs.ledger import rollouts
from jobs.ledger.rollouts import Arm, Change, Rollout
from jobs.promotion import export_onnx, promote
from jobs.rollout_strategy import Strategy
from jobs.rollouts import published, steps
from jobs.rollouts.rollout_logs import RolloutLogs
from jobs.settings import Settings
from jobs.times import microseconds
from jobs.use_cases.fraud import FRAUD

RESULT = REPORTS / "rollouts_http.json"
DAYS, A_DAY, REPORTED_DAYS = 60, 1_500, 3
OF_OUTCOMES = ("worse by .03", "equal", "better by .03")
"""Kinds that only labels tell of: those take tens of thousands of requests each."""
SEEN_SECONDS = 0.5
"""Until a worker has surely taken up a change."""
FIRST_REQUESTS = 100
"""Of an arm: what those after them saw is counted."""
STRATEGY = Strategy()
USE_CASE = replace(FRAUD, label_maturity=MATURITY)


class Registry:
    """Where aliases would go."""

    def set_aliases(self, *_: Any) -> None:
        """Nothing asks for them."""

    latest_candidate: Any = None
    fetch: Any = None
    register_baseline: Any = None


def main() -> None:
    """Measure and print; the results go to docs/benchmarks/rollouts_http.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="not used: the traffic is drawn, so that the truth is known")
    parser.add_argument("--rollouts", type=int, default=50, help="of each kind that health tells")
    parser.add_argument("--of-outcomes", type=int, default=10, help="of each kind that only labels tell")
    asked = parser.parse_args()
    # The model becomes champion in the ledger; whatever else follows from that is not of this bench.
    promote.reconcile = lambda *_: {}
    measured: dict[str, Any] = {"events_a_day": A_DAY, "most_days": DAYS}
    for kind, (candidate, right) in KINDS.items():
        count = asked.of_outcomes if kind in OF_OUTCOMES else asked.rollouts
        measured[kind] = _told([_one(candidate, seed) for seed in range(count)], right)
        print(kind, measured[kind], flush=True)
        RESULT.write_text(json.dumps(measured, indent=2) + "\n")


def _told(found: list[dict[str, Any]], right: str) -> dict[str, Any]:
    days = [each["days"] for each in found if each["became"] == right]
    asked = sum(each["requests"] for each in found)
    return {
        "rollouts": len(found), "right": len(days), **{
            name: sum(each["became"] == name for each in found) for name in ("rolled back", "completed", "undecided")
        },
        "median_days_to_the_right_one": float(np.median(days)) if days else None,
        "requests": asked, "not_answered": sum(each["not_answered"] for each in found),
        "seen_after_the_first_100_requests": sum(each["seen"] for each in found) / asked,
        "most_seen_after_the_first_100_requests": max(each["seen"] / each["requests"] for each in found),
    }  # fmt: skip


def _one(candidate: Candidate, seed: int) -> dict[str, Any]:
    """A rollout from its start to its end."""
    moved = Moved.at(microseconds(START))
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        settings = made(Path(folder) / "home")
        promoted(settings, CHAMPION, None)
        port = stack.enter_context(serving(settings, moved))
        rollout, drawn = _started(settings), traffic(candidate, 0.1, DAYS, A_DAY, 2_000 + seed)
        time.sleep(SEEN_SECONDS)
        return _Carried(settings, port, moved, drawn, candidate, rollout).result()


def _started(settings: Settings) -> Rollout:
    exported = export_onnx.open_export(export_onnx.root(settings, FRAUD) / str(CANDIDATE))
    arm = Arm("new", CANDIDATE, exported.bundle.sha256, exported.sha256)
    wanted = Rollout("fraud", "r", STRATEGY.stored, (arm,), CHAMPION, "a" * 64, 0.0, 0.0, START, 0)
    found = rollouts.start(settings, wanted, Change("started", {"new": STRATEGY.steps[0]}, "", "bench", START), 1.0)
    published.publish(settings, FRAUD)
    return found


class _Carried:
    """One rollout while it goes on."""

    def __init__(
        self, settings: Settings, port: int, moved: Moved, drawn: Traffic, candidate: Candidate, rollout: Rollout
    ) -> None:
        self.settings, self.port, self.moved, self.drawn, self.rollout = settings, port, moved, drawn, rollout
        self.slow = candidate.milliseconds * 1e3 if candidate.milliseconds > 1 else 0.0
        self.logs, self.lakehouse = RolloutLogs(settings, USE_CASE), attach(settings)
        self.requests = self.not_answered = self.of_arm = 0

    def result(self) -> dict[str, Any]:
        """What became of it."""
        self.moved.delay(self.slow)
        after, became = float(DAYS), "undecided"
        for low, high in _slots():
            self._events(low, high)
            self._reports(low - timedelta(days=REPORTED_DAYS), high - timedelta(days=REPORTED_DAYS))
            [looked] = steps.step(self.lakehouse, USE_CASE, Registry(), START + high, self.logs)
            if looked.rollout.ended_at is not None:
                after, became = high / timedelta(days=1), looked.rollout.state
                break
            if looked.verdict.kind is not None:
                time.sleep(SEEN_SECONDS)
        self.logs.close()
        seen = max(0, self.of_arm - FIRST_REQUESTS)
        return {
            "became": became, "days": after, "requests": self.requests, "not_answered": self.not_answered, "seen": seen
        }  # fmt: skip

    def _events(self, low: timedelta, high: timedelta) -> None:
        places = self._between(low, high)
        self.moved.move(microseconds(START + high))
        load = self._sent("/v1/fraud/decisions", [self._event(place) for place in places])
        answers = [json.loads(answer) for answer in load.answers or ()]
        self.requests += len(places)
        self.not_answered += len(places) - sum(answer["score"] is not None for answer in answers)
        self.of_arm += sum(answer.get("arm", "").endswith(":new") for answer in answers)

    def _reports(self, low: timedelta, high: timedelta) -> None:
        labels = self.drawn.outcomes.labels
        ids = [place for place in self._between(low, high) if labels[place]]
        load = self._sent("/v1/fraud/labels", [{"transaction_id": id, "is_fraud": True} for id in ids])
        assert not load.failures, load.failures[:3]

    def _between(self, low: timedelta, high: timedelta) -> list[int]:
        ends = [microseconds(START + end) for end in (low, high)]
        first, last = np.searchsorted(self.drawn.pairs.stamps, ends)
        return list(range(int(first), int(last)))

    def _event(self, place: int) -> dict[str, Any]:
        pairs, outcomes = self.drawn.pairs, self.drawn.outcomes
        champion = round(float(pairs.champion.scores[place]) * LEVELS)
        arm = FAILS if pairs.arm.failed[place] else round(float(pairs.arm.scores[place]) * LEVELS)
        return {
            "transaction_id": place, "customer_id": int(outcomes.clusters[place]),
            "terminal_id": champion * 1000 + arm, "tx_amount": round(float(outcomes.amounts[place]), 2),
        }  # fmt: skip

    def _sent(self, path: str, contents: list[dict[str, Any]]) -> Load:
        if not contents:
            return Load(answers=[])
        ready = iter([request(self.port, path, json.dumps(content).encode()) for content in contents])
        return closed(self.port, lambda: next(ready), requests=len(contents), connections=16)


def _slots() -> Iterator[tuple[timedelta, timedelta]]:
    """From one look to the next."""
    hours = [*range(24), *range(24, 24 * DAYS + 1, 24)]
    for low, high in pairwise(hours):
        yield timedelta(hours=low), timedelta(hours=high)


if __name__ == "__main__":
    main()
