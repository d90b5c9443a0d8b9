"""Latencies under load that waits for nobody: at half and nine tenths of the own maximum, and the echo's at both."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from common import spread

from deciding.home import Day
from deciding.http import deciding, echo
from deciding.load import closed, opened

SHARES = (0.5, 0.9)
MOST_SECONDS = 5.0


def measured(day: Day, folder: Path, seconds: float) -> dict[str, Any]:
    """Three rounds; the own maximum is that of connections that ask without a pause."""
    with deciding(day, folder / "ours") as (mine, payments), echo(day, folder / "echo") as (other, its):
        most = closed(mine.port, payments, min(seconds, MOST_SECONDS)).rate
        found: dict[str, Any] = {"most_per_second": round(most)}
        for share in SHARES:
            rounds = []
            for _ in range(3):
                rate = most * share
                loads = opened(mine.port, payments, rate, seconds), opened(other.port, its, rate, seconds)
                rounds.append([load.percentiles() | {"failed": len(load.failures)} for load in loads])
                print(f"{share:.0%} of {most:.0f} a second:", rounds[-1], flush=True)
            found[f"at_{share:.0%}"] = _told(rounds)
    return found


def _told(rounds: list[list[dict[str, float]]]) -> dict[str, Any]:
    names = ("p50", "p99", "p99.9")
    return {
        "ours_ms": {name: spread(one[0][name] for one in rounds) for name in names},
        "echo_ms": {name: spread(one[1][name] for one in rounds) for name in names},
        "p99_of_echo": spread((one[0]["p99"] / one[1]["p99"] for one in rounds), 2),
        "failed": sum(int(one[0]["failed"]) for one in rounds),
        "echo_failed": sum(int(one[1]["failed"]) for one in rounds),
    }
