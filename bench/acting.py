"""What acting on scores costs a model that learns from what is left, and how much of it exploring by lot wins back:
`bench/acting.py [--seeds 0 1 2] [--scenarios stable abrupt]`.

A world per scenario; seeds are those of trainings and lots. Every arm is what `evergreen replay --policy weekly --act
--memory 40` does, and is judged on the full truth of all payments, blocked ones too. With a memory of 40 days no label
of before the acting is left for most of the replay, as in a world that has always acted. Who does not act is given a
threshold that no score reaches, so that no arm has features made of labels.
"""

import argparse
import json
import tempfile
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from common import REPORTS

from jobs import settings
from jobs.settings import Settings
from jobs.simulate.simulator import scenario, write
from jobs.stats import metrics, weighted_metrics
from jobs.use_cases.fraud import FRAUD
from orchestration import replay_command as replay

FIRST, DAYS, COLLECTED = date(2026, 2, 1), 140, 60
ALONE = DAYS - 40
"""From this day on no training sees a label of before the acting."""
PERIOD = 10
"""Days over which an average precision is estimated from what is seen."""
MEMORY = timedelta(days=40)
THRESHOLD = 0.1
"""A payment is blocked where its expected loss exceeds the cost of a review: 5 against some 50 (Elkan, IJCAI 2001)."""
ARMS: dict[str, dict[str, Any]] = {
    "not acting": {"threshold": 1.0, "explore": 0.0, "corrected": True},
    "naive": {"threshold": THRESHOLD, "explore": 0.0, "corrected": False},
    "explored, uncorrected": {"threshold": THRESHOLD, "explore": 0.1, "corrected": False},
    "explored and corrected": {"threshold": THRESHOLD, "explore": 0.1, "corrected": True},
}
CAP = 10


def main() -> None:
    """Measure and print; writes docs/benchmarks/acting.json after every replay."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scenarios", nargs="*", default=["stable", "abrupt"])
    parser.add_argument("--seeds", nargs="*", type=int, default=[0, 1, 2])
    parser.add_argument("--data", help="not used: the worlds are simulated")
    asked = parser.parse_args()
    found: dict[str, dict[str, list[dict[str, Any]]]] = {}
    for name in asked.scenarios:
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch)
            world = scenario(name, start=FIRST, days=DAYS, customers=1500, terminals=1125)
            files = write(world, str(folder / "world"), truth=True)
            truth = pl.read_parquet(files.pop("truth")).select(event_id="TRANSACTION_ID", fraud="IS_FRAUD")
            own = settings.load({"EVERGREEN_HOME": str(folder / "home")})
            for seed in asked.seeds:
                for arm in ARMS:
                    measured = _measured(own, files, truth, seed, arm, folder / f"{seed}_{arm}")
                    found.setdefault(name, {}).setdefault(arm, []).append({"seed": seed, **measured})
                    print(name, seed, arm, json.dumps(measured), flush=True)
                    (REPORTS / "acting.json").write_text(json.dumps(_report(found), indent=2) + "\n")


def _measured(
    own: Settings, files: Mapping[str, Path], truth: pl.DataFrame, seed: int, arm: str, out: Path
) -> dict[str, Any]:
    given = {source: (path,) for source, path in files.items()}
    acting = replay.acting_on(FRAUD, **ARMS[arm], cap=CAP, seed=seed)
    request = replay.ReplayRequest("weekly", seed=seed, acting=acting, memory=MEMORY)
    timeline = replay.run(own, FRAUD, given, None, request, out)
    reported = pl.read_parquet(files["reports"]).filter(pl.col("TX_FRAUD") == 1)["TRANSACTION_ID"]
    actions = pl.read_parquet(out / "actions.parquet").join(truth, on="event_id", maintain_order="left")
    actions = actions.with_columns(reported=pl.col("event_id").is_in(reported.implode()))
    days = actions.partition_by("date", maintain_order=True)
    daily = [metrics.average_precision(day["fraud"].to_numpy(), day["score"].to_numpy()) for day in days]
    return {
        "average_precision": round(float(np.mean(daily)), 4),
        "last_40_days": round(float(np.mean(daily[ALONE - COLLECTED :])), 4),
        **_estimated(days),
        "blocked_a_day": round(actions["blocked"].sum() / len(days), 1),
        "explored_a_day": round(actions["explored"].sum() / len(days), 2),
        "fits": timeline["fits"][-1],
    }


def _estimated(days: Sequence[pl.DataFrame]) -> dict[str, float]:
    """How far what the arm believes of its quality, from the reports it can see and its weights, is from the truth."""
    wrong = []
    for first in range(0, len(days), PERIOD):
        span = pl.concat(days[first : first + PERIOD])
        scores, weights = span["score"].to_numpy(), span["weight"].to_numpy()
        believed = weighted_metrics.average_precision(span["reported"].to_numpy(), scores, weights)
        wrong.append(believed - metrics.average_precision(span["fraud"].to_numpy(), scores))
    mean, error = float(np.mean(wrong)), float(np.mean(np.abs(wrong)))
    return {"estimate_bias": round(mean, 4), "estimate_error": round(error, 4)}


def _report(found: Mapping[str, Mapping[str, Sequence[Mapping[str, Any]]]]) -> dict[str, Any]:
    means = {name: {arm: _mean(runs) for arm, runs in arms.items()} for name, arms in found.items()}
    return {"means": means, "runs": found}


def _mean(runs: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    return {key: round(float(np.mean([run[key] for run in runs])), 4) for key in runs[0] if key != "seed"}


if __name__ == "__main__":
    main()
