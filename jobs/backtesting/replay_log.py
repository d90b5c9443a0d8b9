"""The days of a replay as lines of `days.jsonl`, each written when all of the day is done."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any

from jobs.errors import Invalid
from jobs.ledger.feature_searches import DueSearch
from jobs.retraining.policy import RetrainingDecision
from jobs.state_files import decoded, read_state, replace_bytes, replace_json

LINES, PLAN = "days.jsonl", "plan.json"
ELSEWHERE = "choose another folder, as this replay cannot go on"


@dataclass(frozen=True)
class Day:
    """A day that was replayed, as `timeline.parquet` holds it but for what only the end knows."""

    date: str
    rows: int
    reports_known: int
    label_maturity: float
    drift_score: float
    drift_alarm: bool
    retrained: bool
    reason: str
    champion_version: int
    """Of the decisions of this day; 0: there was none yet."""
    fits: int
    """Trainings so far."""
    seconds: float
    scores: Mapping[str, float]
    """Tests of this evening and their scores, 1 is the alarm line."""
    decision: Mapping[str, Any] | None
    next_champion: int
    due_search: Mapping[str, Any] | None = None
    """The search for features that was due this evening; None: none was."""
    restored: int = 0
    """The version that was restored this evening, before anything else was decided; 0: none."""
    blocked: int = 0
    explored: int = 0
    """Suspected, and let through by lot."""
    propensity: float = 1.0
    """Mean chance of the suspected events to be let through."""


class Lines:
    """The lines of a folder.

    Args:
        plan: what is replayed, as JSON holds it. Lines of another plan or history must not be continued.

    Raises:
        ValueError: the folder holds another replay.
    """

    def __init__(self, out: Path, plan: Mapping[str, Any]) -> None:
        out.mkdir(parents=True, exist_ok=True)
        self._path, plan_path = out / LINES, out / PLAN
        before = read_state(plan_path, dict, ELSEWHERE)
        if before is not None and before != json.loads(json.dumps(plan)):
            raise Invalid(f"{out}: expected the same replay or an empty folder, found another one; choose another")
        if before is None:
            replace_json(plan_path, plan)

    def whole(self) -> Iterator[Day]:
        """Days that are whole; half a line at the end, of a replay that was killed, is cut off."""
        if not self._path.exists():
            return
        lines = [
            line for line in self._path.read_text(errors="replace").splitlines(keepends=True) if line.endswith("\n")
        ]
        replace_bytes(self._path, "".join(lines).encode())
        for line in lines:
            yield decoded(self._path, line, lambda stored: Day(**stored), ELSEWHERE)

    def append(self, day: Day) -> Day:
        """Keep a day: on the disk when this returns."""
        with self._path.open("a") as file:
            file.write(json.dumps(asdict(day)) + "\n")
            file.flush()
            os.fsync(file.fileno())
        return day


def due_search_of(day: Day) -> DueSearch | None:
    """The search for features that was due on a day's evening."""
    if (recorded := day.due_search) is None:
        return None
    days = {name: date.fromisoformat(recorded[name]) for name in ("changed_on", "since", "until")}
    return DueSearch(**{**recorded, **days, "as_of": datetime.fromisoformat(recorded["as_of"])})


def decision_of(day: Day) -> RetrainingDecision | None:
    """The decision of a day's evening."""
    if (recorded := day.decision) is None:
        return None
    episode = date.fromisoformat(recorded["episode"]) if recorded["episode"] else None
    return RetrainingDecision(
        datetime.fromisoformat(recorded["as_of"]), recorded["retrain"], recorded["trigger"], recorded["reason"],
        episode, recorded["positives"], tuple(recorded["alarms"]), recorded["expected_gain"],
    )  # fmt: skip
