"""How soon drift is seen and how often a stable world raises an alarm: `python bench/drift.py [--seeds 7 1]`.

Simulated worlds of 181 days that change on day 120; the first 30 days fill the windows, the next 56 are the reference,
every later evening is judged. Features are a few windows of amounts per card and terminal, made here with Polars.
"""

import argparse
import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
from common import REPORTS

from jobs.drift.detector import REFERENCE_DAYS, Drift, judge, reference
from jobs.drift.drift_kernel import counter, edges_of
from jobs.drift.histograms import Histograms, histograms
from jobs.simulate.simulator import scenario, transactions
from jobs.simulate.world import CHANGE

RESULT = REPORTS / "drift.json"
WARM_UP = 30
SAMPLE = 50_000
"""Rows of the reference that edges are made from."""
WORLDS = ("stable", "abrupt", "spending", "new_terminals", "subtle")


def main() -> None:
    """Measure, print and write docs/benchmarks/drift.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--data", type=Path, help="not used: the worlds are made here, so that the day of change is known"
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=[7, 1])
    asked = parser.parse_args()
    measured = []
    for line in _measure(asked.seeds):
        print(json.dumps(line), flush=True)
        measured.append(line)
        # After each world: whoever stops early keeps what was found.
        RESULT.write_text(json.dumps(measured, indent=2) + "\n")


def _measure(seeds: list[int]) -> Iterator[dict[str, Any]]:
    for seed in seeds:
        for name in WORLDS:
            whole = _counted(name, seed)
            yield {"world": name, "seed": seed, **_alarms(_evenings(whole), name != "stable")}


def _counted(name: str, seed: int) -> Histograms:
    world = scenario(name, seed=seed)
    first = world.start + timedelta(days=WARM_UP)
    rows = _features(pl.DataFrame(transactions(world))).filter(pl.col("day") >= first)
    stable = rows.filter(pl.col("day") < first + timedelta(days=REFERENCE_DAYS)).sample(SAMPLE, seed=0)
    edges = {column: edges_of(stable[column].to_numpy()) for column in rows.columns if column != "day"}
    counts = counter(edges, "day")(iter(rows.to_arrow().to_batches()))
    return histograms(pa.Table.from_batches(counts), edges)


def _features(payments: pl.DataFrame) -> pl.DataFrame:
    at, amount = pl.col("TX_DATETIME"), pl.col("TX_AMOUNT")
    hour = at.dt.hour() + at.dt.minute() / 60
    found = {"amount": amount, "hour": hour, "is_weekend": (at.dt.weekday() >= 6).cast(pl.Float32)}
    for entity in ("CUSTOMER_ID", "TERMINAL_ID"):
        for window in ("1d", "7d", "28d"):
            name = f"{entity[:-3].lower()}_{window}"
            found[f"{name}_mean"] = amount.rolling_mean_by("TX_DATETIME", window).over(entity)
            found[f"{name}_std"] = amount.rolling_std_by("TX_DATETIME", window).over(entity)
            found[f"{name}_max"] = amount.rolling_max_by("TX_DATETIME", window).over(entity)
            found[f"{name}_count"] = pl.col("one").rolling_sum_by("TX_DATETIME", window).over(entity)
        found[f"{entity[:-3].lower()}_hours_since"] = at.diff().over(entity).dt.total_seconds() / 3600
    rows = payments.sort("TX_DATETIME").with_columns(one=1.0).select(day=at.dt.date(), **found)
    return rows.with_columns(amount_to_mean=pl.col("amount") / pl.col("customer_28d_mean"))


def _evenings(whole: Histograms) -> list[Drift]:
    last = whole.days[REFERENCE_DAYS - 1]
    known = reference(whole.until(last))
    return [judge(known, whole.until(day, last + timedelta(days=1))) for day in whole.days[REFERENCE_DAYS:]]


def _alarms(found: list[Drift], changed: bool) -> dict[str, Any]:
    stable = [each for each in found if not changed or each.day < CHANGE]
    drifted = found[len(stable) :]
    seen = next((each for each in drifted if each.alarm), None)
    return {
        "stable_days": len(stable),
        "false_alarms": sum(each.alarm for each in stable),
        "highest_stable_score": round(max(each.score for each in stable), 2),
        "days_until_alarm": None if seen is None else (seen.day - CHANGE).days,
        "first_scores": np.round([each.score for each in drifted[:7]], 2).tolist(),
        "named": list(seen.named[:3]) if seen else [],
    }


if __name__ == "__main__":
    main()
