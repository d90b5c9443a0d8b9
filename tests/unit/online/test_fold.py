"""Entities as a fold over the ordered log: every worker, and who reads it again, decides the same about each event."""

import json
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest

from jobs.online.column_type import ColumnType
from jobs.online.entity_facts import EntityFacts
from jobs.online.file_log import FileLog
from jobs.online.log_records import Record
from jobs.online.plan import Event, Plan
from jobs.windows import Aggregate, Ratio, WindowFeatures

pytestmark = pytest.mark.embedded

MINUTE = timedelta(minutes=1)
FEATURES = WindowFeatures(
    "payments",
    "customer",
    "id",
    "happened",
    (
        Aggregate("count", windows=(MINUTE,)),
        Aggregate("std", "amount", (MINUTE,)),
        Aggregate("max", "ratio", (MINUTE,)),
    ),
    ratios=(Ratio("ratio", "amount", Aggregate("mean", "amount", (MINUTE,), timedelta(seconds=1))),),
)
PLAN = Plan.of(FEATURES, {"id": ColumnType("string", False), "amount": ColumnType("float64")})


class Worker:
    """One process that decides, as far as the log tells it what others decided."""

    def __init__(self, path: Path, now: Any) -> None:
        self.log, self.customers = FileLog(path, now=now), {n: EntityFacts(PLAN) for n in range(3)}
        self.decided = [self.fold(record) for record in self.log.records()]

    def decide(self, id: str, row: dict[str, Any]) -> None:
        appended = self.log.append(id, json.dumps(row).encode())
        self.decided += [self.fold(record) for record in appended.before]
        if appended.is_new:
            self.decided.append(self.fold(appended.record))

    def fold(self, record: Record) -> tuple[str, list[Any]]:
        row = json.loads(record.content)
        event = Event(record.id, row["happened"], row)
        return record.id, self.customers[row["customer"]].decide(event, record.stamp)


def test_workers_in_turns_and_a_reader_from_the_start_decide_the_same(tmp_path: Path) -> None:
    chance, clock = Random(4), [10**15]

    def now() -> int:
        clock[0] += chance.choice([0, 1, 400_000, 9_000_000, -2_000_000])
        return clock[0]

    workers = [Worker(tmp_path / "log", now) for _ in range(2)]
    for number in range(400):
        late = chance.choice([0, 3, 5_000_000, -1_000_000])
        row = {"customer": chance.randrange(3), "happened": clock[0] - late, "amount": chance.randrange(9999) / 100}
        worker = chance.choice(workers)
        worker.decide(str(number), row)
        if chance.random() < 0.2:
            # A client that heard no answer asks again, here or there.
            chance.choice(workers).decide(str(number), row)
    for worker in workers:
        worker.decided += [worker.fold(record) for record in worker.log.tail()]
    again = Worker(tmp_path / "log", now)
    assert [id for id, _ in again.decided] == [str(number) for number in range(400)]
    assert repr(again.decided) == repr(workers[0].decided) == repr(workers[1].decided)
    for worker in (*workers, again):
        worker.log.close()
