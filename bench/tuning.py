"""Tuning as it runs in the lineage: seconds of 30 trials, and how well they share the workers.

`python bench/tuning.py [--data FILE]`: FILE holds transactions with labels (default: the simulator's). Only the search
is measured, so its features are a few simple ones and noise. Aim: under 10 minutes for 1.5 M rows on 2 cores.
"""

import argparse
import json
import os
import shutil
import sys
import tempfile
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from common import REPORTS, simulated

from jobs.datasets.training_rows import TrainingRows
from jobs.models.protocol import Examples
from jobs.training import tune
from jobs.training.trials import best
from jobs.use_cases.fraud import FRAUD

RESULT = REPORTS / "tuning.json"
FEATURES = 45
"""As many as the fraud use case has."""
AIM_SECONDS, AIM_RATIO = 600, 1.2


def main() -> None:
    """Measure, print and write docs/benchmarks/tuning.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="transactions with TX_FRAUD (default: the simulator's)")
    parser.add_argument("--trials", type=int, default=30)
    arguments = parser.parse_args()
    scratch = Path(tempfile.mkdtemp())
    try:
        rows = _rows(arguments.data, scratch)
        measured = _measure(rows, arguments.trials, scratch)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    if arguments.trials == FRAUD.problem.trials:  # type: ignore[union-attr]
        RESULT.parent.mkdir(parents=True, exist_ok=True)
        RESULT.write_text(json.dumps(measured, indent=2) + "\n")
    print(json.dumps(measured, indent=2))


def _measure(rows: TrainingRows, trials: int, scratch: Path) -> dict[str, Any]:
    assert FRAUD.problem is not None
    use_case = replace(FRAUD, problem=replace(FRAUD.problem, trials=trials))
    as_of = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=int(rows.times.max()))
    parts = tune.parts_of(use_case, FRAUD.problem, as_of, rows)
    state = {"as_of": as_of.isoformat(), "declarations": "bench"}
    tune.device()  # the imports, which any run pays once
    began, cpu = time.perf_counter(), time.process_time()
    tuned = tune.search(use_case, rows, state, scratch, progress=_show)
    wall, cpu = time.perf_counter() - began, time.process_time() - cpu
    made = [trial for found in tuned.trials.values() for trial in found]
    busy = sum(trial.numbers["seconds"] for trial in made) / FRAUD.problem.parallel
    return {
        "rows": len(rows),
        "training_rows": int(parts.training(rows.times).sum()),
        "validation_rows": int(parts.validation(rows.times).sum()),
        "cores": os.cpu_count(),
        "load_before": round(os.getloadavg()[2], 2),
        "trials": len(made),
        "pruned": sum(trial.state == "pruned" for trial in made),
        "wall_seconds": round(wall, 1),
        "cpu_seconds": round(cpu, 1),
        "wall_over_ideal": round(wall / busy, 3),
        "best": max(best(found).value or 0 for found in tuned.trials.values()),
        "aim": {"wall_seconds": AIM_SECONDS, "wall_over_ideal": AIM_RATIO},
    }


def _show(family: str, done: int, total: int) -> None:
    print(f"{family}: {done} of {total}", file=sys.stderr)


def _rows(data: Path | None, scratch: Path) -> TrainingRows:
    """Payments with simple features of their card and terminal, and others that are only there to be looked at."""
    if data is None:
        files = simulated(scratch / "world")
        labels = pl.read_parquet(files["reports"]).group_by("TRANSACTION_ID").agg(pl.col("TX_FRAUD").last())
        frame = pl.read_parquet(files["transactions"]).join(labels, "TRANSACTION_ID", "left")
    else:
        frame = pl.read_parquet(data)
    frame = frame.with_columns(pl.col("TX_FRAUD").fill_null(0).cast(pl.Boolean)).sort("TX_DATETIME")
    frame = frame.with_columns(
        pl.col("TX_AMOUNT").cum_sum().over("CUSTOMER_ID").alias("spent"),
        pl.col("TX_AMOUNT").cum_count().over("CUSTOMER_ID").alias("payments"),
        # Known a week later; near enough for a search whose model nobody uses.
        pl.col("TX_FRAUD").cast(pl.Int32).shift(50).rolling_mean(100, min_samples=1).over("TERMINAL_ID").alias("risk"),
    )
    shown = frame.select(
        "TX_AMOUNT",
        (pl.col("TX_AMOUNT") * pl.col("payments") / pl.col("spent")).alias("ratio"),
        "risk",
        "payments",
        pl.col("TX_DATETIME").dt.hour().alias("hour"),
    ).to_numpy()
    noise = np.random.default_rng(0).normal(size=(len(frame), FEATURES - shown.shape[1]))
    features = np.hstack([shown, noise]).astype(np.float32)
    examples = Examples(features, frame["TX_FRAUD"].to_numpy(), None, tuple(f"f{place}" for place in range(FEATURES)))
    return TrainingRows(
        examples,
        frame["TX_DATETIME"].dt.replace_time_zone(None).dt.timestamp("us").to_numpy().astype(np.int64),
        frame["CUSTOMER_ID"].cast(pl.Int64).to_numpy(),
        frame["TX_AMOUNT"].cast(pl.Float64).to_numpy(),
        0,
    )


if __name__ == "__main__":
    main()
