"""The decision service against the best alternatives: HTTP, latency under load, one decision, Feast's SDK,
memory, long runs, a day, metrics, traces and shadows.

`python bench/decisions.py [--data FILE] [--only http,load,process,feast,memory,soak,day,telemetry,shadows]`.
Under load servers run on one core and the client on others, if there are several. Sections that are not asked for keep
what the report has of them.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from common import REPORTS, simulated
from deciding import day, feature_store, http, latency, memory, process, shadows, soak, telemetry
from deciding.home import Day, of_day
from deciding.servers import client_core
from online import payments

REPORT = REPORTS / "decisions.json"
Section = Callable[[Day, Path], dict[str, Any]]


def sections(seconds: float, soak_seconds: float, facts: int) -> dict[str, Section]:
    """Name of each section -> what measures it.

    Args:
        seconds: of each round under load.
        facts: of the world whose memory is measured.
    """
    return {
        "http": lambda of, folder: http.measured(of, folder, seconds),
        "load": lambda of, folder: latency.measured(of, folder, 2 * seconds),
        "process": process.measured,
        "feast": feature_store.measured,
        "memory": lambda of, folder: memory.measured(folder, facts),
        "soak": lambda of, folder: soak.measured(of, folder, soak_seconds),
        "day": day.measured,
        "telemetry": telemetry.measured,
        "shadows": lambda of, folder: shadows.measured(of, folder, 2 * seconds),
    }


def arguments(names: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", type=Path, help="payments of the handbook; without them some are simulated")
    parser.add_argument("--only", type=lambda text: text.split(","), default=names, metavar=",".join(names))
    parser.add_argument("--soak", type=float, default=120.0, metavar="SECONDS")
    parser.add_argument("--seconds", type=float, default=4.0, help="of each round under load")
    parser.add_argument("--facts", type=int, default=1_000_000)
    given = parser.parse_args()
    if unknown := set(given.only) - set(names):
        parser.error(f"--only: expected some of {', '.join(names)}, found {', '.join(sorted(unknown))}")
    return given


def main() -> None:
    given = arguments(list(sections(0, 0, 0)))
    measure = sections(given.seconds, given.soak, given.facts)
    report: dict[str, Any] = json.loads(REPORT.read_text()) if REPORT.exists() else {}
    cores = os.sched_getaffinity(0)
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        frame = payments(given.data or simulated(folder / "simulated")["transactions"])
        of = of_day(frame, folder / "home")
        del frame
        for name in (name for name in measure if name in given.only):
            print(f"-- {name}", file=sys.stderr, flush=True)
            start = time.perf_counter()
            if name in ("http", "load", "soak", "telemetry", "shadows"):
                client_core()
            report[name] = measure[name](of, folder / name)
            os.sched_setaffinity(0, cores)
            report[name]["took_seconds"] = round(time.perf_counter() - start)
            REPORT.write_text(json.dumps(report, indent=2) + "\n")
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
