"""Streams: from Kafka to raw tables, updates of features, how fresh they are online, and a week against the kernel.

`python bench/streams.py [--data FILE] [--only raw,updates] [--rounds N]`. Rates are by processor seconds of the stream,
with all its threads. Needs Java for Kafka and Spark. Sections that are not asked for keep what the report has of them.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from common import REPORTS, simulated
from online import payments
from streaming import burst, cluster, fresh, late, raw, rival, spark_raw, updates, week

REPORT = REPORTS / "streams.json"
SECTIONS: dict[str, Callable[[Any, Path, int], dict[str, Any]]] = {
    "raw": raw.measured, "updates": updates.measured, "week": week.measured, "fresh": fresh.measured,
    "late": late.measured, "rival": rival.measured, "burst": burst.measured,
    "spark": cluster.measured, "spark_raw": spark_raw.measured,
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", type=Path, help="payments of the handbook; without them some are simulated")
    parser.add_argument("--only", type=lambda text: text.split(","), default=list(SECTIONS), metavar=",".join(SECTIONS))
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    report: dict[str, Any] = json.loads(REPORT.read_text()) if REPORT.exists() else {}
    with tempfile.TemporaryDirectory() as made:
        frame = payments(given.data or simulated(Path(made) / "simulated")["transactions"])
        for name in (name for name in SECTIONS if name in given.only):
            print(f"-- {name}", file=sys.stderr, flush=True)
            start = time.perf_counter()
            report[name] = SECTIONS[name](frame, Path(made) / name, given.rounds)
            report[name]["took_seconds"] = round(time.perf_counter() - start)
            print(json.dumps({name: report[name]}, indent=1), flush=True)
    REPORT.write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
