"""A full day of payments over HTTP, each twice, to workers of several kinds: cells unlike the batch kernel's."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from worlds.redis_server import RedisServer

from deciding.agreement import judged
from deciding.home import Day
from deciding.load import closed
from deciding.payments import of_row
from deciding.servers import ours
from jobs.secret import Url
from jobs.settings import Settings


def measured(day: Day, folder: Path) -> dict[str, Any]:
    """One worker, two, and two with Redis."""
    folder.mkdir(parents=True)
    found = {}
    for name, workers, settings in (
        ("one_worker", 1, day.copy(folder / "one")),
        ("two_workers", 2, day.copy(folder / "two")),
    ):
        found[name] = sent(day, settings, workers)
        print(name, json.dumps(found[name]), flush=True)
    with RedisServer() as server:
        settings = replace(day.copy(folder / "redis"), online_store_url=Url(server.url))
        found["redis"] = sent(day, settings, 2)
    print("redis", json.dumps(found["redis"]), flush=True)
    return found


def sent(day: Day, settings: Settings, workers: int) -> dict[str, Any]:
    """What the log of a home has of a day that is sent twice, and answers that were not the same again."""
    with ours(settings, *day.as_of, "--workers", str(workers)) as server:
        answers = []
        for connections in (4, 8):
            requests = iter([of_row(row, server.port) for row in day.payments])
            load = closed(
                server.port,
                partial(next, requests),
                connections=connections,
                requests=len(day.payments),
            )
            assert not load.failures, load.failures[:3]
            answers.append({told["transaction_id"]: told for told in map(json.loads, load.answers or ())})
    first, again = answers
    other = sum(first[id] != again.get(id) for id in first)
    return judged(settings, len(first)) | {"answered_otherwise": other}
