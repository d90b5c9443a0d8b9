"""How far streams scale, by simulation: from 500 to 100,000 events a second of a use case, with features.

`python bench/stream_scale.py [--write]`. Costs of steps and commits are those that `bench/streams.py --only burst`
measured, as its report in docs/benchmarks has them; `--write` puts the tables into docs/operation/stream-scale.md.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass, replace
from math import ceil

from common import REPORTS, ROOT
from streaming.scale import Cluster, Costs, burst, simulated

REPORT = REPORTS / "streams.json"
PAGE = ROOT / "docs" / "operation" / "stream-scale.md"
BEGIN, END = "<!-- bench/stream_scale.py -->\n", "<!-- end -->"
RATES, RATE = (100, 500, 2_500, 10_000, 100_000), 10_000
BUSY, MEMORY, FACT_BYTES = 0.6, 64e9, 70
"""What workers are planned for: the share of a core, and bytes of facts, each of so many bytes."""
MINUTE, HOUR, DAY = 60.0, 3_600.0, 86_400.0
USUAL = Cluster(1, 10.0)
NAMES = (
    "workers that the processor needs", "that memory needs", "core s of a million events", "fullest worker: facts",
    "usual lag", "after a minute's events at once", "after an hour's stop", "files a day and table",
)  # fmt: skip


@dataclass(frozen=True)
class Plan:
    """A cluster of as many workers as events and windows need."""

    rate: float
    """Events a second."""
    window_days: float = 60.0
    """The longest window."""
    cluster: Cluster = USUAL
    """Its other settings."""
    more: int = 1
    """Times as many workers."""

    def row(self, costs: Costs) -> list[str]:
        by_processor = max(1, ceil(self.rate * (costs.event + costs.row) / BUSY))
        facts = self.rate * self.window_days * DAY * FACT_BYTES
        workers = self.more * max(by_processor, ceil(facts / MEMORY))
        cluster = replace(self.cluster, workers=workers)
        own, trigger = self.rate * cluster.fullest, cluster.trigger
        usual = simulated(costs, trigger, burst(own, 0, 0), 5 * trigger + MINUTE).peak
        waits = [_caught_up(costs, cluster, own, backlog * own, usual) for backlog in (MINUTE, HOUR)]
        return [
            f"{by_processor:,}", f"{ceil(facts / MEMORY):,}", f"{1e6 * (costs.event + costs.row):,.0f}",
            f"{facts * cluster.fullest / 1e9:,.0f} GB", _time(usual / own), *map(_time, waits),
            f"{workers * DAY / trigger:,.0f}",
        ]  # fmt: skip


def _caught_up(costs: Costs, cluster: Cluster, rate: float, backlog: float, usual: float) -> float:
    """Seconds until a backlog is gone; infinite if it is not within a day."""
    run = simulated(costs, cluster.trigger, burst(rate, 0, round(backlog)), DAY, enough=usual)
    return float(run.times[-1]) if run.lag[-1] <= usual else float("inf")


def knobs() -> dict[str, Plan]:
    """Plans that differ in one thing."""
    usual = Plan(RATE)
    return {
        "as above": usual,
        "windows of 30 days": replace(usual, window_days=30),
        "twice the workers": replace(usual, more=2),
        "a commit every 2 s": replace(usual, cluster=replace(USUAL, trigger=2.0)),
        "a commit every 60 s": replace(usual, cluster=replace(USUAL, trigger=60.0)),
        "keys by Zipf's law, exponent 0.8": replace(usual, cluster=replace(USUAL, skew=0.8)),
        "exponent 1": replace(usual, cluster=replace(USUAL, skew=1.0)),
        "exponent 1, four times the workers": replace(usual, cluster=replace(USUAL, skew=1.0), more=4),
    }


def tables(costs: Costs) -> str:
    """Both tables, in Markdown."""
    rates = {f"{rate:,} a second": Plan(rate) for rate in RATES}
    return f"{_table(rates, costs)}\nAt {RATE:,} events a second:\n\n{_table(knobs(), costs)}"


def _table(plans: dict[str, Plan], costs: Costs) -> str:
    lines = [["", *NAMES], ["---"] * (1 + len(NAMES)), *([name, *plan.row(costs)] for name, plan in plans.items())]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _time(seconds: float) -> str:
    if seconds == float("inf"):
        return "never"
    return f"{seconds:,.1f} s" if seconds < 2 * MINUTE else f"{seconds / MINUTE:,.0f} min"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--write", action="store_true", help="put the tables into the page")
    given = parser.parse_args()
    text = tables(Costs(**json.loads(REPORT.read_text())["burst"]["costs"]))
    print(text)
    if given.write:
        page = PAGE.read_text()
        PAGE.write_text(f"{page.partition(BEGIN)[0]}{BEGIN}\n{text}\n{END}{page.partition(END)[2]}")


if __name__ == "__main__":
    main()
