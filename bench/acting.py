"""What acting on scores costs a model that learns from what is left, and how much of it exploring by lot wins back:
`bench/acting.py [--seeds 0 1 2] [--scenarios stable abrupt]`.

A world per scenario; seeds are those of trainings and lots. Every arm replays the same days with the same weekly
trainings, and is judged on the full truth of all payments, blocked ones too. The training window is 40 days, so that no
label of before the acting is left for most of the replay, as in a world that has always acted; features made of labels
are left out of all arms. Trees are small, for speed.
"""

import argparse
import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pyarrow.parquet as pq
from common import REPORTS

from jobs import history, metrics, off_policy, replay, replay_models, settings
from jobs.acting import Acting, act, importance, without_label_features
from jobs.bundle import open_bundle
from jobs.history import History
from jobs.metrics import Bools
from jobs.models.protocol import Model
from jobs.monitor import Monitor
from jobs.problem import Family
from jobs.registry import bundle_folder
from jobs.replay import Plan
from jobs.replay_lines import Day
from jobs.reports import NEVER
from jobs.settings import Settings
from jobs.simulate import scenario, write
from jobs.split import day_number
from jobs.training_rows import problem_of
from jobs.use_case import UseCase
from jobs.use_cases.fraud import FRAUD
from orchestration.prepared import SETTLED, prepared

FIRST, DAYS, COLLECTED = date(2026, 2, 1), 140, 60
ALONE = DAYS - 40
"""From this day on no training sees a label of before the acting."""
PERIOD = 10
"""Days over which an average precision is estimated from what is seen."""
WINDOW = timedelta(days=40)
THRESHOLD = 0.1
"""A payment is blocked where its expected loss exceeds the cost of a review: 5 against some 50 (Elkan, IJCAI 2001)."""
ARMS: dict[str, Acting | None] = {
    "not acting": None,
    "naive": Acting(THRESHOLD),
    "explored, uncorrected": Acting(THRESHOLD, explore=0.1, cap=10, corrected=False),
    "explored and corrected": Acting(THRESHOLD, explore=0.1, cap=10),
}


def main() -> None:
    """Measure and print; writes docs/benchmarks/acting.json after every world."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scenarios", nargs="*", default=["stable", "abrupt"])
    parser.add_argument("--seeds", nargs="*", type=int, default=[0, 1, 2])
    asked = parser.parse_args()
    found: dict[str, dict[str, list[dict[str, Any]]]] = {}
    for name in asked.scenarios:
        with tempfile.TemporaryDirectory() as scratch:
            seen, truth = _world(name, Path(scratch))
            for seed in asked.seeds:
                for arm, measured in _arms(seen, truth, seed, Path(scratch) / str(seed)):
                    found.setdefault(name, {}).setdefault(arm, []).append({"seed": seed, **measured})
                    print(name, seed, arm, json.dumps(measured), flush=True)
                (REPORTS / "acting.json").write_text(json.dumps(_report(found), indent=2) + "\n")


def _world(name: str, folder: Path) -> tuple[History, Bools]:
    """The history without features made of labels, and which payments are fraud."""
    world = scenario(name, start=FIRST, days=DAYS, customers=1500, terminals=1125)
    files = write(world, str(folder / "world"), truth=True)
    truth = pq.read_table(files.pop("truth"))["IS_FRAUD"].to_numpy()
    use_case = _small(FRAUD)
    own = settings.load({"EVERGREEN_HOME": str(folder / "home")})
    with prepared(own, use_case, {source: (path,) for source, path in files.items()}, None) as (lakehouse, known):
        history.build(lakehouse, use_case, known.end + SETTLED)
    seen = without_label_features(history.read(lakehouse, use_case), use_case)
    # Ids rise with time, as the rows of a history do.
    assert len(seen) == len(truth)
    return seen, truth


def _arms(seen: History, truth: Bools, seed: int, folder: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    use_case = _small(FRAUD)
    plan = Plan("weekly", FIRST, FIRST + timedelta(days=DAYS - 1), FIRST + timedelta(days=COLLECTED), seed=seed)
    for arm, declared in ARMS.items():
        policy = None if declared is None else replace(declared, seed=seed)
        out = folder / arm.replace(" ", "_")
        home = settings.load({"EVERGREEN_HOME": str(out / "home")})
        with patch.object(replay, "Monitor", Unwatched):
            days = replay.run(home, use_case, seen, replace(plan, acting=policy), out)
        yield arm, _measured(home, use_case, seen, truth, days, policy)


class Unwatched(Monitor):
    """Looks for no drift: a schedule does not ask for it, and it takes most of a replay's time."""

    def adopt(
        self, model: Model, today: date, changed_on: date | None = None, settled_since: date | None = None
    ) -> None:
        """No reference to compare with."""


