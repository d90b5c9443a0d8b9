"""What metrics and traces cost a server that decides: processor time of a decision with them over that without."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

import httpx
from common import spread
from worlds.serve_processes import COMMAND
from worlds.trace_collector import collecting

from deciding.home import Day
from deciding.http import asked, require
from deciding.load import Make, closed
from deciding.payments import Payments
from deciding.servers import Server, ours

UNWATCHED = """
import sys
from orchestration.cli import main
from serving.telemetry import request_metrics
from serving.telemetry.decision_metrics import DecisionMetrics
from serving.telemetry.stages import Stages
from serving.telemetry.watch import Watch
def nothing(*_):
    pass
request_metrics.count = DecisionMetrics.made = DecisionMetrics.passed = Stages.ended = Watch._go_on = nothing
sys.exit(main())
"""
"""A server that counts nothing."""
ROUNDS, SECONDS, SCRAPES = 24, 1.0, 20
"""Many short rounds, as what is sought is smaller than what a round differs from the next by."""


def measured(day: Day, folder: Path) -> dict[str, Any]:
    """Rounds in turns: nothing counted, twice; metrics; beside them traces as by default, and of a hundredth."""
    with contextlib.ExitStack() as held:
        collector = held.enter_context(collecting())
        traces = {"EVERGREEN_TRACES": collector.url.reveal()}
        unwatched = (*COMMAND[:2], UNWATCHED)
        started = {
            "nothing": ours(day.copy(folder / "nothing"), *day.as_of, command=unwatched),
            "nothing_again": ours(day.copy(folder / "again"), *day.as_of, command=unwatched),
            "metrics": ours(day.copy(folder / "metrics"), *day.as_of),
            "traces": ours(day.copy(folder / "traces"), *day.as_of, variables=traces),
            "hundredth": ours(
                day.copy(folder / "hundredth"), *day.as_of, variables=traces | {"EVERGREEN_TRACES_SHARE": "0.01"}
            ),
        }
        servers = {name: _warm(day, held.enter_context(server)) for name, server in started.items()}
        rounds = [_round(servers, first) for first in range(ROUNDS)]
        found = _told(rounds) | {"scrape_milliseconds": _scrape(servers["metrics"][0]), "spans": len(collector.spans)}
    print(json.dumps(found), flush=True)
    return found


def _round(servers: dict[str, tuple[Server, Make]], first: int) -> dict[str, float]:
    """Microseconds of the processor for a decision; each server is first in turn, as one may disturb the next."""
    names = list(servers)
    start = first % len(names)
    return {name: asked(*servers[name], SECONDS)["cpu"] for name in names[start:] + names[:start]}


def _warm(day: Day, server: Server) -> tuple[Server, Make]:
    server.pin()
    payments = Payments(day, server.port)
    require(closed(server.port, payments, requests=len(payments.pairs)))
    return server, payments


def _told(rounds: list[dict[str, float]]) -> dict[str, Any]:
    return {
        "of_nothing": {
            name: spread(one[name] / one["nothing"] for one in rounds) for name in rounds[0] if name != "nothing"
        },
        "microseconds_of_processor": {name: spread((one[name] for one in rounds), 1) for name in rounds[0]},
    }


def _scrape(server: Server) -> float:
    """Of the processor, for each answer of `/metrics`."""
    before = server.cpu()
    for _ in range(SCRAPES):
        httpx.get(f"http://127.0.0.1:{server.port}/metrics").raise_for_status()
    return round((server.cpu() - before) / SCRAPES * 1e3, 2)
