"""Features of one, a hundred and five hundred payments: by Feast's SDK, as `feature_repo/` has it, and by a worker.

Feast reads what a night wrote into its online store; a worker appends the payments to its log, on a file or in the same
Redis, and computes the same features of everything before them. Neither asks a model.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
from common import spread
from worlds import marts
from worlds.redis_server import RedisServer

from deciding.home import Day
from deciding.process import Clock, Own, worker
from jobs.feature_store.materialization import materialize
from jobs.feature_store.store import open_store
from jobs.lakehouse.tables import attach
from jobs.secret import Url
from jobs.settings import Settings
from jobs.use_cases.fraud import FRAUD

COUNTS = (1, 100, 500)
CALLS = {1: 20, 100: 5, 500: 2}
"""Calls of a round, which is long against the steps of the clock of processors."""
ROUNDS = 3


class Feast:
    """The online store of a home as its pipeline fills it, with all declarations applied."""

    def __init__(self, day: Day, settings: Settings) -> None:
        lakehouse = attach(settings)
        marts.update_windows(lakehouse, day.ends)
        materialize(lakehouse, FRAUD, day.ends)
        self._store, self._now = open_store(lakehouse, FRAUD), pd.Timestamp(day.ends)
        views = {windows.name: windows.names for windows in FRAUD.windows}
        self.asked: dict[str, Any] = {
            "all_features": self._store.get_feature_service(FRAUD.feature_service),
            "windows_alone": [f"{view}:{name}" for view, names in views.items() for name in names],
        }
        """Features of the service, of which functions of the request make some, and those that are only read."""

    def seconds(self, clock: Clock, payments: Sequence[dict[str, Any]], of: str) -> float:
        """Of one call for some payments, on average."""
        names = ("customer_id", "terminal_id", "tx_amount") if of == "all_features" else ("customer_id", "terminal_id")
        rows: list[dict[str, Any]] = [{name: each[name] for name in names} for each in payments]
        for row in rows if of == "all_features" else ():
            row["tx_datetime"] = self._now
        calls, start = CALLS[len(rows)], clock()
        for _ in range(calls):
            found = self._store.get_online_features(features=self.asked[of], entity_rows=rows).to_dict()
        seconds = (clock() - start) / calls
        assert len(found["customer_id"]) == len(rows)
        return seconds


def measured(day: Day, folder: Path) -> dict[str, Any]:
    """Rounds in turns, with SQLite and a log in a file, then with Redis for both."""
    folder.mkdir(parents=True)
    found = {"sqlite_and_file": _compared(day, day.copy(folder / "file"))}
    with RedisServer() as server:
        settings = replace(day.copy(folder / "redis"), online_store_url=Url(server.url))
        found["redis"] = _compared(day, settings)
    return found


def _compared(day: Day, settings: Settings) -> dict[str, Any]:
    feast = Feast(day, settings)
    with worker(day, settings) as own:
        found = {f"rows_{count}": _of_count(feast, own, count) for count in COUNTS}
    print(json.dumps(found), flush=True)
    return found


def _of_count(feast: Feast, own: Own, count: int) -> dict[str, Any]:
    """Milliseconds of a call, and Feast's over ours, by processor time and by the clock."""
    found: dict[str, Any] = {}
    for clock, name in ((time.process_time, "processor"), (time.perf_counter, "clock")):
        rounds = [_round(feast, own, count, clock) for _ in range(ROUNDS + 1)][1:]
        found[f"milliseconds_by_{name}"] = spread((one["ours"] * 1e3 for one in rounds), 3)
        for of in feast.asked:
            found[f"{of}_of_feast_by_{name}"] = spread((one[of] / one["ours"] for one in rounds), 1)
    return found


def _round(feast: Feast, own: Own, count: int, clock: Clock) -> dict[str, float]:
    payments = own.payments(count)
    return {of: feast.seconds(clock, payments, of) for of in feast.asked} | {
        "ours": own.seconds_of_features(clock, count, CALLS[count])
    }