def _small(use_case: UseCase) -> UseCase:
    problem = problem_of(use_case)
    fixed = {**problem.family(replay_models.FAMILY).fixed, "rounds": 80, "learning_rate": 0.1}
    family = Family(replay_models.FAMILY, fixed=fixed, negative_rate=problem.family(replay_models.FAMILY).negative_rate)
    return replace(use_case, problem=replace(problem, families=(family,)), training_window=WINDOW)


def _measured(
    home: Settings, use_case: UseCase, seen: History, truth: Bools, days: Sequence[Day], policy: Acting | None
) -> dict[str, Any]:
    decided = [day for day in days if day.champion_version]
    versions = {day.champion_version for day in decided}
    models = {version: open_bundle(bundle_folder(home, use_case, version)).model() for version in versions}
    reported = seen.labels.at(NEVER - 1, len(seen)) == 1
    columns: list[tuple[Any, ...]] = []
    for day in decided:
        today = date.fromisoformat(day.date)
        rows = seen.days == day_number(today)
        scores = models[day.champion_version].predict(seen.features[rows])
        # What the replay did is done again: the same seed, day and scores.
        weights = np.ones(len(scores))
        if policy is not None:
            weights = importance(act(scores, today, policy, seen.amounts[rows]), policy)
        columns.append((truth[rows], scores, reported[rows], weights))
    daily = [metrics.average_precision(true, scores) for true, scores, _, _ in columns]
    return {
        "average_precision": round(float(np.mean(daily)), 4),
        "last_40_days": round(float(np.mean(daily[ALONE - COLLECTED :])), 4),
        **_estimated(columns),
        "blocked_a_day": round(sum(day.blocked for day in decided) / len(decided), 1),
        "explored_a_day": round(sum(day.explored for day in decided) / len(decided), 2),
        "fits": days[-1].fits,
    }


def _estimated(columns: Sequence[tuple[Any, ...]]) -> dict[str, float]:
    """How far what the arm believes of its quality, from the reports it can see and its weights, is from the truth."""
    wrong = []
    for first in range(0, len(columns), PERIOD):
        parts = zip(*columns[first : first + PERIOD], strict=True)
        true, scores, known, weights = (np.concatenate(part) for part in parts)
        believed = off_policy.average_precision(known, scores, weights)
        wrong.append(believed - metrics.average_precision(true, scores))
    mean, error = float(np.mean(wrong)), float(np.mean(np.abs(wrong)))
    return {"estimate_bias": round(mean, 4), "estimate_error": round(error, 4)}


def _report(found: Mapping[str, Mapping[str, Sequence[Mapping[str, Any]]]]) -> dict[str, Any]:
    means = {name: {arm: _mean(runs) for arm, runs in arms.items()} for name, arms in found.items()}
    return {"means": means, "runs": found}


def _mean(runs: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    return {key: round(float(np.mean([run[key] for run in runs])), 4) for key in runs[0] if key != "seed"}


if __name__ == "__main__":
    main()
