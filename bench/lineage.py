"""The whole lineage, raw to training set: from nothing, one more day, nothing new: `bench/lineage.py --data FILE`.

Every run is the command people type, in a process of its own, on a home of its own. Start-up that no lineage can avoid
(imports, dbt's own) is measured beside it and taken off before ratios are formed.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import polars as pl
from common import REPORTS, simulated

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent
# What every run imports, and dbt's start-up: the project and its profile read and checked, nothing to build.
FIXED = """
import orchestration.lineage_run, dbt.cli.main, matplotlib.figure, pandera.polars, pyspark.sql.connect.session
from jobs import settings
from jobs.feature_store import store
from jobs.lakehouse import dbt_models as transforms
store.import_feast()
import jobs.feature_store.offline_store, jobs.feature_store.online_store
found = settings.load()
options = transforms.options(found, transforms.target(found))
assert dbt.cli.main.dbtRunner().invoke(["ls", "--select", "nothing_at_all", *options]).success
"""
RESULT = REPORTS / "lineage.json"


def main() -> None:
    """Measure and print; the results go to docs/benchmarks/lineage.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="transactions (default: the simulator's)")
    data = parser.parse_args().data
    with tempfile.TemporaryDirectory() as scratch:
        home = Path(scratch) / "home"
        environment = {**os.environ, "EVERGREEN_HOME": str(home)}
        files = ["--transactions", data]
        if not data:
            world = simulated(Path(scratch) / "world")
            data, files = world["transactions"], [a for name in world for a in (f"--{name}", world[name])]
        days = pl.scan_parquet(data).select(pl.col("TX_DATETIME").dt.date().max()).collect().item()
        try:
            measured = _measure(data, files, days, home, environment)
        finally:
            subprocess.run([BIN / "evergreen", "engine", "stop"], env=environment, check=True)
            shutil.rmtree(home, ignore_errors=True)
    RESULT.parent.mkdir(parents=True, exist_ok=True)
    RESULT.write_text(json.dumps(measured, indent=2) + "\n")
    print(json.dumps(measured, indent=2))


def _measure(data: Path, files: list[Any], last_day: Any, home: Path, environment: dict[str, str]) -> dict[str, Any]:
    run = [BIN / "evergreen", "run", *files]
    before, end = (f"{day:%Y-%m-%d}" for day in (last_day, last_day + timedelta(days=1)))
    full = _timed([*run, "--as-of", before], environment)
    in_assets = _last(home)
    one_day = _timed([*run, "--as-of", end], environment)
    day_in_assets = _last(home)
    nothing = _timed([*run, "--as-of", end], environment)
    fixed = _timed([sys.executable, "-c", FIXED], {**environment, "EVERGREEN_WAREHOUSE": str(home / "warehouse")})
    light = _timed([BIN / "evergreen", "--version"], environment)
    return {
        "rows": pl.scan_parquet(data).select(pl.len()).collect().item(),
        "cores": os.cpu_count(),
        "seconds": {
            "from nothing": round(full, 1),
            "one more day": round(one_day, 1),
            "nothing new": round(nothing, 2),
            "fixed start-up (imports, dbt)": round(fixed, 1),
            "fixed start-up of nothing new": round(light, 2),
        },
        "one_more_day_share": round((one_day - fixed) / (full - fixed), 3),
        "nothing_new_share": round((nothing - light) / (full - fixed), 4),
        "run_over_asset_bodies": round(in_assets["seconds"] / sum(in_assets["steps"].values()), 3),
        "steps": {name: round(seconds, 2) for name, seconds in in_assets["steps"].items()},
        "steps of one more day": {name: round(seconds, 2) for name, seconds in day_in_assets["steps"].items()},
    }


def _timed(command: list[Any], environment: dict[str, str]) -> float:
    began = time.perf_counter()
    subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL, cwd=ROOT)
    return time.perf_counter() - began


def _last(home: Path) -> dict[str, Any]:
    kept: dict[str, Any] = json.loads((home / "state" / "fraud" / "last_run.json").read_text())
    return kept


if __name__ == "__main__":
    main()
