"""Policies of retraining side by side, on a world that changes on one day: `bench/replay.py [--scenario abrupt]`.

Every policy replays the same months; the features are built once, by the first. The share recovered is (policy - never)
/ (daily with every label at once - never), by week after the change. `--data FILE` replays transactions of yours,
without shares.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import polars as pl
from common import REPORTS
from matplotlib.figure import Figure

from jobs import settings
from jobs.simulate.simulator import scenario, write
from jobs.simulate.world import CHANGE
from jobs.use_cases.fraud import FRAUD
from orchestration import replay_command as replay

RUNS = {"never": False, "weekly": False, "auto": False, "daily": False, "daily, labels at once": True}
WEEKS = 6
LATER = (timedelta(days=35), 28)
"""Weeks 6 to 9 after the change: when it starts, and its days, as far as the world goes on."""
PICTURE = Path(__file__).resolve().parent.parent / "docs" / "images" / "replay.png"


def main() -> None:
    """Measure and print; writes docs/benchmarks/replay.json (of other scenarios replay_SCENARIO.json) and, of `abrupt`,
    docs/images/replay.png, policy by policy."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scenario", default="abrupt")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--customers", type=int, default=4000)
    parser.add_argument("--data", type=Path, help="transactions with labels instead of a simulated world")
    parser.add_argument("--policies", nargs="*", default=list(RUNS), choices=list(RUNS))
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        files = {"transactions": (asked.data,)} if asked.data else _world(asked, folder)
        own = settings.load({"EVERGREEN_HOME": str(folder / "home")})
        found: dict[str, pl.DataFrame] = {}
        whole: dict[str, float] = {}
        for name in asked.policies:
            policy: Any = name.split(",")[0]
            began = time.perf_counter()
            request = replay.ReplayRequest(policy, instant=RUNS[name])
            found[name] = replay.run(own, FRAUD, files, None, request, folder / name)
            whole[name] = round(time.perf_counter() - began, 1)
            measured = _measured(found, None if asked.data else asked.scenario)
            for each, seconds in whole.items():
                # The first policy pays for the features of all.
                measured["policies"][each]["seconds_of_the_command"] = seconds
            print(name, json.dumps(measured["policies"][name]), flush=True)
            if asked == parser.parse_args(["--scenario", asked.scenario, "--policies", *asked.policies]):
                _keep(measured, found, asked.scenario)


def _keep(measured: Mapping[str, Any], found: Mapping[str, pl.DataFrame], world: str) -> None:
    """The report and, of `abrupt`, the picture: of the worlds as they are declared."""
    report = "replay.json" if world == "abrupt" else f"replay_{world}.json"
    (REPORTS / report).write_text(json.dumps(measured, indent=2) + "\n")
    if world == "abrupt":
        _picture(found, world).savefig(PICTURE, dpi=110)


def _world(asked: argparse.Namespace, folder: Path) -> dict[str, tuple[Path]]:
    customers = asked.customers
    world = scenario(asked.scenario, seed=asked.seed, customers=customers, terminals=customers * 3 // 4)
    made = write(world, str(folder / "world"))
    return {source: (path,) for source, path in made.items()}


def _measured(found: Mapping[str, pl.DataFrame], world: str | None) -> dict[str, Any]:
    policies = {name: _of(timeline) for name, timeline in found.items()}
    if world is not None and {"never", "daily, labels at once"} <= set(found):
        least, most = policies["never"]["weeks"], policies["daily, labels at once"]["weeks"]
        for values in policies.values():
            pairs = zip(values["weeks"], least, most, strict=True)
            values["share_recovered"] = [round((ours - low) / (high - low), 2) for ours, low, high in pairs]
    return {"scenario": world, "changed_on": str(CHANGE), "policies": policies}


def _of(timeline: pl.DataFrame) -> dict[str, Any]:
    decided = timeline.filter(pl.col("champion_version") > 0)
    weeks = [_between(decided, CHANGE + timedelta(days=7 * n), 7) for n in range(WEEKS)]
    before = decided.filter(pl.col("date") < CHANGE)
    after = decided.filter(pl.col("date").is_between(CHANGE, CHANGE + timedelta(days=7 * WEEKS - 1)))
    alarms = after.filter("drift_alarm")["date"]
    return {
        "average_precision": _rounded(decided["average_precision"].mean()),
        "before": _rounded(before["average_precision"].mean()),
        "weeks": weeks,
        "six_weeks": _rounded(after["average_precision"].mean()),
        "weeks_6_to_9": _between(decided, CHANGE + LATER[0], LATER[1]),
        "fits": int(timeline["fits"][-1]),
        "fits_in_six_weeks": int(after["retrained"].sum()),
        "false_alarms": int(before["drift_alarm"].sum()),
        "days_to_alarm": (alarms[0] - CHANGE).days + 1 if len(alarms) else None,
        "seconds": round(float(timeline["seconds"].sum()), 1),
    }


def _between(timeline: pl.DataFrame, first: Any, days: int) -> float:
    inside = timeline.filter(pl.col("date").is_between(first, first + timedelta(days=days - 1)))
    return _rounded(inside["average_precision"].mean())


def _rounded(value: Any) -> float:
    return round(float(value if value is not None else "nan"), 3)


def _picture(found: Mapping[str, pl.DataFrame], world: str) -> Figure:
    figure = Figure(figsize=(11, 4.5), layout="constrained")
    axes = figure.subplots()
    for name, timeline in found.items():
        decided = timeline.filter(pl.col("champion_version") > 0)
        smooth = decided["average_precision"].rolling_mean(7, min_samples=1)
        label = f"{name}: {_rounded(decided['average_precision'].mean())}, {timeline['fits'][-1]} trainings"
        axes.plot(decided["date"].to_list(), smooth, label=label, linewidth=2.2 if name == "auto" else 1.2)
    axes.axvline(CHANGE, color="grey", linestyle=":")  # type: ignore[arg-type]
    axes.set_title(f"{world}: average precision of each day's decisions, mean of 7 days", loc="left")
    axes.set_ylim(0, 1)
    axes.legend(fontsize=8)
    return figure


if __name__ == "__main__":
    main()
