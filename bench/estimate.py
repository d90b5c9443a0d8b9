"""How near the estimate of a day's quality comes before its labels: `bench/estimate.py [--scenarios stable spending]`.

One model, trained once, decides from the 61st day on. At every second evening from the change on (of `stable`: of the
same date on) the last 14 days are estimated, and judged by all reports that ever come. The guess to beat takes the last
mature day, as known that evening, for every later one. Where the pattern of fraud changes, the evenings are counted
that say they cannot be trusted.
"""

import argparse
import json
import math
import tempfile
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from common import REPORTS

from jobs import settings
from jobs.arrays import Bools, Floats
from jobs.backtesting import replay
from jobs.backtesting.replay_plan import FIRST_TRAINING, Plan
from jobs.datasets import history
from jobs.datasets.history import History
from jobs.ground_truth.calibration_drift import calibration_drift
from jobs.ground_truth.concept_drift import concept_drift
from jobs.ground_truth.estimates_table import CALIBRATED_ON, TESTED_ON
from jobs.ground_truth.label_delay import Delay
from jobs.ground_truth.label_maturity import MATURE
from jobs.ground_truth.labelled_scores import LabelledScores
from jobs.ground_truth.performance_estimate import Estimate, calibrate, estimate
from jobs.retraining.monitored_history import MonitoredHistory
from jobs.simulate.simulator import World, scenario, write
from jobs.simulate.world import CHANGE
from jobs.stats import metrics
from jobs.times import NEVER, day_number, microseconds, midnight, numbered_day
from jobs.use_case import review_of
from jobs.use_cases.fraud import FRAUD
from orchestration.prepared_features import SETTLED, prepared

METRIC = "average_precision"
YOUNG = 14
"""Days that are estimated."""
BETWEEN_EVENINGS = timedelta(days=2)
SCENARIOS = ["stable", "spending", "abrupt", "subtle"]


def main() -> None:
    """Measure and print; writes docs/benchmarks/estimate.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scenarios", nargs="*", default=SCENARIOS)
    parser.add_argument("--customers", type=int, default=4000)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--data", help="not used: the worlds are simulated")
    asked = parser.parse_args()
    found = {}
    for name in asked.scenarios:
        with tempfile.TemporaryDirectory() as scratch:
            customers = asked.customers
            world = scenario(name, seed=asked.seed, customers=customers, terminals=customers * 3 // 4)
            found[name] = _measured(*_decided(world, Path(scratch)), world.last_day)
            print(name, json.dumps(found[name]), flush=True)
            (REPORTS / "estimate.json").write_text(json.dumps(found, indent=2) + "\n")


def _decided(world: World, folder: Path) -> tuple[History, Floats]:
    """A world and what its model makes of every event from the first training on; NaN before."""
    files = write(world, str(folder / "world"))
    own = settings.load({"EVERGREEN_HOME": str(folder / "home")})
    with prepared(own, FRAUD, {source: (path,) for source, path in files.items()}, None) as (lakehouse, known):
        history.build(lakehouse, FRAUD, known.end + SETTLED)
    seen = history.read(lakehouse, FRAUD)
    plan = Plan("never", known.first_day, known.last_day, known.first_day + FIRST_TRAINING)
    scores = np.full(len(seen), np.nan)
    for rows, made in replay.run(own, FRAUD, seen, plan, folder / "never").decided:
        scores[rows] = np.nan if made is None else made
    return seen, scores


def _measured(seen: History, scores: Floats, last: date) -> dict[str, Any]:
    labels = seen.labels.at(NEVER - 1, len(seen)) == 1
    looks = list(_looks(seen, scores, labels, last + timedelta(days=1)))
    young = [look for look in looks if look["age"] == 0]
    return {
        **_errors("all_days", looks),
        **_errors("latest_day", young),
        "within_two_deviations": round(float(np.mean([look["inside"] for look in looks])), 2),
        "evenings": len(young),
        "latest_day_error_where_trusted": _mean([look for look in young if look["trusted"]]),
        "latest_day_error_where_not": _mean([look for look in young if not look["trusted"]]),
        "not_trusted": sum(not look["trusted"] for look in young),
        "first_not_trusted": next((str(look["evening"]) for look in young if not look["trusted"]), None),
    }


def _errors(name: str, looks: list[dict[str, Any]]) -> dict[str, float]:
    ours, last = (float(np.mean([abs(look[by] - look["truth"]) for look in looks])) for by in ("estimate", "last"))
    return {
        f"{name}_error": round(ours, 4),
        f"{name}_last_known": round(last, 4),
        f"{name}_ratio": round(ours / last, 2),
    }


def _mean(looks: list[dict[str, Any]]) -> float | None:
    errors = [abs(look["estimate"] - look["truth"]) for look in looks]
    return round(float(np.mean(errors)), 4) if errors else None


def _looks(seen: History, scores: Floats, labels: Bools, end: date) -> Iterator[dict[str, Any]]:
    monitor = MonitoredHistory.of(seen, FRAUD)
    evening = CHANGE + timedelta(days=1)
    while evening <= end:
        as_of = midnight(evening)
        delay = monitor.delay(as_of)
        mature = evening - timedelta(days=math.ceil(delay.bound(MATURE)) + 1)
        last = _of_day(seen, scores, mature, seen.labels_at(as_of) == 1)
        for day in _estimates(seen, scores, delay, as_of):
            when = numbered_day(day.day)
            expected, truth = day.metrics[METRIC], _of_day(seen, scores, when, labels)
            yield {
                "evening": evening, "age": (evening - when).days - 1, "estimate": expected.mean, "truth": truth,
                "last": last, "trusted": day.trusted, "inside": abs(expected.mean - truth) <= 2 * expected.deviation,
            }  # fmt: skip
        evening += BETWEEN_EVENINGS


def _estimates(seen: History, scores: Floats, delay: Delay, as_of: datetime) -> tuple[Estimate, ...]:
    """What `jobs.ground_truth.estimates_table` would keep that evening."""
    first = np.full(len(seen), NEVER)
    positive = seen.labels.values & (seen.labels.superseded_at == NEVER)
    first[seen.labels.rows[positive]] = seen.labels.known_at[positive]

    def of(days: timedelta) -> LabelledScores:
        # An event at midnight itself is the first of the next day.
        inside = (seen.times >= microseconds(as_of - days)) & (seen.times < microseconds(as_of)) & ~np.isnan(scores)
        return LabelledScores(
            times=seen.times[inside],
            scores=scores[inside],
            known_at=first[inside],
            positive=first[inside] < NEVER,
            delay=delay,
            as_of=as_of,
        )

    drifts = concept_drift(of(timedelta(days=120))), calibration_drift(of(TESTED_ON))
    calibration = calibrate(of(CALIBRATED_ON))
    return estimate(of(timedelta(days=YOUNG)), calibration, review_of(FRAUD).capacity, drifts)


def _of_day(seen: History, scores: Floats, day: date, labels: Bools) -> float:
    rows = seen.days == day_number(day)
    return metrics.average_precision(labels[rows], scores[rows])


if __name__ == "__main__":
    main()
